//! Genesis: the first word of a domain. Its SHA-256 is the domain root, which monitors carry in their measured
//! configuration and tools pin. `docs/formats/genesis.md` is its page.

use ciborium::Value;
use evidence::DomainRoot;
use evidence::bytes::sha256;
use evidence::cbor::{self, CborError, Fields};
use thiserror::Error;

use crate::names::DomainName;
use crate::signing::{Signers, SigningError};

/// A genesis with 32 keys stays below this.
pub const LEN_MAX: usize = 64 * 1024;
const VERSION: u64 = 1;

/// A domain's name and who signs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The domain.
    pub domain: DomainName,
    /// Who signs.
    pub signers: Signers,
    /// Random, so that two domains of one name and the same owners are two domains.
    pub nonce: [u8; 32],
}

/// Why a genesis is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenesisError {
    /// Malformed.
    #[error("genesis: {0}")]
    Form(#[from] CborError),
    /// Bad signers.
    #[error("genesis: {0}")]
    Signers(#[from] SigningError),
    /// Bad name.
    #[error("genesis: domain {0:?} is no SPIFFE trust domain (lower-case letters, digits, . - _)")]
    Name(String),
    /// Not the domain that is pinned.
    #[error("genesis hashes to {got}, pinned is {expected}; this is another domain")]
    Root {
        /// Pinned.
        expected: DomainRoot,
        /// Of this genesis.
        got: DomainRoot,
    },
}

impl Genesis {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, self.domain.as_str().into()),
            (3, u64::try_from(self.signers.need()).unwrap_or(u64::MAX).into()),
            (
                4,
                Value::Array(self.signers.keys().iter().map(|k| Value::from(k.as_str())).collect()),
            ),
            (5, Value::Bytes(self.nonce.to_vec())),
        ]))
    }

    /// Reads it; whose it is, its root says.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, GenesisError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        let name = f.text(2, "domain")?;
        let need = usize::try_from(f.uint(3, "need")?).map_err(|_| CborError::Field("need"))?;
        let keys = f.array(4, "keys")?;
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("keys"));
        let keys = keys.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let nonce = f.named(5, "nonce", |b| b.try_into().ok())?;
        f.finish()?;
        let domain = DomainName::new(&name).ok_or(GenesisError::Name(name))?;
        Ok(Self { domain, signers: Signers::new(need, &keys)?, nonce })
    }

    /// The same, if it is the domain that is pinned.
    ///
    /// # Errors
    /// [`GenesisError::Root`] and those of [`Genesis::decode`].
    pub fn pinned(bytes: &[u8], root: DomainRoot) -> Result<Self, GenesisError> {
        let got = DomainRoot::new(sha256(bytes));
        if !evidence::controls::holds("genesis_root", got == root) {
            return Err(GenesisError::Root { expected: root, got });
        }
        Self::decode(bytes)
    }

    /// The domain root.
    #[must_use]
    pub fn root(&self) -> DomainRoot {
        DomainRoot::new(sha256(&self.encode()))
    }
}
