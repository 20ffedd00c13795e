//! Role secrets: named values of the owners, released to roles at admission. What the owners sign is ciphertext: the value
//! is encrypted to the key of the authority they endorsed, so that whoever carries or stores it sees and changes nothing.
//! `docs/formats/role-secret.md` is the page.

use std::collections::BTreeMap;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{DomainRoot, SecretsKey};
use thiserror::Error;

use crate::genesis::Genesis;
use crate::permission;
use crate::signing::{Namespace, Signed, SigningError};

/// Longest value.
pub const VALUE_MAX: usize = 16 * 1024;
const LEN_MAX: usize = VALUE_MAX + 4096;
const VERSION: u64 = 1;

/// What owners sign in [`Namespace::Secret`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSecret {
    /// The domain.
    pub domain: DomainRoot,
    /// Its name, as policies say it.
    pub name: String,
    /// Higher than every one before of that name: an older value never comes back.
    pub number: u64,
    /// The value; none takes it back.
    pub value: Option<SealedValue>,
}

/// A value that one authority can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// Whose.
    pub to: SecretsKey,
    /// HPKE's encapsulated key.
    pub encapsulated: Vec<u8>,
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
}

/// Why a role secret is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleSecretError {
    /// Not signed by enough owners.
    #[error("role secret: {0}")]
    Signing(#[from] SigningError),
    /// Malformed.
    #[error("role secret: {0}")]
    Form(#[from] CborError),
    /// Of another domain.
    #[error("role secret of domain {got}, expected {expected}")]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// The secret's.
        got: DomainRoot,
    },
    /// Not newer.
    #[error(
        "role secret {name} has number {got}, expected more than {newest}; an older value never comes back, sign it with a higher number"
    )]
    Number {
        /// Which.
        name: String,
        /// The newest known.
        newest: u64,
        /// This one's.
        got: u64,
    },
}

impl RoleSecret {
    /// What the ciphertext is bound to: domain, name and number.
    #[must_use]
    pub fn bound_to(domain: &DomainRoot, name: &str, number: u64) -> Vec<u8> {
        let domain = Value::Bytes(domain.as_bytes().to_vec());
        cbor::encode(&Value::Array(vec![domain, name.into(), number.into()]))
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        let value = self.value.as_ref().map_or(Value::Null, |v| {
            Value::Array(vec![bytes(v.to.as_bytes()), bytes(&v.encapsulated), bytes(&v.ciphertext)])
        });
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(self.domain.as_bytes())),
            (3, self.name.as_str().into()),
            (4, self.number.into()),
            (5, value),
        ]))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        f.version(VERSION)?;
        let domain = f.named(2, "domain", DomainRoot::from_slice)?;
        let name = Some(f.text(3, "name")?).filter(|n| permission::is_name(n));
        let secret = Self {
            domain,
            name: name.ok_or(CborError::Field("name"))?,
            number: f.uint(4, "number")?,
            value: match f.take(5, "value")? {
                Value::Null => None,
                value => Some(sealed(value).ok_or(CborError::Field("value"))?),
            },
        };
        f.finish()?;
        Ok(secret)
    }

    /// What enough owners signed for this domain.
    ///
    /// # Errors
    /// [`RoleSecretError`].
    pub fn verify(signed: &Signed, genesis: &Genesis) -> Result<Self, RoleSecretError> {
        let read = |b: &[u8]| Ok::<_, RoleSecretError>(Self::decode(b)?);
        let secret = genesis.signed(signed, Namespace::Secret, read, |s, period| {
            period.covers_secret(&s.name, s.number)
        })?;
        let root = genesis.root();
        if !holds("secret_domain", secret.domain == root) {
            return Err(RoleSecretError::Domain { expected: root, got: secret.domain });
        }
        Ok(secret)
    }
}

fn sealed(value: Value) -> Option<SealedValue> {
    let [to, encapsulated, ciphertext] = <[Value; 3]>::try_from(value.into_array().ok()?).ok()?;
    Some(SealedValue {
        to: SecretsKey::from_slice(&to.into_bytes().ok()?)?,
        encapsulated: encapsulated.into_bytes().ok()?,
        ciphertext: ciphertext.into_bytes().ok()?,
    })
}

/// The newest of every name.
#[derive(Clone, Debug, Default)]
pub struct RoleSecrets(BTreeMap<String, RoleSecret>);

impl RoleSecrets {
    /// Number of the newest one of that name; 0 for none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |s| s.number)
    }

    /// The newest one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RoleSecret> {
        self.0.get(name)
    }

    /// A signed one, if it is newer than all of its name.
    ///
    /// # Errors
    /// [`RoleSecretError`].
    pub fn check(&self, signed: &Signed, genesis: &Genesis) -> Result<RoleSecret, RoleSecretError> {
        let secret = RoleSecret::verify(signed, genesis)?;
        let newest = self.number(&secret.name);
        if !holds("secret_number", secret.number > newest) {
            return Err(RoleSecretError::Number { name: secret.name, newest, got: secret.number });
        }
        Ok(secret)
    }

    /// Takes one that was checked.
    pub fn put(&mut self, secret: RoleSecret) {
        self.0.insert(secret.name.clone(), secret);
    }
}
