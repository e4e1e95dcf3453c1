//! Reading a plan, from the TOML that people write and from the JSON that a record froze.
//!
//! Rules, each refused with the line and the column of what is wrong:
//! 1. At most [`MAX_BYTES`]; TOML 1.x, or JSON as [`crate::json`] reads it and in canonical form only, byte for byte.
//! 2. No unknown field, no field twice, no missing field; days and versions in their one form.
//! 3. Text that gets signed is clean; a country is two capital letters; there are 1 to [`MAX_HOLDERS`] holders.
//!
//! Whether the plan is wise is for [`super::lint`].

use super::{FORMAT, Plan, PlannedToken, TokenKind};
use crate::text;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest plan that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The most holders a plan may name. Everybody reads the digest aloud; more do not fit into a day.
pub const MAX_HOLDERS: usize = 50;
/// The most people besides the holders, and the most witnesses.
pub const MAX_PEOPLE: usize = 200;
/// The longest line of an SSH public key, in bytes.
pub const MAX_SSH: usize = 1000;

/// The longest label of a PKCS#11 token, in bytes (`CK_TOKEN_INFO`).
pub const MAX_LABEL: usize = 32;
/// The longest path of a PKCS#11 module, in bytes.
pub const MAX_PATH: usize = 1000;

/// Why a text is not a plan, and where. The caller puts the name of the file before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong; foreign text in it is escaped.
    pub what: String,
    /// What was probably meant, or what would be right.
    pub hint: Option<String>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}

impl core::error::Error for PlanError {}

impl Plan {
    /// Reads the TOML that people write.
    ///
    /// # Errors
    /// The first rule of the head of this file that is broken, and where.
    pub fn from_toml(text: &str) -> Result<Self, PlanError> {
        if text.len() > MAX_BYTES {
            return Err(too_long());
        }
        let table = DeTable::parse(text).map_err(|error| of_toml(text, &error))?;
        no_bare_dates(&table, text)?;
        let plan = Self::deserialize(toml::Deserializer::from(table.clone())).map_err(|error| of_toml(text, &error))?;
        form(&plan).map_err(|fault| {
            let span = find(&table, &fault.path);
            fault.at(text, span.start)
        })?;
        Ok(plan)
    }

    /// Reads the frozen form, `plan.json`: canonical JSON and nothing else, so that one plan has one digest.
    ///
    /// # Errors
    /// The first rule of the head of this file that is broken. What is known only of the whole is at 1:1.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() > MAX_BYTES {
            return Err(too_long());
        }
        let plan: Self = crate::json::read(bytes).map_err(|error| {
            let (what, hint) = explain(&error.what);
            PlanError { line: error.line, column: error.column, what, hint }
        })?;
        form(&plan).map_err(|fault| fault.at("", 0))?;
        if plan.to_canonical() != bytes {
            let what = "the frozen plan is not in canonical form".to_string();
            let hint = Some("it was changed after it was frozen, or another program wrote it".to_string());
            return Err(PlanError { line: 1, column: 1, what, hint });
        }
        Ok(plan)
    }
}

fn too_long() -> PlanError {
    PlanError { line: 1, column: 1, what: format!("longer than {MAX_BYTES} bytes"), hint: None }
}

/// Line and column, from 1, of the byte at `offset`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn of_toml(text: &str, error: &toml::de::Error) -> PlanError {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    let (what, hint) = explain(error.message());
    PlanError { line, column, what, hint }
}

/// The message of a reader in our words, short and escaped, and the hint that can be had from it.
fn explain(message: &str) -> (String, Option<String>) {
    // The readers put the foreign name first and the known names, which are ours, last.
    for (kind, ours) in [("unknown field `", "field"), ("unknown variant `", "value")] {
        let Some((name, known)) = message.strip_prefix(kind).and_then(|rest| rest.rsplit_once("`, expected ")) else {
            continue;
        };
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let hint = match text::nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return (format!("unknown {ours} \"{}\"", shown(name)), Some(hint));
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return (format!("the field \"{}\" is missing", shown(name)), None);
    }
    (shown(&message.replace('`', "\"")), None)
}

/// Foreign text for an error: one line, escaped, and not longer than people read.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown = text::escape(&text.trim_end().chars().take(MOST).collect::<String>());
    if text.trim_end().chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// TOML has dates of its own; the plan has texts, because the frozen JSON has no dates.
fn no_bare_dates(table: &Spanned<DeTable<'_>>, text: &str) -> Result<(), PlanError> {
    let mut open: Vec<&Spanned<DeValue<'_>>> = table.get_ref().values().collect();
    let mut first: Option<(usize, String)> = None;
    while let Some(value) = open.pop() {
        match value.get_ref() {
            DeValue::Datetime(date) => {
                let at = value.span().start;
                if first.as_ref().is_none_or(|(found, _)| at < *found) {
                    first = Some((at, date.to_string()));
                }
            }
            DeValue::Array(items) => open.extend(items.iter()),
            DeValue::Table(members) => open.extend(members.values()),
            _ => {}
        }
    }
    let Some((at, date)) = first else { return Ok(()) };
    let (line, column) = position(text, at);
    let hint = Some(format!("write \"{}\"", date.chars().take(10).collect::<String>()));
    Err(PlanError { line, column, what: "a day is written in quotes".to_string(), hint })
}

