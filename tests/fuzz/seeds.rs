//! Writes the corpora that fuzzing starts from, out of a finished rehearsal with one holder.
//!
//!     trustroot rehearse --auto --seed fuzz --holders 1 --threshold 1 --dir FOLDER
//!     cargo run --example seeds -- FOLDER
//!
//! The same rehearsal gives the same corpora.

use std::fs;
use std::path::{Path, PathBuf};
use trustroot_core::attestation::anchor::{certificate_from_pem, vendors};
use trustroot_core::digest::Digest;
use trustroot_core::event::{Act, Event};
use trustroot_core::text::Handle;
use trustroot_core::words;

fn main() {
    let room = PathBuf::from(std::env::args().nth(1).expect("the folder of a rehearsal"));
    let all = files(&room, &room);
    let named = |part: &str| {
        let found = all.iter().find(|(path, _)| path.contains(part));
        found.unwrap_or_else(|| panic!("no {part} in the rehearsal")).1.clone()
    };
    let events: Vec<_> = all.iter().filter(|(path, _)| path.contains("/log/")).map(|(_, bytes)| bytes).collect();

    for (name, part) in [("root", "/root-"), ("targets", "/targets-")] {
        let payload = all.iter().find(|(path, _)| path.contains(part) && path.ends_with("payload.json"));
        let payload = &payload.expect("a payload").1;
        seed("payload", name, payload);
        seed("review", name, payload);
    }
    for (name, file) in
        [("root", "root/1.root"), ("targets", "1.targets"), ("snapshot", "1.snapshot"), ("timestamp", "timestamp.json")]
    {
        seed("metadata", name, &named(file));
        seed("json", name, &named(file));
    }
    seed("metadata", "delegations", DELEGATIONS.as_bytes());
    let root = named("root/1.root");
    // Not signed, but signatures always count there.
    let second = String::from_utf8(root.clone()).expect("JSON").replace("\"version\":1", "\"version\":2");
    seed("chain", "two", &[&root, &b"\0"[..], second.as_bytes()].concat());
    for (name, steps) in HISTORIES {
        seed("history", name, &[&[0x61][..], &steps.concat()].concat());
    }
    seed("plan", "toml", &named("plans/rehearsal.toml"));
    seed("plan", "json", &named("/plan.json"));
    for (i, event) in events.iter().enumerate() {
        seed("event", &format!("{:02}", i + 1), event);
    }
    let signature = |(path, _): &&(String, Vec<u8>)| path.contains("/signatures/") && !path.ends_with("payload.json");
    for (path, bytes) in all.iter().filter(signature) {
        seed("signature_file", if path.contains("/root-") { "root" } else { "targets" }, bytes);
    }
    let pem = |part: &str| String::from_utf8(named(part)).expect("PEM");
    let (slot, device) = (pem("attestation-9c.pem"), pem("f9-intermediate.pem"));
    let pems = [
        ("slot", slot.as_str()),
        ("device", &device),
        ("public.pem", &pem("public.pem")),
        ("rsa", vendors::YUBICO_PIV_CA_1),
    ];
    for (name, pem) in pems {
        seed("certificate", name, pem.as_bytes());
    }
    let der = |pem: &str| certificate_from_pem(pem).expect("a certificate");
    let measured = |der: Vec<u8>| [&u16::try_from(der.len()).expect("short").to_be_bytes()[..], &der].concat();
    let chain = [der(&slot), der(&device), der(vendors::YUBICO_INTERMEDIATES[0])];
    seed("attestation", "chain", &chain.map(measured).concat());
    seed("ssh", "signed", SSH.as_bytes());
    seed("words", "empty", words::words(&Digest::of(b"")).join(" ").as_bytes());
    for (name, text) in [("strict", "2026-01-05T10:00:00Z"), ("lenient", "2021-12-18T13:28:12.99-06:00")] {
        seed("time", name, &[&86_400_i64.to_le_bytes()[..], text.as_bytes()].concat());
    }
    seed("claim", "softhsm", CLAIM.as_bytes());
    for (name, query) in [("path", "module-path=/usr/lib/x.so"), ("name", "module-name=softhsm2")] {
        let uri = format!("pkcs11:token=My%20HSM;serial=0a1b;id=%01%aF;type=private?{query}");
        seed("pkcs11_uri", name, uri.as_bytes());
    }
    let id = "0123456789abcdef0123456789abcdef01234567";
    let head =
        format!("# v3 git bundle\n@object-format=sha1\n-{id} before\n{id} HEAD\n{id} refs/heads/trustroot/x/a\n\n");
    seed("bundle", "third", &[head.as_bytes(), b"PACK\0\0\0\x02\0\0\0\x01"].concat());
    for (name, address) in [
        ("https", "https://bob:hunter2@example.org:8443/a.git"),
        ("ssh", "ssh://git@[::1]:22/~/a"),
        ("scp", "git@example.org:team/a.git"),
        ("said", "fatal: unable to access 'https://bob:a/b@example.org/x/': bob:c@example.org:x"),
    ] {
        seed("address", name, address.as_bytes());
    }
    for (name, bytes) in CLIENT {
        seed("client", name, bytes);
    }
    seed("text", "foreign", "Zoë \\ \u{1b}[2J \u{202e} \u{1d173}".as_bytes());

    // Without the pages, which are made from it and long.
    let mut record = Vec::new();
    let evidence = |path: &str| path.contains("/keys/") || path.contains("/signatures/") || path.starts_with("root/");
    let is_plan = |(path, _): &&(String, Vec<u8>)| path.ends_with("/plan.json");
    for (path, bytes) in all.iter().filter(is_plan).chain(all.iter().filter(|file| !is_plan(file))) {
        let shown = match path.as_str() {
            path if path.contains("/log/") => "",
            path if evidence(path) || path.ends_with("/plan.json") => path,
            _ => continue,
        };
        record.extend([shown.as_bytes(), b"\n", bytes, b"\0"].concat());
    }
    seed("record", "whole", &record);
    seed("branch", "a-key", &branch(&all, &events));
    seed("trust_root", "whole", &record);

    // The same root and what it leads to, in the layouts of others, every signature counting or not.
    for (name, flags, folder) in [("ours", 0, ""), ("flat", 1, "metadata/"), ("roots", 2, "")] {
        let mut bytes = vec![flags];
        for (path, content) in
            all.iter().filter(|(path, _)| path.starts_with("root/") || path.starts_with("repository/"))
        {
            let place = if folder.is_empty() {
                path.clone()
            } else {
                format!("{folder}{}", path.rsplit('/').next().expect("a name"))
            };
            if flags != 2 || path.starts_with("root/") {
                bytes.extend([place.as_bytes(), b"\n", content, b"\0"].concat());
            }
        }
        seed("import", name, &bytes);
    }
    for (name, bytes) in HTTP {
        seed("http", name, bytes);
    }
    seed("answers", "all-forms", ANSWERS.as_bytes());
    seed("answers", "unknown", b"\"\\u001b[2J\" = 1\n");
    seed("answers", "unknown-field", b"[answers.\"open.x\".q]\n\"\\u001b[2J\" = true\n");
    for (name, text) in [("commit", COMMIT), ("tag", TAG)] {
        seed("git_object", name, text.as_bytes());
    }
    for (name, new) in [("added", &TREE[..]), ("removed", &TREE[1..]), ("unordered", &[TREE[3], TREE[0], TREE[0]])] {
        let old = tree(&TREE[..4]);
        let length = u16::try_from(old.len()).expect("short").to_be_bytes();
        seed("git_object", name, &[&[2][..], &length, &old, &tree(new)].concat());
    }
    for (name, bytes) in REPLIES {
        seed("reply", name, bytes);
    }
    let device = der(&device);
    let length = u16::try_from(device.len()).expect("short").to_be_bytes();
    seed("reply", "certificate", &[&[0x70, 0x82][..], &length, &device, &[0x71, 1, 0, 0xfe, 0]].concat());
}

