//! Claims at the authority: kept for whom the policy lets speak, entered in the log, asked at every decision.
//!
//! Keeping a claim believes nothing; a stranger's is refused so that strangers fill no disk. A host that gives back fewer
//! than the log names is refused at the start: among them may be one that takes something away.

use evidence::controls::holds;
use evidence::{ContentDigest, Time};
use trust::claim::AuthenticClaim;
use trust::infer::Search;

use super::{Core, Reasons, one};

/// Claims in one answer: below the largest body.
pub const PAGE: usize = 32;

impl Core {
    /// A claim to be kept, if it is one, for this domain, and somebody lets its issuer speak; none if it is known.
    ///
    /// # Errors
    /// Why not.
    pub fn next_claim(&self, bytes: &[u8], now: Time) -> Result<Option<AuthenticClaim>, Reasons> {
        let claim = AuthenticClaim::verify(bytes).map_err(one)?;
        let c = claim.claim();
        let root = self.trust.root();
        if !holds("claim_addressed", c.domain.is_none_or(|d| d == root)) {
            return Err(one(format!(
                "claim: expected one to domain {root}, or to whoever takes its word; make it again for this domain"
            )));
        }
        let search = Search::new(&self.policy, &self.claims, &self.revocations, now);
        if !holds("claim_stranger", search.is_heard(c.issuer)) {
            return Err(one(format!(
                "claim: expected an issuer that the policy or another issuer lets speak, got key {}; name it under [issuer], or hand in first the claim that lets it speak",
                c.issuer
            )));
        }
        Ok(self.claims.get(&claim.digest()).is_none().then_some(claim))
    }

    /// Takes a claim that was kept: asked from now on, once the log has it.
    ///
    /// # Errors
    /// The log's, or that there are too many.
    pub fn take_claim(&mut self, claim: AuthenticClaim, now: Time) -> Result<(), Reasons> {
        self.log.claim(&claim.digest(), now).map_err(one)?;
        self.claims.add(claim).map(drop).map_err(one)
    }

    /// Takes a claim again that was kept before a restart, whoever may speak now; entered, if a start was cut off between.
    ///
    /// # Errors
    /// Why it is none.
    pub fn restore_claim(&mut self, bytes: &[u8], now: Time) -> Result<(), Reasons> {
        let claim = AuthenticClaim::verify(bytes).map_err(one)?;
        self.take_claim(claim, now)
    }

    /// The first claim the log names and the state has not.
    pub(super) fn missing_claim(&self) -> Option<ContentDigest> {
        let missing =
            |d: &&ContentDigest| !holds("claims_behind_log", self.claims.get(d).is_some());
        self.log.claims().find(missing).copied()
    }

    /// Claims after one of them, in the order of their digests: at most a page.
    #[must_use]
    pub fn claims_after(&self, after: Option<ContentDigest>) -> Vec<Vec<u8>> {
        let later = self.claims.iter().filter(|c| after.is_none_or(|a| c.digest() > a));
        later.take(PAGE).map(|c| c.bytes().to_vec()).collect()
    }
}
