//! Knobs of a profile for NVIDIA devices, and their judgement. Every knob is stated; there is no default.

use super::layout::{DISABLED, ENABLED, Facts, FieldId, Kind};
use super::matching::{matched, wanted};
use super::rim::Firmware;
use super::verify::Asked;
use crate::authentic::Check;
use crate::bytes::SpkiDigest;
use crate::controls::holds;
use crate::x509::ocsp::Status;

/// Which manifests there must be. Those there are must be authentic and match under every profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rims {
    /// Those that came along; none leaves open what the device runs, in words.
    Given,
    /// Driver and VBIOS for a GPU, BIOS for a switch.
    Complete,
}

/// Which certificates must have a revocation status. A bad status refuses under every profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocations {
    /// Those about which a response came along; the others are left open, in words.
    Given,
    /// Every certificate between a root and a device's leaf, and every manifest's signer.
    Complete,
}

/// Which devices are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// Any genuine one; diversion to another device is then not excluded, and results say so.
    AnyGenuine,
    /// Those whose boot ROM has one of these keys.
    Only(Vec<SpkiDigest>),
}

/// What a device must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Devices.
    pub devices: Devices,
    /// Products taken, in the spelling of the leaf certificate; none leaves it open, in words.
    pub products: Option<Vec<String>>,
    /// Manifests.
    pub rims: Rims,
    /// Revocation.
    pub revocation: Revocations,
    /// Certificates on hold taken.
    pub hold: bool,
    /// Reports taken though nobody says which nonce was asked for.
    pub unasked: bool,
    /// GPUs whose report states no firmware id taken.
    pub without_fwid: bool,
    /// Opaque fields taken that nobody has published.
    pub unknown_fields: bool,
    /// Reports taken whose count of measurements contradicts the values.
    pub uncounted: bool,
    /// Protected PCIe mode on or off; none leaves it open, in words.
    pub protected_pcie: Option<bool>,
}

impl Knobs {
    /// The profile `forensic-2026-11`: what evidence says; manifests and statuses that came along must hold. It admits nothing.
    #[must_use]
    pub const fn forensic() -> Self {
        Self {
            devices: Devices::AnyGenuine,
            products: None,
            rims: Rims::Given,
            revocation: Revocations::Given,
            hold: false,
            unasked: true,
            without_fwid: true,
            unknown_fields: true,
            uncounted: true,
            protected_pcie: None,
        }
    }

    /// The profile `nvidia-2026-11`: products with captured evidence, both manifests, every status, and nothing
    /// in the report that is not understood.
    #[must_use]
    pub fn production_2026_11() -> Self {
        Self {
            devices: Devices::AnyGenuine,
            products: Some(["GH100", "GB100", "LS_10"].map(str::to_owned).to_vec()),
            rims: Rims::Complete,
            revocation: Revocations::Complete,
            hold: false,
            unasked: false,
            without_fwid: false,
            unknown_fields: false,
            uncounted: false,
            protected_pcie: None,
        }
    }

    /// Every knob in words, a line each: what a profile's digest covers and what people are shown.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let taken = |b: bool| if b { "taken" } else { "refused" };
        let products =
            self.products.as_ref().map_or("unconstrained".to_owned(), |p| p.join(" or "));
        let rims = match self.rims {
            Rims::Given => {
                "those given must be authentic and match; none leaves the firmware unconstrained"
            }
            Rims::Complete => "driver and VBIOS of a GPU, BIOS of a switch: authentic and matching",
        };
        let revocation = match self.revocation {
            Revocations::Given => "those given must be good; the others are unconstrained",
            Revocations::Complete => {
                "every certificate above a device's leaf and every signer of a RIM is good"
            }
        };
        let mode = match self.protected_pcie {
            None => "unconstrained",
            Some(true) => "on",
            Some(false) => "off",
        };
        let devices = match &self.devices {
            Devices::AnyGenuine => "any genuine".to_owned(),
            Devices::Only(list) => {
                list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
            }
        };
        vec![
            format!("devices: {devices}"),
            format!("products: {products}"),
            format!("RIMs: {rims}"),
            format!("revocation statuses: {revocation}"),
            format!("certificates on hold: {}", taken(self.hold)),
            format!("reports whose nonce nobody asked for: {}", taken(self.unasked)),
            format!("GPUs without FWID: {}", taken(self.without_fwid)),
            format!("opaque fields nobody has published: {}", taken(self.unknown_fields)),
            format!("values that MSRSCNT contradicts: {}", taken(self.uncounted)),
            format!("protected PCIe: {mode}"),
        ]
    }
}

