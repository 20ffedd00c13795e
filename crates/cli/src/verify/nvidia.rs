//! NVIDIA: a report of a GPU or NVSwitch with its chain, manifests and revocation statuses; or a manifest alone.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use evidence::bytes::sha384;
use evidence::nvidia::{
    self, Asked, Evidence, Facts, FieldId, Knobs, NvidiaRefusal, PINNED_RIM_ROOTS, PINNED_ROOTS,
    Rim, Roots, appraise, verify_rim,
};
use evidence::{Authentic, Check, Nonce};
use serde_json::{Value, json};

use super::FORENSIC;
use super::input::Input;
use super::report::{Profile, Report};
use crate::output::Failure;

const TEE: &str = "nvidia";
const TITLE: &str = "NVIDIA device attestation report";
const RIM_TEE: &str = "nvidia-rim";
const RIM_TITLE: &str = "NVIDIA reference integrity manifest";
const PRODUCTION: &str = "nvidia-2026-11";
/// SPDM 1.1: GET_MEASUREMENTS, and MEASUREMENTS after its 37 bytes.
const REQUEST: [u8; 2] = [0x11, 0xe0];
const RESPONSE: [u8; 2] = [0x11, 0x60];

/// True if a file can only be a report.
pub(super) fn detect(bytes: &[u8]) -> bool {
    let response = bytes.get(nvidia::layout::REQUEST_LEN..).unwrap_or_default();
    bytes.starts_with(&REQUEST) && response.starts_with(&RESPONSE)
}

/// True if a file is a SWID tag.
pub(super) fn detect_rim(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    head.trim_start_matches('\u{feff}').trim_start().starts_with('<')
        && head.contains("SoftwareIdentity")
}

/// Verifies and appraises a report.
pub(super) fn judge(input: &Input) -> Result<Report> {
    let knobs = match input.profile.as_str() {
        FORENSIC => Knobs::forensic(),
        PRODUCTION => Knobs::production_2026_11(),
        other => bail!(Failure::Usage(format!(
            "no profile {other:?} states NVIDIA devices; there are: {FORENSIC}, {PRODUCTION}"
        ))),
    };
    let profile = Profile { id: input.profile.clone(), words: knobs.words() };
    let asked = match &input.nonce {
        None => Asked::Unstated,
        Some(bytes) => Asked::Nonce(Nonce::from_slice(bytes).ok_or_else(|| {
            Failure::Usage("--nonce: 32 bytes in hex, as a device takes them".to_owned())
        })?),
    };
    let (device, rim) = (input.trusted(&PINNED_ROOTS)?, input.trusted(&PINNED_RIM_ROOTS)?);
    let roots = Roots { device: &device, rim: &rim };
    Ok(match nvidia::verify(&evidence(input)?, &roots, asked, input.at) {
        Ok(verified) => report(profile, &verified, &knobs),
        Err(refusal) => {
            let missing = matches!(refusal, NvidiaRefusal::NoChain);
            Report::refused(TEE, TITLE, profile, &refusal, missing)
        }
    })
}

fn evidence(input: &Input) -> Result<Evidence> {
    let (mut certificates, mut rims) = (Vec::new(), Vec::new());
    if input.file().is_none() {
        if input.has("cert_chain.pem") {
            certificates = input.certificates("cert_chain.pem")?;
        }
        let named = input.member("rims").as_array().into_iter().flatten();
        for file in named.filter_map(|r| r.get("file")).filter_map(Value::as_str) {
            rims.push(input.read(file)?);
        }
    }
    certificates.extend(input.endorsements.iter().cloned());
    rims.extend(input.rims.iter().cloned());
    // The leaf comes first: anchors only complete a chain.
    if !certificates.is_empty() {
        certificates.extend(input.anchors()?);
    }
    let report = input.evidence("report.bin")?;
    Ok(Evidence { report, certificates, rims, ocsp: input.ocsp.clone() })
}

fn report(profile: Profile, verified: &Authentic<Facts>, knobs: &Knobs) -> Report {
    let facts = verified.facts();
    let (r, o) = (&facts.report, &facts.report.opaque);
    let mut checks = verified.checks().to_vec();
    checks.extend(appraise(facts, knobs));
    let device = facts.device.as_ref();
    let device = device.map_or("unnamed".to_owned(), |d| format!("{} {}", d.product, d.serial));
    let contents = r.blocks.iter().flat_map(|b| b.content.iter().copied()).collect::<Vec<_>>();
    let measurement = hex::encode(sha384(&contents));
    let text = |id| o.text(id).unwrap_or("not stated").to_owned();
    Report {
        tee: TEE,
        title: TITLE,
        profile,
        authentic: Some(true),
        checks,
        measurement: Some(measurement.clone()),
        report_data: Some(r.nonce.to_string()),
        // No field says it: firmware that can be debugged has other measurements.
        debug: None,
        facts: vec![
            ("device", device),
            ("boot ROM", facts.identity.to_string()),
            ("driver", text(FieldId::DRIVER_VERSION)),
            ("VBIOS", o.vbios().unwrap_or_else(|| "not stated".to_owned())),
            ("nonce", r.nonce.to_string()),
            ("measured", format!("{} values, together {measurement}", r.blocks.len())),
            ("manifests", rim_ids(facts).join(", ")),
        ],
        fields: fields(facts),
    }
}

