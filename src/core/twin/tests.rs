//! The twin of a genesis, of a rotation, and of proposals with something wrong in them.

use super::*;
use crate::key::Algorithm;
use crate::signature::Portable;
use crate::testing::{Key, Repository, changed, ec, ed, keyholders, now};
use crate::trusted::{Floor, TrustedRoot};
use proptest::prelude::*;

/// Throw-away keys: numbers from 100.
struct Spare {
    keys: Vec<Key>,
}

impl Spare {
    fn new() -> Self {
        Self { keys: Vec::new() }
    }

    fn replace(&mut self, original: &PublicKey) -> PublicKey {
        let number = 100 + u8::try_from(self.keys.len()).unwrap();
        let key = if original.algorithm() == Algorithm::Ed25519 { ed(number) } else { ec(number) };
        self.keys.push(key.clone());
        key.public()
    }

    fn sign(&self, twin: &Twin, signers: BTreeMap<String, PublicKey>) -> Vec<u8> {
        twin.file(signers.into_iter().map(|(id, public)| {
            let key = self.keys.iter().find(|key| key.public() == public).unwrap();
            (id, key.sign(twin.bytes()))
        }))
    }
}

fn payloads(repository: &Repository) -> (Vec<u8>, Vec<u8>) {
    let root = repository.root.payload().unwrap().bytes().to_vec();
    (root, repository.targets.payload().unwrap().bytes().to_vec())
}

#[test]
fn our_own_client_accepts_the_twin_of_a_rotation() {
    let mut repository = Repository::new();
    let (before, _) = payloads(&repository);
    repository.root.version = 2;
    repository.root.root = keyholders(&[ec(1), ed(4), ed(5)], 2);
    let (root, targets) = payloads(&repository);
    let mut spare = Spare::new();
    let set = TwinSet::of(Some(&before), &root, &targets, &mut |key| spare.replace(key)).unwrap();

    let before = spare.sign(set.predecessor().unwrap(), set.predecessor_signers(Role::Root));
    let both = set.signers(Role::Root).into_iter().chain(set.predecessor_signers(Role::Root)).collect();
    let root = spare.sign(set.root(), both);
    let targets = spare.sign(set.targets(), set.signers(Role::Targets));
    let expires = now().plus_days(1);
    let snapshot = spare.sign(&set.snapshot(1, expires, &targets).unwrap(), set.signers(Role::Snapshot));
    let timestamp = spare.sign(&set.timestamp(1, expires, 1, &snapshot).unwrap(), set.signers(Role::Timestamp));

    let trusted = TrustedRoot::pinned(&before, &Portable).unwrap().advance(&root, &Portable).unwrap();
    let set = trusted.at(now()).unwrap().timestamp(&timestamp, &Floor::none(), &Portable).unwrap();
    let targets = set.snapshot(&snapshot, &Portable).unwrap().targets(&targets, &Portable).unwrap();
    assert_eq!(targets.findings(), []);
}

fn twin_root(root: &[u8]) -> Result<Metadata<Root>, TwinFault> {
    let (_, targets) = payloads(&Repository::new());
    let mut spare = Spare::new();
    let set = TwinSet::of(None, root, &targets, &mut |key| spare.replace(key))?;
    Ok(Metadata::of_payload("twin", set.root().bytes()).unwrap())
}

#[test]
fn no_real_key_is_left() {
    let (root, _) = payloads(&Repository::new());
    let twin = twin_root(&root).unwrap();
    let text = String::from_utf8(twin.payload().bytes().to_vec()).unwrap();
    for key in [ec(1), ec(2), ed(3), ed(9)] {
        assert!(!text.contains(&key.id()));
        assert!(!text.contains(&key.public().to_pem()));
    }
}

#[test]
fn everything_else_is_as_it_was() {
    let repository = Repository::new();
    let twin = twin_root(&payloads(&repository).0).unwrap();
    assert_eq!((twin.version(), twin.expires()), (1, repository.root.expires));
    assert_eq!(twin.extra()["x-trustroot-record"], &Value::from("none"));
}

/// A root in which the first holder's key is filed under `id`.
fn with_id(id: &str) -> Vec<u8> {
    let repository = Repository::new();
    let right = repository.holders[0].id();
    let text = String::from_utf8(repository.root.payload().unwrap().to_json()).unwrap();
    Payload::of(&crate::json::parse(text.replace(&right, id).as_bytes()).unwrap()).bytes().to_vec()
}

/// The case of Sigstore's root 11.
#[test]
fn a_wrong_id_stays_wrong() {
    let wrong = "ab".repeat(32);
    let twin = twin_root(&with_id(&wrong)).unwrap();
    let body = twin.body();
    assert!(!body.keys()[&wrong].has_right_id());
    assert_eq!(body.keys().values().filter(|key| key.has_right_id()).count(), 3);
    assert!(body.role(Role::Root).keyids.contains(&wrong));
}

