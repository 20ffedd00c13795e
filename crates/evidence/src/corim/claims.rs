//! Measurements of a CoMID (draft-ietf-rats-corim, measurement-map): digests, security versions, flags, raw values, names.
//!
//! Refused: measurements without values, algorithms twice, digests of the wrong length, masks of another length than their
//! value. A kind of value that is not read is named in `unread`, so that no condition passes for having lost a part.

use super::{CorimError, comid::Id};
use crate::cbor::members::Members;
use crate::cbor::vendor::{Item, Key as MapKey};

/// Most entries of one list.
pub(super) const LIST_MAX: usize = 256;

/// A name: text, number, or an identifier with its tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// A text.
    Text(String),
    /// A number.
    Int(i128),
    /// Bytes under a tag; a UUID in a manifest's id has none, and 37 is put here for it.
    Id(Id),
}

impl Label {
    pub(super) fn tag_id(item: &Item<'_>) -> Option<Self> {
        match item {
            Item::Text(t) => Some(Self::Text((*t).to_owned())),
            Item::Bytes(b) if b.len() == 16 => Some(Self::Id(Id { tag: 37, bytes: b.to_vec() })),
            _ => None,
        }
    }

    fn mkey(item: Item<'_>) -> Option<Self> {
        match item {
            Item::Text(t) => Some(Self::Text(t.to_owned())),
            Item::Int(n) if n >= 0 => Some(Self::Int(n)),
            other => Id::read(other).map(Self::Id),
        }
    }
}

/// A digest algorithm: a number of the named information registry, or a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Its number: 1 SHA-256, 7 SHA-384, 8 SHA-512.
    Number(i128),
    /// Its name.
    Name(String),
}

/// A digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// A security version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Svn {
    /// This one.
    Exact(u64),
    /// This one or a later one.
    AtLeast(u64),
}

/// A version and how versions of its kind are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version.
    pub version: String,
    /// The scheme, where it is said.
    pub scheme: Option<Label>,
}

/// Bytes, of which a mask may say which bits count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The bytes.
    pub value: Vec<u8>,
    /// As many; bits set count.
    pub mask: Option<Vec<u8>>,
}

/// A key, or what identifies one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Text of a key, certificate or path, under its tag (554, 555, 556).
    Text(u64, String),
    /// Bytes of a certificate or identifier, under their tag (560, 562).
    Bytes(u64, Vec<u8>),
    /// A thumbprint, under its tag (557, 559, 561).
    Thumbprint(u64, Digest),
    /// A kind that is not read; it is nobody's key.
    Unread(u64),
}

/// What is measured of one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Its version.
    pub version: Option<Version>,
    /// Its security version.
    pub svn: Option<Svn>,
    /// Its digests, each by another algorithm.
    pub digests: Vec<Digest>,
    /// Its flags by number, set or not.
    pub flags: Vec<(u8, bool)>,
    /// Bytes that only its maker can interpret.
    pub raw: Option<Raw>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its UEID.
    pub ueid: Option<Vec<u8>>,
    /// Its UUID.
    pub uuid: Option<Vec<u8>>,
    /// Its name.
    pub name: Option<String>,
    /// Integrity registers and their digests.
    pub registers: Vec<(Label, Vec<Digest>)>,
    /// Kinds of values that are not read.
    pub unread: Vec<String>,
}

/// A measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Of which part of the environment.
    pub key: Option<Label>,
    /// What was measured.
    pub values: Values,
    /// Whose word it must be.
    pub authorized_by: Vec<Key>,
}

/// At most [`LIST_MAX`] entries, at least one, each read.
pub(super) fn list<'a, T>(
    name: &'static str,
    item: Item<'a>,
    mut read: impl FnMut(Item<'a>) -> Result<T, CorimError>,
) -> Result<Vec<T>, CorimError> {
    let items = item.array().ok_or(CorimError::Form(name, "an array"))?;
    if items.is_empty() || items.len() > LIST_MAX {
        return Err(CorimError::Count(name, items.len(), LIST_MAX));
    }
    items.into_iter().map(&mut read).collect()
}

impl Digest {
    pub(super) fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let form = CorimError::Form("digest", "an algorithm and bytes of its length");
        let Some([algorithm, value]) =
            item.array().and_then(|parts| <[Item<'_>; 2]>::try_from(parts).ok())
        else {
            return Err(form);
        };
        let algorithm = match algorithm {
            Item::Int(n) => Algorithm::Number(n),
            Item::Text(t) => Algorithm::Name(t.to_owned()),
            _ => return Err(form),
        };
        let value = value.bytes().ok_or(form.clone())?.to_vec();
        let right = match algorithm {
            Algorithm::Number(1) => value.len() == 32,
            Algorithm::Number(7) => value.len() == 48,
            Algorithm::Number(8) => value.len() == 64,
            _ => !value.is_empty(),
        };
        if right { Ok(Self { algorithm, value }) } else { Err(form) }
    }

    fn list(item: Item<'_>) -> Result<Vec<Self>, CorimError> {
        let digests = list("digests", item, Self::read)?;
        let mut names = digests.iter().map(|d| &d.algorithm).collect::<Vec<_>>();
        names.sort_unstable();
        let twice = names.iter().zip(names.iter().skip(1)).any(|(a, b)| a == b);
        if twice { Err(CorimError::AlgorithmTwice) } else { Ok(digests) }
    }
}

impl Key {
    pub(super) fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let form = CorimError::Form("key", "tagged as one");
        let Item::Tag(tag, inner) = item else { return Err(form) };
        match (tag, *inner) {
            (554..=556, Item::Text(t)) => Ok(Self::Text(tag, t.to_owned())),
            (560 | 562, Item::Bytes(b)) => Ok(Self::Bytes(tag, b.to_vec())),
            (557 | 559 | 561, digest) => Ok(Self::Thumbprint(tag, Digest::read(digest)?)),
            (554..=556 | 560 | 562, _) => Err(form),
            _ => Ok(Self::Unread(tag)),
        }
    }
}

