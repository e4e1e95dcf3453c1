//! `trustroot status --bootstrap-kit`: what a project gives to whoever builds a client for its trust root.
//!
//! Rules:
//! 1. Roots are copied as they were published, from 1 to the newest, and only if each follows its predecessor.
//! 2. The digest is that of the payload of the first root: late signatures change the file, and not the payload.
//! 3. Each snippet begins from the first root and ends with the newest metadata. Tests run the ones whose client can be had.
//! 4. Nothing is written over: the folder is new, or empty.

use std::collections::BTreeMap;
use std::path::Path;

use qrcodegen::{QrCode, QrCodeEcc};
use trustroot_core::digest::Digest;
use trustroot_core::proposal::REHEARSAL;
use trustroot_core::signature::Portable;
use trustroot_core::text::escape;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::trusted::TrustedRoot;
use trustroot_core::words;

use super::failure::{Failure, Kind};

/// Ready snippets: the name of the file, and its text. The one in Rust is no module of this program, and has another name here.
const SNIPPETS: [(&str, &str); 6] = [
    ("python_tuf.py", include_str!("kit/python_tuf.py")),
    ("tuf_js.mjs", include_str!("kit/tuf_js.mjs")),
    ("go_tuf.go", include_str!("kit/go_tuf.go")),
    ("tough.rs", include_str!("kit/tough.rs.txt")),
    ("sigstore_python.sh", include_str!("kit/sigstore_python.sh")),
    ("cosign.sh", include_str!("kit/cosign.sh")),
];

/// The address in the snippets that stands for the published one.
const PLACE: &str = "https://tuf.example.org";

