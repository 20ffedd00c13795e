//! Concise reference integrity manifests (draft-ietf-rats-corim): reference values, endorsements and keys in CBOR, signed or not.
//!
//! A manifest is somebody's word. Unsigned, it counts for whoever handed it in; signed, for the key that verified it, and
//! nothing is read out of a signed one before. Refused: manifests of a profile the caller does not name, outside their
//! validity, without contents. What is not understood inside is listed, and what holds such a value matches nothing.

mod claims;
mod comid;
mod matching;
mod refusal;
mod signed;
mod write;

pub use claims::{Algorithm, Digest, Key, Label, Measurement, Raw, Svn, Values, Version};
pub use comid::{Class, Comid, Conditional, Environment, Id, KeyTriple, Triple};
pub use matching::Claim;
pub use refusal::CorimError;
pub use signed::{Meta, SignedCorim};
pub use write::write;

use crate::cbor::vendor::{self, Item, Lengths, Rules};
use crate::controls::holds;
use crate::{Time, Window};

/// Longest manifest: the largest known is some hundred KiB.
pub const LEN_MAX: usize = 1024 * 1024;
/// Deepest nesting: conditional endorsements put digests eleven deep.
pub const DEPTH_MAX: usize = 16;
/// Most tags of one manifest.
pub const TAGS_MAX: usize = 64;
/// Tag of an unsigned manifest.
pub const TAG_CORIM: u64 = 501;
/// Tag of a CoMID inside.
const TAG_COMID: u64 = 506;

/// A manifest in force, of no profile or one the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corim {
    /// What its author calls it.
    pub id: Label,
    /// Its profile, where it has one: a URI, or an object identifier in hex.
    pub profile: Option<String>,
    /// What it states.
    pub comids: Vec<Comid>,
    /// Members of the profile's own, by number; not read.
    pub extensions: Vec<String>,
    /// Tags of the contents that are not read.
    pub unread: Vec<u64>,
}

impl Corim {
    /// Reads an unsigned manifest at that time; `profiles` are those whose rules the caller applies.
    ///
    /// # Errors
    /// [`CorimError`].
    pub fn parse(bytes: &[u8], profiles: &[&str], at: Time) -> Result<Self, CorimError> {
        let Item::Tag(TAG_CORIM, inner) = decode(bytes)? else { return Err(CorimError::NoTag) };
        let mut map = inner.members().ok_or(CorimError::Form("manifest", "a map"))?;
        let id = map.must(0, "manifest id", "a text or UUID", |i| Label::tag_id(&i))?;
        let tags = map.must(1, "tags", "an array", Item::array)?;
        // Where other manifests are and who wrote this one decides nothing.
        map.may(2, "dependent manifests", "an array", Item::array)?;
        let profile = map.may(3, "profile", "a URI or object identifier", profile)?;
        let validity = map.may(4, "validity", "a map", Some)?.map(window).transpose()?;
        map.may(5, "entities", "an array", Item::array)?;
        let extensions = map.rest();
        // Members below zero are a profile's own; without one, nobody says what they are.
        let own = |key: &String| profile.is_some() && key.starts_with('-');
        if !extensions.iter().all(own) {
            map.finish()?;
        }
        let known = profile.as_deref().is_none_or(|p| profiles.contains(&p));
        if !holds("corim_profile", known) {
            return Err(CorimError::Profile(profile.unwrap_or_default()));
        }
        if !holds("corim_window", validity.is_none_or(|w| w.contains(at))) {
            return Err(CorimError::NotInForce);
        }
        if tags.is_empty() || tags.len() > TAGS_MAX {
            return Err(CorimError::Count("tags", tags.len(), TAGS_MAX));
        }
        let (mut comids, mut unread) = (Vec::new(), Vec::new());
        for item in tags {
            match item {
                Item::Tag(TAG_COMID, inner) => {
                    let bytes = inner.bytes().ok_or(CorimError::Form("CoMID", "bytes"))?;
                    comids.push(Comid::parse(bytes)?);
                }
                Item::Tag(tag, _) => unread.push(tag),
                _ => return Err(CorimError::Form("content", "tagged")),
            }
        }
        Ok(Self { id, profile, comids, extensions, unread })
    }
}

fn decode(bytes: &[u8]) -> Result<Item<'_>, CorimError> {
    let rules = Rules { len_max: LEN_MAX, lengths: Lengths::DefiniteOrNot };
    Ok(vendor::decode_nested(bytes, &rules, DEPTH_MAX)?)
}

fn profile(item: Item<'_>) -> Option<String> {
    match item {
        Item::Tag(32, uri) => uri.text().map(str::to_owned),
        Item::Tag(111, oid) => oid.bytes().map(hex::encode),
        _ => None,
    }
}

/// A point in time: seconds since 1970, with or without the tag that says so.
fn seconds(item: Item<'_>) -> Option<Time> {
    let number = if let Item::Tag(1, inner) = item { inner.int() } else { item.int() };
    i64::try_from(number?).ok().map(Time::from_unix)
}

/// A validity: from, if that is said, until, always.
fn window(item: Item<'_>) -> Result<Window, CorimError> {
    let mut map = item.members().ok_or(CorimError::Form("validity", "a map"))?;
    let from = map.may(0, "not-before", "a time", seconds)?;
    let until = map.must(1, "not-after", "a time", seconds)?;
    map.finish()?;
    Ok(Window { not_before: from.unwrap_or(Time::from_unix(i64::MIN)), not_after: until })
}
