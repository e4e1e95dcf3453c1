//! Foresight: what is due at a trust root, from what lies in its repository and the time.
//!
//! Rules:
//! 1. What is found has the name of the check that would refuse it one day: [`Level::Refused`] is overdue, [`Level::Warning`]
//!    is due, a note is for information. Whether the files are to be trusted is for `verify`.
//! 2. Nothing is due because of the clock of this machine: `now` is an argument.
//! 3. The calendar never lets more holders change at once than the quorum bears: those who stay can always sign alone.

use crate::attestation::advisory::advisories;
use crate::check::{Check, Finding, Level};
use crate::defunct::abandoned;
use crate::digest::Digest;
use crate::event::Deed;
use crate::key::PublicKey;
use crate::metadata::Role;
use crate::page::Text;
use crate::page::readme::markdown as markdown_of;
use crate::plan::lint::lint;
use crate::plan::read_firmware;
use crate::predecessor::{Predecessor, newest};
use crate::record::{Record, records};
use crate::replay::{Ceremony, replay};
use crate::signature::Verifier;
use crate::text::escape;
use crate::time::Timestamp;
use crate::tree::{Entry, Tree};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Days before the expiry of a role from which it is due: people need weeks to meet, a server does not.
const DUE: [(Role, i64); 4] = [(Role::Root, 90), (Role::Targets, 90), (Role::Snapshot, 7), (Role::Timestamp, 2)];
/// Days before the end of a holder's term from which somebody has to be found.
const TERM_DUE: i64 = 180;
/// Days before the root expires on which the calendar puts the next ceremony.
const MARGIN: i64 = 30;
/// Days from one ceremony of the calendar to the next.
const YEAR: i64 = 365;

/// What is due, and what the next years look like.
#[derive(Clone, Debug)]
pub struct Foresight {
    /// What lies in `root/`, the newest of each role.
    pub expiry: Vec<Expiry>,
    /// How many losses the newest root bears.
    pub quorum: Option<Quorum>,
    /// What is overdue, due, or worth knowing.
    pub due: Vec<Finding>,
    /// Who gets a new key or hands over at which ceremony.
    pub calendar: Vec<Sitting>,
}

/// When a file expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The role.
    pub role: Role,
    /// The name of the file in `root/`.
    pub file: String,
    /// When it expires.
    pub expires: Timestamp,
    /// In how many whole days; negative after it.
    pub days: i64,
    /// Whether that is over.
    pub expired: bool,
}

/// How many losses the newest root bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The version of the root.
    pub version: u64,
    /// How many different keys it names.
    pub keys: usize,
    /// How many must sign the next one.
    pub threshold: usize,
    /// Whose keys have not signed it: they may be lost, and nobody would know. By handle where the root names one, else by
    /// fingerprint.
    pub silent: Vec<String>,
}

impl Quorum {
    /// How many losses stop the trust root.
    pub fn losses(&self) -> usize {
        (self.keys + 1).saturating_sub(self.threshold)
    }
}

/// One ceremony of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sitting {
    /// The day.
    pub day: Timestamp,
    /// Whose keys are changed, those that were made first, first.
    pub who: Vec<String>,
}

/// Looks ahead.
pub fn foresee(tree: &Tree, now: Timestamp, verifier: &dyn Verifier) -> Foresight {
    let mut due = Vec::new();
    let expiry = expiries(tree, now);
    expiry.iter().for_each(|one| due.extend(expiring(one)));
    let Some(before) = Predecessor::newest(tree) else {
        return Foresight { expiry, quorum: None, due, calendar: Vec::new() };
    };
    let read = |dir: &String| Record::read(tree, dir).ok().and_then(|record| replay(&record, tree).ok());
    let ceremonies: Vec<Ceremony> = records(tree).iter().filter_map(read).collect();
    let is_of_root = |ceremony: &&Ceremony| {
        let proposed = ceremony.proposal.as_ref().map(|proposal| proposal.root_digest());
        ceremony.assembled && proposed == Some(before.root.payload().digest())
    };
    let made = ceremonies.iter().find(is_of_root);
    let quorum = quorum(&before, verifier);
    due.extend(strength(&quorum));
    let keys = Made::of(&ceremonies);
    for key in before.keys(Role::Root) {
        weak(&before, key, &keys, &mut due);
    }
    if let Some(ceremony) = made {
        people(ceremony, now, &mut due);
    }
    for defunct in abandoned(tree, before.root.version().saturating_add(1), verifier) {
        due.push(Finding::new(Level::Warning, Check::RivalPossible, defunct.dir.clone(), defunct.what()));
    }
    let calendar = calendar(&before, &keys, &quorum, now);
    Foresight { expiry, quorum: Some(quorum), due, calendar }
}

