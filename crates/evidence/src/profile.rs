//! Profiles: what evidence must be like to be taken, as dated data with sources. `docs/formats/profile.md` is the page.
//!
//! A profile states every knob of every kind it speaks of. A knob that is left out is an error when the profile is read, and
//! so is a word that is not understood or a demand that nothing could meet; what is meant to be open is `"unconstrained"`,
//! written out. TCB floors stand here and in no code: they age.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use thiserror::Error;

use crate::bytes::{ContentDigest, sha384};

/// A profile is never longer.
pub const LEN_MAX: usize = 1 << 20;
/// The profile that says what evidence is and admits nothing.
pub const FORENSIC: &str = "forensic-2026-11";
/// The word for an open knob.
const OPEN: &str = "unconstrained";

/// Profiles that came with this version: name and text.
const SHIPPED: [(&str, &str); 10] = [
    (FORENSIC, include_str!("../profiles/forensic-2026-11.toml")),
    ("android-key-2026-11", include_str!("../profiles/android-key-2026-11.toml")),
    ("cca-2026-11", include_str!("../profiles/cca-2026-11.toml")),
    ("nitro-2026-11", include_str!("../profiles/nitro-2026-11.toml")),
    ("psa-2026-11", include_str!("../profiles/psa-2026-11.toml")),
    ("sgx-2026-11", include_str!("../profiles/sgx-2026-11.toml")),
    ("snp-2026-11", include_str!("../profiles/snp-2026-11.toml")),
    ("tdx-2026-11", include_str!("../profiles/tdx-2026-11.toml")),
    ("tpm-2026-11", include_str!("../profiles/tpm-2026-11.toml")),
    ("tpm-machine-2026-11", include_str!("../profiles/tpm-machine-2026-11.toml")),
];

/// Why a profile is none.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileError {
    /// Longer than the limit.
    #[error("profile of {0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// Not TOML of the format, or with a knob missing, unknown or malformed.
    #[error("{0}")]
    Form(String),
    /// It states nothing about this kind.
    #[error(
        "profile {id} states nothing about {kind}; what is not stated is refused, use one that does"
    )]
    Silent {
        /// The profile.
        id: String,
        /// The kind.
        kind: &'static str,
    },
    /// A demand that nothing can meet.
    #[error("profile {id}, {knob}: {why}")]
    Impossible {
        /// The profile.
        id: String,
        /// Where.
        knob: String,
        /// Why.
        why: &'static str,
    },
}

/// A knob of a profile: a value, or `unconstrained` in so many words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stated<T> {
    /// This.
    Value(T),
    /// Anything, and the profile says so.
    Unconstrained,
}

impl<T> Stated<T> {
    /// The value, where there is one to hold to.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(v) => Some(v),
            Self::Unconstrained => None,
        }
    }

    /// In words: the value as `say` puts it, or `unconstrained`.
    pub fn words(&self, say: impl FnOnce(&T) -> String) -> String {
        self.value().map_or_else(|| OPEN.to_owned(), say)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Stated<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(from)?;
        if value.as_str() == Some(OPEN) {
            return Ok(Self::Unconstrained);
        }
        value.try_into().map(Self::Value).map_err(|e: toml::de::Error| {
            D::Error::custom(format!("{}, or \"{OPEN}\"", e.message()))
        })
    }
}

/// Whether something is taken, in words rather than as a switch whose sense must be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Taken {
    /// It is taken.
    Taken,
    /// It is refused.
    Refused,
}

impl TryFrom<String> for Taken {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "taken" => Ok(Self::Taken),
            "refused" => Ok(Self::Refused),
            other => Err(format!("{other:?}, expected \"taken\" or \"refused\"")),
        }
    }
}

impl Taken {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Refused => "refused",
        }
    }
}

/// Knobs of one kind of evidence, as a profile's section states them.
pub trait Section: DeserializeOwned {
    /// The section's name: the kind.
    const KIND: &'static str;

    /// A demand that nothing can meet: where, and why.
    ///
    /// # Errors
    /// Such a demand.
    fn possible(&self) -> Result<(), (String, &'static str)>;

    /// Every knob in words, a line each.
    fn words(&self) -> Vec<String>;
}

/// A profile, read.
#[derive(Clone, Debug)]
pub struct Profile {
    head: Head,
    digest: ContentDigest,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u64,
    id: String,
    dated: String,
    /// Where the demands come from.
    sources: Vec<String>,
    /// Sections by kind; each is read when its kind asks.
    kind: toml::Table,
}

impl Profile {
    /// The names of the shipped ones.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// A shipped one by its name.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Self> {
        let (_, text) = SHIPPED.iter().find(|(n, _)| *n == name)?;
        Self::parse(text).ok()
    }

    /// What the shipped ones state about a kind, by name; those that state nothing about it are left out.
    #[must_use]
    pub fn shipped_sections<S: Section>() -> Vec<(&'static str, S)> {
        let all = Self::shipped_names().filter_map(|name| Some((name, Self::shipped(name)?)));
        all.filter_map(|(name, profile)| Some((name, profile.section().ok()?))).collect()
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ProfileError::TooLong`], [`ProfileError::Form`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        if text.len() > LEN_MAX {
            return Err(ProfileError::TooLong(text.len()));
        }
        let form = |e: toml::de::Error| ProfileError::Form(e.to_string().trim_end().to_owned());
        let head = toml::from_str::<Head>(text).map_err(form)?;
        if head.format != 1 {
            return Err(ProfileError::Form(format!("format is {}, expected 1", head.format)));
        }
        Ok(Self { head, digest: ContentDigest::new(sha384(text.as_bytes())) })
    }

    /// Its name, e.g. `snp-2026-11`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.head.id
    }

    /// The day its demands are of.
    #[must_use]
    pub fn dated(&self) -> &str {
        &self.head.dated
    }

    /// Where its demands come from.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.head.sources
    }

    /// SHA-384 over its text.
    #[must_use]
    pub const fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// Every kind it states something about, with every knob in words.
    #[must_use]
    pub fn kinds(&self) -> Vec<(&'static str, Vec<String>)> {
        fn of<S: Section>(profile: &Profile) -> Option<(&'static str, Vec<String>)> {
            Some((S::KIND, profile.section::<S>().ok()?.words()))
        }
        let all = [
            of::<crate::snp::Knobs>,
            of::<crate::tdx::Knobs>,
            of::<crate::sgx::Knobs>,
            of::<crate::nitro::Knobs>,
            of::<crate::nitro::TpmKnobs>,
            of::<crate::tpm::Knobs>,
            of::<crate::cca::Knobs>,
            of::<crate::psa::Knobs>,
            of::<crate::android::Knobs>,
        ];
        all.iter().filter_map(|of| of(self)).collect()
    }

    /// What it states about a kind.
    ///
    /// # Errors
    /// [`ProfileError`]: nothing, something malformed, or something impossible.
    pub fn section<S: Section>(&self) -> Result<S, ProfileError> {
        let id = self.head.id.clone();
        let Some(section) = self.head.kind.get(S::KIND) else {
            return Err(ProfileError::Silent { id, kind: S::KIND });
        };
        let knobs: S = section.clone().try_into().map_err(|e: toml::de::Error| {
            ProfileError::Form(format!(
                "profile {id}, kind.{}: {}",
                S::KIND,
                e.to_string().trim_end()
            ))
        })?;
        match knobs.possible() {
            Ok(()) => Ok(knobs),
            Err((knob, why)) => {
                Err(ProfileError::Impossible { id, knob: format!("kind.{}.{knob}", S::KIND), why })
            }
        }
    }
}
