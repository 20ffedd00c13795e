//! AWS attestation documents, of Nitro Enclaves and of NitroTPM, judged.

use anyhow::{Result, bail};
use evidence::nitro::layout::DOCUMENT_MAX;
use evidence::nitro::{
    DocumentKind, Facts, Knobs, PINNED_ROOTS, TpmKnobs, appraise, appraise_tpm, attestation_key,
    quote_nonce, verify,
};
use evidence::tcg::Bank;
use evidence::tpm::{Pcrs, TpmRefusal};
use evidence::{Authentic, Check, Time};
use serde_json::{Value, json};

use super::input::Input;
use super::report::{Profile, Report};
use super::tpm;
use crate::output::Failure;

/// Longest nonce a document holds.
const NONCE_MAX: usize = 512;

/// True if a file can only be an enclave's document.
pub(super) fn detect_enclave(bytes: &[u8]) -> bool {
    is_document(bytes) && !names(bytes, DocumentKind::Tpm)
}

/// True if a file can only be a NitroTPM's document.
pub(super) fn detect_tpm(bytes: &[u8]) -> bool {
    is_document(bytes) && names(bytes, DocumentKind::Tpm)
}

/// A COSE_Sign1, tagged or not, in which AWS's member names stand; whether it is well-formed is for the parser.
fn is_document(bytes: &[u8]) -> bool {
    matches!(bytes, [0x84, ..] | [0xd2, 0x84, ..])
        && bytes.len() <= DOCUMENT_MAX
        && contains(bytes, b"module_id")
        && contains(bytes, b"cabundle")
}

fn names(bytes: &[u8], kind: DocumentKind) -> bool {
    contains(bytes, kind.pcrs().as_bytes())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|w| w == part)
}

/// Verifies and appraises an enclave's document.
pub(super) fn judge_enclave(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<Knobs>()?;
    judge(input, DocumentKind::Enclave, profile, |facts| appraise(facts, &knobs))
}

/// Verifies and appraises a NitroTPM's document.
pub(super) fn judge_tpm(input: &Input) -> Result<Report> {
    let (profile, knobs) = input.knobs::<TpmKnobs>()?;
    judge(input, DocumentKind::Tpm, profile, |facts| appraise_tpm(facts, &knobs))
}

const fn words(kind: DocumentKind) -> (&'static str, &'static str) {
    match kind {
        DocumentKind::Enclave => ("nitro", "AWS Nitro Enclaves attestation document"),
        DocumentKind::Tpm => ("nitrotpm", "AWS NitroTPM attestation document"),
    }
}

fn judge(
    input: &Input,
    kind: DocumentKind,
    profile: Profile,
    appraise: impl FnOnce(&Facts) -> Vec<Check>,
) -> Result<Report> {
    if input.nonce.as_ref().is_some_and(|n| n.is_empty() || n.len() > NONCE_MAX) {
        bail!(Failure::Usage("--nonce: 1 to 512 bytes in hex".to_owned()));
    }
    let (tee, title) = words(kind);
    let roots = input.trusted(&PINNED_ROOTS)?;
    let document = input.evidence("document.cbor")?;
    Ok(match verify(&document, kind, &roots, input.at) {
        Ok(facts) => return report(input, kind, profile, &facts, appraise(facts.facts())),
        Err(refusal) => Report::refused(tee, title, profile, &refusal, false),
    })
}

