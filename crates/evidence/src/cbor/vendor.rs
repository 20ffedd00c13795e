//! Vendors' CBOR (RFC 8949): Nitro documents, CCA and PSA tokens, conceptual message wrappers.
//!
//! Looser than our own: integers may be long, maps in any order and, where the caller says so, of indefinite length.
//! Nothing is copied: strings are slices of what was received. Refused: trailing bytes, a key that occurs twice, keys that
//! are neither integers nor text, strings in chunks, floats and simple values besides true, false and null, and whatever
//! is longer, deeper or more than the named limits. Memory grows with what was read, never with a length that is claimed.

use core::fmt;

use thiserror::Error;

use super::members::Members;

/// Vendors nest five deep.
pub const DEPTH_MAX: usize = 8;
/// The largest known token holds some 150 items.
pub const ITEMS_MAX: usize = 4096;

/// Which lengths a format uses for maps and arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Stated in front.
    Definite,
    /// Stated, or ended by a break.
    DefiniteOrNot,
}

/// Limits of one format.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Longest input.
    pub len_max: usize,
    /// Lengths of maps and arrays.
    pub lengths: Lengths,
}

/// Why bytes are not an item these formats use.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VendorCborError {
    /// Longer than the format's limit.
    #[error("CBOR of {got} bytes, at most {max} allowed; pass the evidence alone")]
    TooLong {
        /// Limit of this format.
        max: usize,
        /// Length seen.
        got: usize,
    },
    /// An item goes on behind the end.
    #[error("CBOR ends at byte {0} inside an item; the evidence was cut short")]
    Truncated(usize),
    /// A head or a text that is no CBOR.
    #[error("byte {0} begins no well-formed CBOR item; the evidence is damaged")]
    Malformed(usize),
    /// Nested too deep.
    #[error("CBOR nested too deep at byte {0}; no such evidence exists")]
    Deep(usize),
    /// Too many items.
    #[error("CBOR of more than {ITEMS_MAX} items at byte {0}; no such evidence exists")]
    Many(usize),
    /// A length this format does not use.
    #[error("indefinite length at byte {0}, which this format never uses")]
    Indefinite(usize),
    /// A type these formats never use.
    #[error("float or unknown simple value at byte {0}, which this format never uses")]
    ForeignType(usize),
    /// A key that is neither an integer nor text.
    #[error("map key at byte {0} is neither an integer nor text")]
    KeyType(usize),
    /// A key that occurs twice.
    #[error("map key {0} occurs twice; which one counts cannot be said")]
    DuplicateKey(String),
    /// Something behind the item.
    #[error("{got} bytes follow the item; pass the evidence without what was appended")]
    Trailing {
        /// How many.
        got: usize,
    },
}

/// A map's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// An integer.
    Int(i128),
    /// A text.
    Text(&'a str),
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Text(t) => write!(f, "{t:?}"),
        }
    }
}

impl From<i32> for Key<'_> {
    fn from(n: i32) -> Self {
        Self::Int(n.into())
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(t: &'a str) -> Self {
        Self::Text(t)
    }
}

/// An item; strings are slices of the bytes received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An integer, of either sign.
    Int(i128),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A text string.
    Text(&'a str),
    /// An array.
    Array(Vec<Item<'a>>),
    /// A map whose keys differ.
    Map(Vec<(Key<'a>, Item<'a>)>),
    /// A tagged item.
    Tag(u64, Box<Item<'a>>),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
}

impl<'a> Item<'a> {
    /// The bytes, if it is a byte string.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(b) = self { Some(b) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub const fn text(&self) -> Option<&'a str> {
        if let Self::Text(t) = self { Some(t) } else { None }
    }

    /// The integer, if it is one.
    #[must_use]
    pub const fn int(&self) -> Option<i128> {
        if let Self::Int(n) = self { Some(*n) } else { None }
    }

    /// The items, if it is an array.
    #[must_use]
    pub fn array(self) -> Option<Vec<Self>> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The members, if it is a map.
    #[must_use]
    pub fn members(self) -> Option<Members<'a>> {
        if let Self::Map(pairs) = self { Some(Members::new(pairs)) } else { None }
    }
}

/// Reads one item that fills `bytes`.
///
/// # Errors
/// [`VendorCborError`].
pub fn decode<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Item<'a>, VendorCborError> {
    decode_nested(bytes, rules, DEPTH_MAX)
}

