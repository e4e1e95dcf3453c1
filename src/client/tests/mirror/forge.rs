//! What a mirror makes of a file: other bytes, or another meaning, signed anew with the keys that it has.

use super::Input;
use super::owners::{Files, LOST, Owners};
use crate::simulator::keys;
use trustroot_core::digest::Digest;
use trustroot_core::json::{self, Value};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::payload::Payload;

/// How many kinds of changes there are.
pub const KINDS: usize = 9;

/// Changes the file at `path` in a way of this kind.
pub fn change(kind: usize, path: &str, files: &mut Files, input: &mut Input<'_>, owners: &Owners) {
    let whole = files.get(path).cloned().unwrap_or_default();
    let end = whole.len() + 1;
    let new = match kind {
        0 => whole[..input.place() % end].to_vec(),
        1 => {
            let (at, count) = (input.place() % end, input.below(64));
            [&whole[..at], &input.bytes(count), &whole[at..]].concat()
        }
        2 => {
            let (at, count) = (input.place() % end, input.below(64));
            let bytes = input.bytes(count);
            let rest = (at + bytes.len()).min(whole.len());
            [&whole[..at], &bytes, &whole[rest..]].concat()
        }
        // A file of any moment under this name.
        3 => {
            let moment = &owners.moments[input.below(owners.moments.len())];
            moment.values().nth(input.below(moment.len())).cloned().unwrap_or_default()
        }
        4 => {
            let count = input.place() % 4096;
            input.bytes(count)
        }
        5 => [b"{\"signatures\":[],\"signed\":".to_vec(), vec![b'['; input.place()]].concat(),
        _ => match edited(&whole, input) {
            Some(new) => new,
            None => return,
        },
    };
    files.insert(path.to_owned(), new);
}

/// One place of the payload changed; signed again, or under the signatures that were there.
fn edited(bytes: &[u8], input: &mut Input<'_>) -> Option<Vec<u8>> {
    let file = json::parse(bytes).ok()?;
    let mut signed = file.get("signed")?.clone();
    for _ in 0..1 + input.below(3) {
        let from = node(&mut signed.clone(), &mut input.below(256)).cloned();
        edit(node(&mut signed, &mut input.below(256)), from, input);
    }
    let payload = Payload::of(&signed);
    let mut signatures: Vec<(String, Vec<u8>)> = Vec::new();
    let chosen = input.byte();
    if chosen == 0 {
        for one in file.get("signatures")?.as_arr()? {
            let sig = one.get("sig")?.as_str()?;
            let bytes = sig.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
            signatures.push((one.get("keyid")?.as_str()?.to_owned(), bytes.collect::<Option<_>>()?));
        }
        return Some(assemble(&payload, signatures));
    }
    Some(keys(&signers(chosen), 1).sign(&payload))
}

fn signers(chosen: u8) -> Vec<u8> {
    let mut signers: Vec<u8> = (0..LOST.len()).filter(|bit| chosen >> bit & 1 == 1).map(|bit| LOST[bit]).collect();
    // The last bit: each of them twice.
    if chosen >> 7 == 1 {
        signers.extend(signers.clone());
    }
    signers
}

/// The value that is reached after so many others.
fn node<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Arr(items) => items.iter_mut().find_map(|item| node(item, left)),
        Value::Obj(members) => members.values_mut().find_map(|member| node(member, left)),
        _ => None,
    }
}

