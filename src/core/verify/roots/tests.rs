//! The public roots of Sigstore, and attacks on a chain of our own.

use super::*;
use crate::payload::Payload;
use crate::signature::Portable;
#[cfg(feature = "public-data")]
use crate::testing::sigstore;
use crate::testing::{Key, Repository, changed, ec, ed, file, keyholders};

fn checks(report: &RootReport, level: Level) -> BTreeSet<Check> {
    report.findings.iter().filter(|finding| finding.level == level).map(|finding| finding.check).collect()
}

#[test]
#[cfg(feature = "public-data")]
fn sigstore_is_accepted() {
    let report = verify_roots(&sigstore(), false, &Portable);
    let refused: Vec<String> =
        report.all_findings().filter(|f| f.level == Level::Refused).map(ToString::to_string).collect();
    assert!(report.accepted(), "{refused:#?}");
    let numbers: Vec<u64> = report.roots.iter().map(|root| root.facts.as_ref().unwrap().version).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
}

#[test]
#[cfg(feature = "public-data")]
fn sigstore_is_refused_when_strict_each_root_by_the_checks_it_breaks() {
    use Check::{ExpiresForm, KeyDistinct, KeyEncoding, KeyId, KeyType, SigEmpty, SpecVersion};
    let report = verify_roots(&sigstore(), true, &Portable);
    assert!(!report.accepted());
    for root in &report.roots {
        let number = root.number;
        let wanted: BTreeSet<Check> = [
            (SpecVersion, true),
            (ExpiresForm, number <= 3),
            (KeyEncoding, number <= 4),
            (KeyType, number <= 8),
            (KeyDistinct, [5, 9, 10].contains(&number)),
            (KeyId, number == 11),
            (SigEmpty, number == 12),
        ]
        .into_iter()
        .filter_map(|(check, breaks)| breaks.then_some(check))
        .collect();
        assert_eq!(checks(root, Level::Refused), wanted, "{number}.root.json");
    }
}

#[test]
#[cfg(feature = "public-data")]
fn nobody_of_sigstore_counts_twice() {
    let report = verify_roots(&sigstore(), false, &Portable);
    for root in &report.roots {
        let facts = root.facts.as_ref().unwrap();
        let keys: BTreeSet<_> = facts.signers.iter().map(|signer| &signer.key).collect();
        assert_eq!(keys.len(), facts.signers.len());
        assert!(facts.signers.iter().filter(|signer| signer.for_own).count() >= 3);
        assert_eq!(facts.threshold, 3);
    }
    let signers = |number: usize| report.roots[number - 1].facts.as_ref().unwrap().signers.len();
    assert_eq!((signers(3), signers(5), signers(12)), (3, 4, 3));
}

#[test]
#[cfg(feature = "public-data")]
fn a_missing_start_is_a_gap_to_know_of() {
    let mut files = sigstore();
    files.remove("1.root.json");
    let report = verify_roots(&files, false, &Portable);
    assert!(report.accepted());
    assert_eq!(report.findings[0].check, Check::RootGap);
}

#[test]
#[cfg(feature = "public-data")]
fn a_gap_in_the_middle_is_refused() {
    let mut files = sigstore();
    files.remove("6.root.json");
    let report = verify_roots(&files, false, &Portable);
    assert_eq!(checks(&report.roots[5], Level::Refused), [Check::RootGap].into());
}

#[test]
#[cfg(feature = "public-data")]
fn every_changed_digit_of_a_payload_is_seen() {
    let mut files = sigstore();
    let text = String::from_utf8(files["12.root.json"].clone()).unwrap();
    files.insert("12.root.json".to_string(), text.replace("2025-08-19", "2035-08-19").into_bytes());
    let report = verify_roots(&files, false, &Portable);
    let refused = checks(&report.roots[11], Level::Refused);
    assert_eq!(refused, [Check::RootQuorum, Check::RootQuorumOld].into());
    assert!(report.roots[..11].iter().all(RootReport::accepted));
}

