//! Conceptual message wrappers (draft-ietf-rats-msg-wrap): evidence, endorsements and results under their media type, alone or
//! in collections, in CBOR and JSON.
//!
//! A wrapper proves nothing. It says what somebody calls the bytes inside, and a collection does not bind its members
//! together: parts of different machines can lie in one. Refused: anything besides the three forms, a message type that is none,
//! indicators outside 1 to 31, empty collections, labels twice, the reserved label as a label, deep nesting.

mod cbor;
mod json;
mod label;
mod refusal;

use der::asn1::{AnyRef, OctetStringRef, Utf8StringRef};
use der::{Decode, Tag, Tagged};

pub use label::{CollectionType, Label};
pub use refusal::CmwError;

/// Longest wrapper read: evidence with its collateral is below 1 MiB.
pub const LEN_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting of collections: a machine, its parts, and theirs.
pub const DEPTH_MAX: usize = 4;
/// Most members of one collection.
pub const MEMBERS_MAX: usize = 64;
/// The extension of certificates that holds one (id-pe-cmw), dotted.
pub const EXTENSION: &str = "1.3.6.1.5.5.7.1.35";

/// A wrapper of one of the three forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cmw {
    /// Type and value, and what they are for.
    Record(Record),
    /// A CBOR tag made of a CoAP content format, over the value. There is no such form in JSON.
    Tag(ContentFormat, Vec<u8>),
    /// Labelled wrappers.
    Collection(Collection),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the value is.
    pub message_type: MessageType,
    /// The message as it stands.
    pub value: Vec<u8>,
    /// What it is for, where that is said.
    pub indicators: Option<Indicators>,
}

/// A number of the CoAP content format registry.
pub type ContentFormat = u16;

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// By a media type, with its parameters as they stand.
    Media(MediaType),
    /// By a CoAP content format; in CBOR only.
    Format(ContentFormat),
}

/// A media type: `type/subtype`, and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// A text with type and subtype of RFC 6838 and, behind a semicolon, printable parameters.
    ///
    /// # Errors
    /// [`CmwError::MediaType`].
    pub fn new(text: &str) -> Result<Self, CmwError> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let restricted = |t: &str| {
            let mut bytes = t.bytes();
            bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
                && bytes.all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
                && t.len() <= 127
        };
        let named = name.trim_end_matches(' ').split_once('/');
        let good = named.is_some_and(|(a, b)| restricted(a) && restricted(b))
            && parameters.bytes().all(|b| (0x20..0x7f).contains(&b));
        if good { Ok(Self(text.to_owned())) } else { Err(CmwError::MediaType(text.to_owned())) }
    }

    /// The text as it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its parameters.
    #[must_use]
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim_end_matches(' ')
    }
}

/// Which conceptual messages a value holds: a set that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicators(u8);

impl Indicators {
    /// Reference values.
    pub const REFERENCE_VALUES: u8 = 1;
    /// Endorsements.
    pub const ENDORSEMENTS: u8 = 2;
    /// Evidence.
    pub const EVIDENCE: u8 = 4;
    /// Attestation results.
    pub const RESULTS: u8 = 8;
    /// Appraisal policy.
    pub const POLICY: u8 = 16;

    /// The bits of 1 to 31.
    ///
    /// # Errors
    /// [`CmwError::Indicators`].
    pub fn new(bits: i128) -> Result<Self, CmwError> {
        let bits = u8::try_from(bits).ok().filter(|b| (1..=31).contains(b));
        bits.map(Self).ok_or(CmwError::Indicators)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// Labelled wrappers, at least one, in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    kind: Option<CollectionType>,
    members: Vec<(Label, Cmw)>,
}

impl Collection {
    /// A collection of members whose labels differ.
    ///
    /// # Errors
    /// [`CmwError::Empty`], [`CmwError::TooMany`], [`CmwError::LabelTwice`].
    pub fn new(kind: Option<CollectionType>, members: Vec<(Label, Cmw)>) -> Result<Self, CmwError> {
        if members.is_empty() {
            return Err(CmwError::Empty);
        }
        if members.len() > MEMBERS_MAX {
            return Err(CmwError::TooMany(members.len()));
        }
        let mut labels = members.iter().map(|(label, _)| label).collect::<Vec<_>>();
        labels.sort_unstable();
        let twice = labels.iter().zip(labels.iter().skip(1)).find(|(a, b)| a == b);
        if let Some((label, _)) = twice {
            return Err(CmwError::LabelTwice(label.to_string()));
        }
        Ok(Self { kind, members })
    }

    /// What the collection is, where it says so.
    #[must_use]
    pub const fn kind(&self) -> Option<&CollectionType> {
        self.kind.as_ref()
    }

    /// Its members.
    #[must_use]
    pub fn members(&self) -> &[(Label, Cmw)] {
        &self.members
    }
}

impl Cmw {
    /// Reads one, its form and encoding known by its first byte.
    ///
    /// # Errors
    /// [`CmwError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CmwError> {
        match bytes.first() {
            Some(0x82 | 0x83 | 0x9f | 0xda | 0xa0..=0xbb | 0xbf) => Self::from_cbor(bytes),
            Some(b'[' | b'{') => Self::from_json(bytes),
            _ => Err(CmwError::NoForm),
        }
    }

    /// Reads the content of a certificate's extension: a UTF8String with JSON, or an OCTET STRING with CBOR.
    ///
    /// # Errors
    /// [`CmwError`].
    pub fn from_extension(content: &[u8]) -> Result<Self, CmwError> {
        let any = AnyRef::from_der(content).map_err(|_| CmwError::Extension)?;
        match any.tag() {
            Tag::Utf8String => {
                let text = any.decode_as::<Utf8StringRef<'_>>().map_err(|_| CmwError::Extension)?;
                Self::from_json(text.as_bytes())
            }
            Tag::OctetString => {
                let octets = any.decode_as::<&OctetStringRef>().map_err(|_| CmwError::Extension)?;
                Self::from_cbor(octets.as_bytes())
            }
            _ => Err(CmwError::Extension),
        }
    }
}
