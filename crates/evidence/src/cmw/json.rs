//! Wrappers in JSON: records and collections. Values are base64url without padding, whatever they are inside.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::label::RESERVED;
use super::refusal::CmwError;
use super::{
    Cmw, Collection, CollectionType, DEPTH_MAX, Indicators, LEN_MAX, Label, MediaType, MessageType,
    Record,
};
use crate::json;

impl Cmw {
    /// Reads one in JSON.
    ///
    /// # Errors
    /// [`CmwError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, CmwError> {
        cmw(json::parse(bytes, LEN_MAX)?, 0)
    }

    /// Writes one in JSON.
    ///
    /// # Errors
    /// [`CmwError::TagInJson`], [`CmwError::FormatInJson`], [`CmwError::Label`]: what JSON has no form for.
    pub fn to_json(&self) -> Result<Value, CmwError> {
        match self {
            Self::Tag(..) => Err(CmwError::TagInJson),
            Self::Record(record) => {
                let MessageType::Media(media) = &record.message_type else {
                    return Err(CmwError::FormatInJson);
                };
                let value = BASE64_URL_SAFE_NO_PAD.encode(&record.value);
                let mut parts = vec![Value::from(media.as_str()), Value::from(value)];
                parts.extend(record.indicators.map(|i| Value::from(i.bits())));
                Ok(Value::Array(parts))
            }
            Self::Collection(collection) => {
                let mut map = Map::new();
                if let Some(kind) = collection.kind() {
                    map.insert(RESERVED.to_owned(), kind.as_str().into());
                }
                for (label, member) in collection.members() {
                    let Label::Text(text) = label else {
                        return Err(CmwError::Label(label.to_string()));
                    };
                    map.insert(text.clone(), member.to_json()?);
                }
                Ok(Value::Object(map))
            }
        }
    }
}

fn cmw(value: Value, depth: usize) -> Result<Cmw, CmwError> {
    match value {
        Value::Array(parts) => record(&parts).map(Cmw::Record),
        Value::Object(map) => collection(map, depth).map(Cmw::Collection),
        _ => Err(CmwError::NoForm),
    }
}

fn record(parts: &[Value]) -> Result<Record, CmwError> {
    let (kind, value, indicators) = match parts {
        [kind, value] => (kind, value, None),
        [kind, value, bits] => {
            let bits = bits.as_i64().ok_or(CmwError::Record("indicators are not a number"))?;
            (kind, value, Some(Indicators::new(bits.into())?))
        }
        _ => return Err(CmwError::Record("not two or three parts")),
    };
    let media = match kind {
        Value::String(text) => MediaType::new(text)?,
        Value::Number(n) if n.is_u64() => return Err(CmwError::FormatInJson),
        _ => return Err(CmwError::Record("the type is not a text")),
    };
    let value = value.as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    let value = value.ok_or(CmwError::Record("the value is not base64url without padding"))?;
    Ok(Record { message_type: MessageType::Media(media), value, indicators })
}

fn collection(map: Map<String, Value>, depth: usize) -> Result<Collection, CmwError> {
    let inside = depth.saturating_add(1);
    if inside > DEPTH_MAX {
        return Err(CmwError::Deep);
    }
    // Looked up and passed over rather than taken out: whether taking out keeps the order is a feature of the library.
    let kind = match map.get(RESERVED) {
        None => None,
        Some(Value::String(text)) => Some(CollectionType::new(text)?),
        Some(other) => return Err(CmwError::CollectionType(other.to_string())),
    };
    let member = |(label, value): (String, Value)| Ok((Label::text(&label)?, cmw(value, inside)?));
    Collection::new(
        kind,
        map.into_iter()
            .filter(|(label, _)| label != RESERVED)
            .map(member)
            .collect::<Result<_, CmwError>>()?,
    )
}
