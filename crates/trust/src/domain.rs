//! The domain file, `casemate.toml`: what a deploying party writes. `docs/domain-file.md` is its page.
//!
//! What it does not state is refused, what it states and is not understood is refused with file, line and the
//! nearest known word, and demands that nothing could meet are errors here and not surprises later.

mod issuers;

use std::collections::BTreeMap;

use evidence::appraise::Machines;
use evidence::statement::HostOs;
use evidence::{ContentDigest, DomainRoot, Isolation, Kind, MachineId, Measurement, RootDigest};
use serde::Deserialize;
use thiserror::Error;

pub use issuers::{IssuerSection, May, Names, PlaceSection, ReleaseSection};

use crate::names::{DomainName, RoleName};
use crate::policy::{Hardware, Issuer, Outsider, Place, Policy, Program};
use crate::profiles;

/// A known word so near to an unknown one was meant.
const EDITS_MAX: usize = 2;
/// A domain file is never longer.
pub const LEN_MAX: usize = 8 << 20;

/// Why a domain file is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainFileError {
    /// Longer than the limit.
    #[error("domain file of {0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// Not TOML, or with a word that is not understood.
    #[error("{0}")]
    Toml(String),
    /// A value that makes no sense.
    #[error("{field} is {got:?}, expected {expected}")]
    Value {
        /// Where.
        field: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// A demand that nothing can meet.
    #[error("{field}: {why}")]
    Impossible {
        /// Where.
        field: String,
        /// Why.
        why: &'static str,
    },
}

/// The file as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainFile {
    /// Format version.
    pub format: u64,
    /// The domain's name.
    pub domain: String,
    /// Who signs.
    pub sign: Sign,
    /// Kinds of hardware.
    #[serde(default)]
    pub hardware: HardwareSection,
    /// Places.
    #[serde(default)]
    pub place: BTreeMap<String, PlaceSection>,
    /// Whose claims count.
    #[serde(default)]
    pub issuer: BTreeMap<String, IssuerSection>,
    /// Programs.
    #[serde(default)]
    pub program: BTreeMap<String, ProgramSection>,
}

/// `sign = { need = 2, by = ["ana.pub", …] }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// k.
    pub need: usize,
    /// Files with SSH public keys, relative to the domain file.
    pub by: Vec<String>,
}

/// `[hardware.*]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareSection {
    /// The software platform.
    pub software: Option<SoftwareSection>,
    /// AMD SEV-SNP.
    pub snp: Option<SnpSection>,
}

/// `[hardware.software]`: development.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftwareSection {
    /// Roots, `sha256:…`.
    pub root: Vec<String>,
    /// Monitors, `sha384:…`.
    pub image: Vec<String>,
    /// `"any-genuine"` or a list of ids in hex.
    pub machines: MachinesWord,
    /// Isolation values taken.
    pub isolation: Vec<String>,
    /// Host states taken.
    pub host: Vec<String>,
}

/// `[hardware.snp]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpSection {
    /// A shipped, dated profile.
    pub profile: String,
    /// A CoRIM file, or a list of `sha384:…`.
    pub image: ImageWord,
    /// `"any-genuine"` or a list of ids in hex.
    pub machines: MachinesWord,
}

/// Which images.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ImageWord {
    /// A file of reference values.
    File(String),
    /// The values themselves.
    List(Vec<String>),
}

/// Which machines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum MachinesWord {
    /// `any-genuine`.
    Word(String),
    /// Ids in hex.
    List(Vec<String>),
}

/// `[program.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSection {
    /// Measurements, `sha384:…`.
    #[serde(default)]
    pub measurement: Vec<String>,
    /// Kinds of hardware.
    pub on: Vec<String>,
    /// Places.
    #[serde(default, rename = "in")]
    pub places: Vec<String>,
    /// Ports.
    #[serde(default)]
    pub listen: Vec<u16>,
    /// Roles.
    #[serde(default)]
    pub connect: Vec<String>,
    /// Secrets.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Clients that are no programs; unset, nobody.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Products of which a release is trusted.
    #[serde(default)]
    pub releases: Vec<ReleaseSection>,
    /// Sources from which a build is trusted.
    #[serde(default)]
    pub builds: Vec<String>,
}

