//! What the public conformance suite for TUF clients is known to ask, beyond the attacks in the files beside this one: tables
//! of key rotations, thresholds that cannot be met, odd signatures and hashes, and what is trusted after each failure.
//!
//! Where the specification leaves a case open, what is expected here is what the reference client does.

mod simulator;

use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256, Sha512};
use simulator::{Case, Keys, Repository, keys, now, payload, start, targets, to};
use std::process::Command;
use trustroot_client::Error;
use trustroot_core::check::Check;
use trustroot_core::json::Value;
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::payload::Payload;

fn signed_by(numbers: &[u8], threshold: u64, signers: &[u8]) -> Keys {
    Keys { signers: signers.to_vec(), ..keys(numbers, threshold) }
}

// ------------------------------------------------------------------------------------------------------ key rotations

/// The keys of a root, how many must sign, and who does.
type Version<'a> = (&'a [u8], u64, &'a [u8]);

#[test]
fn roots_rotate_by_both_quorums_and_by_nothing_else() {
    let five: &[u8] = &[100, 1, 2, 3, 4];
    let next: &[u8] = &[100, 1, 3, 4, 5];
    let new: &[u8] = &[5, 6, 7, 8, 9];
    let cases: [(&str, &[Version<'_>], bool); 15] = [
        ("1 of 1", &[(&[1], 1, &[1]), (&[2], 1, &[2, 1]), (&[2], 1, &[2])], true),
        ("signatures too many", &[(&[1], 1, &[3, 1, 4]), (&[2], 1, &[3, 2, 1, 4]), (&[2], 1, &[3, 2, 4])], true),
        ("other signers", &[(five, 3, &[100, 2, 4]), (five, 3, &[100, 4, 1]), (five, 3, &[100, 1, 3])], true),
        ("one of five", &[(five, 3, &[100, 2, 4]), (next, 3, &[100, 4, 1])], true),
        (
            "one of five, over a step",
            &[(five, 3, &[100, 2, 4]), (next, 3, &[100, 2, 4, 5]), (next, 3, &[100, 4, 5])],
            true,
        ),
        (
            "all five, over a step",
            &[(five, 3, &[100, 2, 4]), (new, 3, &[100, 2, 4, 5, 6, 7]), (new, 3, &[5, 6, 7])],
            true,
        ),
        ("threshold 1 to 2 of 3", &[(&[1, 2, 3], 1, &[1]), (&[1, 2, 3], 2, &[1, 2])], true),
        ("threshold 2 to 1 of 3", &[(&[1, 2, 3], 2, &[1, 2]), (&[1, 2, 3], 1, &[1, 2]), (&[1, 2, 3], 1, &[1])], true),
        ("1 of 1 to 2 of 2", &[(&[1], 1, &[1]), (&[1, 2], 2, &[1, 2])], true),
        ("not by the old key", &[(&[1], 1, &[1]), (&[2], 1, &[2, 3, 4])], false),
        ("not by the new key", &[(&[1], 1, &[1]), (&[2], 1, &[1, 3, 4])], false),
        ("not by three of the new", &[(five, 3, &[100, 2, 4]), (next, 3, &[100, 2, 4])], false),
        ("not by three of the old", &[(five, 3, &[100, 2, 4]), (next, 3, &[100, 4, 5])], false),
        ("the new threshold is not met", &[(&[1, 2, 3], 1, &[1]), (&[1, 2, 3], 2, &[2])], false),
        ("the old threshold is not met", &[(&[1, 2, 3], 2, &[1, 2]), (&[1, 2, 3], 1, &[1])], false),
    ];
    for (what, versions, good) in cases {
        let mut repository = Repository::new();
        repository.root = 0;
        let mut files = Vec::new();
        for (numbers, threshold, signers) in versions {
            repository.root += 1;
            repository.root_keys = signed_by(numbers, *threshold, signers);
            files.push(repository.root_keys.sign(&repository.root_payload()));
            repository.server.put(&format!("metadata/{}.root.json", repository.root), files[files.len() - 1].clone());
        }
        let case = Case::new(&repository);
        assert_eq!(case.refresh(&repository).is_ok(), good, "{what}");
        let newest = if good { files.len() } else { files.len() - 1 };
        let here = std::fs::read(case.folder.path().join("metadata/root.json")).unwrap();
        assert_eq!(here, files[newest - 1], "{what}");
    }
}

#[test]
fn other_roles_rotate_with_the_root_that_says_so() {
    let five: &[u8] = &[100, 1, 2, 3, 4];
    let next: &[u8] = &[100, 1, 3, 4, 5];
    let cases: [(Version<'_>, bool); 10] = [
        ((&[2], 1, &[2]), true),
        ((&[1], 1, &[3, 1, 4]), true),
        ((&[2], 1, &[1, 3, 4]), false),
        ((next, 3, &[100, 2, 4]), false),
        ((next, 3, &[100, 4]), false),
        ((five, 3, &[100, 2, 4]), true),
        ((five, 3, &[100, 4, 1]), true),
        ((five, 3, &[100, 1, 3]), true),
        ((five, 3, &[1, 2, 3]), true),
        ((five, 3, &[2, 3, 4]), true),
    ];
    for role in ["timestamp", "snapshot", "targets"] {
        for ((numbers, threshold, signers), good) in cases {
            let (mut repository, case) = start();
            let keys = signed_by(numbers, threshold, signers);
            match role {
                "timestamp" => repository.timestamp_keys = keys,
                "snapshot" => repository.snapshot_keys = keys,
                _ => repository.top().keys = keys,
            }
            repository.publish_root();
            repository.publish();
            if good {
                assert_eq!(case.refresh(&repository).unwrap(), [2, 2, 2, 2], "{role} {numbers:?} {signers:?}");
            } else {
                assert_eq!(case.refused(&repository), Check::MetaQuorum, "{role} {numbers:?} {signers:?}");
            }
        }
    }
}

/// Such a root says that nothing below it is valid. It is followed all the same, so that a later one can mend it.
#[test]
fn a_threshold_that_no_keys_can_meet_is_a_step_on_the_way() {
    let (mut repository, case) = start();
    case.refresh(&repository).unwrap();
    repository.snapshot_keys.threshold = 3;
    repository.publish_root();
    repository.publish();
    assert_eq!(case.refused(&repository), Check::RoleThreshold);
    assert_eq!(case.here(), [2, 2, 1, 1], "no key was taken away, so the old snapshot stays a floor");
    repository.snapshot_keys = keys(&[11, 41, 42], 3);
    repository.publish_root();
    repository.publish();
    assert_eq!(case.refresh(&repository).unwrap(), [3, 3, 3, 3]);
}

#[test]
fn a_key_counts_once_however_often_it_is_named() {
    let (mut repository, case) = start();
    repository.snapshot_keys = signed_by(&[11, 41, 41, 41], 3, &[11, 41]);
    repository.publish_root();
    repository.publish();
    assert_eq!(case.refused(&repository), Check::MetaForm);
    assert_eq!(case.here(), [1, 0, 0, 0]);
}

// --------------------------------------------------------------------------------------------------------- signatures

/// Changes the JSON of the timestamp that is served.
fn with_signatures(repository: &Repository, change: impl Fn(&mut Vec<Value>)) {
    let mut file = trustroot_core::json::parse(&repository.server.get("metadata/timestamp.json")).unwrap();
    let Value::Obj(members) = &mut file else { unreachable!() };
    let Some(Value::Arr(list)) = members.get_mut("signatures") else { unreachable!() };
    change(list);
    let payload = Payload::of(&file);
    repository.server.put("metadata/timestamp.json", payload.to_json());
}

#[test]
fn two_signatures_under_one_key_id_are_refused() {
    let (repository, case) = start();
    with_signatures(&repository, |list| list.push(list[0].clone()));
    assert_eq!(case.refused(&repository), Check::SigRepeated);
}

#[test]
fn a_bad_signature_beside_enough_good_ones_is_passed_over() {
    for bad in
        ["", "00", "no hexadecimal", &"ab".repeat(64), "3045022100ee448afe2d25dd1f05afedac83a24e7df90f203615221434979"]
    {
        let (repository, case) = start();
        with_signatures(&repository, |list| {
            list.insert(0, Value::from([("keyid", Value::from("aa")), ("sig", Value::from(bad))]));
        });
        assert!(case.refresh(&repository).is_ok(), "{bad}");
        let (mut repository, case) = start();
        repository.timestamp_keys = keys(&[12, 41], 1);
        repository.publish_root();
        repository.publish();
        with_signatures(&repository, |list| {
            let Value::Obj(one) = &mut list[1] else { unreachable!() };
            one.insert("sig".to_owned(), Value::from(bad));
        });
        assert!(case.refresh(&repository).is_ok(), "{bad}");
        with_signatures(&repository, |list| drop(list.remove(0)));
        assert_eq!(case.refused(&repository), Check::MetaQuorum, "{bad}");
    }
}

/// A key that openssl made and signs with, as other programs write one into a root.
struct Foreign {
    folder: tempfile::TempDir,
    kind: &'static str,
    object: Value,
    id: String,
}

impl Foreign {
    /// Runs openssl, and gives what it wrote.
    fn openssl(folder: &std::path::Path, words: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn new(kind: &'static str, scheme: &str, made: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        Self::openssl(path, &[&["genpkey", "-out", "key", "-algorithm"], made].concat());
        let public = match kind {
            "ed25519" => {
                let der = Self::openssl(path, &["pkey", "-in", "key", "-pubout", "-outform", "DER"]);
                der[der.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect()
            }
            _ => String::from_utf8(Self::openssl(path, &["pkey", "-in", "key", "-pubout"])).unwrap(),
        };
        // Members that are no part of the key to us are part of its id.
        let object = Value::from([
            ("keytype", kind.into()),
            ("scheme", scheme.into()),
            ("keyval", Value::from([("public", public.into())])),
            ("keyid_hash_algorithms", "md5".into()),
            ("x-owner", Value::from([("a", Value::from(1)), ("b", Value::from(2))])),
        ]);
        let id = Payload::of(&object).digest().to_string();
        Self { folder, kind, object, id }
    }

    fn sign(&self, payload: &Payload) -> Vec<u8> {
        let path = self.folder.path();
        std::fs::write(path.join("payload"), payload.bytes()).unwrap();
        let pss: &[&str] = &["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:32"];
        let hashed: &[&str] = &["-digest", "sha256"];
        let with: &[&[&str]] = match self.kind {
            "rsa" => &[hashed, pss],
            "ecdsa" => &[hashed],
            _ => &[],
        };
        let words = ["pkeyutl", "-sign", "-rawin", "-inkey", "key", "-in", "payload"];
        Self::openssl(path, &[&words[..], &with.concat()].concat())
    }
}

/// Each kind of key that the specification names, needed for the quorum of a root, and what openssl signs with it.
#[test]
fn keys_of_every_kind_count_and_their_bad_signatures_do_not() {
    let kinds: [(&str, &str, &[&str]); 3] = [
        ("rsa", "rsassa-pss-sha256", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("ecdsa", "ecdsa-sha2-nistp256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("ed25519", "ed25519", &["ED25519"]),
    ];
    for (kind, scheme, made) in kinds {
        let foreign = Foreign::new(kind, scheme, made);
        let (mut repository, case) = start();
        let payload = |version: u64, repository: &mut Repository| {
            repository.root = version;
            let mut root = trustroot_core::json::parse(repository.root_payload().bytes()).unwrap();
            let Value::Obj(members) = &mut root else { unreachable!() };
            let Some(Value::Obj(keys)) = members.get_mut("keys") else { unreachable!() };
            keys.insert(foreign.id.clone(), foreign.object.clone());
            let Some(Value::Obj(roles)) = members.get_mut("roles") else { unreachable!() };
            let Some(Value::Obj(role)) = roles.get_mut("root") else { unreachable!() };
            let Some(Value::Arr(ids)) = role.get_mut("keyids") else { unreachable!() };
            ids.push(Value::Str(foreign.id.clone()));
            role.insert("threshold".to_owned(), Value::from(4));
            Payload::of(&root)
        };
        let put = |payload: &Payload, signature: Vec<u8>, repository: &Repository| {
            let file = repository.root_keys.sign(payload);
            let file = with_one_more(&file, &foreign.id, &signature);
            repository.server.put(&format!("metadata/{}.root.json", repository.root), file);
        };
        let second = payload(2, &mut repository);
        put(&second, foreign.sign(&second), &repository);
        assert_eq!(case.refresh(&repository).unwrap(), [2, 1, 1, 1], "{kind}");

        let third = payload(3, &mut repository);
        for bad in [foreign.sign(&second), Vec::new(), vec![0x30; 70]] {
            put(&third, bad, &repository);
            assert_eq!(case.refused(&repository), Check::RootQuorumOld, "{kind}");
            assert_eq!(case.here(), [2, 1, 1, 1], "{kind}");
        }
        put(&third, foreign.sign(&third), &repository);
        assert_eq!(case.refresh(&repository).unwrap(), [3, 1, 1, 1], "{kind}");
    }
}

/// The file with this signature besides its own.
fn with_one_more(file: &[u8], id: &str, signature: &[u8]) -> Vec<u8> {
    let mut file = trustroot_core::json::parse(file).unwrap();
    let Value::Obj(members) = &mut file else { unreachable!() };
    let Some(Value::Arr(list)) = members.get_mut("signatures") else { unreachable!() };
    let sig: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    list.push(Value::from([("keyid", id.into()), ("sig", sig.into())]));
    Payload::of(&file).to_json()
}

/// Other programs indent what they write, and keep an empty signature where somebody has yet to sign.
#[test]
fn files_as_other_programs_write_them() {
    let (mut repository, case) = start();
    repository.hashes = false;
    repository.top().to.push(to("inner", 30, &["inner/*", "inner/*/*"]));
    let files = [("inner/deep/a".to_owned(), b"a".to_vec())].into();
    repository.targets.insert("inner".into(), simulator::Targets { files, ..targets(30) });
    repository.publish_root();
    repository.publish();
    for (path, bytes) in repository.server.files() {
        if path.ends_with(".json") {
            let file = with_one_more(&bytes, "absent", b"");
            repository.server.put(&path, indented(&file));
        }
    }
    assert_eq!(case.download(&repository, "inner/deep/a").unwrap(), b"a");
    assert_eq!(case.here(), [2, 2, 2, 2]);
    let here = std::fs::read(case.folder.path().join("metadata/timestamp.json")).unwrap();
    assert_eq!(here, repository.server.get("metadata/timestamp.json"), "kept as it was received");
}

/// JSON with a line for each member and element.
fn indented(json: &[u8]) -> Vec<u8> {
    let (mut out, mut quoted, mut escaped) = (Vec::new(), false, false);
    for byte in json {
        out.push(*byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' | b',' if !quoted => out.extend(b"\n  "),
            b':' if !quoted => out.push(b' '),
            _ => {}
        }
    }
    out
}

// ------------------------------------------------------------------------------------------------- hashes of targets

#[test]
fn hashes_that_are_known_are_checked_and_a_target_without_one_is_not_had() {
    let content = b"content";
    let hex = |bytes: &[u8]| Value::Str(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    let [sha256, sha512] = [hex(&Sha256::digest(content)), hex(&Sha512::digest(content))];
    let wrong = hex(&[0; 64]);
    let cases = [
        (vec![("sha256", &sha256)], true),
        (vec![("sha512", &sha512)], true),
        (vec![("sha256", &sha256), ("sha512", &sha512)], true),
        (vec![("sha256", &sha256), ("blake2b-256", &sha256)], true),
        (vec![("sha256", &sha256), ("sha512", &wrong)], false),
        (vec![("blake2b-256", &sha256)], false),
    ];
    for (hashes, good) in cases {
        let (repository, case) = start();
        for hash in [&sha256, &sha512] {
            let name = format!("targets/{}.file.txt", hash.as_str().unwrap());
            repository.server.put(&name, content.to_vec());
        }
        let hashes = Value::Obj(hashes.into_iter().map(|(name, hash)| (name.to_owned(), hash.clone())).collect());
        let target = Value::from([("length", Value::from(content.len() as u64)), ("hashes", hashes.clone())]);
        let body = vec![("targets", Value::from([("file.txt", target)]))];
        republish(&repository, &payload("targets", 2, now().plus_days(30), body));
        let had = case.download(&repository, "file.txt");
        assert_eq!(had.is_ok(), good, "{hashes:?}: {had:?}");
        assert_eq!(case.folder.path().join("targets/file.txt").exists(), good);
    }
}

/// Signs these targets, version 2, and what stands above them.
fn republish(repository: &Repository, targets: &Payload) {
    let sign = |number: u8, payload: &Payload| {
        let public =
            trustroot_core::key::PublicKey::from_ed25519(simulator::key(number).verifying_key().as_bytes()).unwrap();
        let id = trustroot_core::metadata::build::new_key_id(&public).unwrap();
        assemble(payload, [(id, simulator::key(number).sign(payload.bytes()).to_bytes().to_vec())])
    };
    let two = Value::from([("version", Value::from(2))]);
    let meta = |name: &str| vec![("meta", Value::Obj([(name.to_owned(), two.clone())].into()))];
    let until = now().plus_days(5);
    repository.server.put("metadata/2.targets.json", sign(13, targets));
    repository.server.put("metadata/2.snapshot.json", sign(11, &payload("snapshot", 2, until, meta("targets.json"))));
    repository.server.put("metadata/timestamp.json", sign(12, &payload("timestamp", 2, until, meta("snapshot.json"))));
}

// ------------------------------------------------------------------------------------- what is trusted after a failure

#[test]
fn what_is_missing_stops_the_refresh_there() {
    for (path, kept) in
        [("timestamp.json", [1, 1, 1, 1]), ("2.snapshot.json", [1, 2, 1, 1]), ("2.targets.json", [1, 2, 2, 1])]
    {
        let (mut repository, case) = start();
        case.refresh(&repository).unwrap();
        repository.publish();
        repository.server.remove(&format!("metadata/{path}"));
        repository.server.asked();
        assert!(matches!(case.refresh(&repository), Err(Error::Fetch { .. })), "{path}");
        assert_eq!(repository.server.asked().last().unwrap(), path);
        assert_eq!(case.here(), kept, "{path}");
    }
}

#[test]
fn a_file_of_another_version_than_its_name_stops_the_refresh_there() {
    for (role, kept) in [("root", [1, 0, 0, 0]), ("snapshot", [1, 2, 0, 0]), ("targets", [1, 2, 2, 0])] {
        let (mut repository, case) = start();
        repository.hashes = false;
        match role {
            "root" => {
                repository.root += 1;
                repository.publish_root();
                repository.server.put("metadata/2.root.json", repository.server.get("metadata/3.root.json"));
            }
            "snapshot" => {
                repository.snapshot += 1;
                repository.publish();
                repository.server.put("metadata/2.snapshot.json", repository.server.get("metadata/3.snapshot.json"));
                repository.timestamp -= 1;
                repository.publish_timestamp(2, &repository.server.get("metadata/3.snapshot.json"));
            }
            _ => {
                repository.meta.insert("targets".to_owned(), 2);
                repository.top().version = 2;
                repository.publish();
                repository.server.put("metadata/2.targets.json", repository.server.get("metadata/3.targets.json"));
            }
        }
        assert!(case.refresh(&repository).is_err(), "{role}");
        assert_eq!(case.here(), kept, "{role}");
    }
}

#[test]
fn looking_for_a_target_refreshes_first_and_a_missing_one_is_an_error() {
    let (repository, case) = start();
    assert!(matches!(case.download(&repository, "nonexistent artifact"), Err(Error::NoTarget(_))));
    assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
    assert_eq!(case.here(), [1, 1, 1, 1]);
}

/// Fields that nobody knows, in the root, in a key and in a role, are signed with the rest.
#[test]
fn unknown_fields_are_signed_and_passed_over() {
    let (mut repository, case) = start();
    repository.root += 1;
    let mut root = trustroot_core::json::parse(repository.root_payload().bytes()).unwrap();
    fn add(value: &mut Value, path: &[&str]) {
        let Value::Obj(members) = value else { unreachable!() };
        match path {
            [] => drop(members.insert("x-custom".to_owned(), Value::from([("a", Value::from(1))]))),
            ["*", rest @ ..] => members.values_mut().take(1).for_each(|value| add(value, rest)),
            [first, rest @ ..] => add(members.get_mut(first).unwrap(), rest),
        }
    }
    for path in [&[][..], &["roles", "root"], &["keys", "*"], &["keys", "*", "keyval"]] {
        add(&mut root, path);
    }
    let payload = Payload::of(&root);
    repository.server.put("metadata/2.root.json", repository.root_keys.sign(&payload));
    // The key whose object changed keeps the id it had: a leniency, and no obstacle.
    assert_eq!(case.refresh(&repository).unwrap(), [2, 1, 1, 1]);
}

// ------------------------------------------------------------------------------------------------- delegations and time

#[test]
fn a_delegated_role_that_expired_here_is_not_used_and_a_newer_one_is() {
    let (mut repository, mut case) = start();
    repository.snapshot_expires = now().plus_days(60);
    repository.timestamp_expires = now().plus_days(60);
    repository.top().expires = now().plus_days(60);
    repository.top().to.push(to("inner", 30, &["inner/*"]));
    let files = [("inner/a".to_owned(), b"a".to_vec()), ("inner/b".to_owned(), b"b".to_vec())].into();
    repository.targets.insert("inner".into(), simulator::Targets { files, expires: now().plus_days(7), ..targets(30) });
    repository.publish();
    assert_eq!(case.download(&repository, "inner/a").unwrap(), b"a");
    case.time = now().plus_days(18);
    let late = case.download(&repository, "inner/b").unwrap_err();
    assert!(matches!(late, Error::Refused(refusal) if refusal.check() == Check::Expired));
    repository.targets.get_mut("inner").unwrap().expires = now().plus_days(21);
    repository.publish();
    assert_eq!(case.download(&repository, "inner/b").unwrap(), b"b");
}

#[test]
fn targets_change_often_and_the_newest_is_what_is_had() {
    let (mut repository, case) = start();
    for round in 0..6_u8 {
        repository.top().files.insert("file.txt".into(), vec![round; 20]);
        repository.publish();
        assert_eq!(case.download(&repository, "file.txt").unwrap(), [round; 20]);
        let hash: String = Sha256::digest([round; 20]).iter().map(|byte| format!("{byte:02x}")).collect();
        repository.server.put(&format!("targets/{hash}.file.txt"), vec![66; 20]);
        assert_eq!(case.download(&repository, "file.txt").unwrap(), [round; 20], "what is here is not asked for again");
    }
}