/// The opening, and then alice's token and key as alice wrote them down on a branch.
fn branch(all: &[(String, Vec<u8>)], events: &[&Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |path: &str, content: &[u8]| bytes.extend([path.as_bytes(), b"\n", content, b"\0"].concat());
    for (path, content) in all.iter().filter(|(path, _)| path.ends_with("/plan.json")) {
        put(path, content);
    }
    let read: Vec<Event> = events.iter().map(|event| Event::from_bytes(event).expect("an event")).collect();
    let first = read.iter().position(|event| event.step.act() == Some(Act::Keys)).expect("keys");
    for event in &read[..first] {
        put("", &event.to_canonical());
    }
    bytes.pop();
    bytes.extend(b"\0branch\0");
    let mut put = |path: &str, content: &[u8]| bytes.extend([path.as_bytes(), b"\n", content, b"\0"].concat());
    for (i, event) in read[first..].iter().take(4).enumerate() {
        let mut event = event.clone();
        event.author = Handle::new("alice").expect("a handle");
        event.acted = event.author.clone();
        event.n = u32::try_from(i).expect("few") + 1;
        put("", &event.to_canonical());
    }
    for (path, content) in all.iter().filter(|(path, _)| path.contains("/keys/alice-")) {
        put(path, content);
    }
    bytes
}

/// A tree of git, of these entries: mode, name, and the digit that fills the id.
fn tree(entries: &[(&str, &str, u8)]) -> Vec<u8> {
    entries.iter().flat_map(|(mode, name, id)| [format!("{mode} {name}\0").as_bytes(), &[*id; 20]].concat()).collect()
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a seed");
}

/// The files below `folder`, in the order of their paths, without git's own.
fn files(top: &Path, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with(".git") {
            found.extend(files(top, &path));
        } else if path.is_file() {
            let name = path.strip_prefix(top).expect("below the top").to_string_lossy().into_owned();
            found.push((name, fs::read(&path).expect("a file")));
        }
    }
    found.sort();
    found
}

