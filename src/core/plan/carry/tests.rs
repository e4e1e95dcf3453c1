//! Plans that continue roots which others made.

use super::*;
use crate::tree::Tree;

/// A renewal of a root that no ceremony of ours made.
fn renewal(before: &Predecessor, changes: BTreeMap<Handle, Becomes>, kind: Kind) -> Result<String, CarryError> {
    with_online(before, changes, kind, None)
}

/// The same; with a name, a new online key takes over.
fn with_online(
    before: &Predecessor,
    changes: BTreeMap<Handle, Becomes>,
    kind: Kind,
    online: Option<&str>,
) -> Result<String, CarryError> {
    let name = Handle::new("next").unwrap();
    carry(&Carry {
        name: &name,
        title: "The next root",
        kind,
        reason: "We take it over.",
        day: Timestamp::from_day("2026-01-05").unwrap(),
        before,
        last: None,
        changes,
        add: 0,
        threshold: None,
        online: online.map(|name| Handle::new(name).unwrap()),
        overlap: online.is_none(),
        used_serial: 0,
        elsewhere: None,
        rehearsal: false,
    })
}

#[test]
fn what_cannot_be_carried_is_named() {
    let mut repository = crate::testing::Repository::new();
    let files = repository.publish();
    let tree = Tree::from([("root/1.root.json".to_string(), crate::tree::Entry::File(files.root))]);
    let before = Predecessor::newest(&tree).unwrap();
    assert_eq!(renewal(&before, BTreeMap::new(), Kind::Genesis), Err(CarryError::Genesis));
    let nobody = BTreeMap::from([(Handle::new("mallory").unwrap(), Becomes::Gone)]);
    let error = renewal(&before, nobody, Kind::Rotate).unwrap_err().to_string();
    assert!(error.starts_with("mallory holds no key of the root; the holders are holder-1, "), "{error}");
    let plan = Plan::from_toml(&renewal(&before, BTreeMap::new(), Kind::Renew).unwrap()).unwrap();
    let findings = crate::plan::lint_follows::against(&plan, &before);
    assert!(findings.iter().all(|finding| finding.level < crate::check::Level::Refused), "{findings:?}");
}

/// Each of Sigstore's twelve roots can be continued; the lint says which old keys must sign, and under which key id.
#[test]
#[cfg(feature = "public-data")]
fn sigstore_can_be_continued() {
    use crate::check::{Check, Level};
    use crate::plan::lint_follows::against;
    use crate::tree::Entry;
    let mut tree = Tree::new();
    for number in 1..=12 {
        let name = alloc::format!("{number}.root.json");
        let bytes = crate::testing::sigstore().remove(&name).unwrap();
        tree.insert(alloc::format!("root/{name}"), Entry::File(bytes));
        let before = Predecessor::newest(&tree).unwrap();
        assert_eq!(before.root.version(), number);
        let renewed = renewal(&before, BTreeMap::new(), Kind::Renew);
        // In the first the holders sign the snapshot as well, and there is no online key that could be kept.
        let toml = match number {
            1 => {
                assert_eq!(renewed, Err(CarryError::Online(Role::Snapshot)));
                with_online(&before, BTreeMap::new(), Kind::Rotate, Some("online")).unwrap()
            }
            _ => renewed.unwrap(),
        };
        let plan = Plan::from_toml(&toml).unwrap();
        assert_eq!(plan.holders.len(), before.keys(Role::Root).len(), "{name}");
        // tuf-on-ci names the holders in its key objects, which Sigstore has from the tenth on.
        let named = plan.holders.iter().filter(|holder| !holder.handle.as_str().starts_with("holder-")).count();
        assert_eq!(named, if number < 10 { 0 } else { 5 }, "{name}");
        let findings = against(&plan, &before);
        let refused: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Refused).collect();
        assert!(refused.is_empty(), "{name}: {refused:?}");
        let quorum = findings.iter().find(|finding| finding.check == Check::PlanQuorumOld).unwrap().what.line();
        assert!(quorum.contains("3 of "), "{quorum}");
        // An old form or a wrong id is another id than new metadata gives the key, and is named in full.
        for key in before.keys(Role::Root) {
            let ids = before.key_ids(Role::Root, key);
            let usual = crate::metadata::build::new_key_id(key).is_some_and(|id| ids == [id]);
            assert!(usual || ids.iter().all(|id| quorum.contains(id.as_str())), "{name}: {quorum}");
        }
        let named = quorum.matches("under the key id").count();
        // Up to 8 the keytype is an old one; later, a holder's name stands inside the key object, which changes its id too.
        assert_eq!(named, plan.holders.len(), "{name}: {quorum}");
    }
}
