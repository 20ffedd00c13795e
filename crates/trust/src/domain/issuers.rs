//! `[issuer.*]` and `[place.*]` of the domain file: whose claims count, and what it takes to be somewhere.
//!
//! An issuer that could never be heard and a place where nothing could ever be are errors here.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Kind, Time};
use serde::Deserialize;

use super::{DomainFile, DomainFileError, ProgramSection, Result, bad};
use crate::claim::says::{DEPTH_MAX, LEVEL_MAX, is_plain_text};
use crate::claim::{Basis, Country, Scope, Source, Topic};
use crate::names::RoleName;
use crate::policy::issuers::NEED_MAX;
use crate::policy::{Endorsed, Issuer, Place, PlaceBy};
use crate::signing;

/// The longest ago a machine may have been seen: ten years.
const AGE_DAYS_MAX: u32 = 3650;

/// `[issuer.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSection {
    /// Its public key, in OpenSSH's form.
    pub key: String,
    /// Who holds it.
    pub holder: String,
    /// What its word counts for.
    pub may: May,
    /// How often it may pass that on.
    pub depth: u64,
    /// Until when, `2027-01-01T00:00:00Z`.
    pub until: String,
}

/// Topics and the names for which a word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct May {
    /// Roles for which it may trust measurements.
    pub program: Option<Names>,
    /// Products of which it may say what is a release.
    pub release: Option<Names>,
    /// Sources of which it may say what was built from them.
    pub build: Option<Names>,
    /// Roles for which it may say what takes the place of what.
    pub upgrade: Option<Names>,
    /// Countries in which it may say that machines stand.
    pub place: Option<Names>,
    /// Roles for which it may say what is not trusted any more.
    pub distrust: Option<Names>,
}

/// A list of names, or `"any"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// `any`.
    Word(String),
    /// These.
    List(Vec<String>),
}

/// `[place.NAME]`: either a region of AWS, or what issuers must say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlaceSection {
    /// The region in an AWS VLEK's CSP_ID.
    pub aws_vlek: Option<String>,
    /// Countries, two capital letters each.
    pub countries: Option<Vec<String>>,
    /// How many independent issuers must say so.
    pub need: Option<u64>,
    /// The least level of each, 1 to 3.
    pub level: Option<u64>,
    /// Ways of knowing that are taken.
    pub basis: Option<Vec<String>>,
    /// How many days ago the machine may have been seen.
    pub age_days: Option<u32>,
}

/// `releases = [{ product = "api-server", from = 3 }]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSection {
    /// The product.
    pub product: String,
    /// The first version that is trusted.
    pub from: u64,
}

fn impossible(field: String, why: &'static str) -> DomainFileError {
    DomainFileError::Impossible { field, why }
}

/// What the names of a topic must be.
struct Known<'a> {
    roles: BTreeSet<&'a str>,
    products: BTreeSet<&'a str>,
    sources: BTreeSet<&'a str>,
}

impl DomainFile {
    pub(super) fn issuers(&self) -> Result<Vec<Issuer>> {
        let programs = self.program.values();
        let known = Known {
            roles: self.program.keys().map(String::as_str).collect(),
            products: programs.clone().flat_map(|p| &p.releases).map(|r| &*r.product).collect(),
            sources: programs.flat_map(|p| &p.builds).map(String::as_str).collect(),
        };
        let mut all = Vec::<Issuer>::new();
        for (name, section) in &self.issuer {
            let issuer = issuer(name, section, &known)?;
            if let Some(twin) = all.iter().find(|i| i.key == issuer.key) {
                let field = format!("issuer.{name}.key, which is that of issuer.{}", twin.name);
                return Err(impossible(field, "one key is one voice: name it once"));
            }
            all.push(issuer);
        }
        Ok(all)
    }

    pub(super) fn places(&self, issuers: &[Issuer]) -> Result<Vec<Place>> {
        self.place.iter().map(|(name, section)| place(name, section, issuers)).collect()
    }

