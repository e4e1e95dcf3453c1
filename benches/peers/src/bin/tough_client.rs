//! `tough`, from a first root to the end: `tough_client ROOT URL STORE`

use std::error::Error;

use tough::{Limits, RepositoryLoader};
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [first, url, store] = &words[..] else { return Err("usage: ROOT URL STORE".into()) };
    std::fs::create_dir_all(store)?;
    let root = std::fs::read(first)?;
    let base = Url::parse(&format!("{url}/"))?;
    let limits = Limits { max_root_updates: 100_000, ..Limits::default() };
    let loader = RepositoryLoader::new(&root, base.clone(), base).limits(limits).datastore(store);
    println!("{}", loader.load().await?.root().signed.version);
    Ok(())
}
