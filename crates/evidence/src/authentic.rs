//! The proof type: a value of [`Authentic`] exists only if every signature, chain, binding and window
//! under it held. [`Authentic::new`] is its one constructor; who calls it is the audit of this crate.

use crate::time::Time;

/// How one check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Made, and it held.
    Passed,
    /// Made, and it did not hold.
    Failed,
    /// Not made, though it applies; the detail says why.
    Skipped,
    /// Does not apply to this evidence.
    NotApplicable,
}

impl Outcome {
    /// The spelling in JSON output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// One named check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable name, e.g. `report_signature`.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// Expected and seen, in the vendor's words; never a secret.
    pub detail: String,
}

impl Check {
    /// A check that held.
    #[must_use]
    pub fn passed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Passed, detail: detail.into() }
    }

    /// A check that did not hold.
    #[must_use]
    pub fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Failed, detail: detail.into() }
    }

    /// A check that applies and was not made.
    #[must_use]
    pub fn skipped(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Skipped, detail: detail.into() }
    }

    /// A check that does not apply here.
    #[must_use]
    pub fn not_applicable(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::NotApplicable, detail: detail.into() }
    }
}

/// Facts whose origin has been verified. Authentic is not acceptable: only appraisal says that (I1).
#[derive(Clone, Debug)]
pub struct Authentic<T> {
    facts: T,
    verified_at: Time,
    holds_until: Time,
    checks: Vec<Check>,
}

impl<T> Authentic<T> {
    /// INVARIANT I1: called only at the end of a verifying function of this crate, after its last check.
    pub(crate) const fn new(
        facts: T,
        verified_at: Time,
        holds_until: Time,
        checks: Vec<Check>,
    ) -> Self {
        Self { facts, verified_at, holds_until, checks }
    }

    /// What was said.
    #[must_use]
    pub const fn facts(&self) -> &T {
        &self.facts
    }

    /// The time the verification was made for.
    #[must_use]
    pub const fn verified_at(&self) -> Time {
        self.verified_at
    }

    /// Earliest end of anything this rests on; no decision outlives it (I6).
    #[must_use]
    pub const fn holds_until(&self) -> Time {
        self.holds_until
    }

    /// Every check made, skipped or not applicable, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}
