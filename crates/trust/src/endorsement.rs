//! The owners' word on their authority: this key, this measurement, speaks for the domain, for so long.
//!
//! Whoever relies on a credential checks this chain and not just a certificate authority: a CA key that the owners
//! did not endorse issues nothing.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{AuditKey, DomainRoot, Measurement, SecretsKey, SpkiDigest, Time, Window};
use thiserror::Error;

use crate::genesis::Genesis;
use crate::signing::{Namespace, Signed, SigningError};

const LEN_MAX: usize = 4096;
const VERSION: u64 = 3;

/// What owners sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityEndorsement {
    /// The domain.
    pub domain: DomainRoot,
    /// SHA-256 of the CA key's SubjectPublicKeyInfo.
    pub ca: SpkiDigest,
    /// The log's key, in the text form of a signed note's verifier.
    pub log: String,
    /// Measurement of the authority that holds them.
    pub measurement: Measurement,
    /// The owners' key to which it encrypts its records; it cannot read them again.
    pub audit: AuditKey,
    /// Its own key, to which owners encrypt role secrets.
    pub secrets: SecretsKey,
    /// When.
    pub window: Window,
}

/// An authority that k of n owners speak for, at a time.
#[derive(Clone, Debug)]
pub struct EndorsedAuthority {
    endorsement: AuthorityEndorsement,
    genesis: Genesis,
}

/// Why an endorsement is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndorsementError {
    /// Not signed by enough owners.
    #[error("authority endorsement: {0}")]
    Signing(#[from] SigningError),
    /// Malformed.
    #[error("authority endorsement: {0}")]
    Form(#[from] CborError),
    /// Of another domain.
    #[error("authority endorsement of domain {got}, expected {expected}")]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// The endorsement's.
        got: DomainRoot,
    },
    /// Not in force.
    #[error("authority endorsement is in force from {} to {}, not at {at}; have the owners sign a new one, or mend the clock", window.not_before, window.not_after)]
    Window {
        /// Its window.
        window: Window,
        /// The time asked about.
        at: Time,
    },
}

impl AuthorityEndorsement {
    /// The payload that is signed in [`Namespace::Endorsement`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, Value::Bytes(self.domain.as_bytes().to_vec())),
            (3, Value::Bytes(self.ca.as_bytes().to_vec())),
            (4, self.log.as_str().into()),
            (5, Value::Bytes(self.measurement.as_bytes().to_vec())),
            (6, self.window.not_before.unix().into()),
            (7, self.window.not_after.unix().into()),
            (8, Value::Bytes(self.audit.as_bytes().to_vec())),
            (9, Value::Bytes(self.secrets.as_bytes().to_vec())),
        ]))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        let endorsement = Self {
            domain: f.named(2, "domain", DomainRoot::from_slice)?,
            ca: f.named(3, "ca", SpkiDigest::from_slice)?,
            log: f.text(4, "log")?,
            measurement: f.named(5, "measurement", Measurement::from_slice)?,
            window: Window {
                not_before: Time::from_unix(f.int(6, "not_before")?),
                not_after: Time::from_unix(f.int(7, "not_after")?),
            },
            audit: f.named(8, "audit", AuditKey::from_slice)?,
            secrets: f.named(9, "secrets", SecretsKey::from_slice)?,
        };
        f.finish()?;
        Ok(endorsement)
    }
}

impl EndorsedAuthority {
    /// The authority, if enough owners endorsed it and the endorsement is in force at `at`.
    ///
    /// # Errors
    /// [`EndorsementError`].
    pub fn verify(signed: &Signed, genesis: &Genesis, at: Time) -> Result<Self, EndorsementError> {
        let endorsement = AuthorityEndorsement::decode(
            signed.verify(genesis.signers_now(), Namespace::Endorsement)?,
        )?;
        let root = genesis.root();
        if !holds("endorsement_domain", endorsement.domain == root) {
            return Err(EndorsementError::Domain { expected: root, got: endorsement.domain });
        }
        if !holds("endorsement_window", endorsement.window.contains(at)) {
            return Err(EndorsementError::Window { window: endorsement.window, at });
        }
        Ok(Self { endorsement, genesis: genesis.clone() })
    }

    /// What was endorsed.
    #[must_use]
    pub const fn endorsement(&self) -> &AuthorityEndorsement {
        &self.endorsement
    }

    /// The domain it is of.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }
}