fn fields(facts: &Facts) -> Value {
    let (r, o) = (&facts.report, &facts.report.opaque);
    let blocks = r.blocks.iter().map(|b| (b.index.saturating_sub(1), hex::encode(&b.value)));
    let raw = o.fields.iter().map(|f| (f.id.to_string(), hex::encode(&f.data)));
    let rims = facts.rims.iter().map(|judged| match judged {
        Ok(rim) => rim_fields(rim),
        Err(refusal) => json!({"refused": refusal.to_string()}),
    });
    let statuses = facts.revocation.certificates.iter().map(|c| {
        let status = match &c.status {
            Ok(None) => "not asked".to_owned(),
            Ok(Some(status)) => status.to_string(),
            Err(e) => e.to_string(),
        };
        json!({"certificate": c.subject, "status": status})
    });
    let device = facts.device.as_ref();
    json!({
        "version": "SPDM 1.1 GET_MEASUREMENTS request+response",
        "nonce": r.nonce.to_string(), "responder_nonce": r.responder_nonce.to_string(), "slot": r.slot,
        "measurements": blocks.map(|(i, v)| (i.to_string(), v)).collect::<BTreeMap<_, _>>(),
        "measurement_blocks": r.blocks.len(),
        "driver_version": o.text(FieldId::DRIVER_VERSION),
        "vbios_version": o.get(FieldId::VBIOS_VERSION).map(hex::encode), "vbios": o.vbios(),
        "project": o.text(FieldId::PROJECT), "project_sku": o.text(FieldId::PROJECT_SKU),
        "chip_sku": o.text(FieldId::CHIP_SKU), "fwid": o.get(FieldId::FWID).map(hex::encode),
        "board_id": o.get(FieldId::BOARD_ID).map(hex::encode),
        "feature_flag": o.u16(FieldId::FEATURE_FLAG), "msrscnt": o.counts(),
        "opaque_fields": o.fields.iter().map(|f| f.id.to_string()).collect::<Vec<_>>(),
        "opaque_version": o.version(), "opaque": raw.collect::<BTreeMap<_, _>>(),
        "trailing_bytes": r.trailing,
        "identity": facts.identity.to_string(), "product": device.map(|d| &d.product), "serial": device.map(|d| &d.serial),
        "cert_chain": facts.chain.iter().map(|s| subject(s)).collect::<Vec<_>>(),
        "rim_ids": rim_ids(facts), "rims": rims.collect::<Vec<_>>(),
        "revocation": statuses.collect::<Vec<_>>(),
    })
}

fn rim_ids(facts: &Facts) -> Vec<String> {
    facts.rim_ids().into_iter().map(|(_, id)| id).collect()
}

/// A subject with the serial number under its dotted name, for which RFC 4514 has no short one.
fn subject(text: &str) -> String {
    text.replace("SERIALNUMBER=", "2.5.4.5=")
}

/// Verifies a manifest alone.
pub(super) fn judge_rim(input: &Input) -> Result<Report> {
    if input.profile != FORENSIC {
        bail!(Failure::Usage(format!(
            "no profile {:?} states manifests alone; there is: {FORENSIC}",
            input.profile
        )));
    }
    let words =
        vec!["signed by a signer of NVIDIA's in force; nothing is compared with it".to_owned()];
    let profile = Profile { id: input.profile.clone(), words };
    let roots = input.trusted(&PINNED_RIM_ROOTS)?;
    Ok(match verify_rim(&input.evidence("rim.xml")?, &roots, input.at) {
        Ok(verified) => manifest(profile, &verified),
        Err(refusal) => Report::refused(RIM_TEE, RIM_TITLE, profile, &refusal, false),
    })
}

fn manifest(profile: Profile, verified: &Authentic<Rim>) -> Report {
    let rim = verified.facts();
    let mut checks = verified.checks().to_vec();
    checks.push(Check::skipped("revocation", "a signer's status is judged beside a report"));
    let window = format!("{} to {}", rim.window.not_before, rim.window.not_after);
    Report {
        tee: RIM_TEE,
        title: RIM_TITLE,
        profile,
        authentic: Some(true),
        checks,
        measurement: None,
        report_data: None,
        debug: None,
        facts: vec![
            ("for", format!("{} {} of {}", rim.firmware().as_str(), rim.version, rim.product)),
            ("indexes", format!("{} active", rim.active.len())),
            ("signer", rim.signer.clone()),
            ("in force", window),
        ],
        fields: rim_fields(rim),
    }
}

fn rim_fields(rim: &Rim) -> Value {
    let hexed = |values: &Vec<[u8; 48]>| values.iter().map(hex::encode).collect::<Vec<_>>();
    let active = rim.active.iter().map(|(index, values)| (index.to_string(), hexed(values)));
    let svns = rim.min_svns.iter().map(|m| json!({"name": m.name, "least": m.least}));
    json!({
        "tag_id": rim.tag_id, "colloquial_version": [rim.version], "product": [rim.product],
        "edition": rim.edition, "firmware": rim.firmware().as_str(),
        "active": active.collect::<BTreeMap<_, _>>(), "min_svns": svns.collect::<Vec<_>>(),
        "signer": rim.signer,
        "signer_window": [rim.window.not_before.to_string(), rim.window.not_after.to_string()],
    })
}
