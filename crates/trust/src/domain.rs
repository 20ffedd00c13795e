//! The domain file, `casemate.toml`: what a deploying party writes. `docs/domain-file.md` is its page.
//!
//! What it does not state is refused, what it states and is not understood is refused with line, column and the nearest known word, and demands
//! that nothing could meet are errors here and not surprises later. All mistakes are told at once.

pub mod examples;
mod issuers;
mod mistake;
mod near;
mod reach;
mod read;
mod sections;
mod voices;

use core::ops::Range;
use std::collections::BTreeMap;

use evidence::{ContentDigest, DomainRoot, Measurement};
use toml::de::DeTable;

pub use mistake::{DomainFileError, MISTAKES_MAX, Mistake, Severity, Wrong};

use mistake::Found;
use read::Table;

use crate::names::DomainName;
use crate::policy::{Hardware, Issuer, Place, Policy, Program};

/// A domain file is never longer.
pub const LEN_MAX: usize = 8 << 20;

/// A domain file that was read and found to make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFile {
    domain: DomainName,
    sign: Sign,
    hardware: Vec<Section>,
    programs: Vec<Program>,
    issuers: Vec<Issuer>,
    places: Vec<Place>,
    names_places: bool,
    warnings: Vec<Mistake>,
}

/// `sign = { need = 2, by = ["ana.pub", …], revoke = 1 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// k.
    pub need: usize,
    /// How many revoke; as many as sign, where it is not stated.
    pub revoke: Option<usize>,
    /// Files with SSH public keys, relative to the domain file.
    pub by: Vec<String>,
    /// Where it stands.
    pub line: usize,
}

/// A kind of hardware as it is stated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    /// Without images, where those are in a file.
    hardware: Hardware,
    /// That file, and its place.
    file: Option<(String, (usize, usize))>,
}

/// Where a program stands, for what is said about it.
struct Spans {
    name: Range<usize>,
    on: Vec<Range<usize>>,
    places: Vec<Range<usize>>,
    measurements: Vec<Range<usize>>,
    listen: Option<Range<usize>>,
    connect: Vec<Range<usize>>,
    secrets: Vec<Range<usize>>,
    clients: Option<Range<usize>>,
    /// `in` is there, if only to say `anywhere`.
    says_where: bool,
    /// `measurement` is there, understood or not.
    says_measurement: bool,
}

/// Everything that was read, before sections are held against each other.
struct Draft {
    hardware: Vec<(Range<usize>, Section)>,
    places: BTreeMap<String, Range<usize>>,
    /// Those of them that make sense.
    described: Vec<Place>,
    issuers: Vec<(issuers::IssuerSpans, Issuer)>,
    programs: Vec<(Spans, Program)>,
}

const FIELDS: [&str; 7] = ["format", "domain", "sign", "hardware", "place", "issuer", "program"];

impl DomainFile {
    /// Reads a domain file.
    ///
    /// 1. TOML, 2. each section by itself, 3. the sections against each other.
    ///
    /// # Errors
    /// [`DomainFileError`] with every mistake.
    pub fn parse(text: &str) -> Result<Self, DomainFileError> {
        let mut found = Found::new(if text.len() > LEN_MAX { "" } else { text });
        if text.len() > LEN_MAX {
            found.error(&(0..0), "", Wrong::TooLong(text.len()));
            return Err(found.refuse());
        }
        // 1
        let (tree, wrong) = DeTable::parse_recoverable(text);
        wrong.iter().for_each(|e| found.syntax(e));
        if !wrong.is_empty() {
            // What was guessed behind a broken line is nobody's word.
            return Err(found.refuse());
        }
        // 2
        let file = Table::root(tree.get_ref());
        file.only(&FIELDS, "field", &mut found);
        let head = sections::head(&file, &mut found);
        let draft = sections::draft(&file, &mut found);
        // 3
        reach::check(&draft, &mut found);
        let warnings = found.finish()?;
        let Some((domain, sign)) = head else {
            // Each part that is missing was noted above, so that this is not reached.
            return Err(Found::new(text).refuse());
        };
        Ok(Self {
            domain,
            sign,
            names_places: !draft.places.is_empty(),
            hardware: draft.hardware.into_iter().map(|(_, s)| s).collect(),
            programs: draft.programs.into_iter().map(|(_, p)| p).collect(),
            issuers: draft.issuers.into_iter().map(|(_, i)| i).collect(),
            places: draft.described,
            warnings,
        })
    }

    /// The policy it means. `image` reads a file of reference values; the caller does the reading.
    ///
    /// # Errors
    /// [`DomainFileError`], where such a file cannot be read.
    pub fn compile(
        &self,
        root: DomainRoot,
        version: u64,
        previous: Option<ContentDigest>,
        image: impl Fn(&str) -> Option<Vec<Measurement>>,
    ) -> Result<Policy, DomainFileError> {
        let hardware = self.hardware.iter().map(|section| {
            let mut hardware = section.hardware.clone();
            if let Some((file, place)) = &section.file {
                let field = format!("hardware.{}.image", hardware.kind);
                let bad = || DomainFileError::image(field, file, *place);
                hardware.images = image(file).ok_or_else(bad)?;
            }
            Ok(hardware)
        });
        let hardware = hardware.collect::<Result<_, _>>()?;
        Ok(Policy {
            domain: self.domain.clone(),
            root,
            version,
            previous,
            hardware,
            programs: self.programs.clone(),
            issuers: self.issuers.clone(),
            places: self.places.clone(),
        })
    }

    /// The domain's name.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// Who signs.
    #[must_use]
    pub const fn sign(&self) -> &Sign {
        &self.sign
    }

    /// True if [place] names places, so that each program says where it runs.
    #[must_use]
    pub const fn names_places(&self) -> bool {
        self.names_places
    }

    /// What has no effect yet.
    #[must_use]
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests;
