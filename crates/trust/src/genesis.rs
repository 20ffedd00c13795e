//! Genesis: the first word of a domain. Its SHA-256 is the domain root, which monitors carry in their measured
//! configuration and tools pin. `docs/formats/genesis.md` is its page.

use ciborium::Value;
use evidence::DomainRoot;
use evidence::bytes::sha256;
use evidence::cbor::{self, CborError, Fields};
use thiserror::Error;

use crate::names::DomainName;
use crate::signing::{Signed, Signers, SigningError};
use crate::succession::{Change, SuccessionError};

/// A genesis with 32 keys stays below this.
pub const LEN_MAX: usize = 64 * 1024;
/// A genesis with every change of signers that followed.
pub const CHAIN_MAX: usize = 4 << 20;
/// All signers revoke as they sign.
const PLAIN: u64 = 1;
/// Fewer are enough to revoke.
const WITH_REVOKE: u64 = 2;

/// A domain's name and who signs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The domain.
    pub domain: DomainName,
    /// Who signed first. Who signs now, [`Genesis::signers_now`] says.
    pub signers: Signers,
    /// Random, so that two domains of one name and the same owners are two domains.
    pub nonce: [u8; 32],
    /// Changes of signers that followed; no part of the genesis itself, and each verified.
    pub(crate) changes: Vec<Change>,
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
    /// A change of signers that does not follow.
    #[error("genesis: {0}")]
    Succession(#[from] SuccessionError),
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
    /// The first word of a new domain.
    #[must_use]
    pub const fn new(domain: DomainName, signers: Signers, nonce: [u8; 32]) -> Self {
        Self { domain, signers, nonce, changes: Vec::new() }
    }

    /// Deterministic CBOR of the genesis alone: what the domain root is the hash of.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let plain = self.signers.revoke() == self.signers.need();
        let mut fields = vec![
            (1, if plain { PLAIN } else { WITH_REVOKE }.into()),
            (2, self.domain.as_str().into()),
            (3, u64::try_from(self.signers.need()).unwrap_or(u64::MAX).into()),
            (
                4,
                Value::Array(self.signers.keys().iter().map(|k| Value::from(k.as_str())).collect()),
            ),
            (5, Value::Bytes(self.nonce.to_vec())),
        ];
        if !plain {
            fields.push((6, u64::try_from(self.signers.revoke()).unwrap_or(u64::MAX).into()));
        }
        cbor::encode(&cbor::map(fields))
    }

    /// The genesis, with the changes of signers that followed where there are any: what is handed on.
    #[must_use]
    pub fn encode_chain(&self) -> Vec<u8> {
        if self.changes.is_empty() {
            return self.encode();
        }
        let changes = self.changes.iter().map(|c| Value::Bytes(c.signed().encode())).collect();
        cbor::encode(&Value::Array(vec![Value::Bytes(self.encode()), Value::Array(changes)]))
    }

    /// Reads what [`Genesis::encode_chain`] wrote; each change is verified on top of the one before.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn decode_chain(bytes: &[u8]) -> Result<Self, GenesisError> {
        let (first, changes) = Self::split(bytes)?;
        let mut genesis = Self::decode(&first)?;
        for change in changes {
            genesis.follow(Signed::decode(&change)?)?;
        }
        Ok(genesis)
    }

    /// The genesis' own bytes, and the signed changes.
    fn split(bytes: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), CborError> {
        let Value::Array(parts) = cbor::decode(bytes, CHAIN_MAX)? else {
            return Ok((bytes.to_vec(), Vec::new()));
        };
        let [first, changes] = <[Value; 2]>::try_from(parts).map_err(|_| CborError::Malformed)?;
        let bytes = |v: Value| v.into_bytes().map_err(|_| CborError::Field("changes"));
        let changes = changes.into_array().map_err(|_| CborError::Field("changes"))?;
        if changes.is_empty() {
            // One spelling for one thing.
            return Err(CborError::Field("changes"));
        }
        Ok((bytes(first)?, changes.into_iter().map(bytes).collect::<Result<_, _>>()?))
    }

    /// Reads it; whose it is, its root says.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, GenesisError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        let version = f.uint(1, "version")?;
        if version != PLAIN && version != WITH_REVOKE {
            return Err(CborError::Version(version).into());
        }
        let name = f.text(2, "domain")?;
        let need = usize::try_from(f.uint(3, "need")?).map_err(|_| CborError::Field("need"))?;
        let keys = f.array(4, "keys")?;
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("keys"));
        let keys = keys.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let nonce = f.named(5, "nonce", |b| b.try_into().ok())?;
        let revoke = match version {
            PLAIN => need,
            _ => usize::try_from(f.uint(6, "revoke")?).map_err(|_| CborError::Field("revoke"))?,
        };
        f.finish()?;
        if version == WITH_REVOKE && revoke == need {
            return Err(CborError::Field("revoke").into());
        }
        let domain = DomainName::new(&name).ok_or(GenesisError::Name(name))?;
        let signers = Signers::new(need, &keys)?.with_revoke(revoke)?;
        Ok(Self::new(domain, signers, nonce))
    }

    /// The same with its changes of signers, if it is the domain that is pinned.
    ///
    /// # Errors
    /// [`GenesisError::Root`] and those of [`Genesis::decode`].
    pub fn pinned(bytes: &[u8], root: DomainRoot) -> Result<Self, GenesisError> {
        let (first, _) = Self::split(bytes)?;
        let got = DomainRoot::new(sha256(&first));
        if !evidence::controls::holds("genesis_root", got == root) {
            return Err(GenesisError::Root { expected: root, got });
        }
        Self::decode_chain(bytes)
    }

    /// The domain root.
    #[must_use]
    pub fn root(&self) -> DomainRoot {
        DomainRoot::new(sha256(&self.encode()))
    }
}
