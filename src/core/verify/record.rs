//! One record: its files, its chain of events, who vouches for them, its pages, and what went differently.
//!
//! Rules:
//! 1. Every file of a record is its plan, an event, an SSH signature beside an event, or named by an event that may name
//!    such a file. Anything else is refused.
//! 2. A closed record ends in its closing event: no event stands beside it.
//! 3. The pages are what the events before the closing one render to, where the same version of the program rendered them.
//! 4. What the script asks for and did not happen stands as an exception, or is refused.

use super::look::{Look, below};
use crate::beside;
use crate::check::{Check, Level};
use crate::digest::Digest;
use crate::event::{Deed, Event};
use crate::page::script::exception_of;
use crate::page::{Text, closing};
use crate::plan::PlannedToken;
use crate::plan::lint::lint;
use crate::record::{Logged, Record};
use crate::replay::{Ceremony, replay};
use crate::slot::Slot;
use crate::ssh::{self, EVENT_NAMESPACE, RECORD_NAMESPACE};
use crate::text::Handle;
use crate::tree::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A record that was read and replayed.
pub(super) struct Held {
    pub(super) record: Record,
    pub(super) ceremony: Ceremony,
}

impl Held {
    /// The event with a deed that `wanted` picks, if it happened.
    pub(super) fn event(&self, wanted: impl Fn(&Deed) -> bool) -> Option<&Logged> {
        self.record.events.iter().find(|logged| wanted(&logged.event.deed))
    }

    pub(super) fn assembled(&self) -> Option<&Logged> {
        self.event(|deed| matches!(deed, Deed::Assembled { .. }))
    }

    pub(super) fn closing(&self) -> Option<&Logged> {
        self.event(|deed| matches!(deed, Deed::Closed { .. }))
    }

    /// `closed`, `open` or `abandoned`.
    pub(super) fn state(&self) -> &'static str {
        match (&self.ceremony.aborted, self.ceremony.closed) {
            (Some(_), _) => "abandoned",
            (None, true) => "closed",
            (None, false) => "open",
        }
    }
}

/// The record as it stood before the event `digest`: everything that it follows.
pub(super) fn before(record: &Record, digest: Digest) -> Record {
    let all = || record.events.iter().chain(&record.set_aside);
    let known: BTreeMap<Digest, &Event> = all().map(|logged| (logged.digest, &logged.event)).collect();
    let mut kept = BTreeSet::new();
    let mut open: Vec<Digest> =
        known.get(&digest).map(|event| event.after.iter().copied().collect()).unwrap_or_default();
    while let Some(next) = open.pop() {
        if kept.insert(next) {
            open.extend(known.get(&next).into_iter().flat_map(|event| event.after.iter().copied()));
        }
    }
    let keep = |events: &[Logged]| events.iter().filter(|logged| kept.contains(&logged.digest)).cloned().collect();
    Record { events: keep(&record.events), set_aside: keep(&record.set_aside), ..record.clone() }
}

/// Looks at the record in `dir`; nothing if it cannot be read or replayed, which is a finding then.
pub(super) fn look(look: &mut Look<'_>, dir: &str) -> Option<Held> {
    let record = match Record::read(look.tree, dir) {
        Ok(record) => record,
        Err(findings) => {
            look.findings.extend(findings);
            return None;
        }
    };
    files(look, &record);
    signatures(look, &record);
    let ceremony = match replay(&record, look.tree) {
        Ok(ceremony) => ceremony,
        Err(finding) => {
            look.findings.push(finding);
            return None;
        }
    };
    let held = Held { record, ceremony };
    ending(look, &held);
    pages(look, &held);
    differently(look, &held);
    let events = held.record.events.len();
    look.checked.push(format!("{dir}: {events} events, their order, authors, steps and evidence ({})", held.state()));
    Some(held)
}

