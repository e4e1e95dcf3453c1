//! The pages of a ceremony: what is said and done at each step.
//!
//! [`page`] is the page of one step, from what the ceremony knows; [`script`] is every page of a plan before the day;
//! [`account`] is the same pages with what happened.

use super::{Block, Outcome, Page, Text, review};
use crate::claim::Origin;
use crate::event::{Deed, Event};
use crate::plan::{Plan, TokenKind};
use crate::predecessor::Predecessor;
use crate::record::Record;
use crate::replay::Ceremony;
use crate::step::Step;
use crate::text::Handle;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The page of one step.
pub fn page(step: &Step, ceremony: &Ceremony) -> Page {
    let plan = &ceremony.plan;
    let seats = &plan.seats;
    let conductor = || alloc::vec![seats.conductor.clone()];
    let scribe = || alloc::vec![seats.scribe.clone()];
    let holder = |handle: &Handle| alloc::vec![handle.clone()];
    let (title, acts, checks, minutes) = match step {
        Step::Roll => ("Who is here".to_string(), conductor(), scribe(), 3),
        Step::Clock => ("What time it is".to_string(), conductor(), scribe(), 1),
        Step::Read => ("Plan and program".to_string(), conductor(), scribe(), 3),
        Step::Token(h) => (format!("The token of {h}"), holder(h), scribe(), 1),
        Step::Provision(h) => (format!("New secrets for the token of {h}"), holder(h), Vec::new(), 2),
        Step::Generate(h) => (format!("The key of {h}"), holder(h), scribe(), 1),
        Step::Hear(h) => (format!("The key of {h}, as heard elsewhere"), holder(h), Vec::new(), 1),
        Step::Vouch(h) => (format!("Others hear the key of {h}"), holder(h), vouchers(ceremony, h), 2),
        Step::Unvouched(h) => (format!("Too few heard the key of {h}"), conductor(), scribe(), 1),
        Step::Propose => ("The proposal and its twin".to_string(), conductor(), scribe(), 1),
        Step::Review => ("What will be signed".to_string(), conductor(), scribe(), 10),
        Step::Sign(h) => (format!("The signature of {h}"), holder(h), scribe(), 2),
        Step::SignOld(h) => (format!("The signature of {h} with the old key"), holder(h), scribe(), 2),
        Step::OneMachine => ("The digest was read from one machine".to_string(), conductor(), scribe(), 1),
        Step::Assemble => ("Signatures become metadata".to_string(), conductor(), scribe(), 1),
        Step::Verify => ("Two clients refresh".to_string(), conductor(), scribe(), 1),
        Step::Publish => ("Publication".to_string(), conductor(), scribe(), 1),
        Step::ReadBack => ("Exceptions are read back".to_string(), scribe(), conductor(), 3),
        Step::Close => ("The record is closed".to_string(), conductor(), scribe(), 1),
    };
    let irreversible =
        matches!(step, Step::Provision(_) | Step::Generate(_) | Step::Sign(_) | Step::SignOld(_) | Step::Publish);
    let blocks = blocks(step, ceremony);
    Page { step: step.id(), act: step.act(), title, acts, checks, minutes, irreversible, blocks, outcome: Vec::new() }
}

/// The two people who are asked what they heard: the scribe first, then the others who are present, in the order of
/// the plan. The conductor's screen shows the words, so the conductor comes last.
pub fn vouchers(ceremony: &Ceremony, holder: &Handle) -> Vec<Handle> {
    let plan = &ceremony.plan;
    let seats = core::iter::once(&plan.seats.scribe).chain(&plan.seats.witnesses);
    let holders = plan.holders.iter().map(|h| &h.handle);
    let mut asked: Vec<Handle> = Vec::new();
    for handle in seats.chain(holders).chain(core::iter::once(&plan.seats.conductor)) {
        let here = ceremony.present.is_none() || ceremony.is_present(handle);
        if here && handle != holder && !asked.contains(handle) && asked.len() < 2 {
            asked.push(handle.clone());
        }
    }
    asked
}

