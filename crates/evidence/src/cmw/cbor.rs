//! Wrappers in CBOR: records, tags and collections, read and written in the order of their members.

use super::label::RESERVED;
use super::refusal::CmwError;
use super::{
    Cmw, Collection, CollectionType, ContentFormat, DEPTH_MAX, Indicators, LEN_MAX, Label,
    MediaType, MessageType, Record,
};
use crate::cbor::head;
use crate::cbor::vendor::{self, Item, Key, Lengths, Rules};

const RULES: Rules = Rules { len_max: LEN_MAX, lengths: Lengths::DefiniteOrNot };
/// The tag of content format 0 (RFC 9277 appendix B); the last byte never is 0.
const TAG_BASE: u64 = 0x6374_0101;
/// Content formats that have a tag: 255 times 255.
const FORMATS: u64 = 65_025;

impl Cmw {
    /// Reads one in CBOR.
    ///
    /// # Errors
    /// [`CmwError`].
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, CmwError> {
        cmw(vendor::decode(bytes, &RULES)?, 0)
    }

    /// Writes one in CBOR: shortest heads, stated lengths, a collection's type first.
    ///
    /// # Errors
    /// [`CmwError::Tag`] for a content format that has no tag.
    pub fn to_cbor(&self) -> Result<Vec<u8>, CmwError> {
        let mut out = Vec::new();
        write(self, &mut out)?;
        Ok(out)
    }
}

fn cmw(item: Item<'_>, depth: usize) -> Result<Cmw, CmwError> {
    match item {
        Item::Array(parts) => record(parts).map(Cmw::Record),
        Item::Tag(tag, inner) => {
            let format = format_of(tag).ok_or(CmwError::Tag(tag))?;
            let value = inner.bytes().ok_or(CmwError::Tag(tag))?;
            Ok(Cmw::Tag(format, value.to_vec()))
        }
        Item::Map(pairs) => collection(pairs, depth).map(Cmw::Collection),
        _ => Err(CmwError::NoForm),
    }
}

fn record(parts: Vec<Item<'_>>) -> Result<Record, CmwError> {
    let (kind, value, indicators) = match &parts[..] {
        [kind, value] => (kind, value, None),
        [kind, value, Item::Int(bits)] => (kind, value, Some(Indicators::new(*bits)?)),
        [_, _, _] => return Err(CmwError::Record("indicators are not a number")),
        _ => return Err(CmwError::Record("not two or three parts")),
    };
    let message_type = match kind {
        Item::Text(text) => MessageType::Media(MediaType::new(text)?),
        Item::Int(n) => {
            let format = ContentFormat::try_from(*n);
            MessageType::Format(format.map_err(|_| CmwError::Record("no content format"))?)
        }
        _ => return Err(CmwError::Record("the type is neither text nor a number")),
    };
    let value = value.bytes().ok_or(CmwError::Record("the value is not bytes"))?;
    Ok(Record { message_type, value: value.to_vec(), indicators })
}

fn collection(pairs: Vec<(Key<'_>, Item<'_>)>, depth: usize) -> Result<Collection, CmwError> {
    let inside = depth.saturating_add(1);
    if inside > DEPTH_MAX {
        return Err(CmwError::Deep);
    }
    let (mut kind, mut members) = (None, Vec::new());
    for (key, item) in pairs {
        let label = match key {
            Key::Text(RESERVED) => {
                let text =
                    item.text().ok_or_else(|| CmwError::CollectionType("not a text".to_owned()))?;
                kind = Some(CollectionType::new(text)?);
                continue;
            }
            Key::Text(text) => Label::text(text)?,
            Key::Int(n) => {
                Label::Int(i64::try_from(n).map_err(|_| CmwError::Label(n.to_string()))?)
            }
        };
        members.push((label, cmw(item, inside)?));
    }
    Collection::new(kind, members)
}

/// The content format a tag is made of.
fn format_of(tag: u64) -> Option<ContentFormat> {
    let n = tag.checked_sub(TAG_BASE)?;
    let (high, low) = (n.div_euclid(256), n.rem_euclid(256));
    let format = high.checked_mul(255)?.checked_add(low)?;
    (low < 255 && format < FORMATS).then(|| ContentFormat::try_from(format).ok()).flatten()
}

/// The tag of a content format.
fn tag_of(format: ContentFormat) -> Option<u64> {
    let n = u64::from(format);
    let shifted = n.div_euclid(255).saturating_mul(256).saturating_add(n.rem_euclid(255));
    (n < FORMATS).then(|| TAG_BASE.saturating_add(shifted))
}

fn len(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn string(major: u8, bytes: &[u8], out: &mut Vec<u8>) {
    head(major, len(bytes.len()), out);
    out.extend(bytes);
}

fn write(cmw: &Cmw, out: &mut Vec<u8>) -> Result<(), CmwError> {
    match cmw {
        Cmw::Record(record) => {
            head(4, if record.indicators.is_some() { 3 } else { 2 }, out);
            match &record.message_type {
                MessageType::Media(media) => string(3, media.as_str().as_bytes(), out),
                MessageType::Format(format) => head(0, u64::from(*format), out),
            }
            string(2, &record.value, out);
            if let Some(indicators) = record.indicators {
                head(0, u64::from(indicators.bits()), out);
            }
        }
        Cmw::Tag(format, value) => {
            head(6, tag_of(*format).ok_or(CmwError::Tag(u64::from(*format)))?, out);
            string(2, value, out);
        }
        Cmw::Collection(collection) => {
            let members = len(collection.members().len());
            let kind = collection.kind();
            head(5, members.saturating_add(u64::from(kind.is_some())), out);
            if let Some(kind) = kind {
                string(3, RESERVED.as_bytes(), out);
                string(3, kind.as_str().as_bytes(), out);
            }
            for (label, member) in collection.members() {
                match label {
                    Label::Text(text) => string(3, text.as_bytes(), out),
                    Label::Int(n) if *n < 0 => head(1, n.saturating_add(1).unsigned_abs(), out),
                    Label::Int(n) => head(0, n.unsigned_abs(), out),
                }
                write(member, out)?;
            }
        }
    }
    Ok(())
}