#[test]
#[cfg(feature = "public-data")]
fn json_is_made_of_every_report() {
    let json = verify_roots(&sigstore(), false, &Portable).to_json();
    let bytes = Payload::of(&json).to_json();
    assert_eq!(crate::json::parse(&bytes).unwrap(), json);
    assert_eq!(json.get("roots").unwrap().as_arr().unwrap().len(), 12);
}

#[test]
fn an_empty_folder_is_refused() {
    let report = verify_roots(&BTreeMap::new(), false, &Portable);
    assert!(!report.accepted());
    assert_eq!(report.findings[0].check, Check::RootGap);
}

#[test]
fn names_with_one_spelling_only() {
    assert_eq!(root_number("12.root.json"), Some(12));
    for other in
        ["0.root.json", "01.root.json", "+1.root.json", "root.json", ".root.json", "18446744073709551616.root.json"]
    {
        assert_eq!(root_number(other), None, "{other}");
    }
}

/// Our own chain of two roots, before something is done to the second.
struct Chain {
    first: Vec<u8>,
    second: Payload,
    signers: Vec<Key>,
}

fn chain_of(change: impl FnOnce(&mut Repository)) -> Chain {
    let mut repository = Repository::new();
    let first = repository.publish().root;
    repository.root.version = 2;
    change(&mut repository);
    Chain { first, second: repository.root.payload().unwrap(), signers: Repository::new().holders }
}

impl Chain {
    fn refused(&self, second: Vec<u8>) -> BTreeSet<Check> {
        let files = [("1.root.json".to_string(), self.first.clone()), ("2.root.json".to_string(), second)].into();
        let report = verify_roots(&files, false, &Portable);
        assert!(report.roots[0].accepted());
        checks(&report.roots[1], Level::Refused)
    }
}

#[test]
fn our_own_chain_is_strict() {
    let chain = chain_of(|_| {});
    let files = [
        ("1.root.json".to_string(), chain.first.clone()),
        ("2.root.json".to_string(), file(&chain.second, &chain.signers)),
    ];
    let report = verify_roots(&files.into(), true, &Portable);
    assert!(report.accepted());
    assert_eq!(report.all_findings().count(), 0);
}

#[test]
fn new_keys_alone_are_not_enough() {
    let new = [ec(11), ec(12)];
    let chain = chain_of(|repository| repository.root.root = keyholders(&new, 2));
    assert_eq!(chain.refused(file(&chain.second, &new)), [Check::RootQuorumOld].into());
}

#[test]
fn old_keys_alone_are_not_enough() {
    let chain = chain_of(|repository| repository.root.root = keyholders(&[ec(11), ec(12)], 2));
    assert_eq!(chain.refused(file(&chain.second, &chain.signers)), [Check::RootQuorum].into());
}

#[test]
fn old_and_new_keys_together_are_enough() {
    let new = [ec(11), ec(12)];
    let chain = chain_of(|repository| repository.root.root = keyholders(&new, 2));
    let all: Vec<Key> = chain.signers.iter().cloned().chain(new).collect();
    assert_eq!(chain.refused(file(&chain.second, &all)), BTreeSet::new());
}

#[test]
fn one_signature_too_few() {
    let chain = chain_of(|_| {});
    let refused = chain.refused(file(&chain.second, &chain.signers[..1]));
    assert_eq!(refused, [Check::RootQuorum, Check::RootQuorumOld].into());
}

#[test]
fn one_key_under_two_ids_is_one_signature() {
    let chain = chain_of(|_| {});
    let holder = &chain.signers[0];
    // The second id holds the same key in an object of another form.
    let mut second_id = String::new();
    let payload = changed(&chain.second, |members| {
        let Some(Value::Obj(keys)) = members.get_mut("keys") else { unreachable!() };
        let Value::Obj(mut key) = keys[&holder.id()].clone() else { unreachable!() };
        key.insert("x-spare".to_string(), Value::from("yes"));
        second_id = crate::metadata::tufkey::key_id(&Value::Obj(key.clone())).to_string();
        keys.insert(second_id.clone(), Value::Obj(key));
        let Some(Value::Obj(roles)) = members.get_mut("roles") else { unreachable!() };
        let Some(Value::Obj(root)) = roles.get_mut("root") else { unreachable!() };
        let Some(Value::Arr(ids)) = root.get_mut("keyids") else { unreachable!() };
        ids.push(Value::from(second_id.as_str()));
    });
    let signature = holder.sign(payload.bytes());
    let both = [(holder.id(), signature.clone()), (second_id, signature)];
    let refused = chain.refused(crate::metadata::envelope::assemble(&payload, both));
    assert_eq!(refused, [Check::RootQuorum, Check::RootQuorumOld].into());
}

