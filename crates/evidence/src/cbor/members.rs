//! A vendor's map taken apart member by member: what must be there, what may be, and what nobody knows.

use thiserror::Error;

use super::vendor::{Item, Key};

/// Why a map does not hold what a format fixes.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberError {
    /// It is not there.
    #[error("{name} is missing, expected {expected}; the evidence is incomplete")]
    Missing {
        /// In the vendor's words.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is of another type, length or value.
    #[error("{name} is not {expected}; the evidence is not of this format")]
    Form {
        /// In the vendor's words.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Nobody knows it.
    #[error("unknown member {0}; use a casemate that knows it")]
    Unknown(String),
}

/// A map's members, taken out one by one.
#[derive(Clone, Debug)]
pub struct Members<'a>(Vec<(Key<'a>, Item<'a>)>);

impl<'a> Members<'a> {
    pub(super) const fn new(pairs: Vec<(Key<'a>, Item<'a>)>) -> Self {
        Self(pairs)
    }

    /// Takes out what must be there and must be readable as `expected`.
    ///
    /// # Errors
    /// [`MemberError::Missing`] and [`MemberError::Form`].
    pub fn must<T>(
        &mut self,
        key: impl Into<Key<'a>>,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(Item<'a>) -> Option<T>,
    ) -> Result<T, MemberError> {
        let found = self.may(key, name, expected, read)?;
        found.ok_or(MemberError::Missing { name, expected })
    }

    /// Takes out what may be there.
    ///
    /// # Errors
    /// [`MemberError::Form`].
    pub fn may<T>(
        &mut self,
        key: impl Into<Key<'a>>,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(Item<'a>) -> Option<T>,
    ) -> Result<Option<T>, MemberError> {
        let key = key.into();
        let Some(at) = self.0.iter().position(|(k, _)| *k == key) else { return Ok(None) };
        let (_, item) = self.0.swap_remove(at);
        read(item).map(Some).ok_or(MemberError::Form { name, expected })
    }

    /// True if that key is there and was not taken.
    #[must_use]
    pub fn has(&self, key: impl Into<Key<'a>>) -> bool {
        let key = key.into();
        self.0.iter().any(|(k, _)| *k == key)
    }

    /// The keys nobody asked for, in order.
    #[must_use]
    pub fn rest(&self) -> Vec<String> {
        let mut keys = self.0.iter().map(|(k, _)| *k).collect::<Vec<_>>();
        keys.sort_unstable();
        keys.iter().map(ToString::to_string).collect()
    }

    /// Refuses keys nobody asked for.
    ///
    /// # Errors
    /// [`MemberError::Unknown`].
    pub fn finish(&self) -> Result<(), MemberError> {
        self.rest().into_iter().next().map_or(Ok(()), |key| Err(MemberError::Unknown(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::vendor::{Lengths, Rules, decode};

    const RULES: Rules = Rules { len_max: 64, lengths: Lengths::Definite };

    #[test]
    fn members_are_taken_once_and_the_rest_is_named() {
        let bytes = [0xa3, 1, 0x41, 9, 0x61, b'x', 0, 0x20, 0];
        let mut members = decode(&bytes, &RULES).unwrap().members().unwrap();
        assert_eq!(members.must(1, "one", "bytes", |i| i.bytes()), Ok(&[9][..]));
        let missing = MemberError::Missing { name: "one", expected: "bytes" };
        assert_eq!(members.must(1, "one", "bytes", |i| i.bytes()), Err(missing));
        let form = MemberError::Form { name: "x", expected: "text" };
        assert!(members.has("x"));
        assert_eq!(members.must("x", "x", "text", |i| i.text()), Err(form));
        assert_eq!(members.finish(), Err(MemberError::Unknown("-1".into())));
    }
}
