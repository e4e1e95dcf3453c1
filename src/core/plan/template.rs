//! A plan for people to edit: a genesis, complete, with a comment at everything that somebody has to decide.
//!
//! What it writes is read by [`Plan::from_toml`](super::Plan::from_toml) and passes the lint, apart from what the
//! numbers asked for make unwise. A rehearsal's template is ready to run.

use crate::text::{self, Handle};
use crate::time::Timestamp;
use alloc::format;
use alloc::string::String;

/// The most holders a template names.
pub const MAX_HOLDERS: usize = 9;

/// What a template is to say.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    /// The name of the ceremony.
    pub name: &'a Handle,
    /// What it is called. Clean text.
    pub title: &'a str,
    /// The trust root it makes. Clean text.
    pub trust_root: &'a str,
    /// The day of the ceremony; the hour is not used.
    pub day: Timestamp,
    /// How many holders, 1 to [`MAX_HOLDERS`].
    pub holders: usize,
    /// How many of them must sign, for root and targets alike.
    pub threshold: u32,
    /// Whether it is a rehearsal, with virtual tokens.
    pub rehearsal: bool,
}

/// Why there is no such template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No holders, or more than there are names.
    #[error("a template is for 1 to 9 holders, not {0}; write more into the plan by hand")]
    Holders(usize),
    /// The title or the name of the trust root may not be signed.
    #[error("{0}: {1}")]
    Text(&'static str, text::TextFault),
}

/// Handle, name, organisation and country of people who do not exist.
pub(super) const HOLDERS: [[&str; 4]; MAX_HOLDERS] = [
    ["alice", "Alice Ashwood", "Northern Library", "NL"],
    ["bob", "Bob Birch", "Harbour Observatory", "JP"],
    ["carol", "Carol Cedar", "Valley University", "KE"],
    ["dave", "Dave Dogwood", "Island Archive", "NZ"],
    ["erin", "Erin Elmtree", "Lakeside Foundation", "CA"],
    ["frank", "Frank Firtree", "Riverside Museum", "BR"],
    ["grace", "Grace Gorse", "Hilltop Institute", "IN"],
    ["heidi", "Heidi Hazel", "Meadow Cooperative", "CH"],
    ["ivan", "Ivan Ivywood", "Desert Laboratory", "UY"],
];

/// The plan as TOML, with comments.
///
/// # Errors
/// See [`TemplateError`].
pub fn template(wanted: &Template<'_>) -> Result<String, TemplateError> {
    text::check_clean(wanted.title).map_err(|why| TemplateError::Text("title", why))?;
    text::check_clean(wanted.trust_root).map_err(|why| TemplateError::Text("trust root", why))?;
    let holders = HOLDERS.get(..wanted.holders).filter(|holders| !holders.is_empty());
    let holders = holders.ok_or(TemplateError::Holders(wanted.holders))?;

    let mut out = head(wanted);
    out.push_str(&roles(wanted));
    for (i, holder) in holders.iter().enumerate() {
        out.push_str(&one_holder(wanted, i, holder));
    }
    out.push_str(PEOPLE);
    Ok(out)
}

/// Clean text as a TOML string. It has no controls, so two characters are escaped.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn head(wanted: &Template<'_>) -> String {
    let (title, trust_root, day) = (quoted(wanted.title), quoted(wanted.trust_root), wanted.day.day());
    let what = if wanted.rehearsal {
        "# The plan of a REHEARSAL. Its keys are virtual, and nothing signed here is ever valid in production."
    } else {
        "# The plan of a ceremony. Everybody who takes part reads it before the day; it is frozen when the ceremony opens.\n\
         # The people below do not exist: put yours in their place."
    };
    format!(
        "{what}
# Check it with: trustroot plan lint FILE

format = 1
name = \"{name}\"            # a-z, 0-9 and -; the record is ceremony/{day}-{name}/
title = {title}
trust_root = {trust_root}    # a root key serves one trust root and no other
kind = \"genesis\"             # the first root, version 1
day = \"{day}\"
rehearsal = {rehearsal}
",
        name = wanted.name,
        rehearsal = wanted.rehearsal,
    )
}