type Result<T> = core::result::Result<T, DomainFileError>;

fn bad(field: &str, expected: &'static str, got: &str) -> DomainFileError {
    DomainFileError::Value { field: field.to_owned(), expected, got: got.to_owned() }
}

/// Reads `prefix:hex` values.
fn digests<T>(
    field: &str,
    prefix: &str,
    expected: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    texts
        .iter()
        .map(|t| t.strip_prefix(prefix).and_then(&read).ok_or_else(|| bad(field, expected, t)))
        .collect()
}

fn measurements(field: &str, texts: &[String]) -> Result<Vec<Measurement>> {
    digests(field, "sha384:", "sha384: and 96 lower-case hex digits", texts, Measurement::from_hex)
}

impl DomainFile {
    /// Reads a domain file.
    ///
    /// # Errors
    /// [`DomainFileError`].
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LEN_MAX {
            return Err(DomainFileError::TooLong(text.len()));
        }
        let file: Self = toml::from_str(text)
            .map_err(|e| DomainFileError::Toml(with_suggestion(&e.to_string())))?;
        if file.format != 1 {
            return Err(bad("format", "1", &file.format.to_string()));
        }
        Ok(file)
    }

    /// The policy it means. `image` reads a file of reference values; the caller does the reading.
    ///
    /// # Errors
    /// [`DomainFileError`].
    pub fn compile(
        &self,
        root: DomainRoot,
        version: u64,
        previous: Option<ContentDigest>,
        image: impl Fn(&str) -> Option<Vec<Measurement>>,
    ) -> Result<Policy> {
        let domain = DomainName::new(&self.domain).ok_or_else(|| {
            bad("domain", "a SPIFFE trust domain: lower-case letters, digits, . - _", &self.domain)
        })?;
        let mut hardware = Vec::new();
        if let Some(s) = &self.hardware.software {
            hardware.push(software(s)?);
        }
        if let Some(s) = &self.hardware.snp {
            hardware.push(snp(s, image)?);
        }
        if let Some(h) = hardware.iter().find(|h| profiles::profile(h).is_none()) {
            let field = format!("hardware.{}.profile", h.kind);
            return Err(bad(
                &field,
                "a shipped profile, as `casemate policy show` lists them",
                &h.profile,
            ));
        }
        let issuers = self.issuers()?;
        let places = self.places(&issuers)?;
        let programs = self
            .program
            .iter()
            .map(|(name, p)| self.program(name, p, &hardware, &issuers, &places))
            .collect::<Result<_>>()?;
        Ok(Policy { domain, root, version, previous, hardware, programs, issuers, places })
    }

    fn program(
        &self,
        name: &str,
        p: &ProgramSection,
        hardware: &[Hardware],
        issuers: &[Issuer],
        places: &[Place],
    ) -> Result<Program> {
        let at = |field: &str| format!("program.{name}.{field}");
        let role = |field: &str, text: &str| {
            RoleName::new(text)
                .ok_or_else(|| bad(&at(field), "a role: lower-case letters, digits, . - _", text))
        };
        let on = p
            .on
            .iter()
            .map(|k| {
                let kind = Kind::parse(k).ok_or_else(|| bad(&at("on"), "kinds of hardware", k))?;
                if hardware.iter().any(|h| h.kind == kind) {
                    Ok(kind)
                } else {
                    let why = "names a kind of hardware that has no [hardware] section, so it can never run there";
                    Err(DomainFileError::Impossible { field: at("on"), why })
                }
            })
            .collect::<Result<Vec<_>>>()?;
        if on.is_empty() {
            let why = "is empty, so the program can never be admitted";
            return Err(DomainFileError::Impossible { field: at("on"), why });
        }
        if let Some(place) = p.places.iter().find(|n| !self.place.contains_key(*n)) {
            return Err(bad(&at("in"), "places that [place] names", place));
        }
        Self::can_be(name, p, &on, issuers, places)?;
        let (releases, builds) = issuers::stand_ins(name, p)?;
        Ok(Program {
            role: role("", name)?,
            measurements: measurements(&at("measurement"), &p.measurement)?,
            on,
            places: p.places.clone(),
            listen: p.listen.clone(),
            connect: p.connect.iter().map(|r| role("connect", r)).collect::<Result<_>>()?,
            secrets: p.secrets.clone(),
            outsiders: outsiders(&at("clients"), p)?,
            releases,
            builds,
        })
    }
}

