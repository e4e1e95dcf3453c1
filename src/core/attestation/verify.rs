//! Verification of YubiKey PIV attestations.
//!
//! Rules:
//! 1. The chain is: the slot's certificate, signed by the device's (f9), signed by intermediates, signed by a pinned
//!    anchor. Every link is checked: the issuer's name is the subject's name byte for byte, the signature verifies, the
//!    issuer may issue, the path length holds.
//! 2. Nothing is judged that the chain does not vouch for: while the chain is broken, that is the finding, and the facts
//!    stay unknown.
//! 3. Each other failure is a finding of its own; all of them are reported, not the first.
//! 4. Lenient by name, as a note, only where the vendor's certificates are odd: a device certificate without key usage
//!    or without basic constraints, an RSA signature algorithm without NULL.
//! 5. Dates are not held against a clock: the device copies them from f9 into what it attests (2016 to 2052, or without
//!    end), so they say nothing about when. A certificate that outlives its issuer is noted.
//! 6. A slot's certificate is never taken for a device's: a key in a slot can sign anything, also certificates.

use super::advisory::{AdvisoryName, advisories};
use super::anchor::{Anchor, AnchorKind, Anchors};
use super::certificate::{Authority, Certificate, name_text, only_common_name};
use super::policy::{FormFactor, PinPolicy, TouchPolicy};
use crate::check::{Check, Finding, Level};
use crate::key::PublicKey;
use crate::page::Text;
use crate::text::escape;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use der::Decode as _;
use der::asn1::ObjectIdentifier;

const OID_FIRMWARE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.3");
const OID_SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.7");
pub(super) const OID_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.8");
const OID_FORM_FACTOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.9");
const OID_FIPS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.10");
const OID_CSPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.11");

/// How many intermediates there may be in a chain; the vendor has two tiers.
const MAX_INTERMEDIATES: usize = 3;
/// How many of the intermediates handed in are looked at, so that nobody makes a verification long.
const MAX_OFFERED: usize = 16;
/// What every attested slot's name begins with.
const SLOT_SUBJECT: &str = "YubiKey PIV Attestation ";
/// What the vendor calls the intermediates that issue the device certificates of PIV, and of nothing else.
const PIV_INTERMEDIATE: &str = "Yubico PIV Attestation ";
/// What the rehearsal calls its own.
const REHEARSAL_INTERMEDIATE: &str = "TRUSTROOT REHEARSAL PIV Attestation ";

/// What an attestation has to say.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The key that is published.
    pub key: &'a PublicKey,
    /// The serial number of the token.
    pub serial: u32,
    /// The slot, such as `9c`.
    pub slot: &'a str,
    /// The least firmware, from the plan.
    pub minimum_firmware: (u8, u8, u8),
    /// Whether this is a rehearsal: then the rehearsal's anchor counts, and vendors' anchors do too, since real tokens
    /// may take part in one. Otherwise only vendors' count.
    pub rehearsal: bool,
    /// The advisories that the plan waives by name.
    pub waived: &'a [AdvisoryName],
}

/// What an attestation says, once its chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The attested key.
    pub key: PublicKey,
    /// The slot, such as `9c`; escaped.
    pub slot: String,
    /// The serial number.
    pub serial: u32,
    /// `major, minor, patch`.
    pub firmware: (u8, u8, u8),
    /// When the PIN is asked for.
    pub pin: PinPolicy,
    /// When a touch is asked for.
    pub touch: TouchPolicy,
    /// The shape of the token; some firmware does not say.
    pub form_factor: Option<FormFactor>,
    /// Whether the vendor marks the token as certified to FIPS 140.
    pub fips: bool,
    /// Whether the vendor marks the token as certified by the French CSPN.
    pub cspn: bool,
    /// The subjects from the anchor down to the slot, escaped.
    pub chain: Vec<String>,
    /// The anchor.
    pub anchor: Anchor,
    /// The certificates between the anchor and the device's, DER, from the anchor down.
    pub intermediates: Vec<Vec<u8>>,
}

