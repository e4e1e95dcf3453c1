//! A client for TUF repositories (The Update Framework, specification 1.0.x, section 5): fetch, verify, store.
//!
//! Every rule about what may be trusted is in `trustroot_core`; here is what has to touch the world for it: HTTP, folders,
//! the local state, and the order in which things are asked for. It knows nothing of smart cards, git or terminals.
//!
//! ```no_run
//! use std::path::Path;
//! use trustroot_client::{Client, Limits, clock, source};
//!
//! # fn main() -> Result<(), trustroot_client::Error> {
//! let client = Client::new(Path::new("metadata"), Limits::default());
//! client.init(&std::fs::read("1.root.json").expect("the root that came with the program"))?;
//!
//! let mirrors = [source::from_text("https://example.org/metadata", &Limits::default())?];
//! let mut session = client.refresh(&mirrors, clock::now())?;
//! let found = session.find("tools/hammer.tar.gz")?;
//! drop(session); // others may refresh while we download
//!
//! let targets = [source::from_text("https://example.org/targets", &Limits::default())?];
//! let file = client.download(&found, &targets, Path::new("downloads"))?;
//! println!("{}", file.path.display());
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`Client`], [`Session`] | the workflow, clause by clause |
//! | [`source`] | where bytes come from: HTTP or a folder |
//! | [`store`] | the local state: atomic, durable, one process at a time |
//! | [`bootstrap`] | the first root: from a file, or from a URL whose root is known by its digest |
//! | [`Fast`] | signature checks with aws-lc, equal to the portable ones |
//!
//! What no caller has to do: nothing is written that was not verified, no version goes back, and a process that is killed at
//! any moment leaves a state that the next one can use.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bootstrap;
mod client;
pub mod clock;
mod download;
mod error;
mod fast;
mod http;
mod limits;
mod names;
mod redirects;
mod resolver;
mod roots;
mod session;
pub mod source;
pub mod store;

pub use client::{Client, Progress};
pub use download::Downloaded;
pub use error::Error;
pub use fast::Fast;
pub use limits::Limits;
pub use session::{Found, Session};
