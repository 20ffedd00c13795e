//! CoMID (draft-ietf-rats-corim, concise-mid-tag): environments and what is said about them.
//!
//! Read are reference values, endorsed values, conditional endorsements, and identity and attestation keys. Other triples
//! are named in `unread`. Refused: environments that name nothing, tags without triples, identifiers of the wrong length.

use super::claims::{Key, LIST_MAX, Label, Measurement, list};
use super::{CorimError, decode};
use crate::cbor::vendor::Item;

/// An identifier: bytes under the tag that says of which kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// 37 UUID, 111 object identifier, 550 UEID, 560 bytes.
    pub tag: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Id {
    pub(super) fn read(item: Item<'_>) -> Option<Self> {
        let Item::Tag(tag, inner) = item else { return None };
        let bytes = inner.bytes()?.to_vec();
        let right = match tag {
            37 => bytes.len() == 16,
            550 => (7..=33).contains(&bytes.len()),
            111 | 560 => !bytes.is_empty(),
            _ => false,
        };
        right.then_some(Self { tag, bytes })
    }
}

/// A kind of thing; at least one of its parts is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Its identifier.
    pub id: Option<Id>,
    /// Its maker.
    pub vendor: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its layer, counted from the hardware.
    pub layer: Option<u64>,
    /// Which of several alike.
    pub index: Option<u64>,
}

/// What a measurement is of; at least one of its parts is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its kind.
    pub class: Option<Class>,
    /// This one of its kind.
    pub instance: Option<Id>,
    /// A group of its kind.
    pub group: Option<Id>,
    /// Names by keys or in other ways that are not read.
    pub unread: Vec<&'static str>,
}

/// An environment and measurements of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triple {
    /// Of what.
    pub environment: Environment,
    /// What.
    pub measurements: Vec<Measurement>,
}

/// Endorsements that count where all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditional {
    /// The conditions.
    pub conditions: Vec<Triple>,
    /// What counts then.
    pub endorsements: Vec<Triple>,
}

/// An environment and its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTriple {
    /// Whose.
    pub environment: Environment,
    /// The keys; none where conditions follow.
    pub keys: Vec<Key>,
    /// True if conditions follow, which are not read.
    pub conditional: bool,
}

/// A CoMID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comid {
    /// What its author calls it.
    pub id: Label,
    /// Reference values.
    pub references: Vec<Triple>,
    /// Endorsed values.
    pub endorsed: Vec<Triple>,
    /// Conditional endorsements.
    pub conditional: Vec<Conditional>,
    /// Keys that identify a device.
    pub identity_keys: Vec<KeyTriple>,
    /// Keys that sign evidence.
    pub attest_keys: Vec<KeyTriple>,
    /// Kinds of triples that are not read.
    pub unread: Vec<String>,
}

impl Comid {
    /// Reads one without its tag.
    ///
    /// # Errors
    /// [`CorimError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CorimError> {
        let mut map = decode(bytes)?.members().ok_or(CorimError::Form("CoMID", "a map"))?;
        map.may(0, "language", "a text", |i| i.text())?;
        let mut identity = map.must(1, "tag identity", "a map", Item::members)?;
        let id = identity.must(0, "tag id", "a text or UUID", |i| Label::tag_id(&i))?;
        identity.may(1, "tag version", "a number", |i| i.int())?;
        identity.finish()?;
        map.may(2, "entities", "an array", Item::array)?;
        map.may(3, "linked tags", "an array", Item::array)?;
        let mut triples = map.must(4, "triples", "a map", Item::members)?;
        map.finish()?;
        if triples.rest().is_empty() {
            return Err(CorimError::Count("triples", 0, LIST_MAX));
        }
        let references = triples.may(0, "reference values", "an array", Some)?;
        let endorsed = triples.may(1, "endorsed values", "an array", Some)?;
        let identity_keys = triples.may(2, "identity keys", "an array", Some)?;
        let attest_keys = triples.may(3, "attest keys", "an array", Some)?;
        let conditional = triples.may(10, "conditional endorsements", "an array", Some)?;
        Ok(Self {
            id,
            references: all("reference values", references, Triple::read)?,
            endorsed: all("endorsed values", endorsed, Triple::read)?,
            conditional: all("conditional endorsements", conditional, Conditional::read)?,
            identity_keys: all("identity keys", identity_keys, KeyTriple::read)?,
            attest_keys: all("attest keys", attest_keys, KeyTriple::read)?,
            unread: triples.rest(),
        })
    }
}

