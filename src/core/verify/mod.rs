//! Verifying what others, or we ourselves, published.

mod earlier;
mod equivalents;
pub mod history;
mod keys;
mod look;
pub mod merges;
mod names;
mod proofs;
mod proposed;
mod published;
mod record;
pub mod report;
mod rivals;
pub mod roots;
pub mod trust_root;

pub use proofs::proofs;
pub(crate) use published::percent_encoded;
