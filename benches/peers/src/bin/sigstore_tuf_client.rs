//! The crate `sigstore-tuf`, from a first root to the end: `sigstore_tuf_client ROOT URL STORE`

use std::error::Error;

use sigstore_tuf::{FileStore, HttpRepository, Updater, UpdaterConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [first, url, store] = &words[..] else { return Err("usage: ROOT URL STORE".into()) };
    let mut config = UpdaterConfig::default();
    config.max_root_rotations = 100_000;
    config.targets_max_length = 64 << 20;
    let updater = Updater::new(HttpRepository::new(url)?, &std::fs::read(first)?)?;
    let mut updater = updater.with_config(config).with_store(FileStore::new(store));
    updater.refresh(jiff::Timestamp::now()).await?;
    println!("{}", updater.trusted().root().version);
    Ok(())
}
