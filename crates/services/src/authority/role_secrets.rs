//! Role secrets in the authority: the owners' values, opened with a key it made inside, one at a time when a role is admitted
//! that the policy names for it.

use evidence::{DomainRoot, SecretsKey};
use platform::Secret;
use thiserror::Error;
use trust::role_secret::{RoleSecret, SealedValue, VALUE_MAX};

use super::hpke::{self, KeyPair};

const INFO: &[u8] = b"casemate role secret 1";

/// The authority's key for role secrets; its public half stands in the owners' endorsement.
#[derive(Debug)]
pub struct SecretsPair(KeyPair);

/// Why a value is not sealed or opened.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealedValueError {
    /// Longer than a value may be.
    #[error(
        "secret of {0} bytes, at most {VALUE_MAX} allowed; keep a key here and the data elsewhere"
    )]
    TooLong(usize),
    /// The library failed.
    #[error("secret cannot be encrypted to the authority's key")]
    Seal,
    /// Encrypted to another authority's key.
    #[error("it is encrypted to another authority's key; set it again")]
    Key,
    /// It does not open.
    #[error("it does not open: it was encrypted for another domain, name or number; set it again")]
    Closed,
}

/// A value for the authority with that key.
///
/// # Errors
/// [`SealedValueError`].
pub fn seal(
    to: SecretsKey,
    domain: &DomainRoot,
    name: &str,
    number: u64,
    value: &Secret<Vec<u8>>,
) -> Result<SealedValue, SealedValueError> {
    let len = value.expose().len();
    if len > VALUE_MAX {
        return Err(SealedValueError::TooLong(len));
    }
    let bound = RoleSecret::bound_to(domain, name, number);
    let sealed = hpke::seal(to.as_bytes(), INFO, &bound, value.expose());
    let (encapsulated, ciphertext) = sealed.ok_or(SealedValueError::Seal)?;
    Ok(SealedValue { to, encapsulated, ciphertext })
}

impl SecretsPair {
    /// A pair from random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(KeyPair::new(bytes))
    }

    pub(super) const fn bytes(&self) -> &Secret<[u8; 32]> {
        self.0.bytes()
    }

    /// The public half, which owners endorse.
    #[must_use]
    pub fn public(&self) -> Option<SecretsKey> {
        self.0.public().map(SecretsKey::new)
    }

    /// The value of a secret the owners signed; none if they took it back.
    ///
    /// # Errors
    /// [`SealedValueError`].
    pub fn open(&self, secret: &RoleSecret) -> Result<Option<Secret<Vec<u8>>>, SealedValueError> {
        let Some(value) = &secret.value else { return Ok(None) };
        if self.public() != Some(value.to) {
            return Err(SealedValueError::Key);
        }
        let bound = RoleSecret::bound_to(&secret.domain, &secret.name, secret.number);
        let opened = self.0.open(INFO, &bound, value.encapsulated.clone(), &value.ciphertext);
        opened.map(|v| Some(Secret::new(v))).ok_or(SealedValueError::Closed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const DOMAIN: DomainRoot = DomainRoot::new([1; 32]);

    fn secret(name: &str, number: u64, to: &SecretsPair) -> RoleSecret {
        let value = Secret::new(b"hunter2".to_vec());
        let value = seal(to.public().unwrap(), &DOMAIN, name, number, &value).unwrap();
        RoleSecret { domain: DOMAIN, name: name.to_owned(), number, value: Some(value) }
    }

    #[test]
    fn a_value_opens_for_its_authority_under_its_domain_name_and_number_alone() {
        let (pair, other) = (SecretsPair::new([1; 32]), SecretsPair::new([2; 32]));
        let good = secret("db", 3, &pair);
        assert_eq!(pair.open(&good).unwrap().unwrap().expose(), b"hunter2");
        assert_eq!(other.open(&good).unwrap_err(), SealedValueError::Key);
        for moved in [
            RoleSecret { name: "mail".into(), ..good.clone() },
            RoleSecret { number: 4, ..good.clone() },
            RoleSecret { domain: DomainRoot::new([2; 32]), ..good.clone() },
        ] {
            assert_eq!(pair.open(&moved).unwrap_err(), SealedValueError::Closed);
        }
        let value = good.value.clone().map(|v| SealedValue { to: other.public().unwrap(), ..v });
        let relabelled = RoleSecret { value, ..good.clone() };
        assert_eq!(other.open(&relabelled).unwrap_err(), SealedValueError::Closed);
        assert!(pair.open(&RoleSecret { value: None, ..good }).unwrap().is_none());
    }

    #[test]
    fn every_changed_byte_of_a_value_is_refused_and_a_long_one_is_not_sealed() {
        let pair = SecretsPair::new([1; 32]);
        let good = secret("db", 1, &pair);
        let value = good.value.clone().unwrap();
        let flip = |bytes: &[u8], at: usize| {
            bytes
                .iter()
                .enumerate()
                .map(|(n, b)| if n == at { b ^ 1 } else { *b })
                .collect::<Vec<_>>()
        };
        let changed = (0..value.ciphertext.len())
            .map(|at| SealedValue { ciphertext: flip(&value.ciphertext, at), ..value.clone() })
            .chain((0..value.encapsulated.len()).map(|at| SealedValue {
                encapsulated: flip(&value.encapsulated, at),
                ..value.clone()
            }));
        for value in changed {
            let bad = RoleSecret { value: Some(value), ..good.clone() };
            assert_eq!(pair.open(&bad).unwrap_err(), SealedValueError::Closed);
        }
        let long = Secret::new(vec![0; VALUE_MAX + 1]);
        let refused = seal(pair.public().unwrap(), &DOMAIN, "db", 1, &long).unwrap_err();
        assert_eq!(refused, SealedValueError::TooLong(VALUE_MAX + 1));
    }
}