fn report(
    input: &Input,
    kind: DocumentKind,
    profile: Profile,
    verified: &Authentic<Facts>,
    appraised: Vec<Check>,
) -> Result<Report> {
    let facts = verified.facts();
    let mut checks = verified.checks().to_vec();
    checks.extend(appraised);
    if kind == DocumentKind::Tpm && tpm::is_beside(input) {
        match quote(input, verified)? {
            Ok(more) => checks.extend(more),
            Err(why) => {
                let (tee, title) = words(kind);
                return Ok(Report::refused(tee, title, profile, &why, false));
            }
        }
    }
    let (tee, title) = words(kind);
    let hex = |part: &Option<Vec<u8>>| part.as_ref().map(hex::encode);
    let shown = |part: &Option<Vec<u8>>| hex(part).unwrap_or_else(|| "none".to_owned());
    let made = Time::from_unix(input.at.unix().saturating_sub(facts.age_secs));
    let mut shown_facts = vec![
        ("module_id", facts.module_id.clone()),
        ("region", facts.region.clone()),
        ("made", made.to_string()),
    ];
    // The registers that say what runs: of an enclave its image, role, instance and signer; of a TPM what was booted.
    let named = match kind {
        DocumentKind::Enclave => {
            [(0, "PCR 0"), (1, "PCR 1"), (2, "PCR 2"), (3, "PCR 3"), (4, "PCR 4"), (8, "PCR 8")]
        }
        DocumentKind::Tpm => {
            [(0, "PCR 0"), (4, "PCR 4"), (7, "PCR 7"), (8, "PCR 8"), (11, "PCR 11"), (12, "PCR 12")]
        }
    };
    for (index, name) in named {
        shown_facts.extend(facts.pcr(index).map(|v| (name, hex::encode(v))));
    }
    shown_facts.extend([
        ("user_data", shown(&facts.user_data)),
        ("nonce", shown(&facts.nonce)),
        ("public_key", shown(&facts.public_key)),
    ]);
    let mut report = Report {
        tee,
        title,
        profile,
        authentic: Some(true),
        checks,
        measurement: facts.pcr(0).map(hex::encode),
        report_data: hex(&facts.user_data),
        debug: Some(facts.debug()),
        facts: shown_facts,
        fields: fields(facts),
    };
    let seen = facts.nonce.as_deref().unwrap_or_default();
    report.ask_nonce("nonce", input.nonce.as_deref(), seen);
    Ok(report)
}

/// The quote beside a NitroTPM's document: by the key the document names, of the registers it states, over the nonce it answers.
fn quote(input: &Input, document: &Authentic<Facts>) -> Result<Result<Vec<Check>, TpmRefusal>> {
    let Some(key) = attestation_key(document) else { return Ok(Err(TpmRefusal::NoKey)) };
    let stated = document.facts().pcrs.iter().map(|(n, v)| (u32::from(*n), v.clone()));
    let values = Pcrs::from([(Bank::Sha384, stated.collect())]);
    Ok(tpm::beside(input, &key, &values)?.map(|(mut checks, answered)| {
        checks.push(quote_nonce(document.facts(), &answered));
        checks
    }))
}

fn fields(facts: &Facts) -> Value {
    let zero = |v: &[u8]| v.iter().all(|b| *b == 0);
    let set = facts.pcrs.iter().filter(|(_, v)| !zero(v));
    let pcrs = set.map(|(n, v)| (n.to_string(), json!(hex::encode(v)))).collect::<Value>();
    let zero_pcrs = facts.pcrs.iter().filter(|(_, v)| zero(v)).map(|(n, _)| *n).collect::<Vec<_>>();
    let hex = |part: &Option<Vec<u8>>| part.as_ref().map(hex::encode);
    json!({
        "version": if facts.tagged { "COSE_Sign1, tag 18" } else { "COSE_Sign1, untagged" },
        "module_id": facts.module_id, "timestamp_ms": facts.timestamp_ms, "digest": "SHA384", "region": facts.region,
        "pcrs": pcrs, "pcr_count": facts.pcrs.len(), "zero_pcrs": zero_pcrs,
        "user_data": hex(&facts.user_data), "nonce": hex(&facts.nonce), "public_key": hex(&facts.public_key),
        "cert_chain": facts.subjects().collect::<Vec<_>>(),
        "valid_window": [facts.window.not_before.to_string(), facts.window.not_after.to_string()],
    })
}
