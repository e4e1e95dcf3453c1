//! An attestation as a report: what it says, whether it holds, and the `openssl` lines that look again without us.

use serde_json::{Value, json};
use trustroot_core::attestation::anchor::{Anchors, certificate_from_pem};
use trustroot_core::attestation::verify::{Examined, Expected, Facts, examine, read};
use trustroot_core::attestation::{ADVISORIES, AdvisoryName, AnchorKind};
use trustroot_core::check::{Check, Finding, Level};
use trustroot_core::key::PublicKey;

use crate::ui::report;

/// What an attestation is held against. What is missing is not checked, and the report says so.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) key: Option<PublicKey>,
    pub(super) serial: Option<u32>,
    pub(super) slot: String,
    pub(super) minimum_firmware: (u8, u8, u8),
    pub(super) rehearsal: bool,
    /// Whether published weaknesses are reported and do not refuse.
    pub(super) report_only: bool,
}

/// One attestation, verified.
pub(super) struct Verdict {
    /// What it is called: a file or a folder, escaped.
    pub(super) name: String,
    pub(super) facts: Option<Facts>,
    pub(super) findings: Vec<Finding>,
    not_checked: Vec<&'static str>,
}

/// Every certificate in a PEM file, DER; text around them is ignored.
pub(super) fn certificates(text: &str) -> Vec<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    blocks.filter_map(|(body, _)| certificate_from_pem(&format!("{BEGIN}{body}{END}\n"))).collect()
}

/// Verifies the attestation `slot`. Among `others` are the device's certificate and what may stand above it, in any order.
pub(super) fn verdict(name: &str, slot: &[u8], others: &[Vec<u8>], wanted: &Wanted) -> Verdict {
    let anchors = Anchors::pinned();
    let above = |device: usize| -> Vec<&[u8]> {
        others.iter().enumerate().filter(|(i, _)| *i != device).map(|(_, der)| der.as_slice()).collect()
    };
    // The device's certificate is the one with which the chain holds; if none does, the first is to blame.
    let holds = |device: &usize| read(slot, &others[*device], &above(*device), name, &anchors).facts.is_some();
    let device = (0..others.len()).find(holds).unwrap_or(0);
    let Some(certificate) = others.get(device) else {
        let finding = Finding::new(Level::Refused, Check::AttForm, name, "there is no certificate of the device (f9)");
        let findings = vec![finding.hint("give it with --intermediate")];
        return Verdict { name: name.to_owned(), facts: None, findings, not_checked: Vec::new() };
    };
    let offered = above(device);
    let said = read(slot, certificate, &offered, name, &anchors);
    let mut not_checked = Vec::new();
    let Some(facts) = &said.facts else {
        return Verdict { name: name.to_owned(), facts: None, findings: said.findings, not_checked };
    };
    if wanted.key.is_none() {
        not_checked.push("whether the attested key is the published one: no public key was given");
    }
    if wanted.serial.is_none() {
        not_checked.push("whether it is the token that was meant: no serial was given");
    }
    not_checked.push("who holds the token, and when the key was made: an attestation does not say");
    let all: Vec<AdvisoryName> = ADVISORIES.iter().map(|advisory| advisory.name).collect();
    let expected = Expected {
        key: wanted.key.as_ref().unwrap_or(&facts.key),
        serial: wanted.serial.unwrap_or(facts.serial),
        slot: &wanted.slot,
        minimum_firmware: wanted.minimum_firmware,
        rehearsal: wanted.rehearsal,
        waived: if wanted.report_only { &all } else { &[] },
    };
    let Examined { facts, mut findings } = examine(slot, certificate, &offered, &expected, &anchors);
    for finding in &mut findings {
        finding.subject = name.to_owned();
    }
    Verdict { name: name.to_owned(), facts, findings, not_checked }
}

impl Verdict {
    /// Whether nothing refuses it.
    pub(super) fn holds(&self) -> bool {
        self.facts.is_some() && !self.findings.iter().any(|finding| finding.level == Level::Refused)
    }