fn edit(value: Option<&mut Value>, from: Option<Value>, input: &mut Input<'_>) {
    const TEXTS: [&str; 12] = [
        "",
        "root",
        "targets",
        "../x",
        "a.txt",
        "inner",
        "none",
        "/abs",
        ".hidden",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "\u{1b}[2J\u{202e}",
    ];
    const NUMBERS: [i128; 7] = [0, 1, 2, 3, -1, i64::MAX as i128, u64::MAX as i128];
    let Some(value) = value else { return };
    let (kind, choice) = (input.below(8), input.below(256));
    let text = || TEXTS[choice % TEXTS.len()].to_owned();
    match (kind, &mut *value) {
        (0, _) => *value = Value::Int(NUMBERS[choice % NUMBERS.len()]),
        (1, _) => *value = Value::Str(text()),
        (2, Value::Obj(members)) => {
            let name = members.keys().nth(choice % members.len().max(1)).cloned();
            name.and_then(|name| members.remove(&name));
        }
        (2, Value::Arr(items)) if !items.is_empty() => drop(items.remove(choice % items.len())),
        (3, Value::Obj(members)) => {
            let name = members.keys().nth(input.below(256) % members.len().max(1)).cloned();
            if let Some(member) = name.and_then(|name| members.remove(&name)) {
                members.insert(text(), member);
            }
        }
        (4, Value::Obj(members)) => drop(members.insert(text(), from.unwrap_or(Value::Null))),
        (4, Value::Arr(items)) => items.push(from.unwrap_or(Value::Null)),
        (5, Value::Int(number)) => *number = number.saturating_add(1 + choice as i128).min(u64::MAX.into()),
        (6, Value::Str(text)) => text.push(char::from(choice as u8)),
        (7, _) => *value = [Value::Null, Value::Bool(true), Value::Arr(Vec::new())][choice % 3].clone(),
        _ => *value = from.unwrap_or(Value::Null),
    }
}

/// Snapshot and timestamp that name what is served now, signed with the keys that the mirror has.
pub fn republish(files: &mut Files, input: &mut Input<'_>) -> Option<()> {
    let signed = |bytes: &[u8]| json::parse(bytes).ok()?.get("signed").cloned();
    let version = |signed: &Value| signed.get("version")?.as_u64();
    let mut timestamp = signed(files.get("metadata/timestamp.json")?)?;
    let more = u64::from(input.byte());
    // Of several versions the highest, which comes last as long as it has one digit.
    let (path, bytes) = files.iter().rfind(|(path, _)| path.ends_with("snapshot.json"))?;
    let consistent = !path.ends_with("/snapshot.json");
    let mut snapshot = signed(bytes)?;
    let name = |role: &str, version: u64| {
        if consistent { format!("metadata/{version}.{role}.json") } else { format!("metadata/{role}.json") }
    };
    for (role, file) in ["targets", "inner", "deep", "..%2Fup"].map(|role| (role, name(role, 0))) {
        let ends = if consistent { file.trim_start_matches("metadata/0") } else { file.as_str() };
        let Some((_, bytes)) = files.iter().rfind(|(path, _)| path.ends_with(ends)) else { continue };
        let (bytes, Some(number)) = (bytes.clone(), signed(bytes).as_ref().and_then(version)) else { continue };
        promise(&mut snapshot, &role.replace("%2F", "/"), number, &bytes);
        files.insert(name(role, number), bytes);
    }
    raise(&mut snapshot, more);
    let bytes = keys(&[11], 1).sign(&Payload::of(&snapshot));
    let number = version(&snapshot)?;
    promise(&mut timestamp, "snapshot", number, &bytes);
    files.insert(name("snapshot", number), bytes);
    raise(&mut timestamp, more);
    files.insert("metadata/timestamp.json".to_owned(), keys(&[12, 22], 1).sign(&Payload::of(&timestamp)));
    Some(())
}

fn member<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    if let Value::Obj(members) = value { members.get_mut(name) } else { None }
}

fn promise(signed: &mut Value, role: &str, version: u64, bytes: &[u8]) {
    let hashes = Value::from([("sha256", Value::Str(Digest::of(bytes).to_string()))]);
    let promised =
        Value::from([("version", version.into()), ("length", (bytes.len() as u64).into()), ("hashes", hashes)]);
    if let Some(Value::Obj(meta)) = member(signed, "meta") {
        meta.insert(format!("{role}.json"), promised);
    }
}

fn raise(signed: &mut Value, by: u64) {
    if let Some(Value::Int(version)) = member(signed, "version") {
        *version = version.saturating_add(by.into()).min(u64::MAX.into());
    }
}