#[test]
fn a_key_under_two_ids_stays_one_key() {
    let repository = Repository::new();
    let payload = changed(&repository.root.payload().unwrap(), |members| {
        let Some(Value::Obj(keys)) = members.get_mut("keys") else { unreachable!() };
        let again = keys[&repository.holders[0].id()].clone();
        keys.insert("again".to_string(), again);
    });
    let twin = twin_root(payload.bytes()).unwrap();
    let different: BTreeSet<_> = twin.body().keys().values().filter_map(|key| key.public()).collect();
    assert_eq!((twin.body().keys().len(), different.len()), (5, 4));
}

#[test]
fn a_stand_in_that_is_a_real_key() {
    let (root, targets) = payloads(&Repository::new());
    let result = TwinSet::of(None, &root, &targets, &mut PublicKey::clone);
    assert!(matches!(result, Err(TwinFault::NotFresh(_))));
}

#[test]
fn one_stand_in_for_two_keys() {
    let (root, targets) = payloads(&Repository::new());
    let mut one =
        |key: &PublicKey| if key.algorithm() == Algorithm::Ed25519 { ed(200).public() } else { ec(200).public() };
    assert!(matches!(TwinSet::of(None, &root, &targets, &mut one), Err(TwinFault::NotFresh(_))));
}

#[test]
fn a_stand_in_of_another_kind() {
    let (root, targets) = payloads(&Repository::new());
    let mut number = 100;
    let mut all_ed = |_: &PublicKey| {
        number += 1;
        ed(number).public()
    };
    assert!(matches!(TwinSet::of(None, &root, &targets, &mut all_ed), Err(TwinFault::Kind(_))));
}

/// A wrong id that happens to be right for a stand-in would swallow a key.
#[test]
fn an_id_that_a_stand_in_will_have() {
    let (_, targets) = payloads(&Repository::new());
    let root = with_id(&ec(102).id());
    let pairs = [(ec(1), ec(101)), (ec(2), ec(102)), (ed(3), ed(103)), (ed(9), ed(109))];
    let mut replace = |key: &PublicKey| pairs.iter().find(|(real, _)| real.public() == *key).unwrap().1.public();
    let result = TwinSet::of(None, &root, &targets, &mut replace);
    assert!(matches!(result, Err(TwinFault::NotReversible("root"))));
}

/// Old spellings (hexadecimal points, old keytypes, a wrong id) stay what they are.
#[test]
#[cfg(feature = "public-data")]
fn sigstore_has_twins() {
    for (name, bytes) in crate::testing::sigstore() {
        let real = Metadata::<Root>::parse(&name, &bytes).unwrap();
        let twin = twin_root(real.payload().bytes()).unwrap();
        let spellings = |root: &Metadata<Root>| {
            let mut all: Vec<_> =
                root.body().keys().values().map(|key| (key.spelling().is_some(), key.has_right_id())).collect();
            all.sort();
            all
        };
        assert_eq!(spellings(&real), spellings(&twin), "{name}");
        let checks =
            |root: &Metadata<Root>| -> Vec<_> { root.findings().iter().map(|finding| finding.check).collect() };
        let unsigned = Metadata::<Root>::of_payload(&name, real.payload().bytes()).unwrap();
        assert_eq!(checks(&unsigned), checks(&twin), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever keys there are and whatever else the root says: there is a twin, of the same shape, without a real key.
    #[test]
    fn every_root_has_a_twin(
        numbers in proptest::collection::btree_set(1u8..90, 1..6),
        extra in "[a-z\u{e9}\"\\\\\n]{0,20}",
        wrong in any::<bool>(),
    ) {
        let keys: Vec<Key> = numbers.iter().map(|n| if n % 2 == 0 { ec(*n) } else { ed(*n) }).collect();
        let mut repository = Repository::new();
        repository.root.root = keyholders(&keys, keys.len() as u64);
        repository.root.extra.insert("x-text".to_string(), Value::Str(extra));
        let mut root = repository.root.payload().unwrap();
        if wrong {
            let text = String::from_utf8(root.to_json()).unwrap().replace(&keys[0].id(), "wrong");
            root = Payload::of(&crate::json::parse(text.as_bytes()).unwrap());
        }
        let real: Metadata<Root> = Metadata::of_payload("real", root.bytes()).unwrap();
        let twin = twin_root(root.bytes()).unwrap();
        let publics = |root: &Metadata<Root>| -> BTreeSet<PublicKey> {
            root.body().keys().values().filter_map(|key| key.public().cloned()).collect()
        };
        prop_assert!(publics(&real).is_disjoint(&publics(&twin)));
        prop_assert_eq!(publics(&real).len(), publics(&twin).len());
        prop_assert_eq!(real.extra(), twin.extra());
        prop_assert_eq!(real.findings().len(), twin.findings().len());
    }
}