/// Writes the kit of the trust root in `tree` into `dir`. `url` is where `root/` is published. Gives what to tell people.
///
/// # Errors
/// A root that is missing, no plain file, or does not follow; a folder that is not empty, or cannot be written.
pub(super) fn write(tree: &Tree, dir: &Path, url: Option<&str>) -> Result<String, Failure> {
    let placeless = url.is_none();
    let url = url.unwrap_or(PLACE).trim_end_matches('/');
    let usable = url.starts_with("https://") || url.starts_with("http://");
    if !usable || url.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\`$".contains(c)) {
        let failure = Failure::new(Kind::Usage, format!("\"{}\" is no address for clients", escape(url)));
        return Err(failure.hint("give the https:// address under which root/ is published"));
    }
    let roots = roots(tree)?;
    let first = TrustedRoot::pinned(&roots[0], &Portable).map_err(refused)?;
    let digest = first.metadata().payload().digest();
    let rehearsal = first.metadata().signed().get(REHEARSAL).is_some();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert("1.root.json".to_owned(), roots[0].clone());
    for (root, version) in roots.iter().zip(1..) {
        files.insert(format!("chain/{version}.root.json"), root.clone());
    }
    files.insert("digest.txt".to_owned(), said(&digest).into_bytes());
    let code = QrCode::encode_text(&format!("sha256:{digest}"), QrCodeEcc::Medium);
    // 71 characters; the largest code has room for more than two thousand.
    let code = code.map_err(|error| Failure::new(Kind::Bug, format!("the digest does not fit: {error}")))?;
    files.insert("digest.svg".to_owned(), svg(&code).into_bytes());
    files.insert("README.md".to_owned(), readme(&digest, roots.len(), url, &code, rehearsal).into_bytes());
    for (name, text) in SNIPPETS {
        files.insert(format!("clients/{name}"), text.replace(PLACE, url).into_bytes());
    }
    save(dir, &files)?;
    let placeless = if placeless {
        format!("note: no --url was given, so the snippets ask {PLACE}, where nothing is: give it, or edit them\n")
    } else {
        String::new()
    };
    Ok(format!(
        "wrote {} files into {}: the first root, the chain from 1 to {}, its digest, and {} clients\n{placeless}{}",
        files.len(),
        escape(&dir.display().to_string()),
        roots.len(),
        SNIPPETS.len(),
        said(&digest)
    ))
}

/// The roots from 1 on, each of which follows its predecessor.
fn roots(tree: &Tree) -> Result<Vec<Vec<u8>>, Failure> {
    let get = |version: u64| {
        let path = format!("root/{version}.root.json");
        match tree.get(&path) {
            None => Ok(None),
            Some(Entry::File(bytes)) => Ok(Some(bytes.clone())),
            // Passed over, it would end the chain before the newest root.
            Some(Entry::Odd(what)) => {
                let failure =
                    Failure::new(Kind::Refused, format!("{path} is {what}, and a kit is made of plain files"));
                Err(failure.hint("commit it as a plain file that is not executable"))
            }
        }
    };
    let Some(first) = get(1)? else {
        let failure = Failure::new(Kind::Refused, "there is no root/1.root.json here");
        return Err(failure.hint("a kit is made from a trust root whose first version was published"));
    };
    let mut trusted = TrustedRoot::pinned(&first, &Portable).map_err(refused)?;
    let mut roots = Vec::from([first]);
    for version in 2.. {
        let Some(next) = get(version)? else { break };
        trusted = trusted.advance(&next, &Portable).map_err(refused)?;
        roots.push(next);
    }
    Ok(roots)
}

fn refused(refusal: trustroot_core::metadata::Refusal) -> Failure {
    let mut failure = Failure::new(Kind::Refused, "no kit is made from roots that no client would follow");
    failure.findings.push(refusal.finding().clone());
    failure
}

/// The digest in digits and words.
fn said(digest: &Digest) -> String {
    let rows = words::rows(digest).map(|row| row.join(" ")).join("\n");
    format!("{digest}\n\n{rows}\n")
}

/// Each module as a square of 1 by 1, with the quiet zone of 4 that readers need.
fn svg(code: &QrCode) -> String {
    let size = code.size();
    let dark = (0..size).flat_map(|y| (0..size).map(move |x| (x, y))).filter(|(x, y)| code.get_module(*x, *y));
    let path: String = dark.map(|(x, y)| format!("M{},{}h1v1h-1z", x + 4, y + 4)).collect();
    let whole = size + 8;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" width=\"{0}\" height=\"{0}\">\n\
         <rect width=\"{whole}\" height=\"{whole}\" fill=\"#fff\"/>\n<path d=\"{path}\" fill=\"#000\"/>\n</svg>\n",
        whole * 8
    )
}

/// The code in half blocks, two rows a line, dark on light as paper has it.
fn blocks(code: &QrCode) -> String {
    let (size, mut out) = (code.size(), String::new());
    for y in (-4..size + 4).step_by(2) {
        for x in -4..size + 4 {
            out.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => ' ',
                (true, false) => '\u{2584}',
                (false, true) => '\u{2580}',
                (false, false) => '\u{2588}',
            });
        }
        out.push('\n');
    }
    out
}

fn readme(digest: &Digest, newest: usize, url: &str, code: &QrCode, rehearsal: bool) -> String {
    let said = said(digest);
    let rehearsal = if rehearsal { "--rehearsal " } else { "" };
    let blocks = blocks(code);
    format!(
        "# Begin here to follow this trust root\n\
         \n\
         Published at {url}. Everything a client needs to begin is `1.root.json`. Whoever has the right one needs to believe\n\
         nobody on the way to the newest; whoever has a wrong one is lost. So compare the digest of its payload with one that\n\
         you have from a place that whoever gave you this folder does not control:\n\
         \n\
         ```\n{said}```\n\
         \n\
         The same as a picture, `digest.svg`; on a terminal with a dark background:\n\
         \n\
         ```\n{blocks}```\n\
         \n\
         Or let the client compare it, from the address or from the file:\n\
         \n\
         ```\n\
         trustroot client --metadata-dir DIR init 1.root.json --fingerprint {digest}\n\
         trustroot client --metadata-dir DIR init {url}/1.root.json --fingerprint {digest}\n\
         ```\n\
         \n\
         `chain/` proves offline that root 1 leads to root {newest}, which is the newest one here:\n\
         \n\
         ```\n\
         trustroot verify {rehearsal}--roots chain --anchor {digest}\n\
         ```\n\
         \n\
         An old `1.root.json` is no fault: every root after it is signed by the keys of the one before. Build it into the\n\
         program, and never fetch it at run time.\n\
         \n\
         | client | snippet |\n\
         | --- | --- |\n\
         | python-tuf | `clients/python_tuf.py` |\n\
         | tuf-js | `clients/tuf_js.mjs` |\n\
         | go-tuf | `clients/go_tuf.go` |\n\
         | tough | `clients/tough.rs` |\n\
         | sigstore-python | `clients/sigstore_python.sh`, if the targets hold `trusted_root.json` and `signing_config.v0.2.json` |\n\
         | cosign | `clients/cosign.sh`, if the targets hold `trusted_root.json` |\n"
    )
}

fn save(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    let shown = escape(&dir.display().to_string());
    let fault = |error: std::io::Error| {
        Failure::new(Kind::Surroundings, format!("{shown}: {error}")).hint("give a folder that can be written")
    };
    std::fs::create_dir_all(dir).map_err(fault)?;
    if std::fs::read_dir(dir).map_err(fault)?.next().is_some() {
        let failure = Failure::new(Kind::Refused, format!("{shown} is not empty, and nothing is written over"));
        return Err(failure.hint("give a new folder"));
    }
    for (name, bytes) in files {
        let path = dir.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fault)?;
        }
        std::fs::write(&path, bytes).map_err(fault)?;
    }
    Ok(())
}
