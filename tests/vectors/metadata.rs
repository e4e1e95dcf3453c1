//! Vectors of metadata, of chains of roots, of proposals and of signature files.

use trustroot_core::check::{Check, Level};
use trustroot_core::digest::Digest;
use trustroot_core::json::Value;
use trustroot_core::metadata::tufkey::{Spelling, key_id, new_form, spell};
use trustroot_core::payload::Payload;
use trustroot_core::sigfile::{SignatureFile, SignedRole};
use trustroot_core::signature::{Portable, Signed};

use super::make::{
    THRESHOLD, at, holders, key, now, online, read, replaced, root, root_of, signed, snapshot, targets, timestamp,
    with, without,
};
use super::{Kind, Vector, fails, passes};

fn ok(payload: &Value) -> Vec<u8> {
    signed(payload, &holders())
}

/// The root with the key object of the first holder changed, filed under the id that `file` gives it.
fn rekeyed(change: impl FnOnce(&mut Value), file: impl FnOnce(&Value) -> String) -> Value {
    let (mut root, old) = (root(), holders()[0].id());
    let mut object = at(&mut root, &["keys", &old]).clone();
    change(&mut object);
    let new = file(&object);
    root = with(without(root, &["keys"], &old), &["keys", &new], object);
    for role in ["root", "targets"] {
        let Value::Arr(ids) = at(&mut root, &["roles", role, "keyids"]) else { panic!("keyids") };
        *ids.iter_mut().find(|id| id.as_str() == Some(&old)).unwrap() = Value::from(new.as_str());
    }
    root
}

fn own_id(object: &Value) -> String {
    key_id(object).to_string()
}

/// The root with one more key, which no role names.
fn spare(object: Value) -> Value {
    with(root(), &["keys", &own_id(&object)], object)
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::from(1), |inner, _| Value::Arr(vec![inner]))
}

