//! Key-signing ceremonies, and the TUF trust roots that come out of them.
//!
//! The layers, and what each may use besides the core and the seams:
//!
//! | layer | holds | may use |
//! | --- | --- | --- |
//! | `trustroot_core` | the rules, pure: a package of its own | nothing but its arguments |
//! | `trustroot_client` | the TUF client: a package of its own | HTTP, files |
//! | [`seams`] | the traits between the layers | the core |
//! | [`token`] | tokens and online keys | cryptographic libraries |
//! | [`judge`] | the independent TUF client | `tough` |
//! | [`ledger`] | git | `git2`, the person's own git and ssh-keygen |
//! | [`ui`] | the only place that writes to a terminal | terminal libraries |
//! | [`conduct`] | the conductor: replay, next step, ask or act, event, commit | nothing more |
//! | [`cli`] | the verbs; the only place that wires layers together | everything |
//!
//! `tests/house` holds these edges.

pub mod cli;
pub mod conduct;
pub mod judge;
pub mod ledger;
pub mod seams;
pub mod token;
pub mod ui;