fn all<'a, T>(
    name: &'static str,
    item: Option<Item<'a>>,
    read: impl FnMut(Item<'a>) -> Result<T, CorimError>,
) -> Result<Vec<T>, CorimError> {
    item.map_or(Ok(Vec::new()), |item| list(name, item, read))
}

fn pair<'a>(name: &'static str, item: Item<'a>) -> Result<[Item<'a>; 2], CorimError> {
    let parts = item.array().and_then(|parts| parts.try_into().ok());
    parts.ok_or(CorimError::Form(name, "an array of two"))
}

impl Triple {
    fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let [environment, measurements] = pair("triple", item)?;
        Ok(Self {
            environment: Environment::read(environment)?,
            measurements: list("measurements", measurements, Measurement::read)?,
        })
    }
}

impl Conditional {
    fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let [conditions, endorsements] = pair("conditional endorsement", item)?;
        Ok(Self {
            conditions: list("conditions", conditions, Triple::read)?,
            endorsements: list("endorsements", endorsements, Triple::read)?,
        })
    }
}

impl KeyTriple {
    fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let form = CorimError::Form("key triple", "an environment, keys and perhaps conditions");
        let mut parts = item.array().ok_or(form.clone())?.into_iter();
        let (Some(environment), Some(keys)) = (parts.next(), parts.next()) else {
            return Err(form);
        };
        let conditional = parts.next().is_some();
        if parts.next().is_some() {
            return Err(form);
        }
        let environment = Environment::read(environment)?;
        let keys = list("keys", keys, Key::read)?;
        Ok(Self { environment, keys: if conditional { Vec::new() } else { keys }, conditional })
    }
}

impl Environment {
    fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let mut map = item.members().ok_or(CorimError::Form("environment", "a map"))?;
        if map.rest().is_empty() {
            return Err(CorimError::Form("environment", "named in any way"));
        }
        let class = map.may(0, "class", "a map", Some)?.map(Class::read).transpose()?;
        let instance = map.may(1, "instance", "an identifier", Some)?;
        let group = map.may(2, "group", "an identifier", Some)?;
        map.finish()?;
        let mut unread = Vec::new();
        let mut id = |name: &'static str, item: Option<Item<'_>>| {
            let item = item?;
            let read = Id::read(item);
            if read.is_none() {
                unread.push(name);
            }
            read
        };
        let (instance, group) = (id("instance", instance), id("group", group));
        Ok(Self { class, instance, group, unread })
    }
}

impl Class {
    fn read(item: Item<'_>) -> Result<Self, CorimError> {
        let mut map = item.members().ok_or(CorimError::Form("class", "a map"))?;
        if map.rest().is_empty() {
            return Err(CorimError::Form("class", "named in any way"));
        }
        let text = |i: Item<'_>| i.text().map(str::to_owned);
        let number = |i: Item<'_>| i.int().and_then(|n| u64::try_from(n).ok());
        let class = Self {
            id: map.may(0, "class id", "a UUID, object identifier or bytes", Id::read)?,
            vendor: map.may(1, "vendor", "a text", text)?,
            model: map.may(2, "model", "a text", text)?,
            layer: map.may(3, "layer", "a number", number)?,
            index: map.may(4, "index", "a number", number)?,
        };
        map.finish()?;
        Ok(class)
    }
}
