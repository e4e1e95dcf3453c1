//! The same checks with other programs: lines for a shell in the top folder of the repository.
//!
//! Rules:
//! 1. Every line runs as it stands with `sh`, `sha256sum`, `openssl` 3, `python3`, `ssh-keygen` and `git`, writes nothing
//!    into the repository, and ends in 0 where the check holds. Tests run them. Lines that begin with `#` explain.
//! 2. Nothing foreign is in a line: paths are made of handles, digests and our own words.

use super::look::Look;
use super::published::Published;
use super::record::Held;
use super::trust_root::{History, Options};
use crate::digest::Digest;
use crate::event::Deed;
use crate::key::{Algorithm, PublicKey};
use crate::metadata::targets::Targets;
use crate::metadata::{Metadata, Role};
use crate::slot::Slot;
use crate::ssh::EVENT_NAMESPACE;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// git, without what a prepared clone may put between a person and the objects: replacements, a list of commits of its own,
/// marks in the index.
const GIT: &str = "git --no-replace-objects --no-pager -c core.commitGraph=false -c core.fsmonitor=false";
/// Writes the field `sig` of a signature file to standard output, as bytes.
const SIGNATURE: &str =
    r#"import json, sys; sys.stdout.buffer.write(bytes.fromhex(json.load(open(sys.argv[1]))["sig"]))"#;
/// Compares `signed` of a published file with a payload, whose strings hold line breaks as they are.
const SAME: &str = r#"import json, sys; a, b = (json.loads(open(f, encoding="utf-8").read(), strict=False) for f in sys.argv[1:]); sys.exit(a["signed"] != b)"#;
/// Compares the keys of the role root with files.
const KEYS: &str = r#"import base64, json, sys; r = json.load(open(sys.argv[1]))["signed"]; hx = lambda p: base64.b64decode(p.split("\n")[1])[12:].hex() if len(p) < 120 else p; sys.exit({r["keys"][i]["keyval"]["public"] for i in r["roles"]["root"]["keyids"]} != {hx(open(f).read()) for f in sys.argv[2:]})"#;
/// Writes the SSH keys of a plan as a file of allowed signers.
const SIGNERS: &str = r#"import json, sys; p = json.load(open(sys.argv[1])); print(*[w["handle"] + " " + " ".join(w["ssh"].split()[:2]) for w in p["holders"] + p.get("people", []) if w.get("ssh")], sep="\n")"#;

pub(super) fn equivalents(
    all: &[Held],
    published: Option<&Published>,
    options: &Options<'_>,
    look: &Look<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let places = places(all);
    for held in all {
        payloads(held, published, &places, &mut lines);
        keys(held, look, &mut lines);
        ssh(held, look, &mut lines);
    }
    if let History::Whole(_) | History::Shallow(_) = options.history {
        lines.push("# who committed what, and whether the commits are signed".to_string());
        lines.push(format!("{GIT} log --format='%h %G? %an: %s' -- ceremony root"));
        lines.push("# every file of the commit is in the working tree, byte for byte".to_string());
        lines.push(format!(
            "{GIT} ls-tree -r HEAD -- ceremony root | (while read -r m t id p; do test \"$(git hash-object --no-filters -- \
             \"$p\")\" = \"$id\" || exit 1; done)"
        ));
        lines.push("# and there is no other file".to_string());
        lines.push(format!("test -z \"$({GIT} status --porcelain --ignored -- ceremony root)\""));
        for tag in all.iter().filter_map(|held| held.ceremony.published.as_deref()).filter(|tag| is_plain(tag)) {
            lines.push(format!("# the tag {tag} names a commit before this one, with the roots that are here"));
            lines.push(format!(
                "{GIT} merge-base --is-ancestor refs/tags/{tag} HEAD && {GIT} ls-tree refs/tags/{tag} root/ | \
                 (while read -r m t id p; do case $p in *.root.json) test \"$({GIT} rev-parse \"HEAD:$p\")\" = \"$id\" || \
                 exit 1 ;; esac; done)"
            ));
        }
    }
    lines
}

/// Where the public key of each holder lies: in the record that made it.
fn places(all: &[Held]) -> BTreeMap<Digest, String> {
    let mut places = BTreeMap::new();
    for held in all {
        for logged in &held.record.events {
            if let Deed::Generated { holder, fingerprint, .. } = &logged.event.deed {
                places.insert(*fingerprint, format!("{}/public.pem", held.ceremony.key_dir(holder, *fingerprint)));
            }
        }
    }
    places
}

