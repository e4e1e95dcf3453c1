//! `trustroot import` on repositories that other programs made: `tough`'s own editor, which is what tuftool is made of, and the
//! layout of tuf-on-ci's sources, from the same metadata. The form that python-tuf keeps has its tests beside the reader, in core.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::process::{Command, Output};

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::EncodePrivateKey as _;
use tough::editor::RepositoryEditor;
use tough::editor::signed::PathExists;
use tough::key_source::{KeySource, LocalKeySource};
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{Keyholders, Root, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::time::Timestamp;

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_p256_point(key(number).verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

/// Root `version` of three holders, of whom two sign, and an online key.
fn root(version: u64) -> Vec<u8> {
    let holders = Keyholders { keys: [1, 2, 3].map(public).into(), threshold: 2 };
    let online = Keyholders { keys: [public(9)].into(), threshold: 1 };
    let root = Root {
        version,
        expires: Timestamp::from_day("2999-01-01").unwrap(),
        root: holders.clone(),
        targets: holders,
        snapshot: online.clone(),
        timestamp: online,
        extra: BTreeMap::new(),
    };
    let payload = root.payload().unwrap();
    let sign = |number: u8| {
        let signature: p256::ecdsa::DerSignature = key(number).sign(payload.bytes());
        (new_key_id(&public(number)).unwrap(), signature.as_bytes().to_vec())
    };
    assemble(&payload, [1, 2, 3].map(sign))
}

/// A repository of two roots in `folder`, as tuftool leaves it: `metadata/` and `targets/`.
fn made_by_tough(folder: &Path) {
    let (metadata, targets, files) = (folder.join("metadata"), folder.join("targets"), folder.join("files"));
    [&metadata, &targets, &files].into_iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    std::fs::write(files.join("tool.txt"), "a tool\n").unwrap();
    std::fs::write(metadata.join("1.root.json"), root(1)).unwrap();
    let newest = folder.join("root.json");
    std::fs::write(&newest, root(2)).unwrap();
    let keys: Vec<Box<dyn KeySource>> = [1, 2, 3, 9]
        .map(|number| {
            let path = folder.join(format!("{number}.der"));
            std::fs::write(&path, key(number).to_pkcs8_der().unwrap().as_bytes()).unwrap();
            Box::new(LocalKeySource { path }) as Box<dyn KeySource>
        })
        .into();
    let version = |number: u64| NonZeroU64::new(number).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut editor = RepositoryEditor::new(&newest).await.unwrap();
        let far = || "2998-01-01T00:00:00Z".parse().unwrap();
        editor.targets_version(version(4)).unwrap().targets_expires(far()).unwrap();
        editor.snapshot_version(version(17)).snapshot_expires(far());
        editor.timestamp_version(version(33)).timestamp_expires(far());
        editor.add_target_path(files.join("tool.txt")).await.unwrap();
        let signed = editor.sign(&keys).await.unwrap();
        signed.write(&metadata).await.unwrap();
        signed.copy_targets(&files, &targets, PathExists::Fail).await.unwrap();
    });
    std::fs::remove_dir_all(files).unwrap();
}

/// The program, with a person for git.
fn trustroot(home: &Path, arguments: &[&str]) -> Output {
    std::fs::write(home.join(".gitconfig"), "[user]\n\tname = Olga Oakley\n\temail = olga@example.org\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustroot"));
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap());
    command.current_dir(home).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every file of `folder` and below, by path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn below(top: &Path, folder: &Path, all: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(top, &path, all);
            } else {
                let name = path.strip_prefix(top).unwrap().display().to_string();
                all.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    below(folder, folder, &mut all);
    all
}