pub(crate) fn reading() -> Vec<Vector> {
    use Check::{ExpiresForm, JsonStrict, MetaForm, MetaType, SigEmpty, SigRepeated, SpecVersion};
    use Level::{Lenient, Refused, Warning};
    let file = ok(&root());
    let root_with = |path: &[&str], new: Value| ok(&with(root(), path, new));
    let signature = format!("{{\"keyid\":\"{}\",\"sig\":\"", holders()[0].id());
    let placeholder = replaced(&file, "{\"signatures\":[", "{\"signatures\":[{\"keyid\":\"aa\",\"sig\":\"\"},");
    vec![
        passes(JsonStrict, "strict", Kind::Root, file.clone()),
        fails(
            JsonStrict,
            "name-twice",
            Kind::Root,
            Refused,
            replaced(&file, "\"version\":1", "\"version\":1,\"version\":1"),
        ),
        fails(JsonStrict, "fraction", Kind::Root, Refused, replaced(&file, "\"version\":1", "\"version\":1.0")),
        fails(JsonStrict, "byte-order-mark", Kind::Root, Refused, [b"\xef\xbb\xbf", file.as_slice()].concat()),
        fails(JsonStrict, "something-after-it", Kind::Root, Refused, [file.as_slice(), b"{}"].concat()),
        fails(
            JsonStrict,
            "not-utf8",
            Kind::Root,
            Refused,
            file.iter().map(|b| if *b == b'n' { 0xff } else { *b }).collect(),
        ),
        passes(JsonStrict, "depth-32", Kind::Root, root_with(&["x-deep"], nested(30))),
        fails(JsonStrict, "depth-33", Kind::Root, Refused, root_with(&["x-deep"], nested(31))),
        passes(JsonStrict, "64-bits", Kind::Root, root_with(&["x-number"], u64::MAX.into())),
        fails(JsonStrict, "65-bits", Kind::Root, Refused, replaced(&file, "\"none\"", "18446744073709551616")),
        fails(MetaForm, "version-0", Kind::Root, Refused, root_with(&["version"], 0.into())),
        passes(MetaForm, "version-1", Kind::Root, root_with(&["version"], 1.into())),
        fails(MetaForm, "no-roles", Kind::Root, Refused, ok(&without(root(), &[], "roles"))),
        fails(MetaForm, "unknown-role", Kind::Root, Refused, root_with(&["roles", "mayor"], Value::from([]))),
        fails(MetaForm, "role-names-a-key-twice", Kind::Root, Refused, {
            let id = || Value::Str(holders()[0].id());
            root_with(&["roles", "root", "keyids"], Value::Arr(vec![id(), id(), Value::Str(holders()[1].id())]))
        }),
        fails(MetaForm, "role-names-no-key", Kind::Root, Warning, {
            let ids = holders().map(|key| key.id()).into_iter().chain(["aa".to_owned()]);
            root_with(&["roles", "targets", "keyids"], Value::Arr(ids.map(Value::Str).collect()))
        }),
        fails(
            MetaForm,
            "signature-not-hexadecimal",
            Kind::Root,
            Lenient,
            replaced(&file, &signature, &format!("{signature}xx")),
        ),
        fails(MetaForm, "two-snapshots", Kind::Timestamp, Refused, {
            let mut payload = timestamp();
            let one = at(&mut payload, &["meta", "snapshot.json"]).clone();
            signed(&with(payload, &["meta", "other.json"], one), &[online()])
        }),
        passes(MetaForm, "timestamp", Kind::Timestamp, signed(&timestamp(), &[online()])),
        fails(
            MetaForm,
            "no-targets",
            Kind::Snapshot,
            Refused,
            signed(&without(snapshot(), &["meta"], "targets.json"), &[online()]),
        ),
        passes(MetaForm, "snapshot", Kind::Snapshot, signed(&snapshot(), &[online()])),
        fails(
            MetaForm,
            "no-hash",
            Kind::Targets,
            Refused,
            ok(&with(targets(), &["targets", "a.txt", "hashes"], Value::from([]))),
        ),
        fails(MetaForm, "hash-in-capitals", Kind::Targets, Refused, {
            let capitals = Digest::of(b"a").to_string().to_uppercase();
            ok(&with(targets(), &["targets", "a.txt", "hashes", "sha256"], capitals))
        }),
        passes(MetaForm, "targets", Kind::Targets, ok(&targets())),
        fails(MetaType, "targets-as-root", Kind::Root, Refused, ok(&targets())),
        passes(MetaType, "targets-as-targets", Kind::Targets, ok(&targets())),
        fails(SpecVersion, "2.0.0", Kind::Root, Refused, root_with(&["spec_version"], "2.0.0".into())),
        fails(SpecVersion, "1.0", Kind::Root, Lenient, root_with(&["spec_version"], "1.0".into())),
        passes(SpecVersion, "1.0.0", Kind::Root, root_with(&["spec_version"], "1.0.0".into())),
        fails(ExpiresForm, "fraction", Kind::Root, Lenient, root_with(&["expires"], "2026-04-15T00:00:00.5Z".into())),
        fails(ExpiresForm, "offset", Kind::Root, Lenient, root_with(&["expires"], "2026-04-15T00:00:00+01:00".into())),
        fails(ExpiresForm, "no-such-day", Kind::Root, Refused, root_with(&["expires"], "2026-02-29T00:00:00Z".into())),
        passes(ExpiresForm, "leap-day", Kind::Root, root_with(&["expires"], "2028-02-29T00:00:00Z".into())),
        fails(SigEmpty, "placeholder", Kind::Root, Lenient, placeholder),
        passes(SigEmpty, "none", Kind::Root, file.clone()),
        fails(
            SigRepeated,
            "one-id-twice",
            Kind::Root,
            Refused,
            replaced(&file, &signature, &format!("{signature}00\"}},{signature}")),
        ),
        passes(SigRepeated, "different-ids", Kind::Root, file),
    ]
}