fn expiries(tree: &Tree, now: Timestamp) -> Vec<Expiry> {
    let path = |role: Role| match role {
        Role::Timestamp => Some("root/timestamp.json".to_string()),
        role => newest(tree, role.name()).map(|(_, path)| path),
    };
    let expiry = |role: Role| {
        let path = path(role)?;
        let value = crate::json::parse(tree.get(&path).and_then(Entry::bytes)?).ok()?;
        let expires = Timestamp::parse_lenient(value.get("signed")?.get("expires")?.as_str()?).ok()?;
        let file = path.trim_start_matches("root/").to_string();
        Some(Expiry { role, file, expires, days: now.days_until(expires), expired: expires <= now })
    };
    Role::ALL.into_iter().filter_map(expiry).collect()
}

fn expiring(one: &Expiry) -> Option<Finding> {
    let horizon = DUE.into_iter().find(|(role, _)| *role == one.role).map_or(0, |(_, days)| days);
    let (level, what) = match one.days {
        _ if one.expired => (Level::Refused, format!("it expired on {}; clients refuse it", one.expires)),
        days if days < horizon => (Level::Warning, format!("it expires on {}, in {days} days", one.expires)),
        _ => return None,
    };
    let hint = match one.role {
        Role::Root | Role::Targets => "plan the next ceremony: trustroot plan new FILE --renew --reason TEXT",
        Role::Snapshot | Role::Timestamp => "the online key signs a newer one; look whether its job still runs",
    };
    Some(Finding::new(level, Check::Expired, one.file.clone(), what).hint(hint))
}

fn quorum(before: &Predecessor, verifier: &dyn Verifier) -> Quorum {
    let tried = crate::chain::Signatures::of(&before.root, verifier).by_role(before.root.body(), Role::Root);
    let signed = crate::chain::held(&tried);
    let keys = before.keys(Role::Root);
    let silent = keys.iter().filter(|key| !signed.iter().any(|one| one.key() == **key));
    Quorum {
        version: before.root.version(),
        keys: keys.len(),
        threshold: before.threshold(Role::Root),
        silent: silent.map(|key| name(before, key)).collect(),
    }
}

/// The handle that the root names behind the key, else the short fingerprint; escaped.
fn name(before: &Predecessor, key: &PublicKey) -> String {
    before.known(key).handle.map_or_else(|| key.fingerprint().short(), |handle| escape(&handle))
}

fn strength(quorum: &Quorum) -> Option<Finding> {
    let spare = quorum.keys.saturating_sub(quorum.threshold);
    let silent = quorum.silent.len();
    let who = quorum.silent.join(", ");
    let (level, what) = match spare.saturating_sub(silent) {
        _ if spare == 0 => (Level::Warning, "every key is needed: 1 loss stops you".to_string()),
        0 => {
            let what = format!("{who} did not sign the newest root; if they no longer can, 1 more loss stops you");
            (Level::Warning, what)
        }
        left if silent > 0 => {
            let what =
                format!("{who} did not sign the newest root; if they no longer can, {} more losses stop you", left + 1);
            (Level::Note, what)
        }
        _ => return None,
    };
    let finding = Finding::new(level, Check::PlanMargin, format!("root {}", quorum.version), what);
    Some(
        finding.hint("ask them whether their token works; add holders with `trustroot plan new FILE --rotate --add N`"),
    )
}

/// When and on which firmware each key was made, as the records say.
struct Made(BTreeMap<Digest, Making>);

/// How one key was made.
struct Making {
    time: Timestamp,
    firmware: Option<(u8, u8, u8)>,
}

impl Made {
    fn of(ceremonies: &[Ceremony]) -> Self {
        let mut all = BTreeMap::new();
        for ceremony in ceremonies {
            for logged in &ceremony.events {
                let Deed::Generated { holder, fingerprint, .. } = &logged.event.deed else { continue };
                let token = ceremony.holders.get(holder).and_then(|state| state.token.as_ref());
                let firmware = token.and_then(|token| read_firmware(&token.firmware));
                all.insert(*fingerprint, Making { time: logged.event.time, firmware });
            }
        }
        Self(all)
    }
}

