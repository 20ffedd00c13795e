//! Deterministic CBOR (RFC 8949 section 4.2.1), the one encoding of everything this project signs.
//!
//! Reading is strict: the bytes must be exactly what [`encode`] would write for the value they hold,
//! so trailing bytes, duplicate or unordered map keys, indefinite lengths and long-form integers are
//! refused by one comparison. Floats and tags have no place in our own formats and are refused too.
//! Vendor formats (Nitro, CCA, PSA) are looser and have their own reader, [`vendor`].

pub mod members;
pub mod vendor;

use ciborium::Value;
use thiserror::Error;

/// Deepest nesting of our own formats is five; hostile input gets no more than this.
pub const DEPTH_MAX: usize = 16;

/// Why bytes are not one of our CBOR items.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CborError {
    /// Longer than the format's limit.
    #[error("CBOR of {got} bytes, at most {max} allowed; send less")]
    TooLong {
        /// Limit of this format.
        max: usize,
        /// Length seen.
        got: usize,
    },
    /// Not CBOR, cut short, or nested too deep.
    #[error("not well-formed CBOR, or nested deeper than 16; the bytes are damaged or not ours")]
    Malformed,
    /// Well-formed, but not in the deterministic encoding.
    #[error(
        "CBOR is not in deterministic encoding (RFC 8949 4.2.1); write it with a conforming encoder"
    )]
    NotDeterministic,
    /// A type these formats never use.
    #[error("CBOR holds a float or a tag, which this format never uses")]
    ForeignType,
    /// A field is missing, of the wrong type, of the wrong length or out of range.
    #[error("field {0} is missing or not of the form the format fixes")]
    Field(&'static str),
    /// A field that this version does not know.
    #[error("unknown field {0}; this format version does not have it")]
    UnknownField(i64),
    /// A version other than the one understood.
    #[error("format version {0} is not understood; use a casemate that knows it")]
    Version(u64),
}

/// Writes `value` deterministically: shortest integers, definite lengths, map keys in bytewise order.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// Reads one item that must fill `bytes` exactly and be deterministic.
///
/// # Errors
/// Every variant of [`CborError`] up to [`CborError::ForeignType`].
pub fn decode(bytes: &[u8], max: usize) -> Result<Value, CborError> {
    if bytes.len() > max {
        return Err(CborError::TooLong { max, got: bytes.len() });
    }
    let value: Value = ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH_MAX)
        .map_err(|_| CborError::Malformed)?;
    if foreign(&value) {
        return Err(CborError::ForeignType);
    }
    if encode(&value) != bytes {
        return Err(CborError::NotDeterministic);
    }
    Ok(value)
}

fn foreign(value: &Value) -> bool {
    match value {
        Value::Float(_) | Value::Tag(..) => true,
        Value::Array(items) => items.iter().any(foreign),
        Value::Map(pairs) => pairs.iter().any(|(k, v)| foreign(k) || foreign(v)),
        _ => false,
    }
}

pub(crate) fn head(major: u8, n: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    if let Ok(n) = u8::try_from(n) {
        if n < 24 {
            out.push(major | n);
        } else {
            out.extend([major | 24, n]);
        }
    } else if let Ok(n) = u16::try_from(n) {
        out.push(major | 25);
        out.extend(n.to_be_bytes());
    } else if let Ok(n) = u32::try_from(n) {
        out.push(major | 26);
        out.extend(n.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend(n.to_be_bytes());
    }
}

fn len(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Integer(i) => {
            let i = i128::from(*i);
            // CBOR integers span -2^64 ..= 2^64-1, so one of the two conversions always holds.
            if let Ok(n) = u64::try_from(i) {
                head(0, n, out);
            } else {
                head(
                    1,
                    u64::try_from(i.saturating_add(1).saturating_neg()).unwrap_or(u64::MAX),
                    out,
                );
            }
        }
        Value::Bytes(b) => {
            head(2, len(b.len()), out);
            out.extend(b);
        }
        Value::Text(t) => {
            head(3, len(t.len()), out);
            out.extend(t.as_bytes());
        }
        Value::Array(items) => {
            head(4, len(items.len()), out);
            items.iter().for_each(|v| write(v, out));
        }
        Value::Map(pairs) => {
            let mut coded: Vec<_> = pairs.iter().map(|(k, v)| (encode(k), v)).collect();
            coded.sort_by(|a, b| a.0.cmp(&b.0));
            // A duplicate key is written once: `decode` then sees a difference and refuses.
            coded.dedup_by(|a, b| a.0 == b.0);
            head(5, len(coded.len()), out);
            for (k, v) in coded {
                out.extend(k);
                write(v, out);
            }
        }
        Value::Bool(b) => out.push(if *b { 0xf5 } else { 0xf4 }),
        // Null; floats and tags never reach here from `decode`, and our own writers make none.
        _ => out.push(0xf6),
    }
}

/// A map with small integer keys, read field by field; [`Fields::finish`] refuses what was not asked for.
#[derive(Debug)]
pub struct Fields(Vec<(i64, Value)>);

impl Fields {
    /// Decodes a deterministic map with integer keys.
    ///
    /// # Errors
    /// [`CborError`]; [`CborError::Field`] if the item is no such map.
    pub fn decode(bytes: &[u8], max: usize) -> Result<Self, CborError> {
        Self::from_value(decode(bytes, max)?)
    }