pub(crate) fn keys() -> Vec<Vector> {
    use Check::{KeyDistinct, KeyEncoding, KeyForm, KeyId, KeyRoles, KeyType, RoleThreshold};
    use Level::{Lenient, Refused, Warning};
    let ed25519 = |hex: &str| {
        read(&format!("{{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{{\"public\":\"{hex}\"}}}}"))
    };
    let good = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let weak = format!("01{}", "0".repeat(62));
    let point = spell(&holders()[0].public(), Spelling::HexPoint).unwrap();
    let threshold = |role: &str, number: u64| ok(&with(root(), &["roles", role, "threshold"], number));
    let proposed = |payload: &Value| Payload::of(payload).bytes().to_vec();
    let second_id = {
        let mut object = new_form(&holders()[0].public()).unwrap();
        *at(&mut object, &["x-spare"]) = "yes".into();
        ok(&spare(object))
    };
    vec![
        fails(KeyForm, "unknown-kind", Kind::Root, Warning, ok(&spare(with(ed25519(good), &["scheme"], "crystals")))),
        fails(KeyForm, "ed25519-small-order", Kind::Root, Warning, ok(&spare(ed25519(&weak)))),
        fails(KeyForm, "not-a-point", Kind::Root, Warning, {
            let object =
                with(new_form(&key(4).public()).unwrap(), &["keyval", "public"], "04".to_owned() + &"11".repeat(64));
            ok(&spare(object))
        }),
        passes(KeyForm, "ed25519", Kind::Root, ok(&spare(ed25519(good)))),
        fails(KeyForm, "named-by-no-role", Kind::ProposedRoot, Refused, proposed(&spare(ed25519(good)))),
        passes(KeyForm, "named-by-roles", Kind::ProposedRoot, proposed(&root())),
        fails(KeyEncoding, "hex-point", Kind::Root, Lenient, {
            ok(&rekeyed(|object| *at(object, &["keyval", "public"]) = Value::Str(point), own_id))
        }),
        passes(KeyEncoding, "pem", Kind::Root, ok(&root())),
        fails(KeyType, "named-for-the-curve", Kind::Root, Lenient, {
            ok(&rekeyed(|object| *at(object, &["keytype"]) = "ecdsa-sha2-nistp256".into(), own_id))
        }),
        passes(KeyType, "ecdsa", Kind::Root, ok(&root())),
        fails(KeyId, "of-another-key", Kind::Root, Lenient, ok(&rekeyed(|_| {}, |_| key(7).id()))),
        fails(KeyId, "in-capitals", Kind::Root, Lenient, ok(&rekeyed(|_| {}, |object| own_id(object).to_uppercase()))),
        passes(KeyId, "hash", Kind::Root, ok(&root())),
        fails(KeyDistinct, "two-ids", Kind::Root, Lenient, second_id),
        passes(KeyDistinct, "one-id-each", Kind::Root, ok(&root())),
        fails(KeyRoles, "holder-as-online-key", Kind::ProposedRoot, Refused, {
            proposed(&with(root(), &["roles", "snapshot", "keyids"], Value::Arr(vec![Value::Str(holders()[0].id())])))
        }),
        passes(KeyRoles, "apart", Kind::ProposedRoot, proposed(&root())),
        fails(RoleThreshold, "0", Kind::Root, Refused, threshold("root", 0)),
        passes(RoleThreshold, "1", Kind::Root, threshold("root", 1)),
        passes(RoleThreshold, "all", Kind::Root, threshold("root", 3)),
        fails(RoleThreshold, "more-than-all", Kind::Root, Refused, threshold("root", 4)),
        fails(RoleThreshold, "snapshot-more-than-all", Kind::Root, Warning, threshold("snapshot", 2)),
        fails(RoleThreshold, "proposed-1", Kind::ProposedRoot, Warning, {
            proposed(&with(root(), &["roles", "root", "threshold"], 1_u64))
        }),
    ]
}

