//! A report against manifests: does each belong to this report, do they contradict each other, and is every value they
//! name the one that was measured?

use std::collections::BTreeMap;

use super::layout::{DISABLED, Facts, FieldId, Kind};
use super::rim::{Firmware, MinSvn, Rim};
use crate::authentic::{Check, Outcome};
use crate::controls::holds;

/// The video decoder's index: NVIDIA compares it only where the decoder is fused on.
const NVDEC0_INDEX: u16 = 35;
/// Type of a security version in opaque data with a header.
const MIN_SVN_TYPE: u16 = 0x87;

/// What came of the comparison.
pub(super) struct Matched {
    /// Every check made.
    pub(super) checks: Vec<Check>,
    /// Firmware with an authentic manifest that belongs to this report.
    pub(super) covered: Vec<Firmware>,
}

/// Compares everything.
pub(super) fn matched(facts: &Facts) -> Matched {
    let mut out = Matched { checks: Vec::new(), covered: Vec::new() };
    let mut claimed = BTreeMap::new();
    for judged in &facts.rims {
        match judged {
            Err(refusal) => out.checks.push(Check::failed("rim", refusal.to_string())),
            Ok(rim) => one(facts, rim, &mut claimed, &mut out),
        }
    }
    out
}

fn one(facts: &Facts, rim: &Rim, claimed: &mut BTreeMap<u16, Firmware>, out: &mut Matched) {
    let firmware = rim.firmware();
    let what = format!("RIM for {} {} of {}", firmware.as_str(), rim.version, rim.product);
    out.checks.push(Check::passed("rim", format!("{what}, signed by {}", rim.signer)));
    let checks = [product(facts, rim, &what), version(facts, rim, &what)];
    let belongs = checks.iter().all(|c| c.outcome == Outcome::Passed);
    out.checks.extend(checks);
    if !belongs {
        return;
    }
    let again = out.covered.contains(&firmware);
    let both = rim.active.keys().filter(|i| claimed.contains_key(i)).collect::<Vec<_>>();
    if !holds("rim_conflict", !again && both.is_empty()) {
        let why = "pass one manifest of each kind, both of this report's time";
        let detail =
            format!("another manifest claims the same firmware or indexes {both:?}; {why}");
        out.checks.push(Check::failed("rim_conflict", detail));
        return;
    }
    claimed.extend(rim.active.keys().map(|i| (*i, firmware)));
    out.covered.push(firmware);
    out.checks.push(measurements(facts, rim, &what));
    if !rim.min_svns.is_empty() {
        out.checks.push(security_versions(facts, &rim.min_svns, &what));
    }
}

fn product(facts: &Facts, rim: &Rim, what: &str) -> Check {
    let edition = match facts.kind() {
        Kind::Gpu => "GPU",
        Kind::Switch => "SWITCH",
    };
    let fits = rim.edition == edition && facts.chip() == Some(&rim.product);
    let chip = facts.chip().unwrap_or("unnamed");
    let detail = format!("{what}, edition {}; the device is {edition} {chip}", rim.edition);
    if holds("rim_product", fits) {
        Check::passed("rim_product", detail)
    } else {
        Check::failed("rim_product", format!("{detail}; fetch {}", wanted(facts, rim.firmware())))
    }
}

fn version(facts: &Facts, rim: &Rim, what: &str) -> Check {
    let opaque = &facts.report.opaque;
    let stated = match rim.firmware() {
        Firmware::Driver => opaque.text(FieldId::DRIVER_VERSION).map(str::to_owned),
        Firmware::Vbios => opaque.vbios(),
    };
    let fits = stated.as_ref().is_some_and(|s| s.eq_ignore_ascii_case(&rim.version));
    let stated = stated.unwrap_or_else(|| "none".to_owned());
    let detail = format!("{what}; the report states {stated}");
    if holds("rim_version", fits) {
        Check::passed("rim_version", detail)
    } else {
        Check::failed("rim_version", format!("{detail}; fetch {}", wanted(facts, rim.firmware())))
    }
}

/// What to fetch for that firmware.
pub(super) fn wanted(facts: &Facts, firmware: Firmware) -> String {
    let ids = facts.rim_ids();
    let id = ids.iter().find(|(f, _)| *f == firmware).map(|(_, id)| id.as_str());
    format!("{} from NVIDIA's RIM service", id.unwrap_or("the manifest of this device"))
}

/// Every active index must have been measured, with one of the values given for it.
fn measurements(facts: &Facts, rim: &Rim, what: &str) -> Check {
    let decoder_off = facts.report.opaque.byte(FieldId::NVDEC0_STATUS) == Some(DISABLED);
    let (mut compared, mut differing) = (0_usize, Vec::new());
    let mut notes = String::new();
    for (index, values) in &rim.active {
        if *index == NVDEC0_INDEX && decoder_off && facts.kind() == Kind::Gpu {
            notes.push_str("; index 35 not compared, NVDEC0 is off");
            continue;
        }
        compared = compared.saturating_add(1);
        let measured = facts.report.measured(*index);
        if !measured.is_some_and(|m| values.iter().any(|v| v[..] == m.value)) {
            let got = measured.map_or_else(|| "nothing".to_owned(), |m| hex::encode(&m.value));
            differing.push(format!("index {index} measured {got}"));
        }
    }
    if holds("measurements", differing.is_empty() && compared > 0) {
        Check::passed("measurements", format!("{what}: {compared} values as measured{notes}"))
    } else {
        let list = differing.join(", ");
        let detail = format!(
            "{what}: {} of {compared} differ: {list}; the firmware is not the one NVIDIA made, or the manifest is another issue than the one of its time: fetch {}",
            differing.len(),
            wanted(facts, rim.firmware())
        );
        Check::failed("measurements", detail)
    }
}

/// Every least security version must be reached by a field of that type.
fn security_versions(facts: &Facts, wanted: &[MinSvn], what: &str) -> Check {
    let opaque = &facts.report.opaque;
    let reached = |m: &&MinSvn| {
        let field = opaque.fields.iter().find(|f| f.id == m.field);
        let typed = field.is_some_and(|f| f.value_type == Some(MIN_SVN_TYPE));
        typed && opaque.u16(m.field).is_some_and(|v| u64::from(v) >= m.least)
    };
    let short = wanted.iter().filter(|m| !reached(m)).collect::<Vec<_>>();
    if holds("security_versions", short.is_empty()) {
        Check::passed("security_versions", format!("{what}: {} reached", wanted.len()))
    } else {
        let list = short.iter().map(|m| format!("{} below {}", m.name, m.least));
        let list = list.collect::<Vec<_>>().join(", ");
        Check::failed("security_versions", format!("{what}: {list}; update the firmware"))
    }
}