/// An attestation as it was found to be.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What it says; nothing where its chain does not hold or it cannot be read.
    pub facts: Option<Facts>,
    /// What is to be said about it.
    pub findings: Vec<Finding>,
}

/// An attestation that says what was expected. Only [`verify`] and [`Examined::attested`] make one.
#[derive(Clone, Debug)]
pub struct Attested {
    facts: Facts,
    notes: Vec<Finding>,
}

impl Attested {
    /// What it says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Findings that do not refuse: the leniencies used.
    pub fn notes(&self) -> &[Finding] {
        &self.notes
    }
}

impl Examined {
    /// The attestation, if nothing refuses it.
    ///
    /// # Errors
    /// All findings, if one of them refuses.
    pub fn attested(self) -> Result<Attested, Vec<Finding>> {
        match self.facts {
            Some(facts) if !self.findings.iter().any(|finding| finding.level == Level::Refused) => {
                Ok(Attested { facts, notes: self.findings })
            }
            _ => Err(self.findings),
        }
    }
}

/// Verifies the attestation `slot` of a key by the device certificate `device`, both in DER. `offered` are certificates
/// that may stand between the device and an anchor, besides the pinned ones.
///
/// # Errors
/// Every finding, if one refuses: `ATT-FORM`, `ATT-CHAIN`, `ATT-REHEARSAL`, `ATT-BOUND`, `ATT-SERIAL`, `ATT-SLOT`,
/// `ATT-POLICY`, `ATT-FIRMWARE`, `ATT-ADVISORY`.
pub fn verify(
    slot: &[u8],
    device: &[u8],
    offered: &[&[u8]],
    expected: &Expected<'_>,
    anchors: &Anchors,
) -> Result<Attested, Vec<Finding>> {
    examine(slot, device, offered, expected, anchors).attested()
}

/// As [`verify`], keeping the facts also of an attestation that is refused.
pub fn examine(slot: &[u8], device: &[u8], offered: &[&[u8]], expected: &Expected<'_>, anchors: &Anchors) -> Examined {
    let mut report = Report { subject: format!("token {}", expected.serial), findings: Vec::new() };
    let facts = facts(slot, device, offered, anchors, &mut report);
    if let Some(facts) = &facts {
        compare(facts, expected, &mut report);
    }
    // The facts stand on an anchor of the wrong kind: they are not facts.
    let facts = facts.filter(|facts| is_of_kind(facts.anchor.kind, expected.rehearsal));
    Examined { facts, findings: report.findings }
}

/// What an attestation says, once its chain holds, with nothing to hold it against; `subject` is whom findings name. Which
/// kind of anchor it stands on is in the facts.
pub fn read(slot: &[u8], device: &[u8], offered: &[&[u8]], subject: &str, anchors: &Anchors) -> Examined {
    let mut report = Report { subject: subject.to_string(), findings: Vec::new() };
    let facts = facts(slot, device, offered, anchors, &mut report);
    Examined { facts, findings: report.findings }
}

/// Findings about one token.
struct Report {
    subject: String,
    findings: Vec<Finding>,
}

