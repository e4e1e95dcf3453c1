//! The kit that a project gives its clients: what is in it, that the digest can be read back from its picture, and that the
//! snippet for tough ends at the newest metadata. The snippets in other languages run in scripts/test (tests/kit_clients.py).

#[path = "../../src/cli/kit/tough.rs.txt"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod snippet;

use std::process::Command;

use trustroot_core::digest::Digest;
use trustroot_core::metadata::Metadata;
use trustroot_core::metadata::root::Root;
use trustroot_core::words;

use super::{run, said, succeeds};

/// The digest that a reader sees in the picture: its modules are read as a camera's pixels are.
fn seen(svg: &str) -> String {
    let whole: usize = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let path = svg.split("<path d=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut dark = vec![false; whole * whole];
    for square in path.split('M').skip(1) {
        let (x, rest) = square.split_once(',').unwrap();
        let y = rest.strip_suffix("h1v1h-1z").unwrap();
        dark[y.parse::<usize>().unwrap() * whole + x.parse::<usize>().unwrap()] = true;
    }
    let scale = 4;
    let pixel = |x: usize, y: usize| if dark[y / scale * whole + x / scale] { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(whole * scale, whole * scale, pixel);
    image.detect_grids()[0].decode().unwrap().1
}

#[test]
fn a_kit_holds_what_a_client_needs() {
    let folder = tempfile::tempdir().unwrap();
    let room = folder.path();
    succeeds(room, &["rehearse", "--auto", "--dir", "repository", "--kind", "renew"]);
    let url = "https://tuf.example.net/root/";
    let told = succeeds(room, &["status", "repository", "--bootstrap-kit", "kit", "--url", url]);

    let kit = room.join("kit");
    let read = |name: &str| std::fs::read_to_string(kit.join(name)).unwrap();
    let first = std::fs::read(room.join("repository/root/1.root.json")).unwrap();
    let digest: Digest = Metadata::<Root>::parse("root", &first).unwrap().payload().digest();
    assert_eq!(std::fs::read(kit.join("1.root.json")).unwrap(), first);
    for version in 1..=2 {
        let name = format!("{version}.root.json");
        let published = std::fs::read(room.join("repository/root").join(&name)).unwrap();
        assert_eq!(std::fs::read(kit.join("chain").join(name)).unwrap(), published);
    }
    for text in [told.as_str(), &read("digest.txt"), &read("README.md")] {
        assert!(text.contains(&digest.to_string()));
        assert!(words::rows(&digest).iter().all(|row| text.contains(&row.join(" "))));
    }
    assert_eq!(seen(&read("digest.svg")), format!("sha256:{digest}"));
    for entry in std::fs::read_dir(kit.join("clients")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("https://tuf.example.net/root") && !text.contains("example.org"), "{}", path.display());
        assert!(!text.contains("/root/\""), "{}: no double slash comes of it", path.display());
    }

    // What the kit's own page says is done.
    let verify = format!("verify --rehearsal --roots chain --anchor {digest}");
    assert!(read("README.md").contains(&format!("trustroot {verify}\n")), "a rehearsal is verified as one");
    succeeds(&kit, &verify.split(' ').collect::<Vec<_>>());
    let page = succeeds(
        room,
        &["client", "--metadata-dir", "m", "init", "kit/1.root.json", "--fingerprint", &digest.to_string()],
    );
    assert!(page.is_empty());
    assert!(!told.contains("no --url"));
    let told = succeeds(room, &["status", "repository", "--bootstrap-kit", "placeless"]);
    assert!(
        told.contains("no --url was given") && told.contains("example.org"),
        "a place that is none is said: {told}"
    );
    let again = run(room, &["status", "repository", "--bootstrap-kit", "kit"]);
    assert!(!again.status.success(), "nothing is written over");
    for bad in ["ftp://x", "https://x/\"; rm", "here", "https://a b"] {
        assert!(
            !run(room, &["status", "repository", "--bootstrap-kit", "other", "--url", bad]).status.success(),
            "{bad}"
        );
        assert!(!room.join("other").exists());
    }
}

#[test]
fn the_snippet_for_tough_follows_the_root() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["rehearse", "--auto", "--dir", "repository", "--kind", "renew"]);
    let root = folder.path().join("repository/root");
    let first = std::fs::read(root.join("1.root.json")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let repository = runtime.block_on(snippet::follow(&first, &format!("file://{}", root.display()))).unwrap();
    assert_eq!(repository.root().signed.version.get(), 2);
    assert!(runtime.block_on(snippet::follow(b"{}", &format!("file://{}", root.display()))).is_err());

    let mut timestamp = std::fs::read(root.join("timestamp.json")).unwrap();
    let at = timestamp.windows(10).position(|bytes| bytes == b"\"version\":").unwrap() + 10;
    timestamp[at] ^= 1;
    std::fs::write(root.join("timestamp.json"), timestamp).unwrap();
    let refused = runtime.block_on(snippet::follow(&first, &format!("file://{}", root.display())));
    assert!(refused.unwrap_err().to_string().contains("timestamp"));
}

/// Passed over in silence, it would leave a chain that ends before the newest root.
#[test]
fn a_root_that_is_no_plain_file_makes_no_kit() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["rehearse", "--auto", "--dir", "repository", "--kind", "renew"]);
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    for words in
        [&["update-index", "--chmod=+x", "root/2.root.json"][..], &["commit", "--quiet", "--message", "Run it"]]
    {
        let mut git = Command::new("git");
        git.args(identity).args(words).current_dir(folder.path().join("repository"));
        assert!(git.status().unwrap().success());
    }
    let refused = run(folder.path(), &["status", "repository", "--bootstrap-kit", "kit"]);
    assert!(!refused.status.success() && !folder.path().join("kit").exists());
    assert!(said(&refused).contains("root/2.root.json is an executable file"), "{}", said(&refused));
}
