//! `[issuer.*]` and `[place.*]` of the domain file, and what stands in for a program's measurements: whose claims count, and
//! what it takes to be somewhere.
//!
//! Scopes, depths and ends have no default: who leaves one out has not said that anything goes.

use core::ops::Range;

use evidence::Time;
use toml::de::DeValue;

use super::mistake::{Found, Wrong};
use super::read::{At, Item, Table, distinct, list, name, number, one_of, text, word};
use crate::claim::says::{DEPTH_MAX, LEVEL_MAX, is_plain_text};
use crate::claim::{Basis, Country, Scope, Source, Topic};
use crate::names::RoleName;
use crate::permission::is_name;
use crate::policy::issuers::NEED_MAX;
use crate::policy::{Endorsed, Issuer, Place, PlaceBy};
use crate::signing;

/// The longest ago a machine may have been seen: ten years.
const AGE_DAYS_MAX: u64 = 3650;
const NAME: &str = "a name: lower-case letters, digits, . - _";
const COUNTRY: &str = "countries, two capital letters each";
const TEXTS: &str = "a list of texts";

/// Where an issuer stands, for what is said about it.
pub(super) struct IssuerSpans {
    pub(super) name: Range<usize>,
    pub(super) key: Range<usize>,
    /// Names of scopes, with their topic.
    pub(super) names: Vec<(Topic, At<String>)>,
}

/// Every issuer, by itself.
pub(super) fn issuers(file: &Table<'_, '_>, found: &mut Found<'_>) -> Vec<(IssuerSpans, Issuer)> {
    let Some(table) = file.table("issuer", found) else { return Vec::new() };
    let all = table.tables(found);
    all.iter().filter_map(|(key, section)| issuer(key, section, found)).collect()
}

fn issuer(
    key: &At<String>,
    table: &Table<'_, '_>,
    found: &mut Found<'_>,
) -> Option<(IssuerSpans, Issuer)> {
    table.only(&["key", "holder", "may", "depth", "until"], "field", found);
    let called = name(&table.name, NAME, key, found, RoleName::new);
    let public = table.needed(("key", "its public key, `ssh-ed25519 …`"), found);
    let public = public.and_then(|i| {
        let expected = "an ssh-ed25519 public key; make one with ssh-keygen -t ed25519";
        let parsed =
            word(&table.field("key"), expected, i, found, |t| signing::issuer_key(t).ok())?;
        Some((parsed, i.span()))
    });
    let holder =
        table.needed(("holder", "who holds the key: two keys of one are one voice"), found);
    let holder = holder.and_then(|i| {
        let expected = "a name of at most 128 bytes without invisible characters";
        let plain = |t: &str| is_plain_text(t).then(|| t.to_owned());
        word(&table.field("holder"), expected, i, found, plain)
    });
    let depth = table.needed(("depth", "how often it may pass that on: 0 for never"), found);
    let depth = depth.and_then(|i| {
        within(&table.field("depth"), "0 (passes nothing on) to 8", (0, DEPTH_MAX), i, found)
    });
    let until = table.needed(("until", "until when, as `2027-01-01T00:00:00Z`"), found);
    let until = until.and_then(|i| {
        let expected = "a time in quotes, like \"2027-01-01T00:00:00Z\"";
        word(&table.field("until"), expected, i, found, Time::parse_rfc3339)
    });
    let (may, names) = may(table, found);
    let (key_at, called, holder) = (key.at.clone(), called?, holder?);
    let (public, public_at) = public?;
    let spans = IssuerSpans { name: key_at, key: public_at, names };
    let (depth, until) = (depth?, until?);
    Some((spans, Issuer { name: called, key: public, holder, may, depth, until }))
}

fn within(
    field: &str,
    expected: &'static str,
    (least, most): (u64, u64),
    item: Item<'_, '_>,
    found: &mut Found<'_>,
) -> Option<u64> {
    let At { value, at } = number::<u64>(field, expected, item, found)?;
    if !(least..=most).contains(&value) {
        found.error(&at, field, Wrong::Value { expected, got: value.to_string() });
        return None;
    }
    Some(value)
}