impl Report {
    fn refuse(&mut self, check: Check, what: impl Into<Text>) -> &mut Finding {
        self.findings.push(Finding::new(Level::Refused, check, self.subject.clone(), what));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn warn(&mut self, check: Check, what: impl Into<Text>) {
        self.findings.push(Finding::new(Level::Warning, check, self.subject.clone(), what));
    }

    fn note(&mut self, what: impl Into<Text>) {
        self.findings.push(Finding::new(Level::Note, Check::AttChain, self.subject.clone(), what));
    }
}

fn is_of_kind(kind: AnchorKind, rehearsal: bool) -> bool {
    rehearsal || kind == AnchorKind::Vendor
}

/// What the attestation says, if its chain holds.
fn facts(slot: &[u8], device: &[u8], offered: &[&[u8]], anchors: &Anchors, report: &mut Report) -> Option<Facts> {
    let mut read = |der, what: &str| {
        Certificate::parse(der)
            .map_err(|error| {
                report.refuse(Check::AttForm, format!("{what} cannot be read: {error}"));
            })
            .ok()
    };
    let (slot, device) = (read(slot, "the slot's certificate"), read(device, "the device's certificate"));
    let (slot, device) = (slot?, device?);
    let path = match chain(&slot, &device, offered, anchors, report) {
        Ok(path) => path,
        Err(what) => {
            report.refuse(Check::AttChain, what);
            return None;
        }
    };
    let said = Said::read(&slot).map_err(|what| {
        report.refuse(Check::AttForm, what);
    });
    let said = said.ok()?;
    let marked = |id| [&slot, &device].iter().any(|certificate| certificate.extension(id).is_some());
    let names = path.above.iter().rev().map(|link| link.subject).chain([device.subject, slot.subject]);
    Some(Facts {
        key: said.key,
        slot: said.slot,
        serial: said.serial,
        firmware: said.firmware,
        pin: said.pin,
        touch: said.touch,
        form_factor: said.form_factor,
        fips: marked(&OID_FIPS),
        cspn: marked(&OID_CSPN),
        chain: [escape(&path.anchor.name)].into_iter().chain(names.map(|name| escape(&name_text(name)))).collect(),
        anchor: path.anchor.clone(),
        intermediates: path.above.iter().rev().map(|link| link.der.to_vec()).collect(),
    })
}

/// What leads from the device to an anchor.
struct Path<'a> {
    /// Intermediates, from the device's issuer upwards.
    above: Vec<Certificate<'a>>,
    anchor: &'a Anchor,
}

/// Checks every link.
fn chain<'a>(
    slot: &Certificate<'_>,
    device: &Certificate<'_>,
    offered: &[&'a [u8]],
    anchors: &'a Anchors,
    report: &mut Report,
) -> Result<Path<'a>, Text> {
    // The device signed the slot's certificate.
    if slot.issuer != device.subject {
        return Err(Text::own("the slot's certificate was issued by \"")
            .and_foreign(name_text(slot.issuer))
            .and("\", not by the device certificate \"")
            .and_foreign(name_text(device.subject))
            .and("\""));
    }
    if !slot.is_signed_by(device.spki) {
        return Err("the signature of the slot's certificate is not the device's".into());
    }
    if matches!(slot.authority(), Ok(Authority::Yes(_)) | Err(_)) || slot.has_unknown_critical() {
        return Err("the slot's certificate claims powers that an attestation never has".into());
    }

    // The device certificate is one.
    if device.extension(&OID_POLICY).is_some() {
        return Err("what was given as the device's certificate is the attestation of a slot; \
                    a key in a slot can sign anything"
            .into());
    }
    check_authority(device, 0).map_err(Text::own)?;
    if device.authority() == Ok(Authority::Unsaid) {
        report.note("the device's certificate has no basic constraints; accepted by name");
    }
    if device.may_sign_certificates() == Ok(None) {
        report.note("the device's certificate has no key usage; accepted by name");
    }

    // The device was signed by an intermediate or an anchor, and so on up.
    let path = climb(device, offered, anchors)?;
    if let Some(first) = path.above.first()
        && !only_common_name(first.subject).is_some_and(|name| match path.anchor.kind {
            AnchorKind::Vendor => name.starts_with(PIV_INTERMEDIATE),
            AnchorKind::Rehearsal => name.starts_with(REHEARSAL_INTERMEDIATE),
        })
    {
        return Err(Text::own("the device's certificate was issued by \"")
            .and_foreign(name_text(first.subject))
            .and("\", which does not issue those of PIV"));
    }
    let links = [slot, device].into_iter().chain(&path.above);
    if links.clone().any(|link| link.without_null) {
        report.note("a signature algorithm in the chain omits NULL; accepted by name");
    }
    let issuers = [device].into_iter().chain(&path.above).map(|link| link.validity).chain([path.anchor.validity]);
    if links.zip(issuers).any(|(link, issuer)| link.validity.0 < issuer.0 || link.validity.1 > issuer.1) {
        report.note("a certificate in the chain is valid outside its issuer's time; dates of attestations say nothing");
    }
    Ok(path)
}