// ------------------------------------------------------------------------------------------------- what serde cannot say

/// One step from a value to a value inside it.
enum Key {
    Field(&'static str),
    Item(usize),
}

/// A value that has the right type and is wrong all the same.
struct Fault {
    path: Vec<Key>,
    what: String,
    hint: Option<&'static str>,
}

impl Fault {
    fn at(self, text: &str, offset: usize) -> PlanError {
        let (line, column) = position(text, offset);
        let mut path = String::new();
        for key in &self.path {
            match key {
                Key::Field(name) if path.is_empty() => path.push_str(name),
                Key::Field(name) => path.push_str(&format!(".{name}")),
                Key::Item(i) => path.push_str(&format!("[{i}]")),
            }
        }
        PlanError { line, column, what: format!("{path}: {}", self.what), hint: self.hint.map(ToString::to_string) }
    }
}

/// The place of the value at `path`; of the nearest value around it that is there.
fn find(table: &Spanned<DeTable<'_>>, path: &[Key]) -> Range<usize> {
    let mut span = table.span();
    let mut value: Option<&DeValue<'_>> = None;
    for key in path {
        let next = match (key, value) {
            (Key::Field(name), None) => table.get_ref().get(*name),
            (Key::Field(name), Some(value)) => value.as_table().and_then(|table| table.get(*name)),
            (Key::Item(i), value) => value.and_then(DeValue::as_array).and_then(|items| items.get(*i)),
        };
        let Some(next) = next else { break };
        span = next.span();
        value = Some(next.get_ref());
    }
    span
}

/// The rules that a type does not carry.
fn form(plan: &Plan) -> Result<(), Fault> {
    use Key::{Field, Item};
    let fault = |path: Vec<Key>, what: String, hint| Err(Fault { path, what, hint });
    let clean = |path: Vec<Key>, text: &str| {
        text::check_clean(text).map_err(|why| Fault { path, what: why.to_string(), hint: None })
    };
    if plan.format != FORMAT {
        let what = format!("plans of format {} are not known to this version", plan.format);
        return fault(alloc::vec![Field("format")], what, Some("the format is 1"));
    }
    clean(alloc::vec![Field("title")], &plan.title)?;
    clean(alloc::vec![Field("trust_root")], &plan.trust_root)?;
    if let Some(reason) = &plan.reason {
        clean(alloc::vec![Field("reason")], reason)?;
    }
    if plan.holders.is_empty() || plan.holders.len() > MAX_HOLDERS {
        let what = format!("{} holders; 1 to {MAX_HOLDERS} are possible", plan.holders.len());
        return fault(alloc::vec![Field("holders")], what, None);
    }
    if plan.people.len() > MAX_PEOPLE {
        return fault(alloc::vec![Field("people")], format!("more than {MAX_PEOPLE} people"), None);
    }
    if plan.seats.witnesses.len() > MAX_PEOPLE {
        let path = alloc::vec![Field("seats"), Field("witnesses")];
        return fault(path, format!("more than {MAX_PEOPLE} witnesses"), None);
    }
    for (i, holder) in plan.holders.iter().enumerate() {
        let path = |field| alloc::vec![Field("holders"), Item(i), Field(field)];
        clean(path("name"), &holder.name)?;
        if let Some(organisation) = &holder.organisation {
            clean(path("organisation"), organisation)?;
        }
        if let Some(country) = &holder.country
            && (country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()))
        {
            let what = format!("\"{}\" is not a country in two capital letters", shown(country));
            return fault(path("country"), what, Some("ISO 3166-1 alpha-2, such as \"NL\""));
        }
        one_line(path("ssh"), holder.ssh.as_deref())?;
        token(&holder.token).map_err(|(field, what, hint)| Fault {
            path: path("token").into_iter().chain(field.map(Field)).collect(),
            what,
            hint: Some(hint),
        })?;
    }
    if plan.leaving.len() > MAX_HOLDERS {
        return fault(alloc::vec![Field("leaving")], format!("more than {MAX_HOLDERS} keys leave"), None);
    }
    for (i, leaving) in plan.leaving.iter().enumerate() {
        clean(alloc::vec![Field("leaving"), Item(i), Field("name")], &leaving.name)?;
        token(&leaving.token).map_err(|(field, what, hint)| Fault {
            path: [Field("leaving"), Item(i), Field("token")].into_iter().chain(field.map(Field)).collect(),
            what,
            hint: Some(hint),
        })?;
    }
    for (i, person) in plan.people.iter().enumerate() {
        let path = |field| alloc::vec![Field("people"), Item(i), Field(field)];
        clean(path("name"), &person.name)?;
        one_line(path("ssh"), person.ssh.as_deref())?;
    }
    Ok(())
}