/// Rule 1.
pub(super) fn files(look: &mut Look<'_>, record: &Record) {
    let dir = &record.dir;
    let prefix = format!("{dir}/");
    let mut known = BTreeSet::from([format!("{dir}/plan.json")]);
    for logged in record.events.iter().chain(&record.set_aside) {
        let event = &logged.event;
        let path = format!("{dir}/{}", event.path());
        for (file, digest) in &event.files {
            let inside = file.strip_prefix(&prefix);
            if !may_name(event, inside, file, record) {
                look.refuse(
                    Check::RecordFiles,
                    &path,
                    Text::own("it names ").and_foreign(file).and(", which is not its to name"),
                );
            }
            // Replay has this for the events that count.
            if inside.is_some() && look.bytes(file).map(Digest::of) != Some(*digest) {
                look.refuse(Check::RecordFiles, file, format!("it is missing, or not the file that {path} names"));
            }
            known.insert(file.clone());
        }
        known.insert(beside::path(dir, event));
        if let Deed::Closed { .. } = event.deed {
            known.insert(beside::record_path(dir, event));
        }
        known.insert(path);
    }
    look.findings.extend(beside::check(record, look.tree));
    let strays: Vec<&String> =
        below(look.tree, &prefix).map(|(path, _)| path).filter(|path| !known.contains(*path)).collect();
    let count = below(look.tree, &prefix).count();
    for path in strays {
        look.refuse(Check::RecordFiles, path, "no event names it").hint =
            Some("a record holds nothing but what its events name; `git log -- PATH` says who added it".to_string());
    }
    look.checked.push(format!("{dir}: {count} files, each named by an event and of the digest named"));
}

/// Whether an event may establish the file: `inside` is its path in the record, if it is there.
fn may_name(event: &Event, inside: Option<&str>, file: &str, record: &Record) -> bool {
    let key_dir = |name: &Handle, fingerprint: &Digest| format!("keys/{name}-{}", fingerprint.short());
    match (&event.deed, inside) {
        (Deed::Generated { holder, fingerprint, .. }, Some(inside)) => {
            let name = inside.strip_prefix(&key_dir(holder, fingerprint)).unwrap_or_default();
            let token = record.plan.holder(holder).map(|holder| &holder.token);
            let attests = token.is_none_or(|token| token.kind.attests());
            match name {
                "/public.pem" => true,
                "/f9-intermediate.pem" => attests,
                "/claim.json" => !attests,
                other => {
                    let slot = token.map_or(Slot::SIGNATURE, PlannedToken::slot);
                    attests && other.strip_prefix('/') == Some(slot.attestation_file().as_str())
                }
            }
        }
        (Deed::Proposed { root, targets, .. }, Some(inside)) => {
            let online = [&record.plan.snapshot.key, &record.plan.timestamp.key];
            let of_online = |name: &&Handle| {
                let rest =
                    inside.strip_prefix(&format!("keys/{name}-")).and_then(|rest| rest.strip_suffix("/public.pem"));
                rest.is_some_and(|rest| is_hex(rest, 16))
            };
            inside == format!("signatures/root-{root}/payload.json")
                || inside == format!("signatures/targets-{targets}/payload.json")
                || online.iter().any(of_online)
        }
        (Deed::Signed { fingerprint, .. }, Some(inside)) => {
            let name = inside.strip_prefix("signatures/").and_then(|rest| rest.split_once('/'));
            name.is_some_and(|(folder, name)| {
                let payload = folder.strip_prefix("root-").or_else(|| folder.strip_prefix("targets-"));
                let prefix = format!("{}-", fingerprint.short());
                let digest = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".json"));
                payload.is_some_and(|payload| is_hex(payload, 64)) && digest.is_some_and(|digest| is_hex(digest, 16))
            })
        }
        (Deed::Closed { .. }, Some(inside)) => matches!(inside, "script.html" | "record.html" | "README.md"),
        (Deed::Closed { .. }, None) => file == "root/README.md",
        (Deed::Assembled { .. }, None) => file.starts_with("root/") && file != "root/README.md",
        _ => false,
    }
}

/// Whether the text is as many lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SSH signatures beside events: each verifies, or is refused. Those that are missing are told, and somebody who signed goes
/// on signing: otherwise what was written anew would only have to leave the signatures out.
pub(super) fn signatures(look: &mut Look<'_>, record: &Record) {
    let mut verified = 0usize;
    let mut authors: BTreeMap<&Handle, Vec<&Event>> = BTreeMap::new();
    for logged in record.events.iter().chain(&record.set_aside) {
        let event = &logged.event;
        let line = record.plan.ssh_of(&event.author);
        authors.entry(&event.author).or_default().push(event);
        let (of_event, of_record) = (beside::path(&record.dir, event), beside::record_path(&record.dir, event));
        for (beside, namespace) in [(of_event, EVENT_NAMESPACE), (of_record, RECORD_NAMESPACE)] {
            let Some(entry) = look.tree.get(&beside) else { continue };
            let armour = entry.bytes().and_then(|bytes| core::str::from_utf8(bytes).ok());
            let result = match (line, armour) {
                (None, _) => Err(format!("the plan names no SSH key for {}", event.author)),
                (Some(_), None) => Err("it is no text in a regular file".to_string()),
                (Some(line), Some(armour)) => {
                    ssh::verify(line, namespace, &event.to_canonical(), armour).map_err(|error| error.to_string())
                }
            };
            match result {
                Ok(()) => verified += 1,
                Err(what) => {
                    look.refuse(Check::LogSigned, &beside, what).hint = Some(
                        "ask the author whether the event is theirs; until then it counts for nothing".to_string(),
                    );
                }
            }
        }
    }
    authors.retain(|author, _| record.plan.ssh_of(author).is_some());
    for (author, events) in authors {
        unsigned(look, record, author, &events);
    }
    if verified > 0 {
        look.checked.push(format!("{}: {verified} SSH signatures over events", record.dir));
    } else {
        look.not_checked.push(format!(
            "{}: who wrote the events; no SSH signature lies beside them. Root signatures vouch for what came before the \
             proposal; names, and what came after, are stated",
            record.dir
        ));
    }
}