#[test]
fn a_signature_under_an_id_that_the_role_does_not_name() {
    let chain = chain_of(|_| {});
    let payload = changed(&chain.second, |members| {
        let Some(Value::Obj(keys)) = members.get_mut("keys") else { unreachable!() };
        let key = keys[&chain.signers[1].id()].clone();
        keys.insert("spare".to_string(), key);
    });
    let signatures = [
        (chain.signers[0].id(), chain.signers[0].sign(payload.bytes())),
        ("spare".to_string(), chain.signers[1].sign(payload.bytes())),
    ];
    let refused = chain.refused(crate::metadata::envelope::assemble(&payload, signatures));
    assert_eq!(refused, [Check::RootQuorum, Check::RootQuorumOld].into());
}

#[test]
fn a_version_skipped() {
    let chain = chain_of(|repository| repository.root.version = 3);
    assert_eq!(chain.refused(file(&chain.second, &chain.signers)), [Check::RootVersion].into());
}

#[test]
fn the_old_root_again() {
    let chain = chain_of(|_| {});
    assert_eq!(chain.refused(chain.first.clone()), [Check::RootVersion].into());
}

#[test]
fn a_signature_filed_under_anothers_id_counts_for_nobody() {
    let chain = chain_of(|_| {});
    let signature = chain.signers[0].sign(chain.second.bytes());
    let swapped = [(chain.signers[0].id(), signature.clone()), (chain.signers[1].id(), signature)];
    let refused = chain.refused(crate::metadata::envelope::assemble(&chain.second, swapped));
    assert_eq!(refused, [Check::RootQuorum, Check::RootQuorumOld].into());
}

#[test]
fn an_id_that_means_another_key_in_the_new_root() {
    // The new root files an attacker's key under a holder's id, so that one signature might serve both quorums.
    let chain = chain_of(|_| {});
    let (attacker, victim) = (ed(66), chain.signers[0].id());
    let payload = changed(&chain.second, |members| {
        let Some(Value::Obj(keys)) = members.get_mut("keys") else { unreachable!() };
        keys.insert(victim.clone(), crate::metadata::tufkey::new_form(&attacker.public()).unwrap());
    });
    let signatures =
        [(victim, attacker.sign(payload.bytes())), (chain.signers[1].id(), chain.signers[1].sign(payload.bytes()))];
    let refused = chain.refused(crate::metadata::envelope::assemble(&payload, signatures));
    assert_eq!(refused, [Check::RootQuorumOld].into());
}

/// Counts how often it is asked.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl Verifier for Counting {
    fn verify(&self, key: &PublicKey, payload: &[u8], signature: &[u8]) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Portable.verify(key, payload, signature)
    }
}

#[test]
fn a_signature_is_checked_once_for_both_quorums() {
    // One holder goes, one comes: the old root knows two of the three who sign.
    let new = [ec(2), ed(3), ec(11)];
    let chain = chain_of(|repository| repository.root.root = keyholders(&new, 2));
    let second = file(&chain.second, &new);
    let files = [("1.root.json".to_string(), chain.first.clone()), ("2.root.json".to_string(), second.clone())];
    let counting = Counting::default();
    assert!(verify_roots(&files.into(), true, &counting).accepted());
    assert_eq!(counting.0.into_inner(), 3 + 3);

    let counting = Counting::default();
    let pinned = crate::trusted::TrustedRoot::pinned(&chain.first, &counting).unwrap();
    pinned.advance(&second, &counting).unwrap();
    assert_eq!(counting.0.into_inner(), 3 + 3);
}