    /// Whether a program could be trusted at all, and could be where it must.
    pub(super) fn can_be(
        name: &str,
        p: &ProgramSection,
        on: &[Kind],
        issuers: &[Issuer],
        places: &[Place],
    ) -> Result<()> {
        let vouched = issuers.iter().flat_map(|i| &i.may).any(|(topic, scope)| {
            matches!(topic, Topic::Program | Topic::Upgrade) && scope.contains(name)
        });
        let stated = !p.releases.is_empty() || !p.builds.is_empty();
        if p.measurement.is_empty() && !vouched && !stated {
            let why = "is empty, and no issuer, release or build stands in for it, so the program can never be admitted";
            return Err(impossible(format!("program.{name}.measurement"), why));
        }
        let mut those = places.iter().filter(|q| p.places.iter().any(|n| n == q.name.as_str()));
        let only_regions = those.all(|q| matches!(q.by, PlaceBy::AwsVlek(_)));
        if !p.places.is_empty() && only_regions && !on.contains(&Kind::Snp) {
            let why = "demands an AWS region, which only SEV-SNP evidence under a VLEK proves";
            return Err(impossible(format!("program.{name}.in"), why));
        }
        Ok(())
    }
}

fn issuer(name: &str, s: &IssuerSection, known: &Known<'_>) -> Result<Issuer> {
    let at = |field: &str| format!("issuer.{name}.{field}");
    let expected = "a name: lower-case letters, digits, . - _";
    let role = RoleName::new(name).ok_or_else(|| bad(&format!("issuer.{name}"), expected, name))?;
    let key = signing::issuer_key(&s.key).map_err(|_| {
        bad(&at("key"), "an ssh-ed25519 public key; make one with ssh-keygen -t ed25519", &s.key)
    })?;
    if !is_plain_text(&s.holder) {
        return Err(bad(&at("holder"), "the name of who holds the key", &s.holder));
    }
    if s.depth > DEPTH_MAX {
        return Err(bad(&at("depth"), "0 (passes nothing on) to 8", &s.depth.to_string()));
    }
    let until = Time::parse_rfc3339(&s.until)
        .ok_or_else(|| bad(&at("until"), "a time like 2027-01-01T00:00:00Z", &s.until))?;
    let may = s.may.topics();
    let may = may
        .into_iter()
        .map(|(topic, names)| {
            Ok((topic, scope(&at(&format!("may.{}", topic.as_str())), topic, names, known)?))
        })
        .collect::<Result<Vec<_>>>()?;
    if may.is_empty() {
        return Err(impossible(at("may"), "is empty, so nothing this issuer says counts"));
    }
    Ok(Issuer { name: role, key, holder: s.holder.clone(), may, depth: s.depth, until })
}

impl May {
    fn topics(&self) -> Vec<(Topic, &Names)> {
        let Self { program, release, build, upgrade, place, distrust } = self;
        let all = [
            (Topic::Program, program),
            (Topic::Release, release),
            (Topic::Build, build),
            (Topic::Upgrade, upgrade),
            (Topic::Place, place),
            (Topic::Distrust, distrust),
        ];
        all.into_iter().filter_map(|(t, n)| n.as_ref().map(|n| (t, n))).collect()
    }
}

fn scope(field: &str, topic: Topic, names: &Names, known: &Known<'_>) -> Result<Scope> {
    let names = match names {
        Names::Word(w) if w == "any" => return Ok(Scope::Any),
        Names::Word(w) => return Err(bad(field, "\"any\" or a list of names", w)),
        Names::List(names) => names,
    };
    for name in names {
        let (good, expected) = match topic {
            Topic::Program | Topic::Upgrade | Topic::Distrust => {
                (known.roles.contains(&**name), "roles that [program] names")
            }
            Topic::Release => {
                (known.products.contains(&**name), "products that `releases` of a program names")
            }
            Topic::Build => {
                (known.sources.contains(&**name), "sources that `builds` of a program names")
            }
            Topic::Place => (Country::new(name).is_some(), "countries, two capital letters each"),
        };
        if !good {
            return Err(bad(field, expected, name));
        }
    }
    let expected = "at least one name, none twice; write \"any\" if that is meant";
    Scope::of(names).ok_or_else(|| bad(field, expected, &names.join(", ")))
}

