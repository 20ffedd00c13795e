//! What Intel's two signed JSON texts, TCB info and QE identity, share: dates, hex, levels of one SVN, masked values. Members
//! that are read may not come twice; members that are not known are passed over, since Intel adds some within a version.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::status::Status;
use crate::time::{Time, Window};

/// Most levels, and most module identities, taken: Intel's lists have below twenty.
pub(super) const LEVELS_MAX: usize = 128;
/// Most advisories of a level.
const ADVISORIES_MAX: usize = 128;

/// A value of which only the bits of the mask count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask<const N: usize> {
    pub(super) value: [u8; N],
    pub(super) mask: [u8; N],
}

impl<const N: usize> Mask<N> {
    /// True if `seen` is the value in every bit that counts.
    pub(super) fn fits(&self, seen: &[u8; N]) -> bool {
        let bytes = self.value.iter().zip(&self.mask).zip(seen);
        bytes.into_iter().all(|((value, mask), seen)| value & mask == seen & mask)
    }
}

/// A level of something with one SVN: a TDX module, a quoting enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvnLevel {
    /// The SVN it needs.
    pub svn: u16,
    /// `tcbStatus`.
    pub status: Status,
    /// `tcbDate`.
    pub date: Time,
    /// `advisoryIDs`.
    pub advisories: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawSvnLevel {
    tcb: RawSvn,
    #[serde(deserialize_with = "date")]
    tcb_date: Time,
    tcb_status: Status,
    #[serde(default, rename = "advisoryIDs", deserialize_with = "advisories")]
    advisory_ids: Vec<String>,
}

#[derive(Deserialize)]
struct RawSvn {
    isvsvn: u16,
}

/// Levels of one SVN each, highest first; nothing if one SVN has two.
pub(super) fn svn_levels(raw: Vec<RawSvnLevel>) -> Option<Vec<SvnLevel>> {
    let level = |l: RawSvnLevel| SvnLevel {
        svn: l.tcb.isvsvn,
        status: l.tcb_status,
        date: l.tcb_date,
        advisories: l.advisory_ids,
    };
    let mut levels = raw.into_iter().map(level).collect::<Vec<_>>();
    levels.sort_by_key(|l| core::cmp::Reverse(l.svn));
    let twice = levels.windows(2).any(|w| matches!(w, [a, b] if a.svn == b.svn));
    (!twice && levels.len() <= LEVELS_MAX).then_some(levels)
}

pub(super) const fn window(not_before: Time, not_after: Time) -> Window {
    Window { not_before, not_after }
}

/// A date as Intel writes it.
pub(super) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bad =
        || D::Error::custom(format_args!("{text:?} is no date of the form 2026-11-24T12:00:00Z"));
    Time::parse_rfc3339(&text).ok_or_else(bad)
}

/// Hex of exactly this many bytes; Intel's services write either case.
pub(super) fn hex_bytes<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut out = [0; N];
    hex::decode_to_slice(&text, &mut out)
        .map_err(|_| D::Error::custom(format_args!("{text:?} is not {N} bytes in hex")))?;
    Ok(out)
}

/// Names of advisories, as many as any level has.
pub(super) fn advisories<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    if list.len() > ADVISORIES_MAX {
        return Err(D::Error::custom("more advisories than any level has"));
    }
    Ok(list)
}
