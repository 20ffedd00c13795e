//! Attestation results: EAR (draft-ietf-rats-ear) over the AR4SI trustworthiness vector (draft-ietf-rats-ar4si).
//!
//! Results are written in the newest profile and read in every spelling that is in use. A claim that a waived check would have
//! supported is absent, never affirming; a status is never better than the worst claim below it, in what is written and in what
//! is believed. `docs/formats/ear.md` is the page.

mod read;
mod refusal;
mod token;
mod vector;
mod write;

use serde_json::Value;

pub use read::parse;
pub use refusal::EarRefusal;
pub use token::{Expected, ResultKey, verify};
pub use vector::{Claim, Tier, Vector};
pub use write::to_json;

use crate::time::Time;

/// Longest result that is read.
pub const LEN_MAX: usize = 1 << 20;
/// Parts of one result.
pub const SUBMODS_MAX: usize = 64;

/// Which spelling a result uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// Draft 04, of May 2026: the one written here.
    Draft04,
    /// Draft 03, of March 2026.
    Draft03,
    /// The names with dots that verifiers of 2023 write.
    Veraison2023,
    /// The same names under the profile of Confidential Containers.
    Trustee2024,
}

impl Spelling {
    const ALL: [Self; 4] = [Self::Draft04, Self::Draft03, Self::Veraison2023, Self::Trustee2024];

    /// The profile's identifier.
    #[must_use]
    pub const fn profile(self) -> &'static str {
        match self {
            Self::Draft04 => "tag:ietf.org,2026:rats/ear#04",
            Self::Draft03 => "tag:ietf.org,2026:rats/ear#03",
            Self::Veraison2023 => "tag:github.com,2023:veraison/ear",
            Self::Trustee2024 => "tag:github.com,2024:confidential-containers/Trustee",
        }
    }

    /// Reads that.
    #[must_use]
    pub fn parse(profile: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.profile() == profile)
    }

    /// True for the spelling with underscores.
    #[must_use]
    pub const fn is_draft(self) -> bool {
        matches!(self, Self::Draft04 | Self::Draft03)
    }
}

/// An attestation result as it stands; what it is worth, [`verify`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Ear {
    /// Its spelling.
    pub spelling: Spelling,
    /// When it was made.
    pub issued: Time,
    /// When it ends, if it says so.
    pub expires: Option<Time>,
    /// What the relying party had asked the verifier with.
    pub nonces: Vec<String>,
    /// Who made it.
    pub verifier: Verifier,
    /// The status as a whole, where stated.
    pub status: Option<Tier>,
    /// Its parts, by name.
    pub submods: Vec<(String, Appraisal)>,
    /// The evidence, where it came along.
    pub raw_evidence: Option<Vec<u8>>,
}

/// Who made a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// Whose software.
    pub developer: String,
    /// Which build of it.
    pub build: String,
}

/// What is said of one attester.
#[derive(Clone, Debug, PartialEq)]
pub struct Appraisal {
    /// Its status.
    pub status: Tier,
    /// Why.
    pub vector: Vector,
    /// The policies it was appraised under, in order.
    pub policies: Vec<String>,
    /// What the evidence answered.
    pub nonces: Vec<String>,
    /// The attested key, DER SubjectPublicKeyInfo.
    pub key: Option<Vec<u8>>,
    /// What the attester claims, in the verifier's words (draft 04).
    pub attester_claims: Option<Value>,
}
