//! The client: a folder of local state, and what may be done with it.

use std::fmt;
use std::path::{Path, PathBuf};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::signature::Verifier;
use trustroot_core::time::Timestamp;
use trustroot_core::trusted::{Floor, TrustedRoot, TrustedSnapshot, TrustedTargets, TrustedTimestamp};

use crate::error::Error;
use crate::fast::Fast;
use crate::limits::Limits;
use crate::names;
use crate::roots;
use crate::session::Session;
use crate::source::{Source, read};
use crate::store::Store;

/// What is going on, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// This version of the root is trusted now.
    Root(u64),
    /// So many bytes of the target are here, of so many.
    Target {
        /// The path of the target. Foreign text.
        path: &'a str,
        /// How many bytes are here.
        have: u64,
        /// How many there will be.
        of: u64,
    },
    /// This mirror could not be used, and the next one is tried.
    Mirror(&'a Error),
}

/// A client with its local state in one folder.
pub struct Client {
    dir: PathBuf,
    pub(crate) limits: Limits,
    verifier: Box<dyn Verifier + Send>,
    watch: Box<dyn Fn(Progress<'_>) + Send + Sync>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Client {
    /// A client whose metadata lies in `dir`. Nothing is read or written yet.
    pub fn new(dir: &Path, limits: Limits) -> Self {
        Self { dir: dir.to_owned(), limits, verifier: Box::new(Fast), watch: Box::new(|_| {}) }
    }

    /// With somebody who is told what is going on.
    #[must_use]
    pub fn watched(mut self, watch: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.watch = Box::new(watch);
        self
    }

    /// With another verifier of signatures. Whoever gives one vouches for it.
    #[must_use]
    pub fn with_verifier(mut self, verifier: impl Verifier + Send + 'static) -> Self {
        self.verifier = Box::new(verifier);
        self
    }

    /// The verifier of signatures.
    pub fn verifier(&self) -> &dyn Verifier {
        self.verifier.as_ref()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn tell(&self, progress: Progress<'_>) {
        (self.watch)(progress);
    }

    /// Starts from `root`, which the caller has from a place it trusts (TUF 5.2). It may be expired: the first refresh
    /// looks for newer ones. The same root again changes nothing.
    ///
    /// # Errors
    /// What is refused in the root; [`Error::OtherRoot`] where the folder follows another one.
    pub fn init(&self, root: &[u8]) -> Result<TrustedRoot, Error> {
        let trusted = TrustedRoot::pinned(root, self.verifier())?;
        let mut store = Store::open(&self.dir, self.limits.wait)?;
        match store.get("root.json", self.limits.root)? {
            Some(here) if here == root => return Ok(trusted),
            Some(_) => return Err(Error::OtherRoot(self.dir.clone())),
            None => {}
        }
        store.put("root.json", root)?;
        store.settle()?;
        Ok(trusted)
    }

    /// Brings the metadata up to date from the first of `mirrors` that can be used (TUF 5.1 to 5.6). `now` is the time by
    /// which everything is judged (5.1). Every step that was verified is kept, also when a later one fails.
    ///
    /// # Errors
    /// What was refused, or could not be had; [`Error::Mirrors`] if there are several.
    pub fn refresh<'a>(&'a self, mirrors: &'a [Box<dyn Source>], now: Timestamp) -> Result<Session<'a>, Error> {
        let mut store = Store::open(&self.dir, self.limits.wait)?;
        let mut errors = Vec::new();
        for mirror in mirrors {
            let refreshed = self.refresh_from(&mut store, mirror.as_ref(), now);
            let settled = store.settle();
            match refreshed {
                Ok((trusted, notes)) => {
                    settled?;
                    return Ok(Session::new(self, store, trusted, Some(mirror.as_ref()), notes));
                }
                Err(error) if error.may_fail_over() => {
                    if mirrors.len() > 1 {
                        self.tell(Progress::Mirror(&error));
                    }
                    errors.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        match errors.pop() {
            Some(error) if errors.is_empty() => Err(error),
            last => Err(Error::Mirrors(errors.into_iter().chain(last).collect())),
        }
    }

    /// Uses what is here, asks nobody and writes nothing. It has to be whole, and not expired.
    ///
    /// # Errors
    /// What is refused in it.
    pub fn offline(&self, now: Timestamp) -> Result<Session<'_>, Error> {
        let store = Store::open_to_read(&self.dir, self.limits.wait)?;
        let root = self.local_root(&store)?;
        // What the keys of a root before signed counts no more, though nobody took it away yet.
        let gone = store.cut_short(root.metadata().version())? == Some(true);
        let root = root.at(now)?;
        let get = |name: &str, most| {
            let missing = || Error::NotHere { dir: self.dir.clone(), file: name.to_owned() };
            let found = if gone { None } else { store.get(name, most)? };
            found.ok_or_else(missing)
        };
        let timestamp = get("timestamp.json", self.limits.timestamp)?;
        let timestamp = root.timestamp(&timestamp, &Floor::none(), self.verifier())?;
        let snapshot = timestamp.snapshot(&get("snapshot.json", self.limits.snapshot)?, self.verifier())?;
        let trusted = snapshot.targets(&get("targets.json", self.limits.targets)?, self.verifier())?;
        Ok(Session::new(self, store, trusted, None, Vec::new()))
    }

    fn local_root(&self, store: &Store) -> Result<TrustedRoot, Error> {
        let root = store.get("root.json", self.limits.root)?.ok_or_else(|| Error::NoRoot(self.dir.clone()))?;
        Ok(TrustedRoot::pinned(&root, self.verifier())?)
    }

    fn refresh_from(
        &self,
        store: &mut Store,
        source: &dyn Source,
        now: Timestamp,
    ) -> Result<(TrustedTargets, Vec<Finding>), Error> {
        // 5.2: the trusted root is the one that is here.
        let root = self.local_root(store)?;
        store.recover(root.metadata().version())?;
        let root = self.newest_root(store, root, source)?;
        let (root, notes) = root;
        // 5.3.10.
        let current = root.at(now)?;
        // 5.3.11 was done when the root was stored: what is here was signed under the same keys.
        let (timestamp, snapshot) =
            (store.get("timestamp.json", self.limits.timestamp)?, store.get("snapshot.json", self.limits.snapshot)?);
        let floor = Floor::from_local(&current, &root, timestamp.as_deref(), snapshot.as_deref(), self.verifier());
        drop(timestamp);
        // 5.4.
        let bytes = self.ask(source, "timestamp.json", self.limits.timestamp)?;
        let (timestamp, kept) = current.newest_timestamp(&bytes, &floor, self.verifier())?;
        if !kept {
            store.put("timestamp.json", &bytes)?;
        }
        let consistent = root.metadata().body().consistent_snapshot();
        let snapshot = self.snapshot(store, source, &timestamp, snapshot, consistent)?;
        let targets = self.targets(store, source, &snapshot, consistent)?;
        Ok((targets, notes))
    }

    /// 5.3.2 to 5.3.9, and 5.3.11.
    fn newest_root(
        &self,
        store: &mut Store,
        root: TrustedRoot,
        source: &dyn Source,
    ) -> Result<(TrustedRoot, Vec<Finding>), Error> {
        let told = &mut |version| self.tell(Progress::Root(version));
        let advanced = roots::advance(root, source, &self.limits, self.verifier(), told);
        let version = advanced.root.metadata().version();
        if let Some(bytes) = &advanced.bytes {
            store.put_root(version, bytes, advanced.rotated)?;
        }
        if let Some(fault) = advanced.fault {
            return Err(fault);
        }
        let note = |seen| {
            let what = format!("there is no {}.root.json, but there is {seen}.root.json: a gap", version + 1);
            Finding::new(Level::Warning, Check::RootGap, source.name(), what)
        };
        Ok((advanced.root, advanced.gap.map(note).into_iter().collect()))
    }

    /// 5.5. `local` is the snapshot that is here.
    fn snapshot(
        &self,
        store: &mut Store,
        source: &dyn Source,
        timestamp: &TrustedTimestamp,
        local: Option<Vec<u8>>,
        consistent: bool,
    ) -> Result<TrustedSnapshot, Error> {
        if let Some(local) = local
            && let Some(kept) = timestamp.kept_snapshot(&local)?
        {
            return Ok(kept);
        }
        let promised = timestamp.metadata().body().snapshot();
        let name = names::published("snapshot", consistent.then_some(promised.version));
        let most = promised.length.unwrap_or(self.limits.snapshot).min(self.limits.snapshot);
        let bytes = self.ask(source, &name, most)?;
        let snapshot = timestamp.snapshot(&bytes, self.verifier())?;
        store.put("snapshot.json", &bytes)?;
        Ok(snapshot)
    }

    /// 5.6.1 to 5.6.6, for the top-level role.
    fn targets(
        &self,
        store: &mut Store,
        source: &dyn Source,
        snapshot: &TrustedSnapshot,
        consistent: bool,
    ) -> Result<TrustedTargets, Error> {
        if let Some(local) = store.get("targets.json", self.limits.targets)?
            && let Ok(kept) = snapshot.targets(&local, self.verifier())
        {
            return Ok(kept);
        }
        // Without a promise the snapshot refuses whatever comes.
        let promised = snapshot.metadata().body().meta().get("targets.json");
        let version = promised.map(|file| file.version).filter(|_| consistent);
        let most = promised.and_then(|file| file.length).unwrap_or(self.limits.targets).min(self.limits.targets);
        let bytes = self.ask(source, &names::published("targets", version), most)?;
        let targets = snapshot.targets(&bytes, self.verifier())?;
        store.put("targets.json", &bytes)?;
        Ok(targets)
    }

    pub(crate) fn ask(&self, source: &dyn Source, name: &str, most: u64) -> Result<Vec<u8>, Error> {
        let fault = |why| Error::Fetch { file: name.to_owned(), source_name: source.name(), why };
        read(source, name, most, &self.limits).map_err(fault)
    }
}
