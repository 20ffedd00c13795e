//! Appraisal: is authentic hardware evidence acceptable under a stated profile? (RFC 9334 section 8.5)
//!
//! The only place that makes a [`Verdict`]. Nothing is accepted by default: a profile states every knob, and what it
//! leaves open it leaves open in words ([`Machines::AnyGenuine`]). All failures are reported, not only the first.

use crate::authentic::{Authentic, Check, Outcome};
use crate::bytes::{Measurement, RootDigest};
use crate::controls::holds;
use crate::hardware::{Detail, HardwareFacts, Isolation, Kind, MachineId};
use crate::statement::{HostOs, Statement};
use crate::{snp, tpm};

/// Which machines of a kind are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machines {
    /// Any genuine one; diversion to another machine is then not excluded, and results say so.
    AnyGenuine,
    /// Exactly these.
    Only(Vec<MachineId>),
}

/// What one kind of hardware must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareProfile {
    /// The name results carry, e.g. `snp-2026-11`.
    pub id: String,
    /// The kind it is for. Evidence of another kind is refused for its kind.
    pub kind: Kind,
    /// Roots its chain may end in.
    pub roots: Vec<RootDigest>,
    /// Machines.
    pub machines: Machines,
    /// Machine images (on the software platform: monitors) taken.
    pub images: Vec<Measurement>,
    /// Isolation values taken.
    pub isolation: Vec<Isolation>,
    /// Host states taken.
    pub host: Vec<HostOs>,
    /// Knobs that only this kind has.
    pub knobs: Knobs,
}

impl HardwareProfile {
    /// True if evidence of a machine that a debugger could have looked into is taken.
    #[must_use]
    pub fn takes_debug(&self) -> bool {
        match &self.knobs {
            Knobs::Software => true,
            // No debugger shows in a TPM's evidence; whoever reads memory is outside of what it says.
            Knobs::Tpm(_) => false,
            Knobs::Snp(knobs) => knobs.debug == crate::profile::Taken::Taken,
        }
    }
}

/// Knobs of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knobs {
    /// The software platform has none.
    Software,
    /// AMD SEV-SNP.
    Snp(Box<snp::Knobs>),
    /// A TPM.
    Tpm(Box<tpm::Knobs>),
}

/// Whether a profile takes the evidence. Exhaustive: a new outcome must be thought of by whoever reads one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    profile: String,
    checks: Vec<Check>,
}

impl Verdict {
    /// True if no check failed or was skipped.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.checks.iter().all(|c| matches!(c.outcome, Outcome::Passed | Outcome::NotApplicable))
    }

    /// The profile it was given under.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Every check with its outcome.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The checks that did not hold.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| c.outcome == Outcome::Failed)
    }
}

/// Judges hardware evidence, and where there is one the monitor statement above it, under `profile`.
#[must_use]
pub fn appraise(
    hardware: &Authentic<HardwareFacts>,
    statement: Option<&Statement>,
    profile: &HardwareProfile,
) -> Verdict {
    let facts = hardware.facts();
    let verdict = |checks| Verdict { profile: profile.id.clone(), checks };
    let check = |name: &'static str, good: bool, detail: String| {
        if holds(name, good) { Check::passed(name, detail) } else { Check::failed(name, detail) }
    };
    let kind = check(
        "hardware_kind",
        facts.kind == profile.kind,
        format!("expected {}, got {}", profile.kind, facts.kind),
    );
    if kind.outcome == Outcome::Failed {
        // Nothing else of the profile has a meaning for another kind.
        return verdict(vec![kind]);
    }
    let mut checks = vec![
        kind,
        check("root", profile.roots.contains(&facts.root), format!("chain ends in {}", facts.root)),
        machine(facts, profile),
        check(
            "image",
            profile.images.contains(&facts.measurement),
            format!("launched {}", facts.measurement),
        ),
    ];
    if let Some(statement) = statement {
        let (isolation, host) = (statement.program.isolation, statement.program.host);
        checks.push(check(
            "isolation",
            profile.isolation.contains(&isolation),
            isolation.as_str().to_owned(),
        ));
        checks.push(check("host", profile.host.contains(&host), host.as_str().to_owned()));
    }
    match (&facts.detail, &profile.knobs) {
        (Detail::Software(_), Knobs::Software) => {}
        (Detail::Snp(snp), Knobs::Snp(knobs)) => {
            checks.extend(snp::appraise(snp, knobs, hardware.verified_at()));
        }
        (Detail::Tpm(facts), Knobs::Tpm(knobs)) => {
            checks.extend(tpm::appraise(&facts.quote, &facts.pcrs(), knobs));
        }
        _ => checks.push(Check::failed("hardware_kind", "the profile's knobs are of another kind")),
    }
    verdict(checks)
}

fn machine(facts: &HardwareFacts, profile: &HardwareProfile) -> Check {
    match (&profile.machines, &facts.machine) {
        (Machines::AnyGenuine, _) => Check::passed(
            "machine",
            "any genuine machine is taken: diversion to another one is not excluded",
        ),
        (Machines::Only(list), Some(id)) if holds("machine", list.contains(id)) => {
            Check::passed("machine", id.to_string())
        }
        (Machines::Only(_), Some(id)) => {
            Check::failed("machine", format!("{id} is not on the list"))
        }
        (Machines::Only(_), None) => {
            Check::failed("machine", "the evidence names no machine (masked or absent id)")
        }
    }
}
