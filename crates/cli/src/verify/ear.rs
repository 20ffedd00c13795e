//! What was found as an attestation result (EAR, draft 04): the claims-set, not signed, since this command holds no verifier's key.
//! A claim stands only where every check behind it was really made: one that the profile left open supports nothing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use evidence::ear::{Appraisal, Claim, Ear, Spelling, Tier, Vector, Verifier, to_json};
use evidence::{Outcome, Time};
use serde_json::Value;

use super::report::Report;

/// Checks that together say that hardware and firmware are as the vendor wants them; all must have been made.
const HARDWARE: &[(&str, &[&str])] = &[(
    "snp",
    &[
        "snp_reported_tcb",
        "snp_committed_tcb",
        "snp_current_tcb",
        "snp_launch_tcb",
        "snp_revocation_list",
    ],
)];

/// The result.
pub(super) fn result(report: &Report, at: Time, nonce: Option<&[u8]>) -> Value {
    let vector = vector(report);
    // Nothing asserted is `none`; a verdict that could not be reached is never better than that.
    let status = if report.status() == 1 { Tier::Contraindicated } else { vector.worst() };
    let profile = &report.profile;
    let digest = hex::decode(profile.digest()).unwrap_or_default();
    let named = format!("ni:///sha-256;{}", BASE64_URL_SAFE_NO_PAD.encode(digest));
    let appraisal = Appraisal {
        status,
        vector,
        policies: vec![profile.id.clone(), named],
        nonces: nonce.map(|n| BASE64_URL_SAFE_NO_PAD.encode(n)).into_iter().collect(),
        key: None,
        attester_claims: (report.authentic == Some(true)).then(|| report.fields.clone()),
    };
    to_json(&Ear {
        spelling: Spelling::Draft04,
        issued: at,
        expires: None,
        nonces: Vec::new(),
        verifier: Verifier {
            developer: "casemate".to_owned(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
        },
        status: None,
        submods: vec![(report.tee.to_owned(), appraisal)],
        raw_evidence: None,
    })
}

fn vector(report: &Report) -> Vector {
    let mut v = Vector::default();
    match report.authentic {
        None => return v,
        Some(false) => {
            v.claim(Claim::Hardware, 99);
            return v;
        }
        Some(true) => {}
    }
    if report.debug == Some(true) {
        v.claim(Claim::Configuration, 96);
        v.claim(Claim::RuntimeOpaque, 96);
    }
    for failed in report.checks.iter().filter(|c| c.outcome == Outcome::Failed) {
        let about = |words: &[&str]| words.iter().any(|w| failed.name.contains(w));
        if about(&["nonce"]) {
            v.claim(Claim::Hardware, 99);
        } else if about(&["machine", "chip"]) {
            v.claim(Claim::InstanceIdentity, 97);
        } else if about(&["tcb", "family", "revocation", "mitigation", "provisional"]) {
            v.claim(Claim::Hardware, 96);
        } else {
            v.claim(Claim::Configuration, 96);
        }
    }
    let made =
        |name: &&str| report.checks.iter().any(|c| c.name == *name && c.outcome == Outcome::Passed);
    let needed = HARDWARE.iter().find(|(tee, _)| *tee == report.tee).map(|(_, names)| *names);
    if needed.is_some_and(|names| names.iter().all(made)) {
        v.claim(Claim::Hardware, 2);
        if report.debug == Some(false) {
            v.claim(Claim::RuntimeOpaque, 2);
        }
    }
    v
}
