//! Our client's library alone, from a first root to the end: `trustroot_client ROOT URL STORE`

use std::error::Error;
use std::path::Path;

use trustroot_client::{Client, Limits, clock, source};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [first, url, store] = &words[..] else { return Err("usage: ROOT URL STORE".into()) };
    let client = Client::new(Path::new(store), Limits::default());
    client.init(&std::fs::read(first)?)?;
    let mirrors = [source::from_text(url, &Limits::default())?];
    let session = client.refresh(&mirrors, clock::now())?;
    println!("{}", session.trusted().set().0.version());
    Ok(())
}
