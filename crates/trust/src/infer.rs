//! Inference: what follows from a policy, authentic evidence and authentic claims, by the rules of `docs/rules.md`.
//!
//! The search goes backwards from what is asked to whom the policy names, so that its cost grows with the claims about one
//! program and one machine and not with all that are known. It is total and bounded: chains end at [`HOPS_MAX`], upgrades
//! at [`UPGRADES_MAX`], the whole search at [`VISITS_MAX`] claims. What it does not find in these bounds does not hold.

mod may;
mod stands;
mod trusted;
mod why;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use evidence::controls::holds;
use evidence::{DomainRoot, IssuerKey, Measurement, Time};

use crate::claim::{AuthenticClaim, Topic};
use crate::claims::Claims;
use crate::names::RoleName;
use crate::policy::PolicyInForce;
use crate::revocation::{Revocations, Revoked};

pub use stands::Unplaced;
pub(crate) use why::{Node, Why, number};

/// Longest chain from whom the policy names to whom a claim is believed.
pub const HOPS_MAX: usize = 8;
/// Longest chain of upgrades.
pub const UPGRADES_MAX: usize = 16;
/// Claims looked at in one search.
pub const VISITS_MAX: usize = 20_000;

/// Something that holds, until when, and why.
#[derive(Clone, Debug)]
pub struct Held {
    /// Last second it holds.
    pub until: Time,
    pub(crate) why: Why,
}

/// Which claims a question looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Look {
    /// Those that hold now.
    InForce,
    /// All that ever began, taken back or not: for what must not become permitted by taking something back.
    Ever,
}

/// One question's view of what is known.
pub struct Search<'a> {
    policy: &'a PolicyInForce,
    claims: &'a Claims,
    revocations: &'a Revocations,
    now: Time,
    visits: Cell<usize>,
    known: RefCell<Known<'a>>,
    /// What is trusted as what, as far as this search has found out.
    found: RefCell<HashMap<(Measurement, RoleName, usize), Option<Held>>>,
}

/// Who may speak, as far as this search has found out.
type Known<'a> = HashMap<(IssuerKey, Topic, Look, usize), Rc<Vec<may::May<'a>>>>;

impl<'a> Search<'a> {
    /// A search under one policy, at one time.
    #[must_use]
    pub fn new(
        policy: &'a PolicyInForce,
        claims: &'a Claims,
        revocations: &'a Revocations,
        now: Time,
    ) -> Self {
        let (known, found) = (RefCell::default(), RefCell::default());
        Self { policy, claims, revocations, now, visits: Cell::new(0), known, found }
    }

    /// True if anybody lets this key speak about anything now.
    #[must_use]
    pub fn is_heard(&self, key: IssuerKey) -> bool {
        Topic::ALL.into_iter().any(|topic| !self.may(key, topic, Look::InForce).is_empty())
    }

    fn domain(&self) -> DomainRoot {
        self.policy.policy().root
    }

    /// Counts a claim looked at; false once there were too many.
    fn visit(&self) -> bool {
        self.visits.set(self.visits.get().saturating_add(1));
        self.visits.get() <= VISITS_MAX
    }

    fn is_revoked(&self, key: IssuerKey) -> bool {
        self.revocations.contains(&Revoked::Issuer(key))
    }

    /// Whether a claim counts as said to this domain.
    fn counts(&self, claim: &AuthenticClaim, look: Look) -> bool {
        let c = claim.claim();
        let ours = c.domain.is_none_or(|d| d == self.domain());
        let began = c.window.not_before <= self.now;
        if !self.visit() || !holds("claim_domain", ours) || !holds("claim_began", began) {
            return false;
        }
        look == Look::Ever
            || (holds("claim_ended", self.now <= c.window.not_after)
                && holds("claim_withdrawn", !self.claims.is_withdrawn(claim))
                && holds(
                    "claim_revoked",
                    !self.revocations.contains(&Revoked::Claim(claim.digest())),
                )
                && holds("issuer_revoked", !self.is_revoked(c.issuer)))
    }
}

#[cfg(test)]
mod tests;