/// What goes with a kind of token, and what does not: the field that is wrong, what is, and the hint.
fn token(token: &PlannedToken) -> Result<(), (Option<&'static str>, String, &'static str)> {
    let wrong = |field, what: &str, hint| Err((field, what.to_string(), hint));
    if token.slot.is_some() && token.kind != TokenKind::Yubikey {
        return wrong(Some("slot"), "only a token of kind \"yubikey\" has this", "leave it out");
    }
    if token.kind != TokenKind::Pkcs11 {
        let only = [
            ("module", token.module.is_some()),
            ("label", token.label.is_some()),
            ("algorithm", token.algorithm.is_some()),
            ("key", token.key.is_some()),
            ("attestation", token.attestation.is_some()),
        ];
        if let Some((field, _)) = only.into_iter().find(|(_, there)| *there) {
            return wrong(Some(field), "only a token of kind \"pkcs11\" has this", "leave it out");
        }
        if token.serial.is_some_and(|serial| serial.number().is_none()) {
            return wrong(Some("serial"), "the serial of such a token is a number", "write it without quotes");
        }
        return Ok(());
    }
    let Some(module) = &token.module else {
        let what = "a PKCS#11 token needs its \"module\"";
        return wrong(None, what, "the library by absolute path, or its name in the configuration of p11-kit");
    };
    if !is_module(module) {
        let what = format!("\"{}\" is neither an absolute path nor a name of p11-kit's configuration", shown(module));
        return Err((Some("module"), what, "such as \"/usr/lib/softhsm/libsofthsm2.so\" or \"softhsm2\""));
    }
    if token.serial.is_none() && token.label.is_none() {
        return wrong(None, "a PKCS#11 token needs its \"label\" or its \"serial\"", "p11-kit list-modules shows both");
    }
    if token.serial.is_some_and(|serial| serial.as_text().is_none()) {
        return wrong(Some("serial"), "the serial of a PKCS#11 token is a text", "write it in quotes");
    }
    if let Some(label) = &token.label
        && (label.is_empty() || label.len() > MAX_LABEL || text::escape(label) != *label || label.trim() != label)
    {
        let what = format!("the label of a token is 1 to {MAX_LABEL} bytes without hidden characters");
        return Err((Some("label"), what, "as `p11-kit list-modules` shows it"));
    }
    if token.key.as_deref().is_some_and(|id| !crate::claim::is_id(id)) {
        let what = "the id of a key is 1 to 64 bytes in lower-case hexadecimal";
        return wrong(Some("key"), what, "as `pkcs11-tool --list-objects` shows it");
    }
    Ok(())
}

/// Whether a text names a PKCS#11 module: an absolute path, or a name of p11-kit's configuration.
pub fn is_module(text: &str) -> bool {
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let name = (1..=64).contains(&text.len()) && text.bytes().all(named) && !text.starts_with('.');
    let path = text.starts_with('/') && text.len() <= MAX_PATH && text::escape(text) == text;
    name || path
}

/// Whether an SSH key could be one, for the lint to look at: one line, nothing hidden. Its comment is anybody's.
fn one_line(path: Vec<Key>, ssh: Option<&str>) -> Result<(), Fault> {
    let Some(ssh) = ssh else { return Ok(()) };
    if ssh.len() > MAX_SSH || text::escape(ssh) != ssh {
        let what = format!("an SSH public key is one line of at most {MAX_SSH} bytes without hidden characters");
        return Err(Fault { path, what, hint: Some("it is the line in the file that ends in .pub") });
    }
    Ok(())
}

/// A day, `YYYY-MM-DD`, as the start of that day in UTC.
pub(super) mod day {
    use crate::time::Timestamp;
    use alloc::string::String;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(day: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&day.day())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::from_day(&text).map_err(|_| serde::de::Error::custom("a day is written \"YYYY-MM-DD\", in quotes"))
    }
}

/// A day that may be missing.
pub(super) mod optional_day {
    use crate::time::Timestamp;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(day: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => super::day::serialize(day, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        super::day::deserialize(deserializer).map(Some)
    }
}

/// A firmware version, `major.minor.patch`.
pub(super) mod firmware {
    use alloc::format;
    use alloc::string::String;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(version: &(u8, u8, u8), serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}.{}.{}", version.0, version.1, version.2))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(u8, u8, u8), D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::plan::read_firmware(&text)
            .ok_or_else(|| serde::de::Error::custom("a firmware version is written \"5.7.0\""))
    }
}

#[cfg(test)]
mod tests;
