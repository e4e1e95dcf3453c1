//! Independent TUF clients, behind the seam [`crate::seams::Judge`].
//!
//! Rules of this layer:
//! 1. A judge shares no line of code with the core: it is worth asking because it can disagree.
//! 2. A judge is handed bytes and says yes or no. It sees no file of the repository, no token, no terminal, no network.
//! 3. What a judge says is foreign text: one line, escaped.

pub mod tough_client;

pub use tough_client::ToughClient;