pub(crate) fn chains() -> Vec<Vector> {
    use Check::{RootGap, RootQuorum, RootQuorumOld, RootVersion, SigValid};
    use Level::{Refused, Warning};
    let [one, two, three] = holders();
    let enough = usize::try_from(THRESHOLD).unwrap();
    let second = root_of(2, &holders());
    let others = [key(11), key(12)];
    let by_others = root_of(2, &others);
    let all = [one.clone(), two.clone(), key(11), key(12)];
    let payload = Payload::of(&second);
    let one_bad =
        [(one.id(), one.sign(payload.bytes())), (two.id(), two.sign(payload.bytes())), (three.id(), three.sign(b""))];
    vec![
        fails(RootQuorum, "one-too-few", Kind::FirstRoot, Refused, signed(&root(), &holders()[..enough - 1])),
        passes(RootQuorum, "enough", Kind::FirstRoot, signed(&root(), &holders()[..enough])),
        fails(RootQuorum, "one-key-under-two-ids", Kind::FirstRoot, Refused, {
            let mut object = new_form(&one.public()).unwrap();
            *at(&mut object, &["x-spare"]) = "yes".into();
            let mut payload = spare(object.clone());
            let Value::Arr(ids) = at(&mut payload, &["roles", "root", "keyids"]) else { panic!("keyids") };
            ids.push(Value::Str(own_id(&object)));
            let payload = Payload::of(&payload);
            let twice = [one.id(), own_id(&object)].map(|id| (id, one.sign(payload.bytes())));
            trustroot_core::metadata::envelope::assemble(&payload, twice)
        }),
        fails(RootQuorum, "old-keys-alone", Kind::SecondRoot, Refused, signed(&by_others, &holders())),
        fails(RootQuorumOld, "new-keys-alone", Kind::SecondRoot, Refused, signed(&by_others, &others)),
        fails(RootQuorumOld, "one-old-key-too-few", Kind::SecondRoot, Refused, signed(&by_others, &all[1..])),
        passes(RootQuorumOld, "old-and-new-keys", Kind::SecondRoot, signed(&by_others, &all)),
        fails(RootVersion, "one-skipped", Kind::SecondRoot, Refused, ok(&root_of(3, &holders()))),
        fails(RootVersion, "the-first-again", Kind::SecondRoot, Refused, ok(&root())),
        passes(RootVersion, "one-more", Kind::SecondRoot, ok(&second)),
        fails(RootGap, "after-the-first", Kind::ThirdRoot, Refused, ok(&root_of(3, &holders()))),
        passes(RootGap, "none", Kind::SecondRoot, ok(&second)),
        fails(SigValid, "one-of-three", Kind::SecondRoot, Warning, {
            trustroot_core::metadata::envelope::assemble(&payload, one_bad)
        }),
        passes(SigValid, "all-of-three", Kind::SecondRoot, ok(&second)),
    ]
}

/// The timestamp that a client has stored: version 5, which names version 5 of the snapshot.
pub(crate) fn stored_timestamp() -> Value {
    with(with(timestamp(), &["version"], 5_u64), &["meta", "snapshot.json", "version"], 5_u64)
}

