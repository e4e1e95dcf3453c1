//! A session: metadata that is up to date, and the search for targets in it (TUF 5.6.7).

use std::path::PathBuf;
use trustroot_core::check::Finding;
use trustroot_core::digest::Digest;
use trustroot_core::metadata::targets::Target;
use trustroot_core::search::{Next, Search};
use trustroot_core::trusted::TrustedTargets;

use crate::client::Client;
use crate::error::Error;
use crate::names;
use crate::source::Source;
use crate::store::Store;

/// Metadata that is up to date at one moment. While it lives, the local state is ours.
#[derive(Debug)]
pub struct Session<'a> {
    client: &'a Client,
    store: Store,
    trusted: TrustedTargets,
    source: Option<&'a dyn Source>,
    notes: Vec<Finding>,
}

/// A target that was found, and what is trusted of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its path. Foreign text.
    pub path: String,
    /// Its length and hashes.
    pub target: Target,
    /// The role that names it. Foreign text.
    pub role: String,
    /// Whether it is asked for by its hash.
    pub consistent: bool,
    /// The file digest of the snapshot that it was found under.
    pub snapshot: Digest,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        client: &'a Client,
        store: Store,
        trusted: TrustedTargets,
        source: Option<&'a dyn Source>,
        notes: Vec<Finding>,
    ) -> Self {
        Self { client, store, trusted, source, notes }
    }

    /// The top-level targets, and through them the whole trusted set.
    pub fn trusted(&self) -> &TrustedTargets {
        &self.trusted
    }

    /// What was odd and did not stop the refresh, such as a gap in the numbers of the roots.
    pub fn notes(&self) -> &[Finding] {
        &self.notes
    }

    /// The folder of the local state.
    pub fn dir(&self) -> PathBuf {
        self.store.dir().to_owned()
    }

    /// Looks for the target at `path`, over as many delegated roles as it takes. Each is judged with the keys of the role
    /// that delegates to it in this search; what lies here is used where it is what the snapshot names.
    ///
    /// # Errors
    /// [`Error::NoTarget`], or the first role that could not be had or was refused: the search ends there.
    pub fn find(&mut self, path: &str) -> Result<Found, Error> {
        let found = self.search(path);
        self.store.settle()?;
        found
    }

    fn search(&mut self, path: &str) -> Result<Found, Error> {
        let (root, _, snapshot) = self.trusted.set();
        let (consistent, digest) = (root.body().consistent_snapshot(), snapshot.file_digest());
        let (client, verifier) = (self.client, self.client.verifier());
        let most = usize::try_from(client.limits.delegated).unwrap_or(usize::MAX);
        let mut search = Search::new(&self.trusted, path).of_at_most(most);
        loop {
            let role = match search.next()? {
                Next::Found(target, by) => {
                    let (target, role) = (target.clone(), by.role().to_owned());
                    return Ok(Found { path: path.to_owned(), target, role, consistent, snapshot: digest });
                }
                Next::Nothing => return Err(Error::NoTarget(path.to_owned())),
                Next::Role(role) => role.to_owned(),
            };
            let here = names::local(&role);
            if let Some(local) = self.store.get(&here, client.limits.targets)? {
                match search.answer(&local, verifier) {
                    Ok(()) => continue,
                    Err(refusal) if self.source.is_none() => return Err(refusal.into()),
                    Err(_) => {}
                }
            }
            let Some(source) = self.source else { return Err(Error::NotHere { dir: self.dir(), file: here }) };
            // A role that the snapshot does not name is refused below, whatever comes.
            let promised = snapshot.body().meta().get(&format!("{role}.json"));
            let version = promised.map(|file| file.version).filter(|_| consistent);
            let most = promised.and_then(|file| file.length).unwrap_or(client.limits.targets);
            let bytes = client.ask(source, &names::published(&role, version), most.min(client.limits.targets))?;
            search.answer(&bytes, verifier)?;
            self.store.put(&here, &bytes)?;
        }
    }
}
