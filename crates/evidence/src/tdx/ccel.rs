//! The event log of a trust domain (CCEL: UEFI 2.10 section 38.4, in the crypto-agile format of TCG's PC Client Platform Firmware
//! Profile), replayed to RTMRs. The log is nobody's word until its replay equals the registers of an authentic quote; then its
//! digests are what was measured, in that order. What stands beside a digest is still only a description.

use thiserror::Error;

use super::layout::TdReport;
use crate::authentic::Check;
use crate::bytes::sha384;
use crate::knob::judge;

/// Longest log taken: firmware reserves 256 KiB.
pub const LOG_MAX: usize = 4 * 1024 * 1024;
/// Most events taken.
const EVENTS_MAX: usize = 65_536;
/// Most digests of an event.
const DIGESTS_MAX: u32 = 8;
const SHA384: u16 = 0x000c;
/// EV_NO_ACTION: described, never extended.
const NO_ACTION: u32 = 3;
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";

/// What a log leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// RTMR0 to RTMR3.
    pub rtmr: [[u8; 48]; 4],
    /// Events in it.
    pub events: usize,
    /// Bytes they take; the rest is padding.
    pub used: usize,
}

/// Why a log cannot be replayed.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CcelError {
    /// Longer than any firmware's.
    #[error("event log of {0} bytes, at most {LOG_MAX} are read")]
    TooLong(usize),
    /// It does not begin as such a log does.
    #[error("event log does not begin with TCG's Spec ID Event03; it is of another format")]
    Header,
    /// It has no digests of the registers' algorithm.
    #[error("event log has no SHA-384 digests, which RTMRs are made of")]
    Algorithm,
    /// It ends inside an event.
    #[error("event log ends inside event {0}; it was cut")]
    Short(usize),
    /// An event of another shape.
    #[error("event {0} of the log: {1}")]
    Event(usize, &'static str),
    /// More events than any boot makes.
    #[error("event log of more than {EVENTS_MAX} events")]
    TooMany,
}

struct Cursor<'a> {
    rest: &'a [u8],
    event: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], CcelError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(CcelError::Short(self.event))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CcelError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16, CcelError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, CcelError> {
        self.array().map(u32::from_le_bytes)
    }

    fn sized(&mut self) -> Result<&'a [u8], CcelError> {
        let len = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.take(len)
    }

    /// Padding begins: the registers are numbered from 1, and firmware fills with ones or zeros.
    fn is_over(&self) -> bool {
        let filled = |with: u8| self.rest.iter().all(|b| *b == with);
        self.rest.is_empty() || self.rest.starts_with(&[0xff; 8]) || filled(0)
    }
}

/// Digest lengths by algorithm, as the first event states them.
fn algorithms(cursor: &mut Cursor<'_>) -> Result<Vec<(u16, usize)>, CcelError> {
    let (_, kind, digest) = (cursor.u32()?, cursor.u32()?, cursor.array::<20>()?);
    let mut spec = Cursor { rest: cursor.sized()?, event: 0 };
    let begins = spec.array::<16>()? == *SPEC_ID;
    if kind != NO_ACTION || digest != [0; 20] || !begins {
        return Err(CcelError::Header);
    }
    // Platform class, versions, size of UINTN.
    spec.take(8)?;
    let count = spec.u32()?;
    if !(1..=DIGESTS_MAX).contains(&count) {
        return Err(CcelError::Event(0, "no algorithms, or more than there are"));
    }
    let mut all = Vec::new();
    for _ in 0..count {
        let (algorithm, len) = (spec.u16()?, spec.u16()?);
        if !(1..=64).contains(&len) || all.iter().any(|(a, _)| *a == algorithm) {
            return Err(CcelError::Event(0, "an algorithm twice, or a digest longer than any"));
        }
        all.push((algorithm, usize::from(len)));
    }
    if !all.contains(&(SHA384, 48)) {
        return Err(CcelError::Algorithm);
    }
    Ok(all)
}

/// Replays a log.
///
/// # Errors
/// [`CcelError`].
pub fn replay(log: &[u8]) -> Result<Replayed, CcelError> {
    if log.len() > LOG_MAX {
        return Err(CcelError::TooLong(log.len()));
    }
    let mut cursor = Cursor { rest: log, event: 0 };
    let algorithms = algorithms(&mut cursor)?;
    let (mut rtmr, mut events) = ([[0; 48]; 4], 1_usize);
    while !cursor.is_over() {
        cursor.event = events;
        if events >= EVENTS_MAX {
            return Err(CcelError::TooMany);
        }
        let (register, kind, count) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        if usize::try_from(count).ok() != Some(algorithms.len()) {
            return Err(CcelError::Event(events, "another number of digests than the log states"));
        }
        let mut measured = None;
        for _ in 0..count {
            let algorithm = cursor.u16()?;
            let len = algorithms.iter().find(|(a, _)| *a == algorithm).map(|(_, len)| *len);
            let len = len.ok_or(CcelError::Event(events, "an algorithm the log does not state"))?;
            let digest = cursor.take(len)?;
            if algorithm == SHA384 && measured.replace(digest).is_some() {
                return Err(CcelError::Event(events, "one algorithm twice"));
            }
        }
        cursor.sized()?;
        // Register 0 is MRTD, which the module measures and no log does.
        let index = register.checked_sub(1).and_then(|n| usize::try_from(n).ok());
        let place = index.and_then(|n| rtmr.get_mut(n));
        if kind != NO_ACTION {
            let place = place.ok_or(CcelError::Event(events, "a register that is no RTMR"))?;
            let digest = measured.ok_or(CcelError::Event(events, "no SHA-384 digest"))?;
            *place = sha384(&[&place[..], digest].concat());
        }
        events = events.saturating_add(1);
    }
    Ok(Replayed { rtmr, events, used: log.len().saturating_sub(cursor.rest.len()) })
}

/// Whether a log that came with a quote leads to its registers. RTMR3 is mostly extended after boot, by what this log does not
/// describe: a log that leaves it alone says nothing about it.
#[must_use]
pub fn check(log: &[u8], report: &TdReport) -> Check {
    const NAME: &str = "tdx_event_log";
    let replayed = match replay(log) {
        Ok(replayed) => replayed,
        Err(e) => return Check::failed(NAME, e.to_string()),
    };
    let untouched = |n: usize| n == 3 && replayed.rtmr.get(n) == Some(&[0; 48]);
    let differs = (0..4).find(|n| !untouched(*n) && replayed.rtmr.get(*n) != report.rtmr.get(*n));
    let open = if untouched(3) && report.rtmr.last() != Some(&[0; 48]) {
        "; it does not speak of RTMR3"
    } else {
        ""
    };
    let detail = match differs {
        Some(n) => format!("{} events do not lead to RTMR{n}", replayed.events),
        None => format!("{} events lead to the quote's RTMRs{open}", replayed.events),
    };
    judge(NAME, differs.is_none(), detail, "the log is of another boot, or was changed")
}
