//! Whom a policy lets speak, about what; and what it takes for a machine to be in a place.
//!
//! Nobody speaks whom the policy does not name, and nobody about anything it does not state.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{IssuerKey, Time};

use super::{list, read_list, text};
use crate::claim::says::{DEPTH_MAX, LEVEL_MAX, is_plain_text};
use crate::claim::{Basis, Country, Scope, Topic};
use crate::names::RoleName;
use crate::permission::is_name;

/// Most endorsements a place may ask for.
pub const NEED_MAX: u64 = 16;

/// Somebody whose claims count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What the policy calls it.
    pub name: RoleName,
    /// Its key.
    pub key: IssuerKey,
    /// Who holds the key: two keys of one holder are one voice.
    pub holder: String,
    /// What its word counts for.
    pub may: Vec<(Topic, Scope)>,
    /// How often it may pass that on.
    pub depth: u64,
    /// Until when.
    pub until: Time,
}

/// A place that programs can be confined to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name in this policy.
    pub name: String,
    /// How a machine is known to be in it.
    pub by: PlaceBy,
}

/// How a machine is known to be in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceBy {
    /// The region in the CSP_ID of an AWS VLEK.
    AwsVlek(String),
    /// Issuers say where it stands.
    Endorsed(Endorsed),
}

/// What endorsements a place takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsed {
    /// Countries that are in the place.
    pub countries: Vec<Country>,
    /// How many issuers, independent of each other, must say so.
    pub need: u64,
    /// The least level of each.
    pub level: u64,
    /// The ways of knowing that are taken.
    pub basis: Vec<Basis>,
    /// How long ago the machine may have been seen.
    pub age_secs_max: i64,
}

impl Issuer {
    pub(super) fn encode(&self) -> Value {
        let may = |(topic, scope): &(Topic, Scope)| {
            Value::Array(vec![topic.as_str().into(), scope.encode()])
        };
        cbor::map(vec![
            (1, self.name.as_str().into()),
            (2, Value::Bytes(self.key.as_bytes().to_vec())),
            (3, self.holder.as_str().into()),
            (4, list(&self.may, may)),
            (5, self.depth.into()),
            (6, self.until.unix().into()),
        ])
    }

    pub(super) fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let may = |v: Value| {
            let [topic, scope] = <[Value; 2]>::try_from(v.into_array().ok()?).ok()?;
            Some((Topic::parse(&text(topic)?)?, Scope::decode(scope)?))
        };
        let issuer = Self {
            name: RoleName::new(&f.text(1, "issuer")?).ok_or(CborError::Field("issuer"))?,
            key: f.named(2, "key", IssuerKey::from_slice)?,
            holder: Some(f.text(3, "holder")?)
                .filter(|t| is_plain_text(t))
                .ok_or(CborError::Field("holder"))?,
            may: read_list(f.array(4, "may")?, "may", may)?,
            depth: Some(f.uint(5, "depth")?)
                .filter(|d| *d <= DEPTH_MAX)
                .ok_or(CborError::Field("depth"))?,
            until: Time::from_unix(f.int(6, "until")?),
        };
        f.finish()?;
        Ok(issuer)
    }
}

impl Place {
    pub(super) fn encode(&self) -> Value {
        let by = match &self.by {
            PlaceBy::AwsVlek(region) => (2, region.as_str().into()),
            PlaceBy::Endorsed(e) => (
                3,
                cbor::map(vec![
                    (1, list(&e.countries, |c| c.as_str().into())),
                    (2, e.need.into()),
                    (3, e.level.into()),
                    (4, list(&e.basis, |b| b.as_str().into())),
                    (5, e.age_secs_max.into()),
                ]),
            ),
        };
        cbor::map(vec![(1, self.name.as_str().into()), by])
    }

    pub(super) fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let name = Some(f.text(1, "place")?).filter(|n| is_name(n));
        let name = name.ok_or(CborError::Field("place"))?;
        let by = match f.take_opt(2) {
            Some(region) => PlaceBy::AwsVlek(text(region).ok_or(CborError::Field("aws-vlek"))?),
            None => PlaceBy::Endorsed(Endorsed::decode(f.take(3, "endorsed")?)?),
        };
        f.finish()?;
        Ok(Self { name, by })
    }
}

impl Endorsed {
    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let within = |n: u64, most: u64, name| {
            if (1..=most).contains(&n) { Ok(n) } else { Err(CborError::Field(name)) }
        };
        let endorsed = Self {
            countries: read_list(f.array(1, "countries")?, "countries", |v| {
                Country::new(&text(v)?)
            })?,
            need: within(f.uint(2, "need")?, NEED_MAX, "need")?,
            level: within(f.uint(3, "level")?, LEVEL_MAX, "level")?,
            basis: read_list(f.array(4, "basis")?, "basis", |v| Basis::parse(&text(v)?))?,
            age_secs_max: Some(f.int(5, "age")?)
                .filter(|a| *a > 0)
                .ok_or(CborError::Field("age"))?,
        };
        f.finish()?;
        Ok(endorsed)
    }
}