/// Checks that `issuer` may issue, with `below` authorities between it and the slot's certificate.
fn check_authority(issuer: &Certificate<'_>, below: usize) -> Result<(), String> {
    let name = || escape(&name_text(issuer.subject));
    if issuer.has_unknown_critical() {
        return Err(format!("\"{}\" has a critical extension that is not understood", name()));
    }
    if issuer.may_sign_certificates().map_err(|error| error.to_string())? == Some(false) {
        return Err(format!("the key usage of \"{}\" does not allow it to issue certificates", name()));
    }
    match issuer.authority().map_err(|error| error.to_string())? {
        Authority::Yes(limit) if limit.is_some_and(|limit| below > usize::from(limit)) => {
            Err(format!("the path length of \"{}\" is exceeded", name()))
        }
        Authority::Yes(_) => Ok(()),
        // Some firmware writes no basic constraints into f9. Only directly above a slot, never further up.
        Authority::Unsaid if below == 0 => Ok(()),
        Authority::Unsaid | Authority::No => Err(format!("\"{}\" is no certification authority", name())),
    }
}

/// Goes up from the device to an anchor. Each step takes the first issuer whose name and signature fit, pinned ones
/// before offered ones, so the work is bounded by the number of certificates times the length of a chain.
fn climb<'a>(device: &Certificate<'_>, offered: &[&'a [u8]], anchors: &'a Anchors) -> Result<Path<'a>, Text> {
    let pinned = anchors.intermediates.iter().map(Vec::as_slice);
    let known: Vec<Certificate<'a>> = pinned
        .chain(offered.iter().copied().take(MAX_OFFERED))
        .filter_map(|der| Certificate::parse(der).ok())
        .collect();
    let mut above: Vec<Certificate<'a>> = Vec::new();
    loop {
        let top = above.last().unwrap_or(device);
        let anchor =
            anchors.anchors.iter().find(|anchor| anchor.subject == top.issuer && top.is_signed_by(&anchor.spki));
        // Authorities below the next issuer: the device and every intermediate so far.
        let below = above.len() + 1;
        if let Some(anchor) = anchor {
            if anchor.path_length.is_some_and(|limit| below > usize::from(limit)) {
                return Err(Text::own(format!("the path length of \"{}\" is exceeded", escape(&anchor.name))));
            }
            return Ok(Path { above, anchor });
        }
        let issuer = known.iter().find(|issuer| issuer.subject == top.issuer && top.is_signed_by(issuer.spki));
        let Some(issuer) = issuer.filter(|_| above.len() < MAX_INTERMEDIATES) else {
            return Err(Text::own("no pinned anchor is above \"")
                .and_foreign(name_text(top.subject))
                .and("\", whose certificate was issued by \"")
                .and_foreign(name_text(top.issuer))
                .and("\""));
        };
        check_authority(issuer, below).map_err(Text::own)?;
        above.push(issuer.clone());
    }
}

/// The statements in a slot's certificate.
struct Said {
    key: PublicKey,
    slot: String,
    serial: u32,
    firmware: (u8, u8, u8),
    pin: PinPolicy,
    touch: TouchPolicy,
    form_factor: Option<FormFactor>,
}