/// Judges what an authentic report says; every knob gives a check.
#[must_use]
pub fn appraise(facts: &Facts, knobs: &Knobs) -> Vec<Check> {
    let mut checks = vec![device(facts, knobs), product(facts, knobs)];
    let rims = matched(facts);
    checks.extend(rims.checks);
    checks.extend([complete(facts, knobs, &rims.covered), revoked(facts, knobs)]);
    checks.extend(on_hold(facts, knobs));
    checks.extend([
        asked(facts, knobs),
        fwid(facts, knobs),
        fields(facts, knobs),
        counts(facts, knobs),
        pcie(facts, knobs),
    ]);
    checks
}

fn check(name: &'static str, good: bool, detail: String) -> Check {
    if holds(name, good) { Check::passed(name, detail) } else { Check::failed(name, detail) }
}

fn device(facts: &Facts, knobs: &Knobs) -> Check {
    let id = facts.identity;
    match &knobs.devices {
        Devices::AnyGenuine => {
            let open = "any genuine device is taken: diversion to another one is not excluded";
            Check::passed("device", format!("boot ROM {id}; {open}"))
        }
        Devices::Only(list) => check("device", list.contains(&id), format!("boot ROM {id}")),
    }
}

fn product(facts: &Facts, knobs: &Knobs) -> Check {
    let named = facts.device.as_ref().map_or("unnamed", |d| &d.product);
    match &knobs.products {
        None => Check::passed("product", format!("{named}; any product is taken")),
        Some(list) => check("product", list.iter().any(|p| p == named), named.to_owned()),
    }
}

/// The manifests there must be.
fn complete(facts: &Facts, knobs: &Knobs, covered: &[Firmware]) -> Check {
    let needed: &[Firmware] = match facts.kind() {
        Kind::Gpu => &[Firmware::Driver, Firmware::Vbios],
        Kind::Switch => &[Firmware::Vbios],
    };
    let missing = needed.iter().filter(|f| !covered.contains(f)).collect::<Vec<_>>();
    if missing.is_empty() {
        return Check::passed("rims", "there is a manifest for all firmware");
    }
    let names = missing.iter().map(|f| f.as_str()).collect::<Vec<_>>().join(" and ");
    let fetch = missing.iter().map(|f| wanted(facts, **f)).collect::<Vec<_>>().join(" and ");
    let detail = format!(
        "no manifest for {names}: what runs there was not compared; pass with --rim {fetch}"
    );
    match knobs.rims {
        Rims::Given => Check::skipped("rims", detail),
        Rims::Complete => check("rims", false, detail),
    }
}

/// Every status but hold.
fn revoked(facts: &Facts, knobs: &Knobs) -> Check {
    let known = &facts.revocation;
    let (mut bad, mut open) = (Vec::new(), Vec::new());
    bad.extend(known.unreadable.iter().map(ToString::to_string));
    for c in &known.certificates {
        match &c.status {
            Err(e) => bad.push(e.to_string()),
            Ok(Some(status @ (Status::Revoked { .. } | Status::Unknown))) => {
                bad.push(format!("{} is {status}; do not use this device", c.subject));
            }
            Ok(Some(Status::Good | Status::Hold { .. })) => {}
            Ok(None) => open.push(c.subject.as_str()),
        }
    }
    if !holds("revocation", bad.is_empty()) {
        return Check::failed("revocation", bad.join("; "));
    }
    if open.is_empty() {
        return Check::passed(
            "revocation",
            format!("{} certificates asked about", known.certificates.len()),
        );
    }
    let detail = format!(
        "no status of {}; ask NVIDIA's OCSP responder and pass its answers with --ocsp",
        open.join(", ")
    );
    match knobs.revocation {
        Revocations::Given => Check::skipped("revocation", detail),
        Revocations::Complete => check("revocation", false, detail),
    }
}

