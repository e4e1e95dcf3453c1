//! Ceremonies that continue a root, at one machine: what they change, what they refuse, what is said of them and of the years
//! ahead. `tests/six_years.rs` has the life of a whole community.

#[path = "support/stage.rs"]
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use stage::{Stage, handle, instead, interject, line, one, several};
use trustroot::conduct::{Ending, Halt};
use trustroot::ledger::{GitLedger, Identity};
use trustroot::seams::{Commit, Ledger as _, Pin, SlotState, Tokens as _, Wanted};
use trustroot::token::VirtualTokens;
use trustroot_core::check::{Check, Level};
use trustroot_core::foresight::{Foresight, foresee, remind};
use trustroot_core::json::Value;
use trustroot_core::lint::lint_alone;
use trustroot_core::metadata::build::new_key_id;
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::root::Root;
use trustroot_core::metadata::timestamp::Timestamp;
use trustroot_core::metadata::{Metadata, Role};
use trustroot_core::page::{plain, review};
use trustroot_core::payload::Payload;
use trustroot_core::plan::carry::{Becomes, Carry};
use trustroot_core::plan::lint::lint;
use trustroot_core::plan::lint_follows::against;
use trustroot_core::plan::{Kind, Plan};
use trustroot_core::predecessor::Predecessor;
use trustroot_core::proposal::RECORD;
use trustroot_core::replay::Next;
use trustroot_core::review::Review;
use trustroot_core::sigfile::{SignatureFile, SignedRole, collect};
use trustroot_core::signature::{Portable, Signed};
use trustroot_core::text::Handle;
use trustroot_core::time::Timestamp as Day;
use trustroot_core::tree::{Entry, Tree};
use trustroot_core::verify::report::Report;
use trustroot_core::verify::trust_root::{History, Options, Past, verify_trust_root};
use zeroize::Zeroizing;

/// A genesis of `threshold` of `holders`, held.
fn begun(holders: usize, threshold: u32) -> Stage {
    let stage = Stage::new(holders, threshold);
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    stage
}

fn becoming(handles: &[&str], becomes: Becomes) -> BTreeMap<Handle, Becomes> {
    handles.iter().map(|text| (handle(text), becomes)).collect()
}

