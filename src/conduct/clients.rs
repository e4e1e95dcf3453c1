//! Clients that take what is proposed or published, from every root that somebody may have stopped at.
//!
//! Rules:
//! 1. Our own client starts from each of them, and every judge does.
//! 2. A judge that does not read a root which another program made starts after it, if three things hold: our own strict reading
//!    names old forms there, the judge refuses that root also where the new one is not beside it, and it accepts the new root. The
//!    record says by name where it starts and why. A root that ceremonies made has no old forms, so none is ever passed over.

use std::collections::{BTreeMap, BTreeSet};

use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::time::Timestamp;
use trustroot_core::verify::roots::root_number;

use super::{Conductor, Halt, Leave};
use crate::seams::{Judge, Tone};

impl Conductor<'_> {
    /// Our own trusted set and every judge refresh from these files to the end, from each of these roots, which are in order;
    /// their names, with the root that a judge starts from where it is not the first.
    pub(super) fn clients(
        &mut self,
        roots: &[Vec<u8>],
        files: &BTreeMap<String, Vec<u8>>,
        now: Timestamp,
    ) -> Result<Vec<String>, Leave> {
        let mut names = vec![self.room.program.version.clone()];
        for root in roots {
            self.ours(root, files, now)?;
        }
        for judge in self.room.judges {
            let passed = ask(judge.as_ref(), roots, files, now).map_err(|reason| refused(judge.as_ref(), reason))?;
            let name = match &passed {
                None => judge.name(),
                Some(Passed { version, forms, .. }) => {
                    let start = version + 1;
                    format!("{}, from root {start} on (it does not read root {version}: {forms})", judge.name())
                }
            };
            if let Some(Passed { version, forms, reason }) = passed {
                let what = format!("{} does not read root {version} ({forms}), and starts after it: ", judge.name());
                self.say(Tone::Note, trustroot_core::page::Text::own(what).and_foreign(reason))?;
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Clients that start from `root` and do not see the newest root yet, but everything else, get to an end as well; without
    /// those that do not read `root` at all.
    pub(super) fn in_the_middle(
        &mut self,
        root: &[u8],
        files: &BTreeMap<String, Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), Leave> {
        let half = without_newest(files);
        self.ours(root, &half, now)?;
        for judge in self.room.judges {
            if judge.refresh(root, files, now).is_ok() {
                judge.refresh(root, &half, now).map_err(|reason| refused(judge.as_ref(), reason))?;
            }
        }
        Ok(())
    }

    fn ours(&self, root: &[u8], files: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<(), Halt> {
        super::finish::refresh_ours(root, files, now, self.room.verifier).map_err(|refusal| {
            let finding = Finding::new(Level::Refused, Check::ClientOurs, "our own client", refusal.to_string());
            Halt::Refused(vec![finding.hint("look for a mistake of the plan or of the program")])
        })
    }
}

fn refused(judge: &dyn Judge, reason: String) -> Halt {
    let what = trustroot_core::page::Text::own("it refused: ").and_foreign(reason);
    let finding = Finding::new(Level::Refused, Check::ClientOther, judge.name(), what);
    Halt::Refused(vec![finding.hint("nothing was signed; mend the plan, or look for a mistake of the program")])
}

fn newest(files: &BTreeMap<String, Vec<u8>>) -> u64 {
    files.keys().filter_map(|name| root_number(name)).max().unwrap_or_default()
}

fn without_newest(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut without = files.clone();
    without.remove(&format!("{}.root.json", newest(files)));
    without
}

/// The newest root that a judge did not start from.
struct Passed {
    version: u64,
    /// The names of its old forms.
    forms: String,
    /// What the judge said.
    reason: String,
}

/// Lets one judge refresh from each root; the error is what it said.
fn ask(
    judge: &dyn Judge,
    roots: &[Vec<u8>],
    files: &BTreeMap<String, Vec<u8>>,
    now: Timestamp,
) -> Result<Option<Passed>, String> {
    let (newest, without) = (newest(files), without_newest(files));
    let mut passed: Option<Passed> = None;
    for root in roots {
        let Err(reason) = judge.refresh(root, files, now) else { continue };
        // Rule 2. On the way from an early root the judge may stumble over a later one.
        let version = Metadata::<Root>::parse("a root", root).map_or(newest, |read| read.version());
        let on_the_way = (version..newest).any(|version| !old_forms(files, version).is_empty());
        if !on_the_way || judge.refresh(root, &without, now).is_ok() {
            return Err(reason);
        }
        passed = Some(Passed { version, forms: old_forms(files, version), reason });
    }
    let Some(last) = passed else { return Ok(None) };
    if last.forms.is_empty() {
        return Err(last.reason);
    }
    let next = files.get(&format!("{}.root.json", last.version + 1));
    judge.refresh(next.map_or(&[][..], Vec::as_slice), files, now)?;
    Ok(Some(last))
}

/// The names of the old forms that our own strict reading finds in this root; empty for none.
fn old_forms(files: &BTreeMap<String, Vec<u8>>, version: u64) -> String {
    let name = format!("{version}.root.json");
    let read = files.get(&name).and_then(|bytes| Metadata::<Root>::parse(&name, bytes).ok());
    let all = read.iter().flat_map(|read| read.findings());
    let forms: BTreeSet<&str> =
        all.filter(|finding| finding.level == Level::Lenient).map(|finding| finding.check.name()).collect();
    forms.into_iter().collect::<Vec<_>>().join(", ")
}