/// Every page of a plan, before the day, over the root that it continues.
pub fn script(record: &Record, before: Option<&Arc<Predecessor>>) -> Vec<Page> {
    let ceremony = Ceremony::planned(record, before.cloned());
    Step::all(&record.plan).iter().map(|step| page(step, &ceremony)).collect()
}

/// The pages of a ceremony with what happened, in order; steps that the plan has and nobody reached are left out.
pub fn account(ceremony: &Ceremony) -> Vec<Page> {
    let mut steps = Step::all(&ceremony.plan);
    for (handle, _) in ceremony.taking_part() {
        let unvouched = Step::Unvouched(handle.clone());
        if let Some(at) = steps.iter().position(|step| *step == Step::Vouch(handle.clone())) {
            steps.insert(at + 1, unvouched);
            steps.insert(at, Step::Hear(handle.clone()));
        }
    }
    if let Some(at) = steps.iter().position(|step| *step == Step::Assemble) {
        steps.insert(at, Step::OneMachine);
    }
    let mut pages = Vec::new();
    for step in steps {
        let id = step.id();
        let happened = ceremony.events.iter().filter(|logged| logged.event.step == id);
        let outcome: Vec<_> = happened.map(|logged| outcome(&logged.event, ceremony)).collect();
        if !outcome.is_empty() {
            pages.push(Page { outcome, ..page(&step, ceremony) });
        }
    }
    pages
}

fn outcome(event: &Event, ceremony: &Ceremony) -> Outcome {
    let what = match &event.deed {
        Deed::Roll { present, earlier } => {
            let absent: Vec<_> = ceremony.plan.holders.iter().filter(|h| !present.contains(&h.handle)).collect();
            let names = present.iter().map(Handle::to_string).collect::<Vec<_>>().join(", ");
            let absent = absent.iter().map(|h| h.handle.to_string()).collect::<Vec<_>>().join(", ");
            let absent = if absent.is_empty() { String::new() } else { format!("; absent: {absent}") };
            let earlier = match earlier.len() {
                0 => String::new(),
                1 => " One earlier record is bound by this one.".to_string(),
                count => format!(" {count} earlier records are bound by this one."),
            };
            format!("Present: {names}{absent}.{earlier}").into()
        }
        Deed::Clock { heard, source } => {
            Text::own("Heard ").and_foreign(heard).and(" from ").and_foreign(source).and(".")
        }
        Deed::Read { program, program_digest, listener } => {
            let digest = program_digest.map_or("not part of a rehearsal's record".into(), |d| d.to_string());
            Text::own(format!("{listener} gave back the words asked for. Program "))
                .and_foreign(program)
                .and(format!(", digest {digest}."))
        }
        Deed::Token { token, .. } => {
            let text = Text::own(format!("Serial {}, ", token.serial));
            let text = token.label.iter().fold(text, |text, label| text.and("label \"").and_foreign(label).and("\", "));
            text.and_foreign(&token.model).and(", firmware ").and_foreign(&token.firmware).and(".")
        }
        Deed::Provisioned { serial, .. } => format!("The secrets of {serial} were replaced.").into(),
        Deed::GenerateIntent { holder, serial, slot } if is_existing(&ceremony.plan, holder) => {
            Text::own(format!("Taking the key that is on {serial}, ")).and_foreign(slot).and(", was about to begin.")
        }
        Deed::GenerateIntent { serial, .. } => format!("Generating on {serial} was about to begin.").into(),
        Deed::Generated { holder, fingerprint, .. } if !attests(&ceremony.plan, holder) => {
            let origin = if is_existing(&ceremony.plan, holder) { "It was made before the ceremony. " } else { "" };
            format!("Key {fingerprint}. {origin}Its module claims that it cannot leave the token; nobody attests it.")
                .into()
        }
        Deed::Generated { fingerprint, .. } => format!("Key {fingerprint}, attested by the token.").into(),
        Deed::Heard { .. } => format!("{} typed the words, as heard, at another machine.", event.acted).into(),
        Deed::Vouched { by, .. } if by.is_empty() => "Nobody gave back the words asked for.".into(),
        Deed::Vouched { by, .. } => format!("{} gave back the words asked for.", list(by)).into(),
        Deed::Proposed { twin, .. } => {
            Text::own("Every lint passed. The twin was accepted by ").and_foreign(twin.join(" and ")).and(".")
        }
        Deed::Reviewed { listener, .. } => format!("{listener} gave back the words asked for. No objection.").into(),
        Deed::SignIntent { second_machine: true, .. } => {
            "The holder gave the words from another machine, and consented.".into()
        }
        Deed::SignIntent { .. } => "The holder consented; the words were not read from another machine.".into(),
        Deed::Signed { old: true, .. } => {
            "Root and targets were signed with the old key, and both signatures verified.".into()
        }
        Deed::Signed { .. } => "Root and targets were signed, and both signatures verified.".into(),
        Deed::Assembled { root, .. } => format!("Root with payload digest {root}.").into(),
        Deed::Verified { clients } => Text::own("Refreshed to the end: ").and_foreign(clients.join(", ")).and("."),
        Deed::Published { tag } => Text::own("Tag ").and_foreign(tag).and("."),
        Deed::ReadBack { exceptions: 0 } => "There was no exception.".into(),
        Deed::ReadBack { exceptions } => format!("{exceptions} read back and accepted.").into(),
        Deed::Closed { program } => Text::own("Rendered by ").and_foreign(program).and("."),
        Deed::Exception { number, check, what, remedy, approved } => {
            let of = exception_of(&event.author, ceremony);
            let text = Text::own(format!("Exception {number}{of}. "));
            let text = check.iter().fold(text, |text, check| text.and_foreign(check).and(": "));
            text.and_foreign(what).and(" Remedy: ").and_foreign(remedy).and(format!(" Approved by {approved}."))
        }
        Deed::Left { holder, reason, old } => {
            let which = if *old { "the old key of " } else { "" };
            Text::own(format!("{which}{holder} takes no further part: ")).and_foreign(reason).and(".")
        }
        Deed::Aborted { reason, missing } => {
            let missing =
                missing.map_or(String::new(), |n| format!(" {n} more signatures would complete what was proposed."));
            Text::own("Abandoned: ").and_foreign(reason).and(format!(".{missing}"))
        }
        Deed::Chosen { chosen, .. } => format!("Of a fork of the log, {chosen} was chosen.").into(),
    };
    let exception = matches!(event.deed, Deed::Exception { .. } | Deed::Left { .. } | Deed::Aborted { .. });
    Outcome {
        time: event.time,
        acted: event.acted.clone(),
        checked: event.checked.iter().cloned().collect(),
        what,
        exception,
    }
}