/// The events of an author who has an SSH key in the plan, and no signature of theirs beside.
fn unsigned(look: &mut Look<'_>, record: &Record, author: &Handle, events: &[&Event]) {
    let is_signed = |event: &&&Event| {
        // Whoever closes signs twice: the event, and the record for which it stands.
        let closes = matches!(event.deed, Deed::Closed { .. });
        look.tree.contains_key(&beside::path(&record.dir, event))
            && (!closes || look.tree.contains_key(&beside::record_path(&record.dir, event)))
    };
    let first = events.iter().filter(is_signed).map(|event| event.n).min();
    let missing: Vec<&&Event> = events.iter().filter(|event| !is_signed(event)).collect();
    let stopped = missing.iter().filter(|event| first.is_some_and(|first| event.n > first)).count();
    let (count, all) = (missing.len(), events.len());
    if stopped > 0 && !beside::admits_unsigned(record, author) {
        let what = format!("{stopped} events of {author} are not signed, and earlier ones of {author} are");
        look.refuse(Check::LogSigned, &record.dir, what).hint = Some(
            "somebody wrote them anew, or took the signatures away: ask the author, and compare clones".to_string(),
        );
    } else if count > 0 {
        let what =
            format!("{count} of the {all} events of {author}, who has an SSH key in the plan, are stated, not signed");
        let level = if count < all { Level::Warning } else { Level::Note };
        look.find(level, Check::LogSigned, &record.dir, what);
    }
}

/// Rule 2, and what an end before the close means.
fn ending(look: &mut Look<'_>, held: &Held) {
    let dir = &held.record.dir;
    if let Some(closing) = held.closing() {
        if held.record.heads() != BTreeSet::from([closing.digest]) {
            let what = "there are events that the closing one does not follow: they were added after the close";
            look.refuse(Check::RecordClosed, dir, what).hint =
                Some("find out who added them with `git log`".to_string());
        }
        return;
    }
    if let Some(reason) = &held.ceremony.aborted {
        look.note(Check::RecordClosed, dir, Text::own("the ceremony was abandoned: ").and_foreign(reason));
        return;
    }
    look.warn(Check::RecordClosed, dir, "the ceremony is still open; what is there was checked").hint =
        Some("wait for its close, or ask for the newest commit: an end that was cut off looks the same".to_string());
    look.caveats.push(format!("{dir} is still open"));
}

/// Rule 3.
fn pages(look: &mut Look<'_>, held: &Held) {
    let Some(closing) = held.closing() else { return };
    let Deed::Closed { program } = &closing.event.deed else { return };
    let dir = &held.record.dir;
    let named: BTreeSet<&String> = closing.event.files.keys().collect();
    let before = before(&held.record, closing.digest);
    // What was replayed as a whole replays up to here.
    let Ok(ceremony) = replay(&before, look.tree) else { return };
    let rendered = closing::pages(&ceremony, &before, program);
    if named != rendered.keys().collect() {
        let what = "it does not name the pages of the record: script, record page, and the README of record and root";
        look.refuse(Check::RecordPages, &format!("{dir}/{}", closing.event.path()), what);
    }
    let read = ceremony.program.as_deref().unwrap_or_default();
    // A rehearsal reads the name alone, so that its root does not change with every version.
    let rehearsed = held.record.plan.rehearsal && program.split_once(' ').is_some_and(|(name, _)| name == read);
    if read != program && !rehearsed {
        // The program read aloud at the opening is vouched for by the root's signatures; the one that closed is only stated,
        // and a forger would state one whose pages nobody renders again.
        let what =
            Text::own("rendered by ").and_foreign(program).and("; read aloud at the opening was ").and_foreign(read);
        look.warn(Check::RecordPages, dir, what).hint = Some("believe the events, not the pages".to_string());
        look.caveats.push(format!("the pages of {dir} are by another program than the one that was read aloud"));
    }
    if look.options.program != Some(program.as_str()) {
        let what =
            Text::own("rendered by ").and_foreign(program).and(", which is not this program; bound by digest only");
        look.find(Level::Note, Check::RecordPages, dir, what);
        look.not_checked
            .push(format!("{dir}: whether its pages say what its events say (another version rendered them)"));
        return;
    }
    for (path, bytes) in &rendered {
        if closing.event.files.get(path) != Some(&Digest::of(bytes)) {
            let what = "it is not what plan and events render to";
            look.refuse(Check::RecordPages, path, what).hint = Some("believe the events, not the page".to_string());
        }
    }
    look.checked.push(format!("{dir}: {} pages, rendered again and compared", rendered.len()));
}