/// A certificate on hold may become good again: its own result, and its own knob.
fn on_hold(facts: &Facts, knobs: &Knobs) -> Option<Check> {
    let held = facts.revocation.certificates.iter().filter_map(|c| match c.status {
        Ok(Some(status @ Status::Hold { .. })) => Some(format!("{} is {status}", c.subject)),
        _ => None,
    });
    let held = held.collect::<Vec<_>>();
    (!held.is_empty()).then(|| check("certificate_hold", knobs.hold, held.join("; ")))
}

fn asked(facts: &Facts, knobs: &Knobs) -> Check {
    match facts.asked {
        Asked::Nonce(_) => Check::passed("nonce_asked", "the report answers a stated nonce"),
        Asked::Unstated => check(
            "nonce_asked",
            knobs.unasked,
            "the report may be of any age; state the nonce that was asked for".to_owned(),
        ),
    }
}

fn fwid(facts: &Facts, knobs: &Knobs) -> Check {
    match (facts.report.opaque.get(FieldId::FWID), facts.kind()) {
        (Some(_), _) => Check::passed("fwid_stated", "the report states its firmware id"),
        (None, Kind::Switch) => Check::not_applicable("fwid_stated", "switches state none"),
        (None, Kind::Gpu) => check(
            "fwid_stated",
            knobs.without_fwid,
            "the report states no firmware id; drivers from 550 on do, update".to_owned(),
        ),
    }
}

fn fields(facts: &Facts, knobs: &Knobs) -> Check {
    let unknown = facts.report.opaque.fields.iter().filter(|f| !f.id.is_known());
    let unknown = unknown.map(|f| f.id.to_string()).collect::<Vec<_>>();
    let version = facts.report.opaque.version();
    let understood = unknown.is_empty() && version.is_some_and(|v| v <= 2);
    let version = version.map_or("of no form known".to_owned(), |v| v.to_string());
    check(
        "opaque_fields",
        knobs.unknown_fields || understood,
        match unknown.is_empty() {
            true => format!("version {version}, every field is known"),
            false => format!("version {version}, nobody has published {}", unknown.join(", ")),
        },
    )
}

/// What was measured was counted, and what was counted was measured.
fn counts(facts: &Facts, knobs: &Knobs) -> Check {
    let counts = facts.report.opaque.counts();
    let odd = counts.iter().flatten().zip(0_u16..).filter(|(count, index)| {
        let measured = facts.report.measured(*index);
        measured.is_some_and(|m| m.value.iter().any(|b| *b != 0)) != (**count > 0)
    });
    let odd = odd.map(|(_, index)| index.to_string()).collect::<Vec<_>>();
    let detail = match &counts {
        None => "the report has no counts".to_owned(),
        Some(c) if odd.is_empty() => format!("{} indexes counted, as measured", c.len()),
        Some(_) => format!("counts and values contradict each other at {}", odd.join(", ")),
    };
    check("msrscnt", knobs.uncounted || (counts.is_some() && odd.is_empty()), detail)
}

fn pcie(facts: &Facts, knobs: &Knobs) -> Check {
    let status = facts.report.opaque.byte(FieldId::PROTECTED_PCIE_STATUS);
    let seen = match status {
        Some(ENABLED) => "on",
        Some(DISABLED) => "off",
        Some(_) => "of no value known",
        None => "not stated",
    };
    match knobs.protected_pcie {
        None => Check::passed("protected_pcie", format!("{seen}; either is taken")),
        Some(on) => {
            let wanted = if on { ENABLED } else { DISABLED };
            check("protected_pcie", status == Some(wanted), seen.to_owned())
        }
    }
}
