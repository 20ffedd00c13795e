//! The checker: an auditor's own copy of a small program that re-checks decision records, years later, offline.
//!
//! It shares no code with the engine that decided ([`record`] is what both agree on; the proof's encoding and the rules
//! are read here a second time from `docs/rules.md`). Each part is answered for itself: evidence, proof, permission.
#![forbid(unsafe_code)]

mod claims;
mod permission;
mod proof;
pub mod record;
mod rules;

use evidence::controls::holds;
use evidence::layered::{verify_monitor, verify_program_digest};
use evidence::{
    Authentic, BinderKind, Detail, HardwareFacts, MonitorBinding, Outcome, hardware, snp, tpm,
};

pub use record::{DecisionRecord, RecordError};

/// How re-checking one part went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Made again, and it held.
    Rechecked,
    /// It could not be made: the record does not hold what it takes.
    InputWithheld(&'static str),
    /// Made again, and it did not hold.
    Failed(String),
}

/// What re-checking a record found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Signatures, chain, binding and window of the evidence at the recorded time.
    pub evidence: Part,
    /// Every step of the proof, from policy and evidence to the role.
    pub proof: Part,
    /// The permissions granted, asked of Cedar again.
    pub permission: Part,
}

impl Report {
    /// True if every part held.
    #[must_use]
    pub fn holds(&self) -> bool {
        [&self.evidence, &self.proof, &self.permission].iter().all(|p| **p == Part::Rechecked)
    }
}

/// Re-checks every part of a record.
#[must_use]
pub fn recheck(record: &DecisionRecord) -> Report {
    let policy = match record::Policy::read(&record.policy) {
        Ok(policy) => policy,
        Err(e) => {
            let failed = Part::Failed(format!("policy: {e}"));
            return Report { evidence: failed.clone(), proof: failed.clone(), permission: failed };
        }
    };
    let facts = recheck_evidence(record, &policy);
    let proof = match &facts {
        Ok(facts) => {
            proof::check(record, facts, &policy).map_or_else(Part::Failed, |()| Part::Rechecked)
        }
        Err(_) => Part::InputWithheld("facts of evidence that does not hold"),
    };
    Report {
        evidence: facts.map_or_else(Part::Failed, |_| Part::Rechecked),
        proof,
        permission: permission::check(record, &policy)
            .map_or_else(Part::Failed, |()| Part::Rechecked),
    }
}

/// A record whose evidence was re-checked and whose policy was read: what checking a proof alone takes.
#[derive(Debug)]
pub struct Prepared {
    facts: Facts,
    policy: record::Policy,
}

impl Prepared {
    /// Re-checks the evidence.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn new(record: &DecisionRecord) -> Result<Self, String> {
        let policy = record::Policy::read(&record.policy).map_err(|e| e.to_string())?;
        let facts = recheck_evidence(record, &policy)?;
        Ok(Self { facts, policy })
    }

    /// Every step of the record's proof.
    ///
    /// # Errors
    /// The step that does not follow.
    pub fn proof_holds(&self, record: &DecisionRecord) -> Result<(), String> {
        proof::check(record, &self.facts, &self.policy)
    }
}

/// What the evidence says, in the words of proofs.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) kind: String,
    pub(crate) image: String,
    pub(crate) machine: String,
    pub(crate) statement_key: String,
    pub(crate) program: String,
    pub(crate) isolation: String,
    pub(crate) host: String,
    pub(crate) leaf: String,
    /// The provider's region, where a certificate names one.
    pub(crate) region: Option<String>,
    /// Last second the evidence holds.
    pub(crate) until: i64,
    /// Profiles of the policy whose every knob the hardware satisfies.
    pub(crate) profiles: Vec<String>,
}

fn recheck_evidence(record: &DecisionRecord, policy: &record::Policy) -> Result<Facts, String> {
    if !holds("recheck_domain", policy.root == record.domain) {
        return Err("the policy is of another domain than the record".to_owned());
    }
    let kind = record.hardware.kind.as_str();
    let stated = policy.hardware.iter().filter(|h| h.kind == kind);
    let roots = stated.clone().flat_map(|h| h.roots.iter().copied()).collect::<Vec<_>>();
    let verified = hardware::verify(&record.hardware, &roots, record.hardware_at);
    let hardware = verified.map_err(|e| e.to_string())?;
    let fits = |h: &&record::Hardware| fits_profile(&hardware, &h.profile);
    let profiles = stated.filter(fits).map(|h| h.profile.clone()).collect();
    let binding = MonitorBinding {
        domain: record.domain,
        statement_key: record.statement_key,
        nonce: record.nonce,
    };
    let monitor = verify_monitor(&hardware, &binding).map_err(|e| e.to_string())?;
    let leaf = leaf_of(&record.binder).ok_or("binder: not an admission of a key")?;
    let digest = evidence::BinderDigest::new(evidence::bytes::sha384(&record.binder));
    let program = verify_program_digest(&monitor, &record.statement, BinderKind::Admission, digest)
        .map_err(|e| e.to_string())?;
    if !holds("recheck_window", record.at <= program.holds_until()) {
        return Err("the evidence had ended before the decision".to_owned());
    }
    if !holds("recheck_order", record.hardware_at <= record.at) {
        return Err("the decision was made before its evidence was verified".to_owned());
    }
    let (f, s) = (program.facts(), &program.facts().statement.program);
    Ok(Facts {
        kind: f.monitor.hardware.kind.as_str().to_owned(),
        image: f.monitor.hardware.measurement.to_string(),
        machine: f
            .monitor
            .hardware
            .machine
            .as_ref()
            .map_or_else(|| "unnamed".to_owned(), ToString::to_string),
        statement_key: f.monitor.statement_key.to_string(),
        program: s.measurement.to_string(),
        isolation: s.isolation.as_str().to_owned(),
        host: s.host.as_str().to_owned(),
        leaf,
        region: match &f.monitor.hardware.detail {
            Detail::Snp(snp) => snp.csp_id.clone(),
            _ => None,
        },
        until: program.holds_until().unix(),
        profiles,
    })
}

/// Whether hardware is as a shipped profile wants it, knob by knob; the software platform has no knobs.
fn fits_profile(hardware: &Authentic<HardwareFacts>, profile: &str) -> bool {
    match &hardware.facts().detail {
        Detail::Software(_) => profile.is_empty(),
        Detail::Snp(facts) => snp::Knobs::shipped(profile).is_some_and(|knobs| {
            let checks = snp::appraise(facts, knobs, hardware.verified_at());
            checks.iter().all(|c| matches!(c.outcome, Outcome::Passed | Outcome::NotApplicable))
        }),
        Detail::Tpm(facts) => tpm::Knobs::shipped(profile).is_some_and(|knobs| {
            let checks = tpm::appraise(&facts.quote, &facts.pcrs(), knobs);
            checks.iter().all(|c| matches!(c.outcome, Outcome::Passed | Outcome::NotApplicable))
        }),
        _ => false,
    }
}

/// The client's key in an admission binder: its seventh item.
fn leaf_of(binder: &[u8]) -> Option<String> {
    let items = evidence::cbor::decode(binder, 4096).ok()?.into_array().ok()?;
    let is = |at: usize, text: &str| items.get(at).and_then(ciborium::Value::as_text) == Some(text);
    let admission = is(0, evidence::binder::LABEL) && is(2, "admission") && is(3, "client");
    let leaf = items.get(6)?.as_bytes()?;
    (admission && leaf.len() == 32).then(|| hex::encode(leaf))
}