    /// The same from a value already read.
    ///
    /// # Errors
    /// [`CborError::Field`] if the value is no map with integer keys.
    pub fn from_value(value: Value) -> Result<Self, CborError> {
        let Value::Map(pairs) = value else { return Err(CborError::Field("map")) };
        pairs
            .into_iter()
            .map(|(k, v)| {
                Ok((
                    k.as_integer()
                        .and_then(|i| i64::try_from(i).ok())
                        .ok_or(CborError::Field("key"))?,
                    v,
                ))
            })
            .collect::<Result<Vec<_>, CborError>>()
            .map(Self)
    }

    /// Takes a field out if it is there.
    pub fn take_opt(&mut self, key: i64) -> Option<Value> {
        let at = self.0.iter().position(|(k, _)| *k == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes a field that must be there.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn take(&mut self, key: i64, name: &'static str) -> Result<Value, CborError> {
        self.take_opt(key).ok_or(CborError::Field(name))
    }

    /// Takes a byte string.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn bytes(&mut self, key: i64, name: &'static str) -> Result<Vec<u8>, CborError> {
        self.take(key, name)?.into_bytes().map_err(|_| CborError::Field(name))
    }

    /// Takes a byte string of the exact length of a named value, e.g. `fields.named(1, "root", DomainRoot::from_slice)`.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn named<T>(
        &mut self,
        key: i64,
        name: &'static str,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, CborError> {
        read(&self.bytes(key, name)?).ok_or(CborError::Field(name))
    }

    /// Takes a text string.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn text(&mut self, key: i64, name: &'static str) -> Result<String, CborError> {
        self.take(key, name)?.into_text().map_err(|_| CborError::Field(name))
    }

    /// Takes an unsigned integer.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn uint(&mut self, key: i64, name: &'static str) -> Result<u64, CborError> {
        self.take(key, name)?
            .into_integer()
            .ok()
            .and_then(|i| u64::try_from(i).ok())
            .ok_or(CborError::Field(name))
    }

    /// Takes a signed integer.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn int(&mut self, key: i64, name: &'static str) -> Result<i64, CborError> {
        self.take(key, name)?
            .into_integer()
            .ok()
            .and_then(|i| i64::try_from(i).ok())
            .ok_or(CborError::Field(name))
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn boolean(&mut self, key: i64, name: &'static str) -> Result<bool, CborError> {
        self.take(key, name)?.into_bool().map_err(|_| CborError::Field(name))
    }

    /// Takes an array.
    ///
    /// # Errors
    /// [`CborError::Field`] with `name`.
    pub fn array(&mut self, key: i64, name: &'static str) -> Result<Vec<Value>, CborError> {
        self.take(key, name)?.into_array().map_err(|_| CborError::Field(name))
    }

    /// Takes field 1 and demands that it is the one version understood.
    ///
    /// # Errors
    /// [`CborError::Version`] or [`CborError::Field`].
    pub fn version(&mut self, understood: u64) -> Result<(), CborError> {
        match self.uint(1, "version")? {
            v if v == understood => Ok(()),
            v => Err(CborError::Version(v)),
        }
    }

    /// Refuses whatever was not taken.
    ///
    /// # Errors
    /// [`CborError::UnknownField`].
    pub fn finish(self) -> Result<(), CborError> {
        self.0.first().map_or(Ok(()), |(k, _)| Err(CborError::UnknownField(*k)))
    }
}

/// Builds a map with integer keys for [`encode`].
#[must_use]
pub fn map(pairs: Vec<(i64, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(k, v)| (Value::from(k), v)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_deterministic_is_refused() {
        for (bytes, why) in [
            (&[0x18, 0x01][..], "long-form integer"),
            (&[0x9f, 0x01, 0xff], "indefinite array"),
            (&[0xa2, 0x02, 0x00, 0x01, 0x00], "unordered keys"),
            (&[0xa2, 0x01, 0x00, 0x01, 0x01], "duplicate keys"),
            (&[0x01, 0x02], "trailing byte"),
        ] {
            assert_eq!(decode(bytes, 64), Err(CborError::NotDeterministic), "{why}");
        }
        assert_eq!(decode(&[0x42, 0x01], 64), Err(CborError::Malformed));
        assert_eq!(decode(&[], 64), Err(CborError::Malformed));
        assert_eq!(decode(&[0xf9, 0x3c, 0x00], 64), Err(CborError::ForeignType));
        assert_eq!(decode(&[0xc0, 0x60], 64), Err(CborError::ForeignType));
        assert_eq!(decode(&[0x81; 40], 64), Err(CborError::Malformed));
        assert_eq!(decode(&[0; 65], 64), Err(CborError::TooLong { max: 64, got: 65 }));
    }

    #[test]
    fn integers_take_their_shortest_form() {
        for (n, coded) in [
            (0i128, "00"),
            (23, "17"),
            (24, "1818"),
            (255, "18ff"),
            (256, "190100"),
            (65_536, "1a00010000"),
            (4_294_967_296, "1b0000000100000000"),
            (-1, "20"),
            (-500, "3901f3"),
            (18_446_744_073_709_551_615, "1bffffffffffffffff"),
            (-18_446_744_073_709_551_616, "3bffffffffffffffff"),
        ] {
            let v = Value::Integer(n.try_into().unwrap());
            assert_eq!(hex::encode(encode(&v)), coded);
            assert_eq!(decode(&encode(&v), 64), Ok(v));
        }
    }

    #[test]
    fn a_field_nobody_asked_for_is_named() {
        let bytes = encode(&map(vec![(1, Value::from(1)), (9, Value::from(2))]));
        let mut f = Fields::decode(&bytes, 64).unwrap();
        f.version(1).unwrap();
        assert_eq!(f.finish(), Err(CborError::UnknownField(9)));
    }
}