/// Whose numbering an exception follows: nothing is said where it is the conductor's.
pub(crate) fn exception_of(author: &Handle, ceremony: &Ceremony) -> String {
    if *author == ceremony.plan.seats.conductor { String::new() } else { format!(" of {author}") }
}

fn list(handles: &BTreeSet<Handle>) -> String {
    handles.iter().map(Handle::to_string).collect::<Vec<_>>().join(" and ")
}

fn blocks(step: &Step, ceremony: &Ceremony) -> Vec<Block> {
    let plan = &ceremony.plan;
    let own = |text: &str| Text::own(text);
    let state = step.holder().and_then(|holder| ceremony.holders.get(holder));
    let named = |handle: &Handle| Text::foreign(plan.name_of(handle)).and(format!(" ({handle})"));
    match step {
        Step::Roll => {
            let row = |handle: &Handle, role: &str| alloc::vec![named(handle), own(role)];
            let mut rows: Vec<_> = plan.holders.iter().map(|h| row(&h.handle, holder_seat(plan, h))).collect();
            rows.extend(plan.leaving.iter().map(|leaving| {
                let role = if leaving.signs {
                    "leaves, and signs with the old key"
                } else {
                    "leaves; the old key does not sign"
                };
                row(&leaving.handle, role)
            }));
            rows.push(row(&plan.seats.conductor, "conductor"));
            rows.push(row(&plan.seats.scribe, "scribe"));
            rows.extend(plan.seats.witnesses.iter().map(|w| row(w, "witness")));
            let mut blocks = alloc::vec![
                Block::Say(
                    Text::own("This ceremony is called \"")
                        .and_foreign(&plan.title)
                        .and(if plan.follows.is_some() {
                            "\". It continues the trust root \""
                        } else {
                            "\". It makes the trust root \""
                        })
                        .and_foreign(&plan.trust_root)
                        .and("\".")
                ),
                Block::Table { head: alloc::vec!["who".to_string(), "seat".to_string()], rows },
                Block::Facts(alloc::vec![
                    (
                        "must sign".to_string(),
                        format!("{} of {} holders", ceremony.threshold(), plan.holders.len()).into()
                    ),
                    ("expected day".to_string(), plan.day.day().into()),
                ]),
            ];
            blocks.extend(continues(ceremony));
            blocks.push(Block::Do(own(
                "The conductor calls each by name, and each answers aloud. Whoever is absent is left out.",
            )));
            if plan.rehearsal {
                blocks.insert(0, Block::Risk(own("REHEARSAL. Nothing made here is ever to be trusted.")));
            }
            blocks
        }
        Step::Clock => alloc::vec![Block::Do(own(
            "The conductor reads the time aloud, in UTC, from a clock that is not this computer: a wall clock, a phone, a radio. The scribe types it."
        )),],
        Step::Read => {
            let mut blocks = Vec::new();
            if plan.rehearsal {
                blocks.push(Block::Note(own("In a rehearsal the program's own digest is not part of the record.")));
            }
            // What is read aloud comes last, so that it stands right above the question.
            blocks.extend([
                Block::Do(own(
                    "The conductor reads the words aloud, row by row. The scribe types the words asked for.",
                )),
                Block::Say(own("The plan is frozen. Its digest is:")),
                Block::Digest { label: "plan.json, SHA-256".to_string(), digest: ceremony.plan_digest },
            ]);
            blocks
        }
        Step::Token(h) => {
            let planned = plan.holder(h).map(|holder| &holder.token);
            let kind = planned.map_or("token", |token| kind_name(token.kind));
            let serial = planned.and_then(|token| token.serial);
            let serial = serial.map_or("not known before; read it aloud".to_string(), |serial| serial.to_string());
            let mut facts = alloc::vec![
                ("holder".to_string(), named(h)),
                ("token".to_string(), kind.into()),
                ("serial".to_string(), Text::own(serial)),
            ];
            if let Some(planned) = planned.filter(|token| !token.kind.attests()) {
                let label = planned.label.as_deref().map_or(own("not known before"), Text::foreign);
                facts.push(("label".to_string(), label));
                facts.push(("module".to_string(), Text::foreign(planned.module.as_deref().unwrap_or_default())));
                return alloc::vec![
                    Block::Facts(facts),
                    Block::Risk(own(
                        "This token cannot attest its key. What its module says of it is a claim, and is shown as one.",
                    )),
                    Block::Do(own("Say which token it is. Its PIN was set before, with its own tools.")),
                ];
            }
            alloc::vec![
                Block::Facts(facts),
                Block::Do(own("Show the serial to the camera. Plug this token in, and no other.")),
            ]
        }
        Step::Provision(_) => alloc::vec![
            Block::Note(own(
                "The factory PIN, PUK and management key are replaced. The old ones are known to everybody."
            )),
            Block::Do(own(
                "Turn away from the camera. Choose a PIN of 6 to 8 letters, digits or signs, and type it twice."
            )),
        ],
        Step::Generate(h) if !attests(plan, h) => {
            let kind = plan.holder(h).map_or(plan.tokens.algorithm, |holder| plan.key_kind(&holder.token)).algorithm();
            let said = if is_existing(plan, h) {
                "I am taking a signing key that was made before. My module claims that it cannot leave the token."
            } else {
                "I am generating a signing key. My module claims that it is made on the token and cannot leave it."
            };
            let rules = format!("{kind}; private, sensitive, never extractable, signs only: as the module claims");
            let mut blocks = alloc::vec![
                Block::Say(own(said)),
                Block::Facts(alloc::vec![("holder".to_string(), named(h)), ("key".to_string(), rules.into()),]),
            ];
            blocks.extend(key_digest(state));
            blocks
        }
        Step::Generate(h) => {
            let mut blocks = alloc::vec![
                Block::Say(own("I am generating a signing key. It is made on the token and cannot leave it.")),
                Block::Facts(alloc::vec![
                    ("holder".to_string(), named(h)),
                    ("key".to_string(), own("ECDSA P-256, slot 9c, PIN always, touch always")),
                ]),
            ];
            blocks.extend(key_digest(state));
            blocks
        }
        Step::Hear(h) => {
            let mut blocks = alloc::vec![
                Block::Note(own(
                    "An attestation proves a token, not a person. Those who type say: I heard this person read this key.",
                )),
                Block::Do(
                    Text::own("Call ")
                        .and_foreign(plan.name_of(h))
                        .and(", and let the words be read to you. Type what you hear, and not what stands here."),
                ),
            ];
            blocks.extend(key_digest(state));
            blocks
        }
        Step::Vouch(h) => {
            let mut blocks = alloc::vec![
                Block::Note(own(
                    "An attestation proves a token, not a person. Those who type say: I heard this person read this key.",
                )),
                Block::Do(own("The holder reads the words aloud. Two others type the words they heard.")),
                Block::Say(Text::own("I am ").and_foreign(plan.name_of(h)).and(". The fingerprint of my key is:")),
            ];
            blocks.extend(key_digest(state));
            blocks
        }
        Step::Unvouched(_) => alloc::vec![Block::Risk(own(
            "Fewer than two other people vouched for this key. The exception ENROL-UNVOUCHED stands in the record.",
        ))],
        Step::Propose => alloc::vec![
            Block::Note(own("Root, targets, snapshot and timestamp are built from the plan and the keys, and linted.")),
            Block::Note(own(
                "A twin of them, with throw-away keys in place of the real ones, is signed to threshold. Two independent clients must accept it before any PIN is asked for.",
            )),
        ],
        Step::Review => review::blocks(ceremony),
        Step::Sign(h) | Step::SignOld(h) => {
            let mut facts = alloc::vec![
                ("holder".to_string(), named(h)),
                ("signs".to_string(), own("root and targets, with one PIN")),
            ];
            if let Step::SignOld(_) = step {
                facts.push(("with".to_string(), own("the key of the root before, which the new root no longer names")));
            }
            let mut blocks = alloc::vec![Block::Facts(facts)];
            if let Some(proposal) = &ceremony.proposal {
                let targets = proposal.targets_digest().to_string();
                blocks.push(Block::Facts(alloc::vec![("targets, payload digest".to_string(), targets.into())]));
                blocks.push(Block::Do(own(
                    "On another machine: `trustroot verify --proposal FILE`. Compare the words with those below, then type the ones asked for.",
                )));
                blocks
                    .push(Block::Digest { label: "root, payload digest".to_string(), digest: proposal.root_digest() });
            }
            blocks
        }
        Step::OneMachine => alloc::vec![Block::Risk(own(
            "Fewer than a quorum of holders read the digest from another machine. The exception REVIEW-ONE-MACHINE stands in the record.",
        ))],
        Step::Assemble => {
            let (root, targets) = versions(ceremony);
            let mut blocks = alloc::vec![Block::Note(
                format!(
                    "The signature files become {root}.root.json and {targets}.targets.json. The online key signs snapshot and timestamp."
                )
                .into()
            )];
            if [&plan.snapshot, &plan.timestamp].iter().any(|role| role.before.is_some()) {
                blocks.push(Block::Note(own(
                    "The online key before signs them once more beside the new one, for clients in the middle of their requests.",
                )));
            }
            blocks
        }
        Step::Verify if ceremony.before.is_some() => alloc::vec![Block::Note(own(
            "Our own client and an independent one start from every earlier root and refresh to the end.",
        ))],
        Step::Verify => alloc::vec![Block::Note(own(
            "Our own client and an independent one start from 1.root.json and refresh to the end.",
        ))],
        Step::Publish => {
            let mut blocks = alloc::vec![
                Block::Note(own("A quorum on a payload is a valid root for ever.")),
                Block::Do(own("The conductor reads the words aloud, and asks: any objections? Then it is published.")),
            ];
            if let Some(proposal) = &ceremony.proposal {
                blocks.push(Block::Say(own("The trust root is complete. Its payload digest is:")));
                blocks
                    .push(Block::Digest { label: "root, payload digest".to_string(), digest: proposal.root_digest() });
            }
            blocks
        }
        Step::ReadBack => {
            let mut blocks = Vec::new();
            if ceremony.exceptions.is_empty() {
                blocks.push(Block::Say(own("There was no exception.")));
            }
            for entry in &ceremony.exceptions {
                let of = exception_of(&entry.author, ceremony);
                let text = Text::own(format!("Exception {}{of}, {}, at {}: ", entry.number, entry.time, entry.step));
                let text = entry.check.iter().fold(text, |text, check| text.and_foreign(check).and(". "));
                blocks.push(Block::Say(text.and_foreign(&entry.what).and(" Remedy: ").and_foreign(&entry.remedy)));
            }
            blocks.push(Block::Do(own(
                "The scribe reads this aloud, and asks whether anything is missing. Only the scribe accepts.",
            )));
            blocks
        }
        Step::Close => alloc::vec![
            Block::Do(own("Put the tokens away. Stop the stream only after the digest was read a last time.")),
            Block::Note(own("Script, record page and README are rendered and bound by the last event.")),
        ],
    }
}

