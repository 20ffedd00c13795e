//! Android key attestation chains, judged.

use anyhow::{Result, bail};
use evidence::Authentic;
use evidence::android::layout::EXTENSION_DER;
use evidence::android::{Facts, Knobs, PINNED_ROOTS, StatusList, appraise, verify};
use serde_json::{Value, json};

use super::input::{Input, certificates};
use super::report::{Profile, Report};
use crate::output::Failure;

const TEE: &str = "android-key";
const TITLE: &str = "Android key attestation";
/// Android takes no longer challenge.
const CHALLENGE_MAX: usize = 128;
/// Google's status list in a case folder.
const STATUS: &str = "status.json";

/// True if a file is a PEM chain whose first certificate has the attestation extension.
pub(super) fn detect(bytes: &[u8]) -> bool {
    let leaf = || certificates(bytes).ok()?.into_iter().next();
    bytes.starts_with(b"-----BEGIN CERTIFICATE-----")
        && leaf().is_some_and(|der| der.windows(EXTENSION_DER.len()).any(|w| w == EXTENSION_DER))
}

/// Verifies and appraises.
pub(super) fn judge(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<Knobs>()?;
    if input.nonce.as_ref().is_some_and(|n| n.is_empty() || n.len() > CHALLENGE_MAX) {
        bail!(Failure::Usage("--nonce: 1 to 128 bytes in hex".to_owned()));
    }
    let chain = certificates(&input.evidence("chain.pem")?)?;
    let roots = input.trusted(&PINNED_ROOTS)?;
    let status = status(input)?;
    Ok(match verify(&chain, &roots, status.as_ref(), input.at) {
        Ok(facts) => report(input, profile, &facts, &knobs),
        Err(refusal) => Report::refused(TEE, TITLE, profile, &refusal, false),
    })
}

/// The status list: in the case folder, or the one file given by `--endorsement` that is JSON.
fn status(input: &Input) -> Result<Option<StatusList>> {
    let given = input.endorsements.iter().find(|e| e.trim_ascii_start().starts_with(b"{"));
    let json = match given {
        Some(json) => json.clone(),
        None if input.has(STATUS) => input.read(STATUS)?,
        None => return Ok(None),
    };
    let list = StatusList::parse(&json).map_err(|e| Failure::Usage(format!("status list: {e}")))?;
    Ok(Some(list))
}

fn report(input: &Input, profile: Profile, verified: &Authentic<Facts>, knobs: &Knobs) -> Report {
    let facts = verified.facts();
    let d = &facts.description;
    let mut checks = verified.checks().to_vec();
    checks.extend(appraise(facts, knobs));
    let root = d.hardware.root_of_trust.as_ref();
    let boot_hash = root.and_then(|r| r.verified_boot_hash.as_ref()).map(hex::encode);
    let number = |n: Option<u32>| n.map_or_else(|| "not stated".to_owned(), |n| n.to_string());
    let mut report = Report {
        tee: TEE,
        title: TITLE,
        profile,
        authentic: Some(true),
        checks,
        measurement: boot_hash.clone(),
        report_data: Some(hex::encode(&d.challenge)),
        debug: None,
        facts: vec![
            ("challenge", hex::encode(&d.challenge)),
            ("security level", d.attestation_security_level.as_str().to_owned()),
            ("verified boot hash", boot_hash.unwrap_or_else(|| "not stated".to_owned())),
            ("OS version", number(d.hardware.os_version)),
            ("patch level", number(d.hardware.os_patch_level)),
            ("attested key", hex::encode(&facts.key)),
        ],
        fields: fields(facts),
    };
    report.ask_nonce("challenge", input.nonce.as_deref(), &d.challenge);
    report
}

fn fields(facts: &Facts) -> Value {
    let d = &facts.description;
    let printable = |text: &&str| text.bytes().all(|b| (0x20..0x7f).contains(&b));
    let ascii = std::str::from_utf8(&d.challenge).ok().filter(printable);
    let root = d.hardware.root_of_trust.as_ref().map(|r| {
        json!({
            "verified_boot_key": hex::encode(&r.verified_boot_key), "device_locked": r.device_locked,
            "verified_boot_state": r.verified_boot_state.as_str(),
            "verified_boot_hash": r.verified_boot_hash.as_ref().map(hex::encode),
        })
    });
    json!({
        "attestation_version": d.attestation_version,
        "attestation_security_level": d.attestation_security_level.as_str(),
        "keymaster_version": d.keymaster_version,
        "keymaster_security_level": d.keymaster_security_level.as_str(),
        "challenge": hex::encode(&d.challenge), "challenge_ascii": ascii, "unique_id": hex::encode(&d.unique_id),
        "root_of_trust": root, "os_version": d.hardware.os_version, "os_patch_level": d.hardware.os_patch_level,
        "vendor_patch_level": d.hardware.vendor_patch_level, "boot_patch_level": d.hardware.boot_patch_level,
        "origin": d.hardware.origin, "key": hex::encode(&facts.key),
    })
}
