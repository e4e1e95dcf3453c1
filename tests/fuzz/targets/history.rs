//! The judgement of a whole history: moments and files in any order, each a few bytes of the input.
//!
//! Files are those of a rehearsal, as they are or with one byte changed. In half of the inputs every well-formed signature
//! counts, so that what is fuzzed is what follows from them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::check::Level;
use trustroot_core::key::PublicKey;
use trustroot_core::signature::{Portable, Verifier};
use trustroot_core::time::Timestamp;
use trustroot_core::verify::history::{Ask, Change, Held, Moment, Past, page, verify_history};

struct Yes;

impl Verifier for Yes {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

const FOLDERS: &[&str] =
    &["", "metadata", "repository/repository", "ceremony/2026-01-05/staged", "keys/90000001", "<b>\u{202e}"];
const NAMES: &[&str] = &[
    "root.json",
    "1.root.json",
    "2.root.json",
    "root_history/1.root.json",
    "root_history/2.root.json",
    "timestamp.json",
    "snapshot.json",
    "1.snapshot.json",
    "targets.json",
    "1.targets.json",
    "1.crates.json",
    "90000001_slot.pem",
    "device.pem",
    "public.pem",
    "18446744073709551615.root.json",
];
const FILES: &[&[u8]] = &[
    include_bytes!("../seeds/metadata/root"),
    include_bytes!("../seeds/metadata/timestamp"),
    include_bytes!("../seeds/metadata/snapshot"),
    include_bytes!("../seeds/metadata/targets"),
    include_bytes!("../seeds/metadata/delegations"),
    include_bytes!("../seeds/certificate/slot"),
    include_bytes!("../seeds/certificate/device"),
    include_bytes!("../seeds/certificate/public.pem"),
];

/// The history that these bytes say, six for each step: a commit, or a file that it changes.
fn past(bytes: &[u8]) -> Past {
    let mut past = Past {
        folders: FOLDERS.iter().map(|text| (*text).to_owned()).collect(),
        names: NAMES.iter().map(|text| (*text).to_owned()).collect(),
        blobs: FILES.iter().map(|file| file.to_vec()).collect(),
        ..Past::default()
    };
    for step in bytes.chunks_exact(6).take(200) {
        let [what, a, b, c, d, e] = step.try_into().expect("six bytes");
        let number = past.moments.len();
        if what % 4 == 0 || number == 0 {
            past.moments.push(Moment {
                commit: format!("{number:040x}"),
                time: Timestamp::EPOCH.plus_seconds(i64::from(u32::from_be_bytes([a, b, 0, 0]))),
                on_line: c % 4 != 0,
                before: number.checked_sub(1 + usize::from(d % 4)).or((e % 8 == 0).then_some(usize::from(e))),
                changes: Vec::new(),
            });
            continue;
        }
        // A file as it is, with another version, or with one byte changed.
        let mut blob = usize::from(c) % FILES.len();
        if what % 4 == 3 {
            let mut file = FILES[blob].to_vec();
            match String::from_utf8(file.clone()) {
                Ok(text) if d % 2 == 0 => {
                    file = text.replacen("\"version\":1", &format!("\"version\":{}", e % 4 + 1), 9).into_bytes();
                }
                _ => {
                    let at = usize::from(u16::from_be_bytes([d, e])) % file.len();
                    file[at] ^= a | 1;
                }
            }
            past.blobs.push(file);
            blob = past.blobs.len() - 1;
        }
        let held = match what {
            1 => None,
            2 => Some(Held::Odd("a symbolic link")),
            _ => Some(Held::Blob(blob)),
        };
        let change = Change { folder: usize::from(a) % (FOLDERS.len() + 1), name: usize::from(b) % NAMES.len(), held };
        past.moments[number - 1].changes.push(change);
    }
    past.head = past.moments.last().map(|moment| moment.commit.clone()).unwrap_or_default();
    past
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    let past = past(bytes);
    let verifier: &dyn Verifier = if flags & 1 == 0 { &Yes } else { &Portable };
    let now = Timestamp::EPOCH.plus_seconds(i64::from(*flags) << 24);
    let ask = Ask { now, rehearsal: flags & 2 == 0, strict: flags & 4 != 0, anchor: None };
    let report = verify_history(&past, &ask, verifier);

    let refused = report.findings.iter().any(|told| told.finding.level == Level::Refused);
    assert_eq!(report.accepted(), !refused);
    for told in &report.findings {
        assert!(!told.finding.to_string().contains(char::is_control), "{}", told.finding);
        for seen in &told.seen {
            assert!(past.moments.iter().any(|moment| moment.commit == seen.commit), "{told:?}");
        }
    }
    // Without enough keys nothing is a root of the chain, nor a rival.
    let is_met = |root: &trustroot_core::verify::history::RootLife| root.signed >= root.threshold;
    assert!(refused || report.facts.roots.iter().all(|root| root.accepted && is_met(root)));
    let again = verify_history(&past, &ask, verifier);
    assert_eq!(again.to_json(), report.to_json(), "the same history gives the same report");
    let page = page(&report);
    assert!(!page.contains("<b>\u{202e}") && !page.contains("<script"));
});
