//! PSA attestation tokens, judged.

use anyhow::{Result, bail};
use evidence::Authentic;
use evidence::cose::anchor::AnchorError;
use evidence::psa::layout::{SwComponent, TOKEN_MAX};
use evidence::psa::{Facts, Knobs, Profile as Claims, PsaRefusal, appraise, verify};
use serde_json::{Map, Value, json};

use super::anchor::anchors;
use super::input::Input;
use super::report::{Profile, Report};
use crate::output::Failure;

const TEE: &str = "psa";
const TITLE: &str = "PSA attestation token";
/// The key of the legacy instance id, CBOR: such tokens may leave out their profile.
const LEGACY_KEY: &[u8] = &[0x3a, 0x00, 0x01, 0x25, 0x00];

/// True if a file can only be a PSA token: a tagged COSE object in which one of the profiles is named or implied.
pub(super) fn detect(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
    matches!(bytes, [0xd1 | 0xd2, 0x84, ..])
        && bytes.len() <= TOKEN_MAX
        && (Claims::ALL.iter().any(|p| has(p.as_str().as_bytes())) || has(LEGACY_KEY))
}

/// Verifies and appraises.
pub(super) fn judge(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<Knobs>()?;
    if input.nonce.as_ref().is_some_and(|n| !matches!(n.len(), 32 | 48 | 64)) {
        bail!(Failure::Usage("--nonce: 32, 48 or 64 bytes in hex".to_owned()));
    }
    let token = input.evidence("token.cbor")?;
    Ok(match verify(&token, &anchors(input)?, input.at) {
        Ok(facts) => report(input, profile, &facts, &knobs),
        Err(refusal) => {
            let missing = refusal == PsaRefusal::Signature(AnchorError::NoAnchor);
            Report::refused(TEE, TITLE, profile, &refusal, missing)
        }
    })
}

fn report(input: &Input, profile: Profile, verified: &Authentic<Facts>, knobs: &Knobs) -> Report {
    let facts = verified.facts();
    let c = &facts.claims;
    let mut checks = verified.checks().to_vec();
    checks.extend(appraise(facts, knobs));
    let lifecycle = c.lifecycle;
    let mut report = Report {
        tee: TEE,
        title: TITLE,
        profile,
        authentic: Some(true),
        checks,
        // A token measures components, and none of them is the whole.
        measurement: None,
        report_data: Some(hex::encode(&c.nonce)),
        debug: Some(lifecycle.is_debug()),
        facts: vec![
            ("profile", c.profile.as_str().to_owned()),
            ("implementation", hex::encode(c.device.implementation_id)),
            ("instance", hex::encode(c.device.instance_id)),
            ("lifecycle", lifecycle.state().as_str().to_owned()),
            ("client id", c.client_id.to_string()),
            (
                "certification",
                c.certification_reference.clone().unwrap_or_else(|| "none".to_owned()),
            ),
            ("nonce", hex::encode(&c.nonce)),
        ],
        fields: json!({
            "profile": c.profile.as_str(), "nonce": hex::encode(&c.nonce),
            "instance_id": hex::encode(c.device.instance_id),
            "implementation_id": hex::encode(c.device.implementation_id),
            "boot_seed": c.boot_seed.as_ref().map(hex::encode), "client_id": c.client_id,
            "lifecycle": format!("{:#06x}", lifecycle.raw()), "lifecycle_state": lifecycle.state().as_str(),
            "certification_reference": c.certification_reference,
            "verification_service": c.verification_service,
            "sw_components": sw_components(&c.components),
            "cose_tag": facts.tag, "alg": facts.algorithm.cose(), "unknown_claims": c.unknown_claims,
        }),
    };
    report.facts.extend(in_words("component", &c.components));
    report.ask_nonce("nonce", input.nonce.as_deref(), &c.nonce);
    report
}

/// Components under the token's own keys.
pub(super) fn sw_components(components: &[SwComponent]) -> Value {
    let one = |c: &SwComponent| {
        let mut map = Map::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value.into());
            }
        };
        put("1", c.measurement_type.clone());
        put("2", Some(hex::encode(&c.measurement_value)));
        put("4", c.version.clone());
        put("5", Some(hex::encode(&c.signer_id)));
        put("6", c.measurement_description.clone());
        Value::Object(map)
    };
    components.iter().map(one).collect()
}

/// Components for people: role, version and measurement, a line each.
pub(super) fn in_words(
    name: &'static str,
    components: &[SwComponent],
) -> impl Iterator<Item = (&'static str, String)> {
    components.iter().map(move |c| {
        let role = c.measurement_type.as_deref().unwrap_or("unnamed");
        let version = c.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
        (name, format!("{role}{version} {}", hex::encode(&c.measurement_value)))
    })
}