/// Continues, holds the ceremony to its end, and verifies everything. Each ceremony is linted against the root before, and
/// its own conductor lets two clients start from every earlier root.
fn hold_next(stage: &mut Stage, name: &str, day: &str, change: impl FnOnce(&mut Carry<'_>)) {
    let toml = stage.carried(name, day, change);
    hold_plan(stage, &toml, &[]);
}

fn hold_plan(stage: &mut Stage, toml: &str, deviations: &[trustroot::ui::rehearsed::Deviation]) {
    let plan = Plan::from_toml(toml).unwrap();
    let before = Predecessor::newest(&stage.tree()).unwrap();
    let findings = [lint(&plan, None), against(&plan, &before)].concat();
    assert!(findings.iter().all(|finding| finding.level < Level::Refused), "{findings:?}");
    stage.follow(toml);
    assert_eq!(stage.hold(deviations).ending(), Ending::Closed);
    let report = stage.report();
    assert!(report.accepted(), "{:#?}", report.findings);
    assert_eq!(newest(stage).root.version(), before.root.version() + 1);
}

fn newest(stage: &Stage) -> Predecessor {
    Predecessor::newest(&stage.tree()).unwrap()
}

#[test]
fn the_reason_is_signed_and_every_signature_is_filed_where_old_clients_look() {
    let mut stage = begun(3, 2);
    let old = newest(&stage);
    hold_next(&mut stage, "rotation", "2026-06-01", |plan| {
        (plan.kind, plan.reason) = (Kind::Rotate, "Bob hands over.");
        plan.changes = becoming(&["bob"], Becomes::Leaves);
        plan.add = 1;
    });
    let new = newest(&stage);
    let text = String::from_utf8(new.root.payload().bytes().to_vec()).unwrap();
    assert!(text.contains("\"kind\":\"rotate\",\"reason\":\"Bob hands over.\""), "{text}");
    let filed: BTreeSet<&str> = new.root.signatures().iter().map(|signature| signature.keyid.as_str()).collect();
    let wanted = old.root.body().role(Role::Root).keyids.iter();
    assert_eq!(filed.len(), 4, "three new keys, and the one that left");
    assert!(wanted.clone().all(|id| filed.contains(id.as_str())));
    let targets = new.targets.unwrap();
    let filed: BTreeSet<&str> = targets.signatures().iter().map(|signature| signature.keyid.as_str()).collect();
    assert!(wanted.clone().all(|id| filed.contains(id.as_str())), "old clients accept the new targets as well");
}

#[test]
fn without_the_old_quorum_nothing_is_assembled() {
    let mut stage = begun(3, 2);
    let toml = stage.carried("rotation", "2026-06-01", |plan| {
        (plan.kind, plan.reason, plan.add) = (Kind::Rotate, "Two hand over.", 2);
        plan.changes = becoming(&["alice", "bob"], Becomes::Leaves);
    });
    stage.follow(&toml);
    // Enough for the new root (carol, dave, erin), and too few for the one before (carol alone).
    let gone = |who: &str| {
        let step = format!("sign.{who}.sign-old");
        [
            instead(&step, "consent", interject()),
            instead(&step, "trouble", one("leave")),
            instead(&step, "leave-reason", line("The old token does not answer.")),
        ]
    };
    let stuck =
        [gone("alice").to_vec(), gone("bob").to_vec(), vec![instead("sign.bob.sign-old", "stuck", one("pause"))]];
    let outcome = stage.hold(&stuck.concat());
    assert!(matches!(outcome.halt(), Halt::Audience(_)), "{:?}", outcome.ended);
    let ceremony = stage.ceremony();
    assert_eq!(ceremony.next(), Next::Stuck { of: "the root before", left: 1, threshold: 2 });
    assert!(!ceremony.has_quorum() && ceremony.missing() == 1 && !ceremony.assembled);
    assert!(!stage.tree().contains_key("root/2.root.json"));
}

/// What the lint says of the plan `toml` against the root here.
fn found(stage: &Stage, toml: &str) -> Vec<(Level, Check, String)> {
    let plan = Plan::from_toml(toml).unwrap();
    let findings = [lint(&plan, None), against(&plan, &newest(stage))].concat();
    let serious = findings.into_iter().filter(|finding| finding.level > Level::Note);
    serious.map(|finding| (finding.level, finding.check, finding.subject)).collect()
}

#[test]
fn a_plan_is_for_one_root_and_names_each_of_its_keys() {
    let mut stage = begun(3, 2);
    let renewal = stage.carried("renewal", "2026-06-01", |_| ());
    assert_eq!(found(&stage, &renewal), []);
    let follows = |subject: &str| (Level::Refused, Check::PlanFollows, subject.to_owned());
    // A key that is forgotten, one that was never there, and one that is named for another holder.
    let key = |who: &str| {
        let at = renewal.find(&format!("handle = \"{who}\"")).unwrap();
        let key = at + renewal[at..].find("key = \"").unwrap() + "key = \"".len();
        renewal[key..key + 64].to_owned()
    };
    let rotation = renewal.replace("kind = \"renew\" ", "kind = \"rotate\" ");
    assert_eq!(found(&stage, &rotation), []);
    let forgotten = rotation.replace(&format!("key = \"{}\"\n", key("alice")), "");
    assert!(found(&stage, &forgotten).contains(&follows("holders")));
    assert!(found(&stage, &rotation.replace(&key("alice"), &"0".repeat(64))).contains(&follows("alice")));
    let swapped = rotation.replace(&key("alice"), "SWAPPED").replace(&key("bob"), &key("alice"));
    let swapped = found(&stage, &swapped.replace("SWAPPED", &key("bob")));
    let warned = |who: &str| (Level::Warning, Check::PlanFollows, who.to_owned());
    assert_eq!(swapped, [warned("alice"), warned("bob")]);
    // Another key than the one the role has.
    let online = newest(&stage).keys(Role::Timestamp).first().unwrap().fingerprint();
    let other = rotation.replace(&online.to_string(), &"1".repeat(64));
    assert_eq!(found(&stage, &other), [follows("snapshot"), follows("timestamp")]);
    // A renewal changes no threshold and expires later.
    let lower = renewal.replacen("threshold = 2", "threshold = 3", 1);
    assert!(found(&stage, &lower).contains(&follows("root")));
    // Held, it is no plan for the next root.
    hold_plan(&mut stage, &renewal, &[]);
    assert_eq!(found(&stage, &renewal), [follows("follows")]);
}

#[test]
fn whether_the_old_threshold_can_be_met_is_known_beforehand() {
    let stage = begun(3, 2);
    let with = |leaves: &[&str], becomes| {
        let toml = stage.carried("rotation", "2026-06-01", |plan| {
            (plan.kind, plan.reason, plan.add) = (Kind::Recover, "Lost.", 2);
            plan.changes = becoming(leaves, becomes);
        });
        let found = against(&Plan::from_toml(&toml).unwrap(), &newest(&stage));
        found.into_iter().find(|finding| finding.check == Check::PlanQuorumOld).unwrap()
    };
    let fine = with(&["alice"], Becomes::Leaves);
    assert_eq!((fine.level, fine.what.line().contains("1 may be absent")), (Level::Note, true), "{fine}");
    let tight = with(&["alice"], Becomes::Gone);
    assert_eq!((tight.level, tight.what.line().contains("bob, carol")), (Level::Warning, true), "{tight}");
    let impossible = with(&["alice", "bob"], Becomes::Gone);
    assert_eq!(impossible.level, Level::Refused, "{impossible}");
    assert!(impossible.hint.is_some());
}

#[test]
fn an_abandoned_root_stays_in_sight_and_must_be_admitted() {
    let mut stage = begun(3, 2);
    let toml = stage.carried("renewal", "2026-06-01", |_| ());
    stage.follow(&toml);
    let stopped =
        [instead("sign.bob.sign", "consent", interject()), instead("sign.bob.sign", "trouble", one("abandon"))];
    assert_eq!(stage.hold(&stopped).ending(), Ending::Aborted);
    let abandoned = stage.report();
    let rival = |report: &Report| {
        let of = report.findings.iter().filter(|finding| finding.check == Check::RivalPossible);
        of.map(|finding| (finding.level, finding.what.line())).collect::<Vec<_>>()
    };
    let found = rival(&abandoned);
    assert_eq!(found.len(), 1);
    assert!(found[0].0 == Level::Warning && found[0].1.ends_with("1 more make it valid"), "{found:?}");

    let toml = stage.carried("renewal-again", "2026-06-02", |plan| plan.last = None);
    assert!(toml.contains("token = { kind = \"virtual\", serial = 90000001 }"), "the root knows the tokens\n{toml}");
    let toml = stage.carried("renewal-again", "2026-06-02", |_| ());
    hold_plan(&mut stage, &toml, &[]);
    assert_eq!(rival(&stage.report()).iter().map(|(level, _)| *level).collect::<Vec<_>>(), [Level::Warning]);
}

/// What makes an abandoned payload dangerous: one more signature, given after the next root was published, in the record or on a
/// file that is put into history.
#[test]
fn an_old_payload_that_is_completed_after_the_new_root_is_a_rival() {
    let mut stage = begun(3, 2);
    stage.follow(&stage.carried("renewal", "2026-06-01", |_| ()));
    let stopped =
        [instead("sign.bob.sign", "consent", interject()), instead("sign.bob.sign", "trouble", one("abandon"))];
    assert_eq!(stage.hold(&stopped).ending(), Ending::Aborted);
    let (dir, plan, proposal) = (stage.dir(), stage.plan.clone(), stage.ceremony().proposal.unwrap());
    let toml = stage.carried("renewal-again", "2026-06-02", |_| ());
    hold_plan(&mut stage, &toml, &[]);
    assert!(stage.report().accepted());

    // Bob is talked into it afterwards.
    let payload = Payload::from_canonical(&proposal.root).unwrap();
    let (old, _) = Review::of(proposal.root.clone(), proposal.targets).consent(Review::WORD, payload.digest()).unwrap();
    let state = stage.ledger().state_dir().join("tokens");
    let mut tokens = VirtualTokens::new(stage.seed, &state, &plan, Vec::new()).unwrap();
    let bob = plan.holder(&handle("bob")).unwrap();
    let (kind, serial, slot) = (bob.token.kind, bob.token.serial, bob.token.slot());
    let mut token = tokens.open(&Wanted { holder: bob.handle.clone(), kind, serial, slot, pkcs11: None }).unwrap();
    let SlotState::Occupied(key) = token.inspect().unwrap() else { panic!("the token has its key") };
    let signature = token.sign_root(&old, &Pin::new(Zeroizing::new(stage::PIN.to_owned()))).unwrap();
    let signed = Signed::check(&key, &payload, &signature, &Portable).unwrap();
    let file = SignatureFile::new(SignedRole::Root, &signed, &signature);

    let refusals = |tree: &Tree, past: &[Past]| {
        let options = Options {
            now: stage.ceremony().events.last().unwrap().event.time,
            rehearsal: true,
            strict: true,
            anchor: None,
            program: Some("trustroot 0.0.0"),
            history: History::Whole(past),
            differences: &[],
        };
        let report = verify_trust_root(tree, &options, &Portable);
        let refused = report.findings.iter().filter(|finding| finding.level == Level::Refused);
        refused.map(|finding| (finding.check, finding.what.line())).collect::<Vec<_>>()
    };
    let clean = stage.tree();
    assert_eq!(refusals(&clean, &[]), []);
    // In the record of the abandoned ceremony.
    let mut tree = clean.clone();
    tree.insert(format!("{dir}/{}", file.path()), Entry::File(file.to_canonical()));
    let rival = refusals(&tree, &[]).into_iter().find(|(check, _)| *check == Check::RootRival);
    assert!(rival.as_ref().is_some_and(|(_, what)| what.starts_with("2 holders signed another root 2")), "{rival:?}");
    // As a file that some reference of git holds: it is as valid as the one in root/.
    let keys = stage.ceremony().signing_keys().into_iter().cloned().collect::<Vec<_>>();
    let keys: Vec<_> = keys.iter().collect();
    let all = collect(&tree, &dir, SignedRole::Root, &payload, &keys, &Portable).valid;
    let signatures = all.into_iter().map(|(key, signature)| (new_key_id(&key).unwrap(), signature));
    let bytes = assemble(&payload, signatures.collect::<Vec<_>>());
    let past = Past { path: "root/2.root.json".to_owned(), commit: "c".repeat(40), behind: false, bytes };
    let rival = refusals(&clean, &[past]).into_iter().find(|(check, _)| *check == Check::RootRival);
    assert!(rival.as_ref().is_some_and(|(_, what)| what.starts_with("another validly signed root 2")), "{rival:?}");
}

#[test]
fn a_holder_sees_on_another_machine_what_changes() {
    let mut stage = begun(3, 2);
    hold_next(&mut stage, "renewal", "2026-06-01", |_| ());
    let (tree, proposal) = (stage.tree(), stage.ceremony().proposal.unwrap());
    let before = Predecessor::of_version(2, &tree).unwrap();
    let now = stage.start;
    assert_eq!(lint_alone(&proposal.root, Some(&before), now), []);
    let alone = lint_alone(&proposal.root, None, now);
    let found: Vec<_> = alone.iter().map(|finding| (finding.level, finding.check)).collect();
    assert_eq!(found, [(Level::Warning, Check::RootVersion)], "without a clone it is said that nothing was compared");
    // The wrong one is no predecessor.
    let wrong = Predecessor::newest(&tree).unwrap();
    assert!(lint_alone(&proposal.root, Some(&wrong), now).iter().any(|finding| finding.level == Level::Refused));
    let text = plain::blocks(&review::of_root(&proposal.root, None, Some(&before.root)), 80);
    assert!(text.contains("~ root expires") && !text.contains("root key"), "{text}");
}

#[test]
fn an_online_key_that_somebody_else_has_does_not_sign_again() {
    let mut stage = begun(3, 2);
    let stolen = newest(&stage).keys(Role::Timestamp).first().unwrap().fingerprint();
    let toml = stage.carried("recovery", "2026-06-01", |plan| {
        (plan.kind, plan.reason) = (Kind::Recover, "The server was broken into.");
        (plan.online, plan.overlap) = (Some(handle("online-two")), false);
    });
    let warned = |role: &str| (Level::Warning, Check::PlanFollows, role.to_owned());
    assert_eq!(found(&stage, &toml), [warned("snapshot"), warned("timestamp")]);
    hold_plan(&mut stage, &toml, &[]);
    let new = newest(&stage);
    assert!(new.keys(Role::Timestamp).iter().all(|key| key.fingerprint() != stolen));
    let timestamp = stage.tree()["root/timestamp.json"].bytes().unwrap().to_vec();
    let timestamp = Metadata::<Timestamp>::parse("timestamp", &timestamp).unwrap();
    assert_eq!((timestamp.version(), timestamp.signatures().len()), (2, 1));
}

#[test]
fn what_is_due_is_said_before_it_is_too_late() {
    let mut stage = Stage::changed(5, 3, |plan| {
        let plan = plan.replace("country = \"NL\"", "country = \"NL\"\nterm_ends = \"2027-03-01\"");
        plan.replace("\"5.7.0\"", "\"5.4.0\"")
            .replace("attestation = \"required\"", "attestation = \"required\"\nwaive = [\"EUCLEAK\"]")
    });
    stage.tokens = Some(|tokens| Box::new(tokens.with_firmware((5, 4, 3))));
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    let ahead = |stage: &Stage, now: &str| foresee(&stage.tree(), Day::from_day(now).unwrap(), &Portable);
    let due = |ahead: &Foresight| -> BTreeSet<(Check, Level)> {
        ahead.due.iter().filter(|f| f.level > Level::Note).map(|f| (f.check, f.level)).collect()
    };
    let weak = (Check::AttAdvisory, Level::Warning);
    let early = ahead(&stage, "2026-01-06");
    assert_eq!(due(&early), BTreeSet::from([weak]), "{:?}", early.due);
    let quorum = early.quorum.as_ref().unwrap();
    assert_eq!((quorum.losses(), quorum.silent.len()), (3, 0));
    assert!(early.calendar.iter().all(|sitting| sitting.who.len() <= 2));
    assert_eq!(early.calendar.iter().map(|sitting| sitting.who.len()).sum::<usize>(), 5);
    // The day before the root expires, and the day on which it does.
    let late = due(&ahead(&stage, "2027-01-04"));
    assert!(late.contains(&(Check::Expired, Level::Warning)) && late.contains(&(Check::PlanTerm, Level::Warning)));
    let roots = |now: &str| ahead(&stage, now).expiry.into_iter().find(|one| one.role == Role::Root).unwrap().expired;
    assert_eq!((roots("2027-01-04"), roots("2027-01-05")), (false, true));
    assert!(due(&ahead(&stage, "2027-03-02")).contains(&(Check::PlanTerm, Level::Refused)));
    let text = remind(&ahead(&stage, "2027-03-02"), "Ours <b>", true).unwrap();
    assert!(text.starts_with("# Due at the trust root of Ours &lt;b&gt;\n") && text.contains("- OVERDUE: "), "{text}");

    // Two who stayed away may have lost their keys, and nobody would know.
    stage.tokens = None;
    let toml = stage.carried("renewal", "2026-06-01", |_| ());
    stage.follow(&toml);
    let present = ["alice", "bob", "carol", "olga", "peter", "quinn"];
    assert_eq!(stage.hold(&[instead("open.roll", "present", several(&present))]).ending(), Ending::Closed);
    let after = ahead(&stage, "2026-06-02");
    assert_eq!(after.quorum.as_ref().unwrap().silent, ["dave", "erin"]);
    assert!(due(&after).contains(&(Check::PlanMargin, Level::Warning)), "{:?}", after.due);
}

#[test]
fn nothing_due_is_no_message() {
    let stage = begun(5, 3);
    let ahead = foresee(&stage.tree(), Day::from_day("2026-01-06").unwrap(), &Portable);
    assert_eq!((ahead.due.len(), remind(&ahead, "Ours", false)), (0, None));
}

/// The first root as a program without records would have left it, signed again by the same tokens.
fn without_its_record(stage: &Stage) -> Vec<u8> {
    let tree = stage.tree();
    let root = Metadata::<Root>::parse("1.root.json", tree["root/1.root.json"].bytes().unwrap()).unwrap();
    let Value::Obj(mut signed) = root.signed().clone() else { panic!("an object is signed") };
    signed.remove(RECORD).unwrap();
    let payload = Payload::of(&Value::Obj(signed));
    let targets = stage.ceremony().proposal.unwrap().targets;
    let (reviewed, _) = Review::of(payload.bytes().to_vec(), targets).consent(Review::WORD, payload.digest()).unwrap();

    let state = stage.ledger().state_dir().join("tokens");
    let mut tokens = VirtualTokens::new(stage.seed, &state, &stage.plan, Vec::new()).unwrap();
    let signatures: Vec<(String, Vec<u8>)> = stage
        .plan
        .holders
        .iter()
        .map(|holder| {
            let wanted = Wanted {
                holder: holder.handle.clone(),
                kind: holder.token.kind,
                serial: holder.token.serial,
                slot: holder.token.slot(),
                pkcs11: None,
            };
            let mut token = tokens.open(&wanted).unwrap();
            let SlotState::Occupied(key) = token.inspect().unwrap() else { panic!("the token has its key") };
            let pin = Pin::new(Zeroizing::new(stage::PIN.to_owned()));
            (new_key_id(&key).unwrap(), token.sign_root(&reviewed, &pin).unwrap())
        })
        .collect();
    assemble(&payload, signatures)
}

/// A repository whose root is `first`, with what else `old` published, and no word of how it came about; `old`'s tokens are
/// at hand.
fn published_only(old: &Stage, first: Vec<u8>) -> Stage {
    let mut stage = Stage::new(3, 2);
    stage.folder = stage::folder();
    let published = old.tree().into_iter().filter(|(path, _)| path.starts_with("root/") && path.ends_with(".json"));
    let mut files: BTreeMap<String, Vec<u8>> =
        published.map(|(path, entry)| (path, entry.bytes().unwrap().to_vec())).collect();
    files.insert("root/1.root.json".to_owned(), first);
    files.insert(".gitattributes".to_owned(), b"* -text\n".to_vec());
    let mut ledger = GitLedger::init(stage.folder.path(), Some(Identity::rehearsal())).unwrap();
    let time = stage.plan.day.plus_seconds(12 * 3600);
    ledger.append(&Commit { parent: None, files, message: "Import\n".to_owned(), time }).unwrap();
    let tokens = ledger.state_dir().join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    for file in std::fs::read_dir(old.ledger().state_dir().join("tokens")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), tokens.join(file.file_name())).unwrap();
    }
    stage
}

