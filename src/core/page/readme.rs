//! The two generated README files: of the record, and of `root/`. Markdown, for people on a forge.

use super::script::{exception_of, kind_name};
use crate::digest::Digest;
use crate::page::Text;
use crate::replay::Ceremony;
use crate::time::Timestamp;
use crate::words;
use alloc::format;
use alloc::string::{String, ToString};

/// `root/README.md`: the current payload digest, who holds the keys, when it expires, how to verify.
pub fn of_root(ceremony: &Ceremony, version: u64, digest: Digest, expires: Timestamp) -> String {
    let mut out = String::new();
    line(&mut out, &format!("# Trust root of {}", foreign(&ceremony.plan.trust_root)));
    mark(&mut out, ceremony);
    line(&mut out, "This folder is a TUF repository, served as it lies. It is generated; do not edit it.\n");
    line(&mut out, "| | |\n| --- | --- |");
    line(&mut out, &format!("| version | {version} |"));
    line(&mut out, &format!("| payload digest | `{digest}` |"));
    line(&mut out, &format!("| root expires | {expires} |"));
    line(&mut out, &format!("| must sign | {} of {} |", ceremony.plan.root.threshold, signers(ceremony)));
    line(&mut out, &format!("| record | [`{0}`](../{0}/) |", ceremony.dir));
    line(&mut out, "\nThe payload digest in words, to be read aloud:\n");
    word_rows(&mut out, &digest);
    holders(&mut out, ceremony);
    let rehearsal = if ceremony.plan.rehearsal { " --rehearsal" } else { "" };
    line(&mut out, "\n## Verify\n");
    line(
        &mut out,
        "Whatever lies in one clone can be consistent and still be somebody else's. Compare the words above with",
    );
    line(&mut out, "a place that the writer of this clone does not control, and give them as the anchor:\n");
    line(&mut out, &format!("```\ntrustroot verify{rehearsal} --anchor {digest} .\n```"));
    out
}

/// `README.md` of a closed record: who, when, what came out, what went differently.
pub fn of_record(ceremony: &Ceremony) -> String {
    let plan = &ceremony.plan;
    let mut out = String::new();
    line(&mut out, &format!("# {}", foreign(&plan.title)));
    mark(&mut out, ceremony);
    let first = ceremony.events.first().map_or(plan.day, |logged| logged.event.time);
    let last = ceremony.events.last().map_or(plan.day, |logged| logged.event.time);
    line(
        &mut out,
        &format!("A ceremony for the trust root of {}, held from {first} to {last}.\n", foreign(&plan.trust_root)),
    );
    line(
        &mut out,
        "Read [the record](record.html) for what happened, [the script](script.html) for what was planned.\n",
    );
    line(&mut out, "| | |\n| --- | --- |");
    if let (Some(before), Some(reason)) = (&ceremony.before, &plan.reason) {
        line(&mut out, &format!("| follows | root {} |", before.root.version()));
        line(&mut out, &format!("| {} because | {} |", plan.kind.name(), foreign(reason)));
    }
    line(&mut out, &format!("| plan digest | `{}` |", ceremony.plan_digest));
    if let Some(proposal) = &ceremony.proposal {
        line(&mut out, &format!("| root payload digest | `{}` |", proposal.root_digest()));
    }
    if let Some(tag) = &ceremony.published {
        line(&mut out, &format!("| tag | `{}` |", foreign(tag)));
    }
    if let Some(clients) = &ceremony.verified {
        line(&mut out, &format!("| refreshed by | {} |", foreign(&clients.join(", "))));
    }
    holders(&mut out, ceremony);
    line(&mut out, "\n## Exceptions\n");
    if ceremony.exceptions.is_empty() {
        line(&mut out, "None.");
    }
    for entry in &ceremony.exceptions {
        let check = entry.check.as_deref().map_or(String::new(), |check| format!("{}: ", foreign(check)));
        let (what, remedy) = (foreign(&entry.what), foreign(&entry.remedy));
        let text = format!("{check}{what} {remedy} (approved by {})", entry.approved);
        let of = exception_of(&entry.author, ceremony);
        line(&mut out, &format!("{}.{of} `{}`, {}: {text}", entry.number, entry.step, entry.time));
    }
    out
}

fn mark(out: &mut String, ceremony: &Ceremony) {
    if ceremony.plan.rehearsal {
        line(out, "\n> **REHEARSAL.** Virtual tokens signed this. Nothing here is to be trusted.");
    }
    line(out, "");
}

fn holders(out: &mut String, ceremony: &Ceremony) {
    line(out, "\n## Holders\n");
    line(out, "| holder | token | key fingerprint | signed |\n| --- | --- | --- | --- |");
    for holder in &ceremony.plan.holders {
        let Some(state) = ceremony.holders.get(&holder.handle) else { continue };
        let claimed = if holder.token.kind.attests() { "" } else { "; **claimed by its module, not attested**" };
        let kept = state.kept.then(|| match holder.token.serial {
            Some(serial) => {
                format!("{} {}, as before{claimed}", kind_name(holder.token.kind), foreign(&serial.to_string()))
            }
            None => format!("{}, as before{claimed}", kind_name(holder.token.kind)),
        });
        let token = state.token.as_ref().map_or(kept.unwrap_or("none".to_string()), |token| {
            let label = token.label.as_ref().map_or(String::new(), |label| format!(" \"{}\"", foreign(label)));
            let serial = foreign(&token.serial.to_string());
            let firmware = foreign(&token.firmware);
            format!("{}{label} {serial}, firmware {firmware}{claimed}", kind_name(token.kind))
        });
        let key = state.key.as_ref().map_or("none".to_string(), |key| format!("`{}`", key.fingerprint()));
        let signed = if state.signed { "yes" } else { "no" };
        line(out, &format!("| {} ({}) | {token} | {key} | {signed} |", foreign(&holder.name), holder.handle));
    }
    if ceremony.plan.leaving.is_empty() {
        return;
    }
    line(out, "\n## Keys that the root no longer names\n");
    line(out, "| whose | key fingerprint | signed once more |\n| --- | --- | --- |");
    for leaving in &ceremony.plan.leaving {
        let signed = ceremony.old.get(&leaving.handle).is_some_and(|state| state.signed);
        let signed = if signed { "yes" } else { "no" };
        let (name, handle, key) = (foreign(&leaving.name), &leaving.handle, leaving.key);
        line(out, &format!("| {name} ({handle}) | `{key}` | {signed} |"));
    }
}

fn word_rows(out: &mut String, digest: &Digest) {
    line(out, "```");
    for row in words::rows(digest) {
        line(out, &row.join(" "));
    }
    line(out, "```");
}

fn signers(ceremony: &Ceremony) -> usize {
    ceremony.keyholders().filter(|(_, state)| state.key.is_some()).count()
}

/// Foreign text in Markdown: escaped as everywhere, and without the characters that Markdown and HTML act on.
fn foreign(text: &str) -> String {
    markdown(&Text::foreign(text).line())
}

/// Text that is escaped already, without the characters that Markdown and HTML act on.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
