//! What holders wrote elsewhere and the conductor has not taken in yet, for `trustroot status`.

use std::path::Path;

use serde_json::json;
use trustroot_core::check::Finding;
use trustroot_core::event::{Event, StepId};
use trustroot_core::text::Handle;

use super::failure::Failure;
use super::plan::finding_json;
use crate::ledger::GitLedger;
use crate::seams::{Ledger as _, LedgerError, Offered};
use crate::ui::report;

/// A holder's branch that has something new.
pub(super) struct Branch {
    handle: Handle,
    /// Where it was found.
    from: Vec<String>,
    /// The steps that it adds.
    steps: Vec<String>,
    /// Why nothing of it is taken.
    refused: Vec<Finding>,
}

/// The branches of the ceremony in `dir` that have something new; with `look` everybody is asked first.
pub(super) fn arrived(path: &Path, dir: &str, look: bool) -> Result<Vec<Branch>, Failure> {
    let mut ledger = match GitLedger::open(path) {
        Ok(ledger) => ledger,
        // Whoever works there shows it; a bare or foreign repository has no seat.
        Err(LedgerError::Busy(why)) => {
            report::people(&format!("note: what arrived is not looked at: {why}"));
            return Ok(Vec::new());
        }
        Err(_) if !look => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let Some(remote) = ledger.remote() else { return Ok(Vec::new()) };
    let found = if look { remote.look(dir)? } else { remote.arrived(dir)? };
    for (source, error) in &found.failed {
        report::people(&format!("Nothing was fetched from {source}: {error}\nhint: {}", error.hint()));
    }
    if !found.findings.is_empty() {
        report::people(&report::findings(&found.findings));
    }
    Ok(found.offers.into_iter().filter_map(branch).collect())
}

/// What the branch adds, or why nothing of it is taken; nothing if all of it was taken before.
fn branch(offered: Offered) -> Option<Branch> {
    let Offered { from, offer, judged } = offered;
    let (steps, refused) = match judged {
        Ok(addition) if addition.is_empty() => return None,
        Ok(addition) => {
            let events = addition.files().iter().filter(|(path, _)| path.contains("/log/"));
            let mut events: Vec<Event> = events.filter_map(|(_, bytes)| Event::from_bytes(bytes).ok()).collect();
            events.sort_by_key(|event| event.n);
            let mut steps: Vec<String> = events.iter().map(|event| event.step.to_string()).collect();
            steps.dedup();
            (steps, Vec::new())
        }
        Err(findings) => (Vec::new(), findings),
    };
    Some(Branch { handle: offer.handle, from, steps, refused })
}

impl Branch {
    /// Whether it holds this step, and nothing of it is refused.
    pub(super) fn adds(&self, step: &StepId) -> bool {
        self.refused.is_empty() && self.steps.iter().any(|one| one == step.as_str())
    }

    pub(super) fn text(&self) -> String {
        let (handle, from) = (self.handle.as_str(), self.from.join(", "));
        if self.refused.is_empty() {
            return format!("  {handle:<12} {}  at {from}", self.steps.join(", "));
        }
        format!("  {handle:<12} REFUSED, at {from}\n{}", report::findings(&self.refused))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "handle": self.handle.as_str(),
            "from": self.from,
            "steps": self.steps,
            "refused": self.refused.iter().map(finding_json).collect::<Vec<_>>(),
        })
    }
}