/// Who may connect without being a program, and has something to connect to.
fn outsiders(field: &str, p: &ProgramSection) -> Result<Vec<Outsider>> {
    if !p.clients.is_empty() && p.listen.is_empty() {
        let why = "names clients of a program that listens on no port";
        return Err(DomainFileError::Impossible { field: field.to_owned(), why });
    }
    let expected = "\"anonymous\" (roles name whom they connect to themselves, in `connect`)";
    p.clients.iter().map(|t| Outsider::parse(t).ok_or_else(|| bad(field, expected, t))).collect()
}

fn machines(field: &str, word: &MachinesWord) -> Result<Machines> {
    match word {
        MachinesWord::Word(w) if w == "any-genuine" => Ok(Machines::AnyGenuine),
        MachinesWord::Word(w) => {
            Err(bad(field, "\"any-genuine\" or a list of machine ids in hex", w))
        }
        MachinesWord::List(ids) => ids
            .iter()
            .map(|t| {
                hex::decode(t)
                    .ok()
                    .and_then(|b| MachineId::new(&b))
                    .ok_or_else(|| bad(field, "machine ids in hex, not all zero", t))
            })
            .collect::<Result<_>>()
            .map(Machines::Only),
    }
}

fn software(s: &SoftwareSection) -> Result<Hardware> {
    let at = |f: &str| format!("hardware.software.{f}");
    let word = |field: &str, t: &String| bad(&at(field), "values this version knows", t);
    Ok(Hardware {
        kind: Kind::Software,
        profile: String::new(),
        roots: digests(
            &at("root"),
            "sha256:",
            "sha256: and 64 lower-case hex digits",
            &s.root,
            RootDigest::from_hex,
        )?,
        machines: machines(&at("machines"), &s.machines)?,
        images: measurements(&at("image"), &s.image)?,
        isolation: s
            .isolation
            .iter()
            .map(|t| Isolation::parse(t).ok_or_else(|| word("isolation", t)))
            .collect::<Result<_>>()?,
        host: s
            .host
            .iter()
            .map(|t| HostOs::parse(t).ok_or_else(|| word("host", t)))
            .collect::<Result<_>>()?,
    })
}

fn snp(s: &SnpSection, image: impl Fn(&str) -> Option<Vec<Measurement>>) -> Result<Hardware> {
    let images = match &s.image {
        ImageWord::List(list) => measurements("hardware.snp.image", list)?,
        ImageWord::File(file) => image(file).ok_or_else(|| {
            bad("hardware.snp.image", "a file of reference values that can be read", file)
        })?,
    };
    Ok(Hardware {
        kind: Kind::Snp,
        profile: s.profile.clone(),
        roots: evidence::snp::PINNED_ROOTS.to_vec(),
        machines: machines("hardware.snp.machines", &s.machines)?,
        images,
        // A shipped, dated profile counts as stated: machines of their own, with the operating system measured.
        isolation: vec![Isolation::MachineExclusive, Isolation::MachineSharedKernel],
        host: vec![HostOs::Measured],
    })
}

/// Adds the nearest known word to a complaint about an unknown one.
fn with_suggestion(message: &str) -> String {
    let quoted = message.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    let nearest = match quoted.as_slice() {
        [unknown, known @ ..] if message.contains("unknown field") => {
            // Two edits change a length by two at most: a word of the file's own length is not compared at all.
            let near = known.iter().filter(|k| unknown.len().abs_diff(k.len()) <= EDITS_MAX * 4);
            near.map(|k| (distance(unknown, k), *k)).filter(|(d, _)| *d <= EDITS_MAX).min()
        }
        _ => None,
    };
    match nearest {
        Some((_, word)) => format!("{}; did you mean `{word}`?", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}

/// Edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b = b.chars().collect::<Vec<_>>();
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, y) in b.iter().enumerate() {
            let at = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX);
            let edit = at(&row, j).saturating_add(usize::from(x != *y));
            let least = edit
                .min(at(&row, j.saturating_add(1)).saturating_add(1))
                .min(at(&next, j).saturating_add(1));
            next.push(least);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
