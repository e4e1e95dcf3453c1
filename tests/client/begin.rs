//! Where the first root may come from, and why it is the right one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use trustroot_core::digest::Digest;
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::words;

use super::{run, said, succeeds};

/// Serves a folder on this machine until the test program ends; gives its address.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match std::fs::read(folder.join(path)) {
                Ok(bytes) => ("200 OK", bytes),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = (&stream).write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

/// Two trust roots, `ours` and `other`, in a folder; the address of each, and the digest of ours.
fn two_roots(here: &Path) -> ([String; 2], Digest) {
    for seed in ["ours", "other"] {
        succeeds(here, &["rehearse", "--auto", "--seed", seed, "--dir", seed]);
    }
    let first = std::fs::read(here.join("ours/root/1.root.json")).unwrap();
    let digest = Metadata::<Root>::parse("root", &first).unwrap().payload().digest();
    (["ours", "other"].map(|seed| serve(here.join(seed).join("root"))), digest)
}

/// Tries to begin in a folder of its own; whether it did, and what it said.
fn begins(here: &Path, words: &[&str]) -> (bool, String) {
    let _ = std::fs::remove_dir_all(here.join("metadata"));
    let output = run(here, &[&["client", "--metadata-dir", "metadata", "init"], words].concat());
    let there = here.join("metadata/root.json").exists();
    assert_eq!(output.status.code(), Some(i32::from(!there)), "{words:?}: {}", said(&output));
    assert!(there || said(&output).contains("hint:"), "{words:?}: {}", said(&output));
    (there, said(&output))
}

#[test]
fn the_first_root_is_a_file_or_is_known_by_its_fingerprint_and_is_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let ([ours, other], digest) = two_roots(here);
    let url = format!("{ours}/1.root.json");
    let [hex, spoken] = [digest.to_string(), words::words(&digest).join(" ")];
    let [loud, wrong] = [spoken.to_uppercase(), Digest::of(b"").to_string()];
    let misspelt = spoken.replacen(|c: char| c.is_ascii_lowercase(), "q", 1);

    let (yes, told) = begins(here, &["ours/root/1.root.json"]);
    assert!(
        yes && told.contains(&hex) && told.contains("compare this digest"),
        "a file; what to compare is said: {told}"
    );
    for said in [&hex, &hex.to_uppercase(), &format!("sha256:{hex}"), &spoken, &loud] {
        let (yes, told) = begins(here, &[&url, "--fingerprint", said]);
        assert!(yes && !told.contains("compare this digest"), "{said}: {told}");
        assert!(begins(here, &["ours/root/1.root.json", "--fingerprint", said]).0, "of a file as well");
    }
    let (yes, told) = begins(here, &[&url]);
    assert!(!yes && told.contains("--fingerprint"), "an address alone proves nothing: {told}");
    let (yes, told) = begins(here, &[&url, "--fingerprint", &wrong]);
    assert!(!yes && told.contains(&hex) && told.contains(&wrong), "both digests are shown: {told}");
    for bad in [misspelt.as_str(), &hex[1..], "", "abandon"] {
        assert!(!begins(here, &[&url, "--fingerprint", bad]).0, "{bad}");
        let (_, told) = begins(here, &["http://127.0.0.1:1/1.root.json", "--fingerprint", bad]);
        assert!(told.contains("neither 64 hexadecimal digits"), "nobody is asked before it is understood: {told}");
    }
    let (yes, told) = begins(here, &["no/1.root.json"]);
    assert!(!yes && told.contains("check the path") && !told.contains("mirror"), "{told}");

    let same = ["ours/root/1.root.json", "--also", &url, "--also", "ours/root/1.root.json"];
    assert!(begins(here, &same).0, "every place has the same root");
    let differs = format!("{other}/1.root.json");
    let (yes, told) = begins(here, &["ours/root/1.root.json", "--also", &url, "--also", &differs]);
    assert!(!yes && told.contains(&differs) && told.contains("another root"), "one place has another: {told}");
    let (yes, told) = begins(here, &[&url, "--fingerprint", &hex, "--also", &differs]);
    assert!(!yes && told.contains("another root"), "whatever was said: {told}");
    let gone = format!("{ours}/7.root.json");
    assert!(!begins(here, &["ours/root/1.root.json", "--also", &gone]).0, "a place that has none is not passed over");
    assert!(!begins(here, &["ours/root/timestamp.json"]).0, "what is no root is none");
}