type Scopes = (Vec<(Topic, Scope)>, Vec<(Topic, At<String>)>);

fn may(table: &Table<'_, '_>, found: &mut Found<'_>) -> Scopes {
    let none = (Vec::new(), Vec::new());
    let why = "what its word counts for: `may = { release = [\"api-server\"] }`";
    if table.needed(("may", why), found).is_none() {
        return none;
    }
    let Some(table) = table.table("may", found) else { return none };
    table.only(&Topic::ALL.map(Topic::as_str), "topic", found);
    let (mut scopes, mut names) = none;
    for topic in Topic::ALL {
        let Some(item) = table.item(topic.as_str()) else { continue };
        let field = table.field(topic.as_str());
        if item.get_ref().is_str() {
            let expected = "\"any\" or a list of names";
            let any = word(&field, expected, item, found, |t| (t == "any").then_some(Scope::Any));
            scopes.extend(any.map(|scope| (topic, scope)));
            continue;
        }
        let all = list(&field, TEXTS, item, found, |i, found| scope_name(&field, topic, i, found));
        distinct(&field, &all, Clone::clone, Clone::clone, found);
        let words = all.iter().map(|a| a.value.clone()).collect::<Vec<_>>();
        match Scope::of(&words) {
            Some(scope) => scopes.push((topic, scope)),
            None if matches!(item.get_ref(), DeValue::Array(a) if a.is_empty()) => {
                let why = "is empty, so it counts for nothing; name something, or write \"any\"";
                found.error(&item.span(), &field, Wrong::Impossible { why });
            }
            // What stands twice or is no name was noted.
            None => {}
        }
        names.extend(all.into_iter().map(|a| (topic, a)));
    }
    if Topic::ALL.iter().all(|t| table.item(t.as_str()).is_none()) {
        let why = "names no topic, so nothing this issuer says counts";
        found.error(&table.at, &table.name, Wrong::Impossible { why });
    }
    (scopes, names)
}

/// A name in the form its topic has; whether anybody is called so is asked later.
fn scope_name(
    field: &str,
    topic: Topic,
    item: Item<'_, '_>,
    found: &mut Found<'_>,
) -> Option<String> {
    let keep = |ok: bool, t: &str| ok.then(|| t.to_owned());
    match topic {
        Topic::Place => word(field, COUNTRY, item, found, |t| keep(Country::new(t).is_some(), t)),
        Topic::Build => {
            let expected = "a source like git+https://example.com/api";
            word(field, expected, item, found, |t| keep(Source::new(t).is_some(), t))
        }
        _ => {
            let t = text(field, NAME, item, found)?;
            name(field, NAME, &t, found, |n| keep(RoleName::new(n).is_some(), n))
        }
    }
}

/// A place: an AWS region, or what issuers must say.
pub(super) fn place(
    key: &At<String>,
    table: &Table<'_, '_>,
    found: &mut Found<'_>,
) -> Option<Place> {
    let endorsed = ["countries", "need", "level", "basis", "age-days"];
    let expected = "a place's name: at most 64 letters, digits, . - _";
    let called = name("place", expected, key, found, |n| is_name(n).then(|| n.to_owned()));
    let is_endorsed = endorsed.iter().any(|f| table.item(f).is_some());
    let by = match table.item("aws-vlek") {
        Some(_) if is_endorsed => {
            let why = "is an AWS region and what issuers must say at once; say which";
            found.error(&table.at, &table.name, Wrong::Impossible { why });
            None
        }
        Some(item) => {
            table.only(&["aws-vlek"], "field", found);
            let expected = "an AWS region, as `eu-central-1`";
            let region = |t: &str| {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                (!t.is_empty() && t.bytes().all(plain)).then(|| t.to_owned())
            };
            word(&table.field("aws-vlek"), expected, item, found, region).map(PlaceBy::AwsVlek)
        }
        None if is_endorsed => {
            table.only(&endorsed, "field", found);
            said(table, found).map(PlaceBy::Endorsed)
        }
        None => {
            table.only(&["aws-vlek"], "field", found);
            let why = "how it is proved: the region in an AWS VLEK; or `countries`, `need`, `level`, `basis` and `age-days` of what issuers must say";
            found.error(&table.at, &table.name, Wrong::Missing { name: "aws-vlek", why });
            None
        }
    };
    Some(Place { name: called?, by: by? })
}

