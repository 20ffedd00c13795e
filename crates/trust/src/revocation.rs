//! What is no longer trusted, numbered so that whoever has heard more knows it.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{ContentDigest, DomainRoot, IssuerKey, MachineId, Measurement, StatementKey};
use thiserror::Error;

use crate::genesis::Genesis;
use crate::signing::{Namespace, Signed, SigningError};

const LEN_MAX: usize = 4096;
const VERSION: u64 = 1;

/// One thing that is no longer trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A program.
    Measurement(Measurement),
    /// A monitor's key.
    StatementKey(StatementKey),
    /// A machine.
    Machine(MachineId),
    /// A key that made claims, and with it all it ever said.
    Issuer(IssuerKey),
    /// One claim.
    Claim(ContentDigest),
}

/// An owners' revocation: number `epoch` of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The domain.
    pub domain: DomainRoot,
    /// Its number, from 1, without gaps.
    pub epoch: u64,
    /// What.
    pub revoked: Revoked,
}

/// Why a revocation is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationError {
    /// Not signed by enough owners.
    #[error("revocation: {0}")]
    Signing(#[from] SigningError),
    /// Malformed.
    #[error("revocation: {0}")]
    Form(#[from] CborError),
    /// Of another domain.
    #[error("revocation of domain {got}, expected {expected}")]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// The revocation's.
        got: DomainRoot,
    },
    /// Not the next number.
    #[error(
        "revocation has epoch {got}, expected {expected}; numbers never go back or leave one out"
    )]
    Epoch {
        /// The next one.
        expected: u64,
        /// This one's.
        got: u64,
    },
}

impl Revocation {
    /// The payload signed in [`Namespace::Revocation`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, bytes) = match &self.revoked {
            Revoked::Measurement(m) => ("measurement", m.as_bytes().to_vec()),
            Revoked::StatementKey(k) => ("statement-key", k.as_bytes().to_vec()),
            Revoked::Machine(m) => ("machine", m.as_bytes().to_vec()),
            Revoked::Issuer(k) => ("issuer", k.as_bytes().to_vec()),
            Revoked::Claim(d) => ("claim", d.as_bytes().to_vec()),
        };
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, Value::Bytes(self.domain.as_bytes().to_vec())),
            (3, self.epoch.into()),
            (4, kind.into()),
            (5, Value::Bytes(bytes)),
        ]))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        let domain = f.named(2, "domain", DomainRoot::from_slice)?;
        let epoch = f.uint(3, "epoch")?;
        let kind = f.text(4, "kind")?;
        let revoked = f.named(5, "revoked", |b| {
            Some(match kind.as_str() {
                "measurement" => Revoked::Measurement(Measurement::from_slice(b)?),
                "statement-key" => Revoked::StatementKey(StatementKey::from_slice(b)?),
                "machine" => Revoked::Machine(MachineId::new(b)?),
                "issuer" => Revoked::Issuer(IssuerKey::from_slice(b)?),
                "claim" => Revoked::Claim(ContentDigest::from_slice(b)?),
                _ => return None,
            })
        })?;
        f.finish()?;
        Ok(Self { domain, epoch, revoked })
    }
}

/// Everything revoked so far, with the signed objects that say so.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    entries: Vec<(Signed, Revoked)>,
}

impl Revocations {
    /// The number of the newest one; 0 for none.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// Takes the next one.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn add(&mut self, signed: Signed, genesis: &Genesis) -> Result<&Revoked, RevocationError> {
        let read = |b: &[u8]| Ok::<_, RevocationError>(Revocation::decode(b)?);
        let revocation = genesis.signed(&signed, Namespace::Revocation, read, |r, period| {
            period.covers_revocation(r.epoch)
        })?;
        let root = genesis.root();
        if !holds_domain(&revocation, root) {
            return Err(RevocationError::Domain { expected: root, got: revocation.domain });
        }
        let expected = self.epoch().saturating_add(1);
        if !evidence::controls::holds("revocation_epoch", revocation.epoch == expected) {
            return Err(RevocationError::Epoch { expected, got: revocation.epoch });
        }
        self.entries.push((signed, revocation.revoked));
        self.entries.last().map(|(_, r)| r).ok_or(RevocationError::Epoch { expected, got: 0 })
    }

    /// The signed objects after number `epoch`.
    #[must_use]
    pub fn after(&self, epoch: u64) -> Vec<Signed> {
        let skip = usize::try_from(epoch).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).map(|(s, _)| s.clone()).collect()
    }

    /// True if `what` is revoked.
    #[must_use]
    pub fn contains(&self, what: &Revoked) -> bool {
        !evidence::controls::holds("revoked", !self.entries.iter().any(|(_, r)| r == what))
    }
}

fn holds_domain(revocation: &Revocation, root: DomainRoot) -> bool {
    evidence::controls::holds("revocation_domain", revocation.domain == root)
}