/// What SoftHSM says of a key.
const CLAIM: &str = include_str!("../vectors/CLAIM-FORM/good.json");

/// Targets with both kinds of paths and a delegated key.
const DELEGATIONS: &str = r#"{"signatures":[],"signed":{"_type":"targets","delegations":{"keys":{"aa":{"keytype":"ed25519","keyval":{"public":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},"scheme":"ed25519"}},"roles":[{"keyids":["aa"],"name":"a","paths":["a/*.txt","?"],"terminating":true,"threshold":1},{"keyids":["aa"],"name":"b","path_hash_prefixes":["0","ff"],"terminating":false,"threshold":1}]},"expires":"2030-01-01T00:00:00Z","spec_version":"1.0.31","targets":{"a/b.txt":{"custom":{"x":1},"hashes":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"length":0}},"version":1}}"#;

/// A key, its signature by `ssh-keygen -Y sign -n trustroot-event`, and what was signed.
const SSH: &str = concat!(
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPkp9ZLGdujvKd+oxTq/dxfX/jemdCGwO2gupiAdsgnc seed\0",
    "-----BEGIN SSH SIGNATURE-----\n",
    "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg+Sn1ksZ26O8p36jFOr93F9f+N6\n",
    "Z0IbA7aC6mIB2yCdwAAAAPdHJ1c3Ryb290LWV2ZW50AAAAAAAAAAZzaGE1MTIAAABTAAAA\n",
    "C3NzaC1lZDI1NTE5AAAAQDje/35fQqQ83VLhzHmjHIBrwgoQosE8o2wm4wnaEsAOuz10iQ\n",
    "72VdcQYpHOmOxfZK/Qh0f2+A1SwUWLVpLjxQw=\n",
    "-----END SSH SIGNATURE-----\n",
    "\0what was done"
);

/// Histories in the language of their target: commits, and files as numbers of folder, name and content.
const HISTORIES: &[(&str, &[[u8; 6]])] = &[
    ("plain", &[[0, 1, 0, 1, 0, 0], [5, 1, 0, 0, 0, 0], [5, 1, 5, 1, 0, 0], [5, 1, 6, 2, 0, 0], [5, 1, 8, 3, 0, 0]]),
    (
        "branch",
        &[
            [0, 1, 0, 1, 0, 0],
            [5, 2, 1, 0, 0, 0],
            [5, 2, 5, 1, 0, 0],
            [5, 2, 7, 2, 0, 0],
            [5, 2, 9, 3, 0, 0],
            [5, 4, 11, 5, 0, 0],
            [5, 4, 12, 6, 0, 0],
            [0, 2, 0, 0, 0, 0],
            [7, 3, 0, 0, 0, 1],
            [0, 3, 0, 1, 1, 0],
            [1, 2, 9, 0, 0, 0],
            [7, 2, 2, 0, 0, 1],
        ],
    ),
];