impl Measurement {
    pub(super) fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let mut map = item.members().ok_or(CorimError::Form("measurement", "a map"))?;
        let key = map.may(0, "measurement key", "a name or identifier", Label::mkey)?;
        let values = Values::read(map.must(1, "measured values", "a map", Item::members)?)?;
        let by = map.may(2, "authorized-by", "keys", Some)?;
        map.finish()?;
        let by = by.map(|item| list("authorized-by", item, Key::read)).transpose()?;
        Ok(Self { key, values, authorized_by: by.unwrap_or_default() })
    }
}

impl Values {
    fn read(mut map: Members<'_>) -> Result<Self, CorimError> {
        if map.rest().is_empty() {
            return Err(CorimError::Form("measured values", "at least one"));
        }
        let text = |i: Item<'_>| i.text().map(str::to_owned);
        let uuid = |i: Item<'_>| i.bytes().filter(|b| b.len() == 16).map(<[u8]>::to_vec);
        let version = map.may(0, "version", "a map", Item::members)?.map(version).transpose()?;
        let svn = map.may(1, "svn", "a security version", svn)?;
        let digests = map.may(2, "digests", "digests", Some)?.map(Digest::list).transpose()?;
        let flags = map.may(3, "flags", "numbers, true or false", flags)?;
        let raw = raw(&mut map)?;
        let serial = map.may(8, "serial number", "a text", text)?;
        let ueid = map.may(9, "UEID", "7 to 33 bytes", |i| {
            let id = if let Item::Tag(550, inner) = i { *inner } else { i };
            id.bytes().filter(|b| (7..=33).contains(&b.len())).map(<[u8]>::to_vec)
        })?;
        let uuid = map.may(10, "UUID", "16 bytes", |i| {
            if let Item::Tag(37, inner) = i { uuid(*inner) } else { uuid(i) }
        })?;
        let name = map.may(11, "name", "a text", text)?;
        let registers = map.may(14, "integrity registers", "a map", |i| {
            if let Item::Map(pairs) = i { Some(pairs) } else { None }
        })?;
        let registers = registers.unwrap_or_default().into_iter();
        let registers = registers.map(|(k, v)| Ok((register(k), Digest::list(v)?)));
        Ok(Self {
            version,
            svn,
            digests: digests.unwrap_or_default(),
            flags: flags.unwrap_or_default(),
            raw,
            serial,
            ueid,
            uuid,
            name,
            registers: registers.collect::<Result<_, CorimError>>()?,
            unread: map.rest(),
        })
    }
}

fn register(key: MapKey<'_>) -> Label {
    match key {
        MapKey::Int(n) => Label::Int(n),
        MapKey::Text(t) => Label::Text(t.to_owned()),
    }
}

fn version(mut map: Members<'_>) -> Result<Version, CorimError> {
    let version = map.must(0, "version", "a text", |i| i.text().map(str::to_owned))?;
    let scheme = map.may(1, "version scheme", "a number or text", Label::mkey)?;
    map.finish()?;
    Ok(Version { version, scheme })
}

fn svn(item: Item<'_>) -> Option<Svn> {
    let number = |i: &Item<'_>| i.int().and_then(|n| u64::try_from(n).ok());
    match item {
        Item::Tag(552, inner) => number(&inner).map(Svn::Exact),
        Item::Tag(553, inner) => number(&inner).map(Svn::AtLeast),
        other => number(&other).map(Svn::Exact),
    }
}

fn flags(item: Item<'_>) -> Option<Vec<(u8, bool)>> {
    let Item::Map(pairs) = item else { return None };
    if pairs.is_empty() {
        return None;
    }
    let flag = |(key, value): (MapKey<'_>, Item<'_>)| match (key, value) {
        (MapKey::Int(n), Item::Bool(b)) => Some((u8::try_from(n).ok()?, b)),
        _ => None,
    };
    pairs.into_iter().map(flag).collect()
}

fn raw(map: &mut Members<'_>) -> Result<Option<Raw>, CorimError> {
    let read = |item: Item<'_>| match item {
        Item::Tag(560, inner) => Some(Raw { value: inner.bytes()?.to_vec(), mask: None }),
        Item::Tag(563, inner) => {
            let [value, mask] = <[Item<'_>; 2]>::try_from(inner.array()?).ok()?;
            Some(Raw { value: value.bytes()?.to_vec(), mask: Some(mask.bytes()?.to_vec()) })
        }
        _ => None,
    };
    let mut raw = map.may(4, "raw value", "bytes, or bytes and a mask", read)?;
    // The mask's former place.
    if let Some(mask) = map.may(5, "mask", "bytes", |i| i.bytes().map(<[u8]>::to_vec))? {
        let placed = raw.as_mut().filter(|r| r.mask.is_none());
        placed.ok_or(CorimError::Form("mask", "of a raw value without one"))?.mask = Some(mask);
    }
    if let Some(Raw { value, mask: Some(mask) }) = &raw
        && value.len() != mask.len()
    {
        return Err(CorimError::Mask { mask: mask.len(), value: value.len() });
    }
    Ok(raw)
}