fn place(name: &str, s: &PlaceSection, issuers: &[Issuer]) -> Result<Place> {
    let field = |f: &str| format!("place.{name}.{f}");
    let expected = "a name: lower-case letters, digits, . - _";
    let role = RoleName::new(name).ok_or_else(|| bad(&format!("place.{name}"), expected, name))?;
    let PlaceSection { aws_vlek, countries, need, level, basis, age_days } = s;
    let by = match (aws_vlek, countries, need, level, basis, age_days) {
        (Some(region), None, None, None, None, None) => {
            if !is_plain_text(region) {
                return Err(bad(&field("aws-vlek"), "a region", region));
            }
            PlaceBy::AwsVlek(region.clone())
        }
        (None, Some(countries), Some(need), Some(level), Some(basis), Some(days)) => {
            let wanted = endorsed(&field, countries, [*need, *level], basis, *days)?;
            heard(&field("need"), &wanted, issuers)?;
            PlaceBy::Endorsed(wanted)
        }
        _ => {
            let expected = "either aws-vlek, or all of countries, need, level, basis, age-days";
            return Err(bad(&format!("place.{name}"), expected, "another mixture"));
        }
    };
    Ok(Place { name: role, by })
}

fn endorsed(
    field: &dyn Fn(&str) -> String,
    countries: &[String],
    [need, level]: [u64; 2],
    basis: &[String],
    days: u32,
) -> Result<Endorsed> {
    let country = |t: &String| {
        Country::new(t).ok_or_else(|| bad(&field("countries"), "two capital letters each", t))
    };
    let known = Basis::ALL.map(Basis::as_str).join(", ");
    let way = |t: &String| {
        Basis::parse(t).ok_or_else(|| {
            bad(&field("basis"), "ways of knowing", &format!("{t}; there are {known}"))
        })
    };
    let within = |name: &str, n: u64, most: u64, expected| {
        if (1..=most).contains(&n) {
            Ok(n)
        } else {
            Err(bad(&field(name), expected, &n.to_string()))
        }
    };
    within("age-days", u64::from(days), u64::from(AGE_DAYS_MAX), "1 to 3650")?;
    if countries.is_empty() || basis.is_empty() {
        let name = if countries.is_empty() { "countries" } else { "basis" };
        return Err(impossible(field(name), "is empty, so no machine is ever there"));
    }
    Ok(Endorsed {
        countries: countries.iter().map(country).collect::<Result<_>>()?,
        need: within("need", need, NEED_MAX, "1 to 16")?,
        level: within("level", level, LEVEL_MAX, "1 to 3")?,
        basis: basis.iter().map(way).collect::<Result<_>>()?,
        age_secs_max: i64::from(days).saturating_mul(86_400),
    })
}

/// Whether as many independent issuers as are needed could say so at all: who is let speak by another is that other's voice.
fn heard(field: &str, wanted: &Endorsed, issuers: &[Issuer]) -> Result<()> {
    let can = |i: &&Issuer| {
        i.may.iter().any(|(topic, scope)| {
            *topic == Topic::Place && wanted.countries.iter().any(|c| scope.contains(c.as_str()))
        })
    };
    let voices = issuers.iter().filter(can).map(|i| (&i.holder, ())).collect::<BTreeMap<_, _>>();
    if u64::try_from(voices.len()).unwrap_or(u64::MAX) < wanted.need {
        let why = "asks for more independent issuers than may speak about these countries; holders count, not keys";
        return Err(impossible(field.to_owned(), why));
    }
    Ok(())
}

/// What stands in for measurements: releases of products from a version on, and builds from sources.
type StandIns = (Vec<(RoleName, u64)>, Vec<Source>);

/// `releases` and `builds` of a program.
pub(super) fn stand_ins(name: &str, p: &ProgramSection) -> Result<StandIns> {
    let at = |field: &str| format!("program.{name}.{field}");
    let product = |r: &ReleaseSection| {
        let expected = "a product: lower-case letters, digits, . - _";
        let product = RoleName::new(&r.product);
        Ok((product.ok_or_else(|| bad(&at("releases"), expected, &r.product))?, r.from))
    };
    let source = |t: &String| {
        let expected = "a source like git+https://example.com/api, without query and fragment";
        Source::new(t).ok_or_else(|| bad(&at("builds"), expected, t))
    };
    Ok((
        p.releases.iter().map(product).collect::<Result<_>>()?,
        p.builds.iter().map(source).collect::<Result<_>>()?,
    ))
}
