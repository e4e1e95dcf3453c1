//! What a history that others made lacks, beside one that ceremonies made: said before anybody continues it.

use super::Import;
use crate::check::{Check, Finding, Level};
use crate::metadata::root::Root;
use crate::metadata::{Metadata, Role};
use crate::predecessor::Predecessor;
use crate::time::Timestamp;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Says it.
pub(super) fn tell(import: &mut Import, newest: &Metadata<Root>, now: Timestamp) {
    let before = Predecessor { root: newest.clone(), targets: None };
    let subject = format!("root {}", newest.version());
    let mut found = Vec::new();
    let mut tell = |level, check, what: String, hint: &str| {
        found.push(Finding::new(level, check, subject.clone(), what).hint(hint));
    };
    if newest.expires() <= now && !import.findings.iter().any(|finding| finding.check == Check::Expired) {
        let what = format!("it expired on {}; clients refuse everything until there is a next root", newest.expires());
        tell(Level::Warning, Check::Expired, what, "its keys can still sign the next one: plan it now");
    }
    if import.set.is_none() {
        let what = "nothing but roots is taken: the versions of timestamp, snapshot and targets, and the files that the targets \
                    name, are elsewhere";
        let hint = "take the published repository; or say in the plan from which versions to go on, under [follows]";
        tell(Level::Warning, Check::MetaMissing, what.to_string(), hint);
    }
    for role in [Role::Snapshot, Role::Timestamp] {
        let (keys, must) = (before.keys(role), before.threshold(role));
        if keys.len() != 1 || must != 1 {
            let what = format!("{must} of {} keys sign the {role}, where one online key is usual", keys.len());
            let hint =
                "the next root gives it to a new online key: plan with --rotate --new-online-key NAME --no-overlap";
            tell(Level::Warning, Check::KeyRoles, what, hint);
        } else if !keys.is_disjoint(&before.keys(Role::Root)) {
            let what = format!("a key of the role root signs the {role} as well, so it is used online");
            let hint =
                "the next root gives it to a new online key: plan with --rotate --new-online-key NAME --no-overlap";
            tell(Level::Warning, Check::KeyRoles, what, hint);
        }
    }
    let keys = before.keys(Role::Root);
    if keys.len() <= before.threshold(Role::Root) {
        let what = format!("every one of its {} keys is needed: 1 loss stops you", keys.len());
        tell(Level::Warning, Check::PlanMargin, what, "add holders with the next root: --rotate --add N");
    }
    let unnamed: Vec<String> =
        keys.iter().filter(|key| before.known(key).handle.is_none()).map(|key| key.fingerprint().short()).collect();
    if !unnamed.is_empty() {
        let what = format!("it does not say who holds {}", unnamed.join(", "));
        tell(Level::Note, Check::RecordFiles, what, "name them in the plan of the next root");
    }
    let what = format!("no proof that its {} keys are on hardware: no attestation is part of a root", keys.len());
    let hint = "`trustroot token verify` looks at attestations that lie elsewhere; new keys come with theirs";
    tell(Level::Note, Check::AttMissing, what, hint);
    let newest = import.newest().unwrap_or_default();
    let what = format!("how roots 1 to {newest} came about: there is no record, and `verify` says so in its headline");
    tell(Level::Note, Check::RootRecord, what, "records begin with the next root");
    import.findings.extend(found);
}