fn roles(wanted: &Template<'_>) -> String {
    let (day, threshold) = (wanted.day, wanted.threshold);
    let (year, month, fortnight) = (day.plus_days(365).day(), day.plus_days(30).day(), day.plus_days(14).day());
    format!(
        "
# The holders sign root and targets. The threshold is how many of them it takes: high enough that nobody can do it
# alone or with a friend, low enough that a lost token does not stop you. Metadata expires at the start of the day.
[root]
threshold = {threshold}
expires = \"{year}\"

[targets]
threshold = {threshold}
expires = \"{year}\"

# Snapshot and timestamp are signed by a key that is online, again and again. The name only says which key;
# where it lies is said when the ceremony runs: --online-key online=FILE
[snapshot]
key = \"online\"
expires = \"{month}\"

[timestamp]
key = \"online\"
expires = \"{fortnight}\"

# What a holder's token has to be. These are the defaults; weaker ones are shown to everybody who verifies.
[tokens]
algorithm = \"ecdsa-p256\"
pin = \"always\"               # for each signature
touch = \"always\"             # for each signature
minimum_firmware = \"5.7.0\"   # below it, ECDSA keys can be copied by a side channel (EUCLEAK)
attestation = \"required\"     # the vendor vouches that the key was made on the token and never leaves it
# waive = [\"EUCLEAK\"]         # a published weakness that is accepted; everybody who verifies is told

# Who sits where. The scribe records, alone closes exceptions, and is never the conductor.
[seats]
conductor = \"olga\"
scribe = \"peter\"
witnesses = [\"quinn\"]

# The holders, in the order in which they act.
"
    )
}

fn one_holder(wanted: &Template<'_>, i: usize, [handle, name, organisation, country]: &[&str; 4]) -> String {
    let token = if wanted.rehearsal {
        format!("token = {{ kind = \"virtual\", serial = {} }}", 90_000_001 + i)
    } else {
        String::from("token = { kind = \"yubikey\" }    # and serial = 12345678, where it is known beforehand")
    };
    // The holders' terms and SSH keys are shown once, as comments: nobody can guess them.
    let more = if i == 0 && !wanted.rehearsal {
        format!(
            "# term_ends = \"{}\"    # the day the term ends, not before the root expires
# ssh = \"ssh-ed25519 AAAA...\"    # signs what the holder states in the record
",
            wanted.day.plus_days(730).day()
        )
    } else {
        String::new()
    };
    format!(
        "[[holders]]
handle = \"{handle}\"
name = \"{name}\"
organisation = \"{organisation}\"
country = \"{country}\"
{token}
{more}
"
    )
}

/// Everybody with a seat and without a key.
pub(super) const PEOPLE: &str = "# Everybody else who has a seat.
[[people]]
handle = \"olga\"
name = \"Olga Oakley\"

[[people]]
handle = \"peter\"
name = \"Peter Pinewood\"

[[people]]
handle = \"quinn\"
name = \"Quinn Quince\"
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;
    use crate::plan::lint::lint;
    use crate::plan::{Plan, TokenKind};

    fn wanted(name: &Handle, holders: usize, threshold: u32, rehearsal: bool) -> Template<'_> {
        let day = Timestamp::from_day("2026-12-01").unwrap();
        Template { name, title: "Our \"first\" \\ root", trust_root: "Example", day, holders, threshold, rehearsal }
    }

    #[test]
    fn every_template_is_a_plan_that_is_not_refused() {
        let name = Handle::new("genesis").unwrap();
        for rehearsal in [false, true] {
            for holders in 1..=MAX_HOLDERS {
                for threshold in 1..=u32::try_from(holders).unwrap() {
                    let text = template(&wanted(&name, holders, threshold, rehearsal)).unwrap();
                    let plan = Plan::from_toml(&text).unwrap();
                    assert_eq!((plan.holders.len(), plan.root.threshold), (holders, threshold));
                    assert_eq!(plan.title, "Our \"first\" \\ root");
                    let findings = lint(&plan, Some(plan.day));
                    assert!(findings.iter().all(|finding| finding.level < Level::Refused), "{findings:?}");
                    assert_eq!(Plan::from_json(&plan.to_canonical()), Ok(plan));
                }
            }
        }
    }

    #[test]
    fn a_usual_template_is_not_even_warned_about() {
        let name = Handle::new("genesis").unwrap();
        for rehearsal in [false, true] {
            let plan = Plan::from_toml(&template(&wanted(&name, 5, 3, rehearsal)).unwrap()).unwrap();
            let findings = lint(&plan, Some(plan.day));
            assert!(findings.iter().all(|finding| finding.level == Level::Note), "{findings:?}");
            let kind = if rehearsal { TokenKind::Virtual } else { TokenKind::Yubikey };
            assert!(plan.holders.iter().all(|holder| holder.token.kind == kind));
        }
    }

    #[test]
    fn the_comments_can_be_taken_away() {
        let name = Handle::new("genesis").unwrap();
        let text = template(&wanted(&name, 3, 2, false)).unwrap();
        assert!(text.contains("# term_ends = \"2028-11-30\""));
        let text = text.replace("# term_ends", "term_ends").replace("ssh-ed25519 AAAA...", "ssh-ed25519 AAAA");
        let plan = Plan::from_toml(&text.replace("# ssh", "ssh")).unwrap();
        assert_eq!(plan.holders[0].ssh.as_deref(), Some("ssh-ed25519 AAAA"));
        assert_eq!(plan.holders[0].term_ends.unwrap().day(), "2028-11-30");
    }

    #[test]
    fn what_there_is_no_template_for() {
        let name = Handle::new("genesis").unwrap();
        assert_eq!(template(&wanted(&name, 0, 1, true)), Err(TemplateError::Holders(0)));
        assert_eq!(template(&wanted(&name, 10, 1, true)), Err(TemplateError::Holders(10)));
        let hidden = Template { title: "a\u{200b}b", ..wanted(&name, 3, 2, true) };
        assert!(matches!(template(&hidden), Err(TemplateError::Text("title", _))));
        let mixed = Template { trust_root: "\u{430}lice", ..wanted(&name, 3, 2, true) };
        assert!(matches!(template(&mixed), Err(TemplateError::Text("trust root", _))));
    }
}
