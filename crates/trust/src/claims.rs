//! The claims an authority knows: authentic, each once, found by what they are about.
//!
//! Order and duplicates do not matter: a claim is known by the digest of what was signed. Whether its issuer counts is not
//! asked here but at every decision, under the policy then in force.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use evidence::{ContentDigest, IssuerKey, MachineId, Measurement};
use thiserror::Error;

use crate::claim::{AuthenticClaim, Says};

/// Claims one authority keeps; each is at most 4 KiB.
pub const KNOWN_MAX: usize = 100_000;

/// What may be asked of many claims quickly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Measurement(Measurement),
    Machine(MachineId),
    /// Who is let speak.
    Key(IssuerKey),
}

/// Why a claim is not kept.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("claims: {KNOWN_MAX} are kept already; have those that ended removed")]
pub struct Full;

/// Every claim that is known.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    all: BTreeMap<ContentDigest, AuthenticClaim>,
    about: HashMap<Subject, BTreeSet<ContentDigest>>,
    withdrawn: HashSet<(IssuerKey, ContentDigest)>,
}

impl Claims {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one; false if it was known.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add(&mut self, claim: AuthenticClaim) -> Result<bool, Full> {
        let digest = claim.digest();
        if self.all.contains_key(&digest) {
            return Ok(false);
        }
        if self.all.len() >= KNOWN_MAX {
            return Err(Full);
        }
        let subject = match &claim.claim().says {
            Says::Program { measurement, .. }
            | Says::Release { measurement, .. }
            | Says::Build { measurement, .. }
            | Says::Distrust { measurement, .. }
            | Says::Upgrade { to: measurement, .. } => Some(Subject::Measurement(*measurement)),
            Says::Place(standing) => Some(Subject::Machine(standing.machine.clone())),
            Says::Delegate { to: key, .. } | Says::Speaks { key } => Some(Subject::Key(*key)),
            Says::Withdraw { claim: taken_back } => {
                self.withdrawn.insert((claim.claim().issuer, *taken_back));
                None
            }
        };
        if let Some(subject) = subject {
            self.about.entry(subject).or_default().insert(digest);
        }
        self.all.insert(digest, claim);
        Ok(true)
    }

    /// Every one, in the order of their digests.
    pub fn iter(&self) -> impl Iterator<Item = &AuthenticClaim> {
        self.all.values()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One by its digest.
    #[must_use]
    pub fn get(&self, digest: &ContentDigest) -> Option<&AuthenticClaim> {
        self.all.get(digest)
    }

    /// True if its own issuer took it back.
    #[must_use]
    pub fn is_withdrawn(&self, claim: &AuthenticClaim) -> bool {
        self.withdrawn.contains(&(claim.claim().issuer, claim.digest()))
    }

    pub(crate) fn of_program(&self, m: Measurement) -> impl Iterator<Item = &AuthenticClaim> {
        self.about(Subject::Measurement(m))
    }

    pub(crate) fn of_machine(&self, m: &MachineId) -> impl Iterator<Item = &AuthenticClaim> {
        self.about(Subject::Machine(m.clone()))
    }

    pub(crate) fn letting(&self, key: IssuerKey) -> impl Iterator<Item = &AuthenticClaim> {
        self.about(Subject::Key(key))
    }

    fn about(&self, subject: Subject) -> impl Iterator<Item = &AuthenticClaim> {
        self.about.get(&subject).into_iter().flatten().filter_map(|d| self.all.get(d))
    }
}