fn weak(before: &Predecessor, key: &PublicKey, made: &Made, due: &mut Vec<Finding>) {
    let Some(firmware) = made.0.get(&key.fingerprint()).and_then(|making| making.firmware) else { return };
    for advisory in advisories(firmware, key.algorithm()) {
        let (major, minor, patch) = firmware;
        let what = format!("firmware {major}.{minor}.{patch}: {} ({}): {}", advisory.name, advisory.id, advisory.what);
        let finding = Finding::new(Level::Warning, Check::AttAdvisory, name(before, key), what);
        due.push(finding.hint("give the holder a new token: trustroot plan new FILE --rotate --replace HANDLE"));
    }
}

/// Terms, and whether some can reach the threshold alone.
fn people(ceremony: &Ceremony, now: Timestamp, due: &mut Vec<Finding>) {
    for holder in &ceremony.plan.holders {
        let Some(ends) = holder.term_ends else { continue };
        let days = now.days_until(ends);
        let (level, what) = match days {
            days if days < 0 => (Level::Refused, format!("the term of {} ended on {}", holder.handle, ends.day())),
            days if days < TERM_DUE => {
                (Level::Warning, format!("the term of {} ends on {}, in {days} days", holder.handle, ends.day()))
            }
            _ => continue,
        };
        let finding = Finding::new(level, Check::PlanTerm, holder.handle.as_str(), what);
        due.push(finding.hint("trustroot plan new FILE --rotate --remove HANDLE --add 1"));
    }
    let diversity = |finding: &Finding| finding.check == Check::PlanDiversity && finding.level > Level::Note;
    due.extend(lint(&ceremony.plan, None).into_iter().filter(diversity));
}

/// Rule 3.
fn calendar(before: &Predecessor, made: &Made, quorum: &Quorum, now: Timestamp) -> Vec<Sitting> {
    let batch = quorum.keys.saturating_sub(quorum.threshold);
    if batch == 0 {
        return Vec::new();
    }
    // What no record made is older than all of them.
    let mut keys: Vec<(Option<Timestamp>, String)> = before
        .keys(Role::Root)
        .into_iter()
        .map(|key| (made.0.get(&key.fingerprint()).map(|making| making.time), name(before, key)))
        .collect();
    keys.sort();
    let names: Vec<String> = keys.into_iter().map(|(_, name)| name).collect();
    let first = before.root.expires().plus_days(-MARGIN).max(now);
    let mut day = first;
    let mut sittings = Vec::new();
    for who in names.chunks(batch) {
        sittings.push(Sitting { day, who: who.to_vec() });
        day = day.plus_days(YEAR);
    }
    sittings
}

/// A message for people about what is due: plain text, or Markdown. Nothing if nothing is.
pub fn remind(foresight: &Foresight, trust_root: &str, markdown: bool) -> Option<String> {
    let serious: Vec<&Finding> = foresight.due.iter().filter(|finding| finding.level > Level::Note).collect();
    if serious.is_empty() {
        return None;
    }
    let (head, item) = if markdown { ("# ", "- ") } else { ("", "* ") };
    let title = Text::own("Due at the trust root of ").and_foreign(trust_root).line();
    let title = if markdown { markdown_of(&title) } else { title };
    let mut out = format!("{head}{title}\n\n");
    for finding in serious {
        let urgent = if finding.level == Level::Refused { "OVERDUE" } else { "due" };
        let what = format!("{}: {} ({})", finding.subject, finding.what.line(), finding.check);
        let what = if markdown { markdown_of(&what) } else { what };
        out.push_str(&format!("{item}{urgent}: {what}\n"));
        if let Some(hint) = &finding.hint {
            let hint = if markdown { format!("`{}`", hint.replace('`', "'")) } else { hint.clone() };
            out.push_str(&format!("  what to do: {hint}\n"));
        }
    }
    if let Some(next) = foresight.calendar.first() {
        out.push_str(&format!(
            "\nThe next ceremony belongs on {} or before; new keys then for {}.\n",
            next.day.day(),
            next.who.join(", ")
        ));
    }
    Some(out)
}
