//! JSON as signed objects carry it: bounded, and with every member named once. A reader that takes the last of two members and
//! one that takes the first see two objects under one signature.

use core::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// Why bytes are no JSON of ours.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Longer than the caller allows.
    #[error("JSON of {got} bytes, at most {max} allowed")]
    TooLong {
        /// The limit.
        max: usize,
        /// What came.
        got: usize,
    },
    /// Not JSON, or with a member named twice.
    #[error("not JSON with each member once: {0}")]
    Form(String),
}

/// Reads one value and nothing after it. Nesting is bounded by the library (128).
///
/// # Errors
/// [`JsonError`].
pub fn parse(bytes: &[u8], max: usize) -> Result<Value, JsonError> {
    if bytes.len() > max {
        return Err(JsonError::TooLong { max, got: bytes.len() });
    }
    serde_json::from_slice::<Once>(bytes)
        .map(|Once(value)| value)
        .map_err(|e| JsonError::Form(e.to_string()))
}

struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some((name, Once(value))) = members.next_entry::<String, Once>()? {
            if out.insert(name.clone(), value).is_some() {
                return Err(de::Error::custom(format!("{name:?} stands twice")));
            }
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_named_twice_is_refused_at_any_depth() {
        for bad in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"a":1}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(matches!(parse(bad.as_bytes(), 64), Err(JsonError::Form(_))), "{bad}");
        }
        for bad in ["", "{", "{} {}", "nul", "[1,]", "\u{feff}{}"] {
            assert!(parse(bad.as_bytes(), 64).is_err(), "{bad}");
        }
        assert!(parse("[".repeat(200).as_bytes(), 1000).is_err());
        assert!(matches!(parse(b"[1]", 2), Err(JsonError::TooLong { max: 2, got: 3 })));
        let good = r#"{"a":{"a":[1,-2,1.5,null,true,"x"]},"b":{"a":18446744073709551615}}"#;
        let expected = serde_json::from_str::<Value>(good).unwrap();
        assert_eq!(parse(good.as_bytes(), 100), Ok(expected));
    }
}
