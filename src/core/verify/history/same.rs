//! The same checks with other programs: lines for a shell in the repository, bare or not.
//!
//! Rules:
//! 1. Every line runs as it stands with `sh`, `git`, `sha256sum`, `openssl` 3 and `python3`, writes nothing into the
//!    repository, and ends in 0 where the check holds. Lines that begin with `#` explain.
//! 2. A path is quoted for the shell, and one with anything but plain characters is left out.

use super::past::Past;
use super::report::Attestation;
use super::roots::Chain;
use super::sightings::Sightings;
use crate::metadata::Role;
use crate::metadata::tufkey::Spelling;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Lays out what two roots say for OpenSSL: the payload of the second as OLPC canonical JSON, which sorts, and escapes nothing
/// but quotes and backslashes; and for each key of the role root of the first its signature.
const LAID: &str = r#"import json,hashlib,sys; d=sys.argv[1]+"/"; e=lambda v: "{"+",".join(e(k)+":"+e(v[k]) for k in sorted(v))+"}" if isinstance(v,dict) else "["+",".join(map(e,v))+"]" if isinstance(v,list) else "\""+v.replace("\\","\\\\").replace("\"","\\\"")+"\"" if isinstance(v,str) else json.dumps(v); o,n=(json.load(open(d+f,encoding="utf-8")) for f in ("old","new")); r,k=o["signed"]["roles"]["root"],o["signed"]["keys"]; w=lambda f,b: open(d+f,"wb").write(b); w("payload",e(n["signed"]).encode()); w("need",str(r["threshold"]).encode()); [(w(h+".key",p),w(h+".sig",bytes.fromhex(g["sig"]))) for g in n["signatures"] if g["sig"] and g["keyid"] in r["keyids"] for p in [k[g["keyid"]]["keyval"]["public"].encode()] for h in [hashlib.sha256(p).hexdigest()]]"#;

/// Counts the keys whose signature OpenSSL accepts.
const COUNT: &str = r#"d=$(mktemp -d) && git cat-file blob "$1" > "$d/old" && git cat-file blob "$2" > "$d/new" && python3 -c "$LAID" "$d" && n=0 && for k in "$d"/*.key; do openssl dgst -sha256 -verify "$k" -signature "${k%.key}.sig" "$d/payload" > "$d/said" 2>&1 && n=$((n+1)); done; test "$n" -ge "$(cat "$d/need")"; r=$?; rm -r "$d"; return $r"#;

pub(super) fn equivalents(
    chain: &Chain,
    sightings: &Sightings<'_>,
    attestations: &[Attestation],
    past: &Past,
) -> Vec<String> {
    let mut lines = Vec::new();
    let object = |blob: usize| {
        let one = sightings.best(blob)?;
        let moment = past.moments.get(one.on_line.unwrap_or(one.moment))?;
        object(&moment.commit, &one.path())
    };
    lines.push("# the files of the roots, by digest".to_string());
    for (version, (blob, _)) in &chain.roots {
        let Some(object) = object(*blob) else { continue };
        lines.push(format!("# root {version}"));
        lines.push(format!("test \"$(git cat-file blob {object} | sha256sum)\" = \"{}  -\"", past.digest(*blob)));
    }
    // OpenSSL reads what is PEM; older spellings are for other tools.
    let pem = |version: u64| {
        let (_, root) = chain.roots.get(&version)?;
        let of_role = root.body().role(Role::Root);
        let keys = of_role.keyids.iter().filter_map(|id| root.body().keys().get(id));
        keys.clone().all(|key| key.spelling() == Some(Spelling::Pem)).then_some(())
    };
    let mut first = true;
    for (version, (blob, _)) in &chain.roots {
        let before = version.checked_sub(1).filter(|before| pem(*before).is_some());
        let by: Vec<u64> = before.into_iter().chain(pem(*version).map(|()| *version)).collect();
        for by in by {
            let old = chain.roots.get(&by).and_then(|(blob, _)| object(*blob));
            let (Some(old), Some(new)) = (old, object(*blob)) else { continue };
            if core::mem::take(&mut first) {
                lines.push("# how the different keys are counted that signed, with python3 and openssl".to_string());
                lines.push(format!("LAID='{LAID}'"));
                lines.push(format!("quorum() {{ {COUNT}; }}"));
            }
            lines.push(format!("# enough keys of root {by} signed root {version}"));
            lines.push(format!("quorum {old} {new}"));
        }
    }
    for one in attestations.iter().filter(|one| one.holds && !one.roots.is_empty()) {
        let (Some(object), Some(facts)) = (object_of(one), &one.facts) else { continue };
        lines.push(format!("# the attestation of token {} is of the key {}", facts.serial, facts.fingerprint));
        lines.push(format!(
            "test \"$(git cat-file blob {object} | openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | \
             sha256sum)\" = \"{}  -\"",
            facts.fingerprint
        ));
    }
    lines.push("# nothing in git's own objects is damaged".to_string());
    lines.push("git fsck --full --no-dangling --no-progress".to_string());
    lines
}

fn object_of(one: &Attestation) -> Option<String> {
    let pem = one.seen.path.ends_with(".pem");
    object(&one.seen.commit, &one.seen.path).filter(|_| pem)
}

/// A file of a commit, as git names it, in quotes.
fn object(commit: &str, path: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | '=' | ',');
    path.chars().all(plain).then(|| format!("'{commit}:{path}'"))
}