/// Reads one item of a format that nests otherwise than [`DEPTH_MAX`] deep.
///
/// # Errors
/// [`VendorCborError`].
pub fn decode_nested<'a>(
    bytes: &'a [u8],
    rules: &Rules,
    depth_max: usize,
) -> Result<Item<'a>, VendorCborError> {
    if bytes.len() > rules.len_max {
        return Err(VendorCborError::TooLong { max: rules.len_max, got: bytes.len() });
    }
    let mut reader = Reader { bytes, at: 0, items: 0, lengths: rules.lengths, depth_max };
    let item = reader.item(0)?;
    match bytes.len().saturating_sub(reader.at) {
        0 => Ok(item),
        got => Err(VendorCborError::Trailing { got }),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    items: usize,
    lengths: Lengths,
    depth_max: usize,
}

/// A head's argument: a number, or that the length is not stated.
enum Argument {
    Stated(u64),
    Indefinite,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], VendorCborError> {
        let end = self.at.checked_add(len).ok_or(VendorCborError::Truncated(self.bytes.len()))?;
        let part =
            self.bytes.get(self.at..end).ok_or(VendorCborError::Truncated(self.bytes.len()))?;
        self.at = end;
        Ok(part)
    }

    fn number(&mut self, len: usize) -> Result<u64, VendorCborError> {
        Ok(self.take(len)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn head(&mut self) -> Result<(u8, u8, Argument), VendorCborError> {
        let at = self.at;
        let first = self.number(1)?;
        let (major, low) = (u8::try_from(first >> 5).unwrap_or(7), u8::try_from(first & 31));
        let low = low.unwrap_or(31);
        let argument = match low {
            0..=23 => Argument::Stated(low.into()),
            24 => Argument::Stated(self.number(1)?),
            25 => Argument::Stated(self.number(2)?),
            26 => Argument::Stated(self.number(4)?),
            27 => Argument::Stated(self.number(8)?),
            31 => Argument::Indefinite,
            _ => return Err(VendorCborError::Malformed(at)),
        };
        Ok((major, low, argument))
    }

    fn item(&mut self, depth: usize) -> Result<Item<'a>, VendorCborError> {
        let at = self.at;
        if depth >= self.depth_max {
            return Err(VendorCborError::Deep(at));
        }
        self.items = self.items.saturating_add(1);
        if self.items > ITEMS_MAX {
            return Err(VendorCborError::Many(at));
        }
        let (major, low, argument) = self.head()?;
        let inside = depth.saturating_add(1);
        let length = match argument {
            Argument::Stated(n) => Some(n),
            Argument::Indefinite if !matches!(major, 4 | 5) => {
                // A break where no item may end, a tag or integer without argument, or a string in chunks.
                let chunks = matches!(major, 2 | 3);
                let why =
                    if chunks { VendorCborError::Indefinite } else { VendorCborError::Malformed };
                return Err(why(at));
            }
            Argument::Indefinite if self.lengths == Lengths::Definite => {
                return Err(VendorCborError::Indefinite(at));
            }
            Argument::Indefinite => None,
        };
        let stated = length.unwrap_or(0);
        Ok(match major {
            0 => Item::Int(stated.into()),
            1 => Item::Int(i128::from(stated).saturating_neg().saturating_sub(1)),
            2 => Item::Bytes(self.string(stated)?),
            3 => {
                let text = core::str::from_utf8(self.string(stated)?);
                Item::Text(text.map_err(|_| VendorCborError::Malformed(at))?)
            }
            4 => {
                let mut items = Vec::new();
                while self.more(&mut items, length)? {
                    items.push(self.item(inside)?);
                }
                Item::Array(items)
            }
            5 => {
                let mut pairs = Vec::new();
                while self.more(&mut pairs, length)? {
                    pairs.push((self.key(inside)?, self.item(inside)?));
                }
                differ(&pairs)?;
                Item::Map(pairs)
            }
            6 => Item::Tag(stated, Box::new(self.item(inside)?)),
            _ => match low {
                20 => Item::Bool(false),
                21 => Item::Bool(true),
                22 => Item::Null,
                _ => return Err(VendorCborError::ForeignType(at)),
            },
        })
    }

    fn string(&mut self, len: u64) -> Result<&'a [u8], VendorCborError> {
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn key(&mut self, depth: usize) -> Result<Key<'a>, VendorCborError> {
        let at = self.at;
        match self.item(depth)? {
            Item::Int(n) => Ok(Key::Int(n)),
            Item::Text(t) => Ok(Key::Text(t)),
            _ => Err(VendorCborError::KeyType(at)),
        }
    }

    /// True if another element follows those read: by the stated length, or until a break.
    fn more<T>(&mut self, read: &mut [T], length: Option<u64>) -> Result<bool, VendorCborError> {
        if let Some(length) = length {
            return Ok(u64::try_from(read.len()).unwrap_or(u64::MAX) < length);
        }
        let end = self.bytes.get(self.at) == Some(&0xff);
        if end {
            self.take(1)?;
        }
        Ok(!end)
    }
}