/// Whether the name, which an event states, is made of letters that mean nothing to a shell or to git.
fn is_plain(tag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    tag.len() <= 100 && tag.bytes().all(plain) && tag.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn payloads(held: &Held, published: Option<&Published>, places: &BTreeMap<Digest, String>, lines: &mut Vec<String>) {
    let Some(proposal) = &held.ceremony.proposal else { return };
    let dir = &held.record.dir;
    let mut roots = published.into_iter().flat_map(|published| published.roots.values());
    let root = roots.find(|root| root.payload().digest() == proposal.root_digest());
    let targets = Metadata::<Targets>::of_payload("the targets", &proposal.targets).map_or(0, |read| read.version());
    for (role, digest) in [("root", proposal.root_digest()), ("targets", proposal.targets_digest())] {
        let folder = format!("{dir}/signatures/{role}-{digest}");
        lines.push(format!("# the payload digest of the {role}"));
        lines.push(format!("echo '{digest}  {folder}/payload.json' | sha256sum -c -"));
        if let Some(root) = root.filter(|_| held.assembled().is_some()) {
            let version = if role == "root" { root.version() } else { targets };
            lines.push(format!("# it is what root/{version}.{role}.json says"));
            lines.push(format!("python3 -c '{SAME}' root/{version}.{role}.json {folder}/payload.json"));
        }
        if held.ceremony.holders.values().any(|state| state.signed) {
            lines.push(format!("# the signatures of the {role}, each by the key that its name begins with"));
            let dirs: BTreeSet<&str> = places.values().filter_map(|path| path.split("/keys/").next()).collect();
            let keys = dirs.iter().map(|dir| format!("{dir}/keys/*-\"${{n%%-*}}\"/public.pem")).collect::<Vec<_>>();
            // One key may have been looked for in several records; it lies in one.
            let key = match keys.as_slice() {
                [key] => key.clone(),
                keys => format!("$(ls {} 2>/dev/null | head -n 1)", keys.join(" ")),
            };
            if held.ceremony.holders.values().filter_map(|state| state.key.as_ref()).any(is_ed25519) {
                // `openssl dgst` does not know Ed25519, and `pkeyutl` wants files.
                lines.push(format!(
                    "(t=$(mktemp) && for s in {folder}/*-*.json; do n=${{s##*/}}; k=$(echo {key}); \
                     python3 -c '{SIGNATURE}' \"$s\" > \"$t\" && if openssl pkey -pubin -in \"$k\" -noout -text | grep -q ED25519; \
                     then openssl pkeyutl -verify -rawin -pubin -inkey \"$k\" -sigfile \"$t\" -in {folder}/payload.json; else \
                     openssl dgst -sha256 -verify \"$k\" -signature \"$t\" {folder}/payload.json; fi || exit 1; done)"
                ));
                continue;
            }
            lines.push(format!(
                "(for s in {folder}/*-*.json; do n=${{s##*/}}; python3 -c '{SIGNATURE}' \"$s\" | openssl dgst -sha256 \
                 -verify {key} -signature /dev/stdin {folder}/payload.json || exit 1; done)"
            ));
        }
    }
    let Some(root) = root else { return };
    let in_root = root.body().role(Role::Root).keys.as_ref().map(|keys| keys.keys().clone()).unwrap_or_default();
    let files: Option<Vec<String>> = held
        .ceremony
        .holders
        .values()
        .filter_map(|state| state.key.as_ref())
        .filter(|key| in_root.contains(*key))
        .map(|key| places.get(&key.fingerprint()).cloned())
        .collect();
    // A key that another program brought into the root lies in no record.
    let Some(files) = files else { return };
    lines.push(format!("# the keys of root {} are those of the record", root.version()));
    lines.push(format!("python3 -c '{KEYS}' root/{}.root.json {}", root.version(), files.join(" ")));
}

fn is_ed25519(key: &PublicKey) -> bool {
    key.algorithm() == Algorithm::Ed25519
}

fn keys(held: &Held, look: &Look<'_>, lines: &mut Vec<String>) {
    let dir = &held.record.dir;
    if !held.ceremony.holders.values().any(|state| state.key.is_some() && !state.kept) {
        return;
    }
    lines.push("# each key has the fingerprint that its folder's name ends in".to_string());
    lines.push(format!(
        "(for k in {dir}/keys/*/public.pem; do case $k in *-\"$(openssl pkey -pubin -in \"$k\" -outform DER | sha256sum | \
         cut -c1-16)\"/public.pem) ;; *) exit 1 ;; esac; done)"
    ));
    let attested = held.record.events.iter().any(|logged| match &logged.event.deed {
        Deed::Generated { holder, fingerprint, .. } => {
            let folder = held.ceremony.key_dir(holder, *fingerprint);
            let slot = held.record.plan.holder(holder).map_or(Slot::SIGNATURE, |holder| holder.token.slot());
            look.bytes(&format!("{folder}/{}", slot.attestation_file())).is_some()
        }
        _ => false,
    });
    if !attested {
        return;
    }
    lines.push("# each key is the one that its token attested, by the device's own certificate".to_string());
    lines.push(format!(
        "(for a in {dir}/keys/*/attestation-??.pem; do d=${{a%/*}}; openssl x509 -in \"$a\" -noout -pubkey | cmp - \
         \"$d/public.pem\" && openssl verify -no_check_time -partial_chain -trusted \"$d/f9-intermediate.pem\" \"$a\" || \
         exit 1; done)"
    ));
    let anchors = if held.record.plan.rehearsal {
        "the rehearsal's anchor, src/core/attestation/vendors/rehearsal.pem of trustroot, which proves nothing"
    } else {
        "the certificates at https://developers.yubico.com/PKI/yubico-ca-certs.txt"
    };
    lines.push(format!("# and each device is its vendor's; ANCHORS is {anchors}:"));
    lines.push(format!("# openssl verify -no_check_time -CAfile ANCHORS {dir}/keys/*/f9-intermediate.pem"));
}

fn ssh(held: &Held, look: &Look<'_>, lines: &mut Vec<String>) {
    let dir = &held.record.dir;
    let path = |event: &crate::event::Event| format!("{dir}/{}", event.path());
    let signed = |event: &crate::event::Event| look.bytes(&format!("{}.sig", path(event))).is_some();
    if !held.record.events.iter().any(|logged| signed(&logged.event)) {
        return;
    }
    lines.push("# the SSH signatures beside events, each by the author whose folder it lies in".to_string());
    lines.push(format!(
        "(t=$(mktemp) && python3 -c '{SIGNERS}' {dir}/plan.json > \"$t\" && for s in {dir}/log/*/*.json.sig; do \
         a=${{s%/*}}; ssh-keygen -Y verify -f \"$t\" -I \"${{a##*/}}\" -n {EVENT_NAMESPACE} -s \"$s\" < \"${{s%.sig}}\" || \
         exit 1; done)"
    ));
}
