//! The pages of a record, rendered: what is bound by the event that closes it, and what `verify` renders again.

use super::html::{Mode, Purpose, document};
use super::{Block, Text, readme, script};
use crate::metadata::Metadata;
use crate::metadata::root::Root;
use crate::plan::Plan;
use crate::predecessor::Predecessor;
use crate::record::Record;
use crate::replay::Ceremony;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The files that close the record of `ceremony`, by path: script, record page, README of the record and of `root/`.
/// `program` is the version that renders them.
pub fn pages(ceremony: &Ceremony, record: &Record, program: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = &ceremony.dir;
    let mut pages = BTreeMap::from([
        (format!("{dir}/script.html"), script_html(record, ceremony.before.as_ref()).into_bytes()),
        (format!("{dir}/record.html"), record_html(ceremony, program).into_bytes()),
        (format!("{dir}/README.md"), readme::of_record(ceremony).into_bytes()),
    ]);
    if let Some(proposal) = &ceremony.proposal {
        // What was proposed passed the strict reader before anybody signed it.
        if let Ok(root) = Metadata::<Root>::of_payload("the root", &proposal.root) {
            let readme = readme::of_root(ceremony, root.version(), proposal.root_digest(), root.expires());
            pages.insert("root/README.md".to_string(), readme.into_bytes());
        }
    }
    pages
}

/// The printed script of a record's plan, over the root that it continues.
pub fn script_html(record: &Record, before: Option<&Arc<Predecessor>>) -> String {
    let plan = &record.plan;
    let mode = Mode {
        purpose: Purpose::Script,
        rehearsal: plan.rehearsal,
        digest: Some(("plan".to_string(), record.plan_digest)),
    };
    let pages = script::script(record, before);
    let minutes: u32 = pages.iter().map(|page| page.minutes).sum();
    let mut intro = intro(plan);
    intro.push(Block::Note(Text::own(format!(
        "All steps together take about {minutes} minutes; plan breaks between acts."
    ))));
    document(&Text::foreign(&plan.title), &intro, &pages, &mode)
}

fn record_html(ceremony: &Ceremony, program: &str) -> String {
    let plan = &ceremony.plan;
    let digest = match &ceremony.proposal {
        Some(proposal) => ("root".to_string(), proposal.root_digest()),
        None => ("plan".to_string(), ceremony.plan_digest),
    };
    let mode = Mode { purpose: Purpose::Record, rehearsal: plan.rehearsal, digest: Some(digest) };
    let mut intro = intro(plan);
    intro.push(Block::Note(Text::own("Rendered from plan and events by ").and_foreign(program).and(".")));
    document(&Text::foreign(&plan.title), &intro, &script::account(ceremony), &mode)
}

fn intro(plan: &Plan) -> Vec<Block> {
    let seat = |handle: &crate::text::Handle| Text::foreign(plan.name_of(handle)).and(format!(" ({handle})"));
    alloc::vec![Block::Facts(alloc::vec![
        ("trust root".to_string(), Text::foreign(&plan.trust_root)),
        ("expected day".to_string(), plan.day.day().into()),
        ("conductor".to_string(), seat(&plan.seats.conductor)),
        ("scribe".to_string(), seat(&plan.seats.scribe)),
        ("must sign".to_string(), format!("{} of {}", plan.root.threshold, plan.holders.len()).into()),
    ])]
}