impl Said {
    fn read(slot: &Certificate<'_>) -> Result<Self, String> {
        let name = only_common_name(slot.subject).and_then(|name| name.strip_prefix(SLOT_SUBJECT));
        let name = name.ok_or_else(|| {
            format!("the slot's certificate is for \"{}\", not for a PIV slot", escape(&name_text(slot.subject)))
        })?;
        let key =
            PublicKey::from_spki_der(slot.spki).map_err(|error| format!("the attested key is unusable: {error}"))?;
        let firmware = slot.extension(&OID_FIRMWARE).ok_or("the attestation does not say which firmware")?;
        let &[major, minor, patch] = firmware else {
            return Err("the attested firmware is not three bytes".to_string());
        };
        let serial = slot.extension(&OID_SERIAL).ok_or("the attestation does not say which serial number")?;
        let serial = u32::from_der(serial).map_err(|_| "the attested serial number is not a number of 32 bits")?;
        let policy = slot.extension(&OID_POLICY).ok_or("the attestation does not say which PIN and touch policy")?;
        let &[pin, touch] = policy else { return Err("the attested policies are not two bytes".to_string()) };
        let form_factor = match slot.extension(&OID_FORM_FACTOR) {
            None => None,
            Some(&[byte]) => Some(FormFactor(byte)),
            Some(_) => return Err("the attested form factor is not one byte".to_string()),
        };
        Ok(Self {
            key,
            slot: escape(name),
            serial,
            firmware: (major, minor, patch),
            pin: PinPolicy::from_byte(pin),
            touch: TouchPolicy::from_byte(touch),
            form_factor,
        })
    }
}

/// Holds what the attestation says against what was expected.
fn compare(facts: &Facts, expected: &Expected<'_>, report: &mut Report) {
    if !is_of_kind(facts.anchor.kind, expected.rehearsal) {
        let what = "this attestation is a rehearsal's: anybody can make one, and it proves nothing";
        report.refuse(Check::AttRehearsal, what).hint =
            Some("generate the key on a real token; a rehearsal is verified only with --rehearsal".to_string());
    }
    if facts.key != *expected.key {
        let what = format!(
            "the attested key is {}, the published key is {}",
            facts.key.fingerprint(),
            expected.key.fingerprint()
        );
        report.refuse(Check::AttBound, what).hint =
            Some("the attestation belongs to another key; attest the key in the token again".to_string());
    }
    if facts.serial != expected.serial {
        let what = format!("the attestation is of token {}, not of token {}", facts.serial, expected.serial);
        report.refuse(Check::AttSerial, what).hint = Some("compare with the number printed on the token".to_string());
    }
    if facts.slot != expected.slot {
        let what = format!("the attested slot is {}, the signing slot is {}", facts.slot, expected.slot);
        report.refuse(Check::AttSlot, what).hint = Some(format!("attest slot {}", expected.slot));
    }
    if (facts.pin, facts.touch) != (PinPolicy::Always, TouchPolicy::Always) {
        let what = format!("PIN {}, touch {}; both must be always", facts.pin, facts.touch);
        report.refuse(Check::AttPolicy, what).hint =
            Some("policies are fixed when a key is generated: generate another key in an empty token".to_string());
    }
    let dotted = |(major, minor, patch): (u8, u8, u8)| format!("{major}.{minor}.{patch}");
    if facts.firmware < expected.minimum_firmware {
        let what = format!(
            "the firmware is {}, the least the plan allows is {}",
            dotted(facts.firmware),
            dotted(expected.minimum_firmware)
        );
        report.refuse(Check::AttFirmware, what).hint =
            Some("firmware cannot be updated: bring a newer token".to_string());
    }
    for advisory in advisories(facts.firmware, facts.key.algorithm()) {
        let what =
            format!("firmware {}: {} ({}): {}", dotted(facts.firmware), advisory.name, advisory.id, advisory.what);
        if expected.waived.contains(&advisory.name) {
            report.warn(Check::AttAdvisory, format!("{what}; waived by name"));
            continue;
        }
        report.refuse(Check::AttAdvisory, what).hint =
            Some("firmware cannot be updated: bring a newer token, or waive this by name and in public".to_string());
    }
}

#[cfg(test)]
mod tests;