fn said(table: &Table<'_, '_>, found: &mut Found<'_>) -> Option<Endorsed> {
    let field = table.field("countries");
    let read =
        |i: Item<'_, '_>, found: &mut Found<'_>| word(&field, COUNTRY, i, found, Country::new);
    let countries = filled(table, ("countries", "which countries are in it"), found, read);
    let known = Basis::ALL.map(Basis::as_str);
    let field = table.field("basis");
    let read = |i: Item<'_, '_>, found: &mut Found<'_>| {
        one_of((&field, "way of knowing"), &known, i, found, Basis::parse)
    };
    let basis = filled(table, ("basis", "which ways of knowing are taken"), found, read);
    let mut count = |key: &'static str, why: &'static str, expected: &'static str, most: u64| {
        let item = table.needed((key, why), found)?;
        within(&table.field(key), expected, (1, most), item, found)
    };
    let need = count("need", "how many independent issuers must say so", "1 to 16", NEED_MAX);
    let level = count("level", "how surely each must know, 1 to 3", "1 to 3", LEVEL_MAX);
    let why = "how many days ago the machine may have been seen";
    let days = count("age-days", why, "1 to 3650", AGE_DAYS_MAX);
    let age_secs_max = i64::try_from(days?).ok()?.saturating_mul(86_400);
    Some(Endorsed {
        countries: countries?,
        need: need?,
        level: level?,
        basis: basis?,
        age_secs_max,
    })
}

/// A list that must name something; none if it is not there, empty or not understood.
fn filled<T: PartialEq + Ord + Copy + core::fmt::Debug>(
    table: &Table<'_, '_>,
    (key, why): (&'static str, &'static str),
    found: &mut Found<'_>,
    read: impl FnMut(Item<'_, '_>, &mut Found<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let item = table.needed((key, why), found)?;
    let field = table.field(key);
    let all = list(&field, TEXTS, item, found, read);
    distinct(&field, &all, |v| *v, |v| format!("{v:?}"), found);
    if matches!(item.get_ref(), DeValue::Array(a) if a.is_empty()) {
        let why = "is empty, so no machine is ever there";
        found.error(&item.span(), &field, Wrong::Impossible { why });
    }
    (!all.is_empty()).then(|| all.into_iter().map(|a| a.value).collect())
}

/// What stands in for measurements: releases of products from a version on, and builds from sources.
pub(super) type StandIns = (Vec<(RoleName, u64)>, Vec<Source>);

/// `releases` and `builds` of a program.
pub(super) fn stand_ins(table: &Table<'_, '_>, found: &mut Found<'_>) -> StandIns {
    let (mut releases, mut builds) = (Vec::new(), Vec::new());
    if let Some(item) = table.item("releases") {
        let field = table.field("releases");
        let expected = "a list of `{ product = \"api-server\", from = 3 }`";
        let all = list(&field, expected, item, found, |i, found| {
            let release = Table::element(&field, i, found)?;
            release.only(&["product", "from"], "field", found);
            let product = release.needed(("product", "which product"), found)?;
            let product = text(&field, NAME, product, found)?;
            let product = name(&field, NAME, &product, found, RoleName::new);
            let from = release.needed(("from", "the first version that is trusted"), found)?;
            let from = number::<u64>(&field, "a version, one number that grows", from, found);
            Some((product?, from?.value))
        });
        distinct(&field, &all, |r| r.0.clone(), |r| r.0.to_string(), found);
        releases = all.into_iter().map(|a| a.value).collect();
    }
    if let Some(item) = table.item("builds") {
        let field = table.field("builds");
        let expected = "a source like git+https://example.com/api, without query and fragment";
        let read =
            |i: Item<'_, '_>, found: &mut Found<'_>| word(&field, expected, i, found, Source::new);
        let all = list(&field, TEXTS, item, found, read);
        distinct(&field, &all, Clone::clone, ToString::to_string, found);
        builds = all.into_iter().map(|a| a.value).collect();
    }
    (releases, builds)
}
