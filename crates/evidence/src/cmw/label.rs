//! What members of a collection are called, and what a collection says it is.

use core::fmt;

use super::refusal::CmwError;

/// The key of a collection's type, which no member may have.
pub(super) const RESERVED: &str = "__cmwc_t";

/// A member's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// A text that is not blank.
    Text(String),
    /// A number; in CBOR only.
    Int(i64),
}

impl Label {
    /// A text that may label a member.
    ///
    /// # Errors
    /// [`CmwError::Label`].
    pub fn text(text: &str) -> Result<Self, CmwError> {
        if text.trim().is_empty() || text == RESERVED {
            return Err(CmwError::Label(text.to_owned()));
        }
        Ok(Self::Text(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Int(n) => write!(f, "{n}"),
        }
    }
}

/// What a collection says it is: an absolute URI, or an object identifier, dotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionType(String);

impl CollectionType {
    /// Either of the two.
    ///
    /// # Errors
    /// [`CmwError::CollectionType`].
    pub fn new(text: &str) -> Result<Self, CmwError> {
        if is_oid(text) || is_absolute_uri(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CmwError::CollectionType(text.to_owned()))
        }
    }

    /// As it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Two arcs or more, the first 0 to 2, none with a leading zero.
fn is_oid(text: &str) -> bool {
    let arc = |t: &str| {
        t == "0" || (t.bytes().all(|b| b.is_ascii_digit()) && !t.is_empty() && !t.starts_with('0'))
    };
    let root = text.split('.').next().is_some_and(|t| matches!(t, "0" | "1" | "2"));
    root && text.contains('.') && text.split('.').all(arc)
}

/// A scheme (RFC 3986 section 3.1), a colon, and something printable without blanks.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.is_empty()
        && rest.bytes().all(|b| (0x21..0x7f).contains(&b) && !b"<>\"{}|\\^`".contains(&b))
}