/// Rounds of a client, as its target takes them apart: judged by real signatures or not, with consistent snapshots or without,
/// and how it begins; how many rounds; of each its kind, clock and path; then of each mirror the moment, how many things are
/// done to its files, each with file and kind, whether it republishes, and what it lists.
const CLIENT: [(&str, &[u8]); 8] = [
    ("in-order", &[2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 7, 0, 2]),
    ("plain-names", &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0]),
    // A mirror that breaks off the timestamp, and an honest one.
    ("two-mirrors", &[2, 1, 1, 0, 0, 0, 1, 11, 3, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]),
    // A timestamp of a higher version, by a key that was lost, and the owners' after it.
    ("older-timestamp", &[2, 1, 0, 0, 0, 0, 1, 11, 12, 0, 0, 10, 5, 9, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    // A target called ../x, in targets that are signed with a lost key and published.
    ("out-of-the-folder", &[2, 0, 0, 0, 4, 0, 1, 10, 12, 0, 0, 41, 3, 3, 0, 0x7f, 3, 1, 0]),
    // Other bytes in the place of a target.
    ("other-target", &[2, 0, 0, 0, 0, 0, 1, 12, 8, 0, 0, 1, b'b', 0, 0]),
    // Where every signature counts: a root in which a number is another one.
    ("any-signature", &[3, 1, 0, 0, 1, 1, 1, 8, 12, 0, 0, 20, 0, 2, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]),
    ("gap", &[6, 1, 0, 0, 0, 0, 1, 1, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0]),
];

/// From where on and how much is asked for, and the answers of servers.
const HTTP: [(&str, &[u8]); 5] = [
    ("whole", b"\x80HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nroot"),
    ("part", b"\x81HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/4\r\nContent-Length: 2\r\n\r\not"),
    ("pieces", b"\x80HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nroo\r\n1;a=b\r\nt\r\n0\r\n\r\n"),
    ("none", b"\x80HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnone\n"),
    ("endless", b"\x10HTTP/1.0 200 OK\r\n\r\nmore than was asked for, and no length"),
];

/// An answer in each form.
const ANSWERS: &str = r#"[answers."open.roll".present]
value = ["alice", "bob"]
[[answers."review.read".words]]
value = "not these"
affirms = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[[answers."review.read".words]]
interject = true
[answers."keys.alice.empty".seen]
value = true
"#;

/// A commit with two parents, as git writes it, after the byte that says so.
const COMMIT: &str = concat!(
    "\0tree 0123456789abcdef0123456789abcdef01234567\n",
    "parent 1123456789abcdef0123456789abcdef01234567\n",
    "parent 2123456789abcdef0123456789abcdef01234567\n",
    "author Zoe <zoe@example.org> 1767607200 +0100\n",
    "committer Zoe <zoe@example.org> 1767607201 +0100\n",
    "gpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lH\n -----END SSH SIGNATURE-----\n\nRoot 2\n"
);

/// A tag of a commit.
const TAG: &str = concat!(
    "\x01object 0123456789abcdef0123456789abcdef01234567\n",
    "type commit\ntag v1\ntagger Zoe <zoe@example.org> 1767607200 +0100\n\nv1\n"
);

/// Entries of a tree, in order.
const TREE: [(&str, &str, u8); 6] = [
    ("100644", "1.root.json", b'1'),
    ("100755", "device.pem", b'2'),
    ("40000", "root_history", b'3'),
    ("120000", "root.json", b'4'),
    ("100644", "timestamp.json", b'5'),
    ("160000", "z", b'6'),
];

/// The base points of P-256 and of Ed25519 in DER, and a signature of two numbers of 32 bytes.
const REPLIES: [(&str, &[u8]); 3] = [
    (
        "p256",
        b"\x04\x41\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\
          \xf4\xa1\x39\x45\xd8\x98\xc2\x96\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\
          \x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5",
    ),
    (
        "ed25519",
        b"\x04\x20\x58\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\
          \x66\x66\x66\x66\x66\x66",
    ),
    ("signature", b"\x00\x80cdefghijklmnopqrstuvwxyz012345\x7f\x01cdefghijklmnopqrstuvwxyz012345"),
];
