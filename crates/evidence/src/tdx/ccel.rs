//! The event log of a trust domain (CCEL: UEFI 2.10 section 38.4), replayed to RTMRs: a log of [`crate::tcg`] whose registers are numbered
//! from 1 for RTMR0. Register 0 is MRTD, which the module measures and no log does.

use super::layout::TdReport;
use crate::authentic::Check;
use crate::knob::judge;
use crate::tcg::{Bank, LogError, NO_ACTION, read};

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

/// Replays a log.
///
/// # Errors
/// [`LogError`].
pub fn replay(log: &[u8]) -> Result<Replayed, LogError> {
    let log = read(log)?;
    if let Some(n) =
        log.events.iter().position(|e| e.kind != NO_ACTION && !(1..=4).contains(&e.register))
    {
        return Err(LogError::Event(n, "a register that is no RTMR"));
    }
    let registers = log.replay(Bank::Sha384)?;
    let mut rtmr = [[0; 48]; 4];
    for (place, number) in rtmr.iter_mut().zip(1..) {
        if let Some(value) = registers.get(&number).and_then(|v| v.as_slice().try_into().ok()) {
            *place = value;
        }
    }
    Ok(Replayed { rtmr, events: log.events.len(), used: log.used })
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