fn key_digest(state: Option<&crate::replay::HolderState>) -> Option<Block> {
    let key = state.and_then(|state| state.key.as_ref())?;
    Some(Block::Digest { label: "key fingerprint".to_string(), digest: key.fingerprint() })
}

/// The versions of root and targets that the ceremony makes.
fn versions(ceremony: &Ceremony) -> (u64, u64) {
    let before = ceremony.before.as_deref();
    let targets = before.and_then(|before| before.targets.as_ref()).map_or(0, |targets| targets.version());
    (before.map_or(0, |before| before.root.version()).saturating_add(1), targets.saturating_add(1))
}

/// What a holder is there for.
fn holder_seat(plan: &Plan, holder: &crate::plan::Holder) -> &'static str {
    match (plan.follows.is_some(), holder.key.is_some()) {
        (false, _) => "holder",
        (true, true) => "holder, keeps the key",
        (true, false) => "holder, with a new key",
    }
}

/// Why the trust root is continued, and who has to sign for that; nothing for a genesis.
fn continues(ceremony: &Ceremony) -> Vec<Block> {
    let Some(before) = &ceremony.before else { return Vec::new() };
    let mut facts = alloc::vec![
        ("follows".to_string(), Text::own(format!("root {}", before.root.version()))),
        ("kind".to_string(), ceremony.plan.kind.name().into()),
    ];
    facts.extend(ceremony.plan.reason.iter().map(|reason| ("reason".to_string(), Text::foreign(reason))));
    for standing in ceremony.standings() {
        let who = standing.signed.iter().chain(&standing.awaited).map(ToString::to_string).collect::<Vec<_>>();
        let what = format!("{} of {}: {}", standing.need, who.len(), who.join(", "));
        facts.push((format!("for {}", standing.of), what.into()));
    }
    alloc::vec![Block::Facts(facts)]
}

/// Whether the token that the plan gives this holder attests its key.
fn attests(plan: &Plan, holder: &Handle) -> bool {
    plan.holder(holder).is_none_or(|holder| holder.token.kind.attests())
}

/// Whether the plan names a key that was made before.
fn is_existing(plan: &Plan, holder: &Handle) -> bool {
    Origin::planned(plan, holder) == Origin::Existing
}

/// What a kind of token is called.
pub fn kind_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Yubikey => "YubiKey",
        TokenKind::Pkcs11 => "PKCS#11 token",
        TokenKind::Virtual => "virtual token (rehearsal)",
    }
}