pub(crate) fn sets() -> Vec<Vector> {
    use Check::{Expired, MetaHash, MetaQuorum, MetaRollback};
    use Level::Refused;
    let online = |payload: &Value| signed(payload, &[online()]);
    let until = |payload: Value, time: trustroot_core::time::Timestamp| with(payload, &["expires"], time.to_string());
    let next = |version: u64, snapshot: u64| {
        online(&with(with(timestamp(), &["version"], version), &["meta", "snapshot.json", "version"], snapshot))
    };
    vec![
        fails(Expired, "now", Kind::SetTimestamp, Refused, online(&until(timestamp(), now()))),
        passes(Expired, "in-a-second", Kind::SetTimestamp, online(&until(timestamp(), now().plus_seconds(1)))),
        fails(Expired, "root", Kind::SetRoot, Refused, ok(&until(root(), now()))),
        passes(Expired, "root-in-a-second", Kind::SetRoot, ok(&until(root(), now().plus_seconds(1)))),
        fails(MetaQuorum, "by-a-holder", Kind::SetTimestamp, Refused, ok(&timestamp())),
        passes(MetaQuorum, "by-the-online-key", Kind::SetTimestamp, online(&timestamp())),
        fails(MetaHash, "other-bytes", Kind::SetSnapshot, Refused, online(&with(snapshot(), &["x-more"], 1_u64))),
        fails(MetaHash, "signed-by-others-too", Kind::SetTargets, Refused, signed(&targets(), &holders()[..2])),
        passes(MetaHash, "as-promised", Kind::SetSnapshot, online(&snapshot())),
        fails(MetaRollback, "older", Kind::NextTimestamp, Refused, next(4, 5)),
        fails(MetaRollback, "same-version-other-content", Kind::NextTimestamp, Refused, {
            online(&with(stored_timestamp(), &["x-more"], 1_u64))
        }),
        passes(MetaRollback, "same-again", Kind::NextTimestamp, next(5, 5)),
        fails(MetaRollback, "older-snapshot", Kind::NextTimestamp, Refused, next(6, 4)),
        passes(MetaRollback, "newer", Kind::NextTimestamp, next(6, 5)),
    ]
}

pub(crate) fn proposals() -> Vec<Vector> {
    use Check::TextClean;
    let note = |text: &str| Payload::of(&with(root(), &["x-trustroot-note"], text)).bytes().to_vec();
    let fails = |name, text: &str| fails(TextClean, name, Kind::ProposedRoot, Level::Refused, note(text));
    let passes = |name, text: &str| passes(TextClean, name, Kind::ProposedRoot, note(text));
    vec![
        fails("right-to-left", "Ada \u{202e}ecalevoL"),
        fails("zero-width", "A\u{200b}da"),
        fails("two-scripts", "\u{410}da Lovelace"),
        fails("not-composed", "Zoe\u{308}"),
        passes("composed", "Zo\u{eb}"),
        fails("201-characters", &"x".repeat(201)),
        passes("200-characters", &"x".repeat(200)),
        fails("a-space-at-the-end", "Ada "),
        passes("a-space-inside", "Ada Lovelace"),
    ]
}

/// The payload that every signature file here is for.
pub(crate) fn signed_payload() -> Payload {
    Payload::of(&targets())
}

pub(crate) fn signature_files() -> Vec<Vector> {
    let (holder, payload) = (&holders()[0], signed_payload());
    let signature = holder.sign(payload.bytes());
    let proof = Signed::check(&holder.public(), &payload, &signature, &Portable).unwrap();
    let good = SignatureFile::new(SignedRole::Targets, &proof, &signature);
    let fails = |name, bytes| fails(Check::SigPayload, name, Kind::Signature, Level::Refused, bytes);
    let changed = |change: &dyn Fn(&mut SignatureFile)| {
        let mut file = good.clone();
        change(&mut file);
        file.to_canonical()
    };
    vec![
        passes(Check::SigPayload, "good", Kind::Signature, good.to_canonical()),
        fails("not-canonical", replaced(&good.to_canonical(), ",", ", ")),
        fails("an-unknown-field", replaced(&good.to_canonical(), "{", "{\"a\":1,")),
        fails("of-another-payload", changed(&|file| file.payload = Digest::of(b""))),
        fails("of-another-role", changed(&|file| file.role = SignedRole::Root)),
        fails("of-nobody", changed(&|file| file.fingerprint = key(8).public().fingerprint())),
        fails("another-key-id", changed(&|file| file.keyid = key(8).id())),
        fails("not-hexadecimal", changed(&|file| file.sig = "xx".to_owned())),
        fails("by-another-key", changed(&|file| file.sig = hex(&key(8).sign(signed_payload().bytes())))),
        fails("over-other-bytes", changed(&|file| file.sig = hex(&holders()[0].sign(b"")))),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