fn differ(pairs: &[(Key<'_>, Item<'_>)]) -> Result<(), VendorCborError> {
    let mut keys = pairs.iter().map(|(k, _)| *k).collect::<Vec<_>>();
    keys.sort_unstable();
    let twice = keys.iter().zip(keys.iter().skip(1)).find(|(a, b)| a == b);
    twice.map_or(Ok(()), |(key, _)| Err(VendorCborError::DuplicateKey(key.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { len_max: 64, lengths: Lengths::DefiniteOrNot };

    #[test]
    fn vendors_spellings_are_read() {
        let map = |pairs| Ok(Item::Map(pairs));
        assert_eq!(decode(&[0x18, 0x01], &RULES), Ok(Item::Int(1)), "long integer");
        assert_eq!(decode(&[0x3b; 9], &RULES).unwrap(), Item::Int(-0x3b3b_3b3b_3b3b_3b3c));
        assert_eq!(decode(&[0x9f, 0x01, 0xff], &RULES), Ok(Item::Array(vec![Item::Int(1)])));
        assert_eq!(
            decode(&[0xbf, 0x02, 0xf6, 0x01, 0xf5, 0xff], &RULES),
            map(vec![(Key::Int(2), Item::Null), (Key::Int(1), Item::Bool(true))])
        );
        assert_eq!(decode(&[0xc1, 0x41, 7], &RULES), Ok(Item::Tag(1, Box::new(Item::Bytes(&[7])))));
    }

    #[test]
    fn what_no_vendor_writes_is_refused_for_what_it_is() {
        use VendorCborError as E;
        let definite = Rules { lengths: Lengths::Definite, ..RULES };
        for (bytes, why) in [
            (&[][..], E::Truncated(0)),
            (&[0x42, 1], E::Truncated(2)),
            (&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], E::Truncated(10)),
            (&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], E::Truncated(10)),
            (&[0x1c], E::Malformed(0)),
            (&[0xff], E::Malformed(0)),
            (&[0xdf, 1], E::Malformed(0)),
            (&[0x61, 0xff], E::Malformed(0)),
            (&[0xbf, 1, 0xff], E::Malformed(2)),
            (&[0x81; 9], E::Deep(8)),
            (&[0x5f, 0x41, 1, 0xff], E::Indefinite(0)),
            (&[0xf9, 0x3c, 0], E::ForeignType(0)),
            (&[0xf7], E::ForeignType(0)),
            (&[0xa1, 0x41, 1, 2], E::KeyType(1)),
            (&[0xa2, 1, 0, 1, 0], E::DuplicateKey("1".into())),
            (&[0xa2, 1, 0, 0x18, 1, 0], E::DuplicateKey("1".into())),
            (&[0xa2, 0x61, 0x61, 0, 0x61, 0x61, 0], E::DuplicateKey("\"a\"".into())),
            (&[1, 2], E::Trailing { got: 1 }),
            (&[0; 65], E::TooLong { max: 64, got: 65 }),
        ] {
            assert_eq!(decode(bytes, &RULES), Err(why), "{}", hex::encode(bytes));
        }
        assert_eq!(decode(&[0x9f, 0xff], &definite), Err(E::Indefinite(0)));
        assert_eq!(decode(&[0xbf, 0xff], &definite), Err(E::Indefinite(0)));
    }

    #[test]
    fn the_number_of_items_is_bounded() {
        let rules = Rules { len_max: 1 << 16, ..RULES };
        let array = |n: usize| [&[0x9f][..], &vec![0; n], &[0xff]].concat();
        assert!(decode(&array(ITEMS_MAX - 1), &rules).is_ok());
        assert_eq!(decode(&array(ITEMS_MAX), &rules), Err(VendorCborError::Many(ITEMS_MAX)));
    }
}