#[test]
fn a_root_that_others_made_is_continued_and_says_so() {
    let old = begun(3, 2);
    let mut stage = published_only(&old, without_its_record(&old));
    let toml = stage.carried("renewal", "2026-06-01", |_| ());
    hold_plan(&mut stage, &toml, &[]);
    let report = stage.report();
    assert!(
        report.accepted() && report.headline().contains("roots 1 to 1 were made elsewhere"),
        "{}",
        report.headline()
    );

    // It is no excuse for a record that was taken away: a later record that continues what a record made says otherwise.
    let mut held = begun(3, 2);
    hold_next(&mut held, "renewal", "2026-06-01", |_| ());
    let headline = held.report().headline();
    assert!(!headline.contains("elsewhere"), "{headline}");
}

#[test]
fn a_root_whose_record_was_taken_away_was_not_made_elsewhere() {
    let old = begun(3, 2);
    let first = old.tree()["root/1.root.json"].bytes().unwrap().to_vec();
    let mut stage = published_only(&old, first);
    let toml = stage.carried("renewal", "2026-06-01", |_| ());
    stage.follow(&toml);
    assert_eq!(stage.hold(&[]).ending(), Ending::Closed);
    let report = stage.report();
    let refused: Vec<_> = report.findings.iter().filter(|finding| finding.level == Level::Refused).collect();
    assert_eq!(refused.iter().map(|finding| finding.check).collect::<Vec<_>>(), [Check::RootRecord], "{refused:?}");
    assert_eq!(refused[0].subject, "root/1.root.json");
}