    /// What people read.
    pub(super) fn text(&self) -> String {
        let rehearsal = self.facts.as_ref().is_some_and(|facts| facts.anchor.kind == AnchorKind::Rehearsal);
        let headline = match (self.holds(), rehearsal) {
            (false, _) => "REFUSED",
            (true, true) => "REHEARSAL, proves nothing: ATTESTED",
            (true, false) => "ATTESTED",
        };
        let mut out = format!("{}: {headline}\n", self.name);
        if let Some(facts) = &self.facts {
            for (what, value) in lines(facts) {
                out.push_str(&format!("  {what:<12} {value}\n"));
            }
        }
        for finding in &self.findings {
            let level = report::level(finding.level);
            out.push_str(&format!("  {level}: {}: {}\n", finding.check, finding.what.line()));
            if let Some(hint) = &finding.hint {
                out.push_str(&format!("    hint: {hint}\n"));
            }
        }
        for what in &self.not_checked {
            out.push_str(&format!("  not checked: {what}\n"));
        }
        out
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let facts = self.facts.as_ref().map(|facts| {
            let (major, minor, patch) = facts.firmware;
            json!({
                "serial": facts.serial,
                "slot": facts.slot,
                "firmware": format!("{major}.{minor}.{patch}"),
                "pin-policy": facts.pin.to_string(),
                "touch-policy": facts.touch.to_string(),
                "form-factor": facts.form_factor.map(|form| form.to_string()),
                "fips": facts.fips,
                "cspn": facts.cspn,
                "fingerprint": facts.key.fingerprint().to_string(),
                "public-key": facts.key.to_pem(),
                "chain": facts.chain,
                "anchor": facts.anchor.certificate.to_string(),
                "rehearsal": facts.anchor.kind == AnchorKind::Rehearsal,
            })
        });
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "check": finding.check.name(),
                    "level": report::level(finding.level),
                    "what": finding.what.line(),
                    "hint": finding.hint,
                })
            })
            .collect();
        json!({
            "name": self.name,
            "attested": self.holds(),
            "facts": facts,
            "findings": findings,
            "not-checked": self.not_checked,
        })
    }
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let (major, minor, patch) = facts.firmware;
    let marks: Vec<&str> =
        [(facts.fips, "FIPS"), (facts.cspn, "CSPN")].into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    let mut lines = vec![
        ("serial", facts.serial.to_string()),
        ("firmware", format!("{major}.{minor}.{patch}")),
        ("slot", facts.slot.clone()),
        ("policies", format!("PIN {}, touch {}", facts.pin, facts.touch)),
        ("key", facts.key.fingerprint().to_string()),
    ];
    if let Some(form) = facts.form_factor {
        lines.push(("form", form.to_string()));
    }
    if !marks.is_empty() {
        lines.push(("certified", format!("{} (the vendor's mark)", marks.join(", "))));
    }
    lines.push(("chain", facts.chain.join(" > ")));
    lines
}

/// The lines that look again without us. They name the files as they were given.
pub(super) fn openssl(attestation: &str, intermediates: &[String], key: Option<&str>, rehearsal: bool) -> Vec<String> {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut lines = Vec::new();
    if let Some(key) = key {
        lines.push("# the attested key is the published key".to_owned());
        lines.push(format!(
            "test \"$(openssl x509 -in {} -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum)\" = \
             \"$(openssl pkey -pubin -in {} -outform DER | sha256sum)\"",
            quote(attestation),
            quote(key)
        ));
    }
    let flag = if rehearsal { " --rehearsal" } else { "" };
    lines.push(format!(
        "# the chain; ANCHORS is a file with the certificates of https://developers.yubico.com/PKI/yubico-ca-certs.txt \
         and of yubico-intermediate.pem there, or what `trustroot token anchors{flag}` prints"
    ));
    let untrusted: String = intermediates.iter().map(|file| format!(" -untrusted {}", quote(file))).collect();
    lines.push(format!("openssl verify -no_check_time -CAfile ANCHORS{untrusted} {}", quote(attestation)));
    lines.push("# serial (3.7), firmware (3.3), PIN and touch policy (3.8), form factor (3.9)".to_owned());
    lines.push(format!("openssl x509 -in {} -noout -text -certopt ext_dump", quote(attestation)));
    lines
}
