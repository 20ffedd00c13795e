//! Arm CCA attestation tokens, judged.

use anyhow::{Result, bail};
use evidence::Authentic;
use evidence::cca::{CcaRefusal, Facts, Knobs, appraise, verify};
use evidence::cose::anchor::AnchorError;
use serde_json::{Value, json};

use super::anchor::anchors;
use super::input::Input;
use super::psa::{in_words, sw_components};
use super::report::{Profile, Report};
use crate::output::Failure;

const TEE: &str = "cca";
const TITLE: &str = "Arm CCA attestation token";

/// True if a file can only be a CCA token: it begins with tag 399.
pub(super) fn detect(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xd9, 0x01, 0x8f])
}

/// Verifies and appraises.
pub(super) fn judge(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<Knobs>()?;
    if input.nonce.as_ref().is_some_and(|n| !(32..=64).contains(&n.len())) {
        bail!(Failure::Usage("--nonce: 32 to 64 bytes in hex".to_owned()));
    }
    let token = input.evidence("token.cbor")?;
    Ok(match verify(&token, &anchors(input)?, input.at) {
        Ok(facts) => report(input, profile, &facts, &knobs),
        Err(refusal) => {
            let missing = refusal == CcaRefusal::PlatformSignature(AnchorError::NoAnchor);
            Report::refused(TEE, TITLE, profile, &refusal, missing)
        }
    })
}

fn report(input: &Input, profile: Profile, verified: &Authentic<Facts>, knobs: &Knobs) -> Report {
    let facts = verified.facts();
    let (platform, realm) = (&facts.platform, &facts.realm);
    let mut checks = verified.checks().to_vec();
    checks.extend(appraise(facts, knobs));
    let mut report = Report {
        tee: TEE,
        title: TITLE,
        profile,
        authentic: Some(true),
        checks,
        measurement: Some(hex::encode(&realm.initial_measurement)),
        report_data: Some(hex::encode(realm.challenge)),
        debug: Some(platform.lifecycle.is_debug()),
        facts: vec![
            ("RIM", hex::encode(&realm.initial_measurement)),
            ("realm challenge", hex::encode(realm.challenge)),
            ("personalization", hex::encode(realm.personalization_value)),
            ("implementation", hex::encode(platform.device.implementation_id)),
            ("instance", hex::encode(platform.device.instance_id)),
            ("lifecycle", platform.lifecycle.state().as_cca_str().to_owned()),
        ],
        fields: fields(facts),
    };
    report.facts.extend(in_words("firmware", &platform.components));
    let padded = input.nonce.clone().map(|mut nonce| {
        nonce.resize(64, 0);
        nonce
    });
    report.ask_nonce("realm challenge", padded.as_deref(), &realm.challenge);
    report
}

fn fields(facts: &Facts) -> Value {
    let (platform, realm) = (&facts.platform, &facts.realm);
    let lifecycle = platform.lifecycle;
    json!({
        "platform_profile": platform.profile.as_str(), "realm_profile": realm.profile.as_str(),
        "rem": realm.extensible_measurements.iter().map(hex::encode).collect::<Vec<_>>(),
        "realm_challenge": hex::encode(realm.challenge),
        "personalization_value": hex::encode(realm.personalization_value),
        "realm_hash_alg": realm.hash_algorithm.as_str(),
        "realm_pubkey_hash_alg": realm.public_key_hash_algorithm.as_str(),
        "realm_public_key": hex::encode(&realm.public_key),
        "implementation_id": hex::encode(platform.device.implementation_id),
        "instance_id": hex::encode(platform.device.instance_id),
        "lifecycle": format!("{:#06x}", lifecycle.raw()), "lifecycle_state": lifecycle.state().as_cca_str(),
        "platform_config": hex::encode(&platform.config), "platform_hash_alg": platform.hash_algorithm.as_str(),
        "verification_service": platform.verification_service,
        "sw_components": sw_components(&platform.components),
        "cose_alg": {"platform": facts.platform_algorithm.cose(), "realm": facts.realm_algorithm.cose()},
        "unknown_claims": {"platform": platform.unknown_claims, "realm": realm.unknown_claims},
    })
}