#[test]
fn what_tuftool_and_tuf_on_ci_keep_is_taken_over_and_continued() {
    let home = tempfile::tempdir().unwrap();
    let made = home.path().join("tuftool");
    made_by_tough(&made);
    let there = files(&made);

    // Looking writes nothing.
    let looked = trustroot(home.path(), &["import", "tuftool"]);
    assert!(looked.status.success(), "{}", said(&looked));
    assert!(said(&looked).contains("IT CAN BE TAKEN OVER, IDENTITY NOT CHECKED"), "{}", said(&looked));
    assert!(said(&looked).contains("Leads to  timestamp 33, snapshot 17, targets 4"), "{}", said(&looked));
    let done = trustroot(home.path(), &["import", "tuftool", "--dir", "ours"]);
    assert!(done.status.success(), "{}", said(&done));
    let root = files(&home.path().join("ours/root"));
    for (name, bytes) in &root {
        let from = if name.starts_with("targets/") { name.clone() } else { format!("metadata/{name}") };
        assert_eq!(there.get(&from), Some(bytes), "{name}");
    }
    assert_eq!(root.len(), 6, "two roots, timestamp, snapshot, targets and a file: {:?}", root.keys());

    // It verifies, and says whose roots they are; the next root is planned, and keeps the versions.
    let verified = trustroot(home.path(), &["verify", "ours"]);
    let headline = "CONSISTENT, IDENTITY NOT CHECKED; roots 1 to 2 were made elsewhere";
    assert!(verified.status.success() && said(&verified).contains(headline), "{}", said(&verified));
    let planned =
        trustroot(home.path(), &["-C", "ours", "plan", "new", "next.toml", "--renew", "--reason", "It expires."]);
    assert!(planned.status.success(), "{}", said(&planned));
    let plan = std::fs::read_to_string(home.path().join("ours/next.toml")).unwrap();
    assert!(plan.contains("version = 2") && plan.contains("keeps = "), "{plan}");

    // A second trust root has no place there.
    let again = trustroot(home.path(), &["import", "tuftool", "--dir", "ours"]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("holds a trust root already"), "{}", said(&again));

    // The same trust root in the layout of tuf-on-ci's sources, below `metadata/` of a git repository.
    let sources = home.path().join("sources");
    for (name, bytes) in there.iter().filter(|(name, _)| name.starts_with("metadata/")) {
        let name = name.strip_prefix("metadata/").unwrap();
        let plain = name.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('.');
        let mut names = vec![format!("metadata/{plain}")];
        if plain == "root.json" {
            names.push(format!("metadata/root_history/{name}"));
        }
        for name in names {
            let path = sources.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    // The older of the two was written last by the loop, or not: the newest is the one that counts.
    std::fs::write(sources.join("metadata/root.json"), self::root(2)).unwrap();
    std::fs::create_dir_all(sources.join("targets")).unwrap();
    std::fs::write(sources.join("targets/tool.txt"), "a tool\n").unwrap();
    let done = trustroot(home.path(), &["import", "sources", "--dir", "ours-too", "--json"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("tuf-on-ci's"), "{}", said(&done));
    assert_eq!(files(&home.path().join("ours-too/root")), root, "the same bytes from both");
}

#[test]
fn what_cannot_be_taken_over_is_said_and_nothing_is_written() {
    let home = tempfile::tempdir().unwrap();
    let made = home.path().join("made");
    made_by_tough(&made);
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let output = trustroot(home.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words) && said(&output).contains("hint: "), "{arguments:?}: {}", said(&output));
        assert!(!home.path().join("ours").exists());
    };
    refused(&["import", "nowhere"], 2, "is no folder");
    refused(&["import", "made/targets", "--dir", "ours"], 1, "ROOT-GAP");
    refused(&["import", "made", "--dir", "ours", "--anchor", &"0".repeat(64)], 1, "ANCHOR");
    // One bit of the newest snapshot.
    let path = made.join("metadata/17.snapshot.json");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    refused(&["import", "made", "--dir", "ours"], 1, "--roots-only");
    // The roots alone still hold; the plan has to say what is published elsewhere.
    let alone = trustroot(home.path(), &["import", "made", "--dir", "alone", "--roots-only"]);
    assert!(alone.status.success(), "{}", said(&alone));
    let verified = trustroot(home.path(), &["verify", "alone"]);
    assert!(verified.status.success() && said(&verified).contains("nothing but roots is here"), "{}", said(&verified));
    let new = |file: &str, more: &[&str]| {
        let arguments = [&["-C", "alone", "plan", "new", file, "--rotate", "--reason", "We go on."][..], more].concat();
        assert!(trustroot(home.path(), &arguments).status.success());
        said(&trustroot(home.path(), &["-C", "alone", "plan", "lint", file]))
    };
    let without = new("without.toml", &[]);
    assert!(
        without.contains("refused: PLAN-FOLLOWS: follows.elsewhere: root 2 is here without timestamp and snapshot"),
        "{without}"
    );
    let with = new("with.toml", &["--elsewhere", "4,17,33"]);
    assert!(
        with.contains("warning: PLAN-FOLLOWS: follows.elsewhere: the files and delegations of targets 4"),
        "{with}"
    );
    assert!(!with.contains("is here without"), "{with}");
}