/// Rule 4: exceptions, steps without their end, weak plan rules.
fn differently(look: &mut Look<'_>, held: &Held) {
    let (dir, ceremony) = (&held.record.dir, &held.ceremony);
    for entry in &ceremony.exceptions {
        let check = entry.check.as_deref().map_or(Text::own(""), |check| Text::foreign(check).and(": "));
        let of = exception_of(&entry.author, ceremony);
        let mut what = Text::own(format!("exception {}{of} at {}: ", entry.number, entry.step));
        what.0.extend(check.0);
        let what = what.and_foreign(&entry.what).and(" ").and_foreign(&entry.remedy);
        look.warn(Check::Exceptions, dir, what.and(format!(" (approved by {})", entry.approved)));
    }
    match ceremony.exceptions.len() {
        0 => {}
        1 => look.caveats.push(format!("1 exception in {dir}")),
        count => look.caveats.push(format!("{count} exceptions in {dir}")),
    }
    let unfinished = |what: &str, handle: &Handle| format!("{handle}: {what} was begun, and no end is recorded");
    for (handle, state) in ceremony.holders.iter().chain(&ceremony.old) {
        if state.sign_intent.is_some() && !state.signed {
            look.warn(Check::IntentDone, dir, unfinished("signing", handle)).hint =
                Some("a signature may exist that is not in the record".to_string());
        }
    }
    for (handle, state) in &ceremony.holders {
        if state.generate_intent && state.key.is_none() {
            look.warn(Check::IntentDone, dir, unfinished("generating a key", handle));
        }
        let heard = state.vouched.as_ref().map_or(0, BTreeSet::len);
        if state.vouched.is_some() && heard < 2 {
            let step = crate::step::Step::Unvouched(handle.clone()).id();
            let admitted = ceremony.admits(Check::EnrolUnvouched, Some(&step));
            missing(
                look,
                held,
                Check::EnrolUnvouched,
                admitted,
                &format!("{heard} others vouched for the key of {handle}"),
            );
        }
    }
    if ceremony.assembled && ceremony.second_machines() < ceremony.threshold() {
        let admitted = ceremony.admits(Check::ReviewOneMachine, None);
        let what = format!("{} holders read the digest from another machine", ceremony.second_machines());
        missing(look, held, Check::ReviewOneMachine, admitted, &what);
    }
    let mut weak = 0usize;
    for mut finding in lint(&held.record.plan, None) {
        weak += usize::from(finding.level >= Level::Warning);
        finding.subject = format!("{dir}/plan.json: {}", finding.subject);
        look.findings.push(finding);
    }
    let waived: Vec<String> = held.record.plan.tokens.waive.iter().map(ToString::to_string).collect();
    if !waived.is_empty() {
        look.caveats.push(format!("{dir} waives {}", waived.join(" and ")));
    }
    if weak > 0 {
        look.caveats.push(format!("{weak} rules of the plan of {dir} are weaker than the defaults"));
    }
}

/// Something that the script asks for did not happen.
fn missing(look: &mut Look<'_>, held: &Held, check: Check, admitted: bool, what: &str) {
    let dir = &held.record.dir;
    if admitted || !held.ceremony.assembled {
        look.warn(check, dir, what.to_string());
    } else {
        look.refuse(check, dir, format!("{what}, and no exception in the record says so"));
    }
}

/// Every public key in the folders of keys of the record in `dir`, whatever the events say.
pub(super) fn keys_lying_in(look: &Look<'_>, dir: &str) -> Vec<(String, crate::key::PublicKey)> {
    let folder = format!("{dir}/keys/");
    let read = |(path, entry): (&String, &Entry)| {
        let pem = core::str::from_utf8(entry.bytes()?).ok()?;
        let key = crate::key::PublicKey::from_pem(pem).ok()?;
        path.ends_with("/public.pem").then(|| (path.clone(), key))
    };
    below(look.tree, &folder).filter_map(read).collect()
}
