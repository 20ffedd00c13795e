//! Event logs of measured boots in the formats of TCG's PC Client Platform Firmware Profile: the older one with SHA-1 digests, and the
//! crypto-agile one whose first event states its algorithms. A log is nobody's word until its replay equals registers somebody
//! authentic vouches for; what stands beside a digest is a description, unless the digest is of that very text.

mod said;

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use thiserror::Error;

use crate::bytes::{sha256, sha384};

pub use said::Said;

/// Longest log taken: firmware reserves 64 to 256 KiB.
pub const LOG_MAX: usize = 4 * 1024 * 1024;
/// Most events taken.
const EVENTS_MAX: usize = 65_536;
/// Most digests of an event.
const DIGESTS_MAX: u32 = 8;
/// EV_NO_ACTION: described, never extended.
pub const NO_ACTION: u32 = 3;
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
const SPEC_ID_SHA1: &[u8; 15] = b"Spec ID Event00";
const LOCALITY: &[u8; 16] = b"StartupLocality\0";

/// A hash of a register bank, by its TPM_ALG_ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bank {
    /// SHA-1: of old logs, and of no policy here.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512: its digests are passed over.
    Sha512,
    /// SM3-256: its digests are passed over.
    Sm3,
}

impl Bank {
    /// From a TPM_ALG_ID.
    #[must_use]
    pub const fn of(id: u16) -> Option<Self> {
        Some(match id {
            0x0004 => Self::Sha1,
            0x000b => Self::Sha256,
            0x000c => Self::Sha384,
            0x000d => Self::Sha512,
            0x0012 => Self::Sm3,
            _ => return None,
        })
    }

    /// Its digests' length.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sm3 => "sm3",
        }
    }

    /// The digest of `bytes`; none for algorithms that are only passed over.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Sha1 => Some(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()),
            Self::Sha256 => Some(sha256(bytes).to_vec()),
            Self::Sha384 => Some(sha384(bytes).to_vec()),
            Self::Sha512 | Self::Sm3 => None,
        }
    }
}

/// Why a log cannot be read.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogError {
    /// Longer than any firmware's.
    #[error("event log of {0} bytes, at most {LOG_MAX} are read")]
    TooLong(usize),
    /// It does not begin as a log does.
    #[error("not an event log of TCG's formats")]
    Header,
    /// It has no digests of an algorithm that was asked for.
    #[error("event log has no {0} digests")]
    Algorithm(&'static str),
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

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// PCR index, or of a trust domain's log the measurement register's number.
    pub register: u32,
    /// EV_… number.
    pub kind: u32,
    /// Digests in the log's order.
    pub digests: Vec<(Bank, &'a [u8])>,
    /// What it says it is about.
    pub data: &'a [u8],
}

impl<'a> Event<'a> {
    /// Its digest of a bank.
    #[must_use]
    pub fn digest(&self, bank: Bank) -> Option<&'a [u8]> {
        self.digests.iter().find(|(b, _)| *b == bank).map(|(_, d)| *d)
    }

    /// True if its digests are, by its kind, the digest of its very data (PFP section 10.4), and one is not.
    #[must_use]
    pub fn contradicts_itself(&self) -> bool {
        // EV_SEPARATOR, EV_EFI_ACTION, EV_EFI_GPT_EVENT and EV_EFI_VARIABLE_DRIVER_CONFIG.
        let is_of_data = matches!(self.kind, 4 | 0x8000_0007 | 0x8000_0006 | 0x8000_0001);
        is_of_data
            && self
                .digests
                .iter()
                .any(|(bank, digest)| bank.hash(self.data).is_some_and(|h| h != **digest))
    }
}

/// A log, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// Banks its events have digests of, in its order.
    pub banks: Vec<Bank>,
    /// Every event, the first among them.
    pub events: Vec<Event<'a>>,
    /// The locality TPM2_Startup came from: what PCR 0 begins with.
    pub startup_locality: u8,
    /// Bytes the events take; the rest is padding.
    pub used: usize,
}

struct Cursor<'a> {
    rest: &'a [u8],
    event: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], LogError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(LogError::Short(self.event))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u16(&mut self) -> Result<u16, LogError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, LogError> {
        self.array().map(u32::from_le_bytes)
    }

    fn sized(&mut self) -> Result<&'a [u8], LogError> {
        let len = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.take(len)
    }

    /// An event of the older format.
    fn old(&mut self) -> Result<Event<'a>, LogError> {
        let (register, kind) = (self.u32()?, self.u32()?);
        let digests = vec![(Bank::Sha1, self.take(20)?)];
        Ok(Event { register, kind, digests, data: self.sized()? })
    }

    fn agile(&mut self, banks: &[Bank]) -> Result<Event<'a>, LogError> {
        let (register, kind, count) = (self.u32()?, self.u32()?, self.u32()?);
        let event = self.event;
        if usize::try_from(count).ok() != Some(banks.len()) {
            return Err(LogError::Event(event, "another number of digests than the log states"));
        }
        let mut digests: Vec<(Bank, &[u8])> = Vec::new();
        for _ in 0..count {
            let bank = Bank::of(self.u16()?).filter(|b| banks.contains(b));
            let bank = bank.ok_or(LogError::Event(event, "an algorithm the log does not state"))?;
            if digests.iter().any(|(b, _)| *b == bank) {
                return Err(LogError::Event(event, "one algorithm twice"));
            }
            digests.push((bank, self.take(bank.digest_len())?));
        }
        Ok(Event { register, kind, digests, data: self.sized()? })
    }

    /// Padding begins: firmware fills with ones or zeros.
    fn is_over(&self) -> bool {
        let filled = |with: u8| self.rest.iter().all(|b| *b == with);
        self.rest.is_empty() || self.rest.starts_with(&[0xff; 8]) || filled(0)
    }
}

/// Algorithms, as the first event of a crypto-agile log states them.
fn stated(data: &[u8]) -> Result<Vec<Bank>, LogError> {
    let mut spec = Cursor { rest: data, event: 0 };
    spec.take(SPEC_ID.len())?;
    // Platform class, versions, size of UINTN.
    spec.take(8)?;
    let count = spec.u32()?;
    if !(1..=DIGESTS_MAX).contains(&count) {
        return Err(LogError::Event(0, "no algorithms, or more than there are"));
    }
    let mut banks = Vec::new();
    for _ in 0..count {
        let (id, len) = (spec.u16()?, spec.u16()?);
        let bank = Bank::of(id).filter(|b| b.digest_len() == usize::from(len));
        let bank = bank.ok_or(LogError::Event(0, "an algorithm that is not known"))?;
        if banks.contains(&bank) {
            return Err(LogError::Event(0, "one algorithm twice"));
        }
        banks.push(bank);
    }
    Ok(banks)
}

/// Reads a log.
///
/// # Errors
/// [`LogError`].
pub fn read(log: &[u8]) -> Result<Log<'_>, LogError> {
    if log.len() > LOG_MAX {
        return Err(LogError::TooLong(log.len()));
    }
    let mut cursor = Cursor { rest: log, event: 0 };
    let first = cursor.old().map_err(|_| LogError::Header)?;
    let marked = first.kind == NO_ACTION && first.digest(Bank::Sha1) == Some(&[0; 20]);
    let agile = marked && first.data.starts_with(SPEC_ID);
    // The older format has no mark of its own but, mostly, one of its version.
    let old = first.register < 24 && (!marked || first.data.starts_with(SPEC_ID_SHA1));
    let banks = match (agile, old) {
        (true, _) => stated(first.data)?,
        (false, true) => vec![Bank::Sha1],
        (false, false) => return Err(LogError::Header),
    };
    let (mut events, mut startup_locality) = (vec![first], 0);
    while !cursor.is_over() {
        cursor.event = events.len();
        if events.len() >= EVENTS_MAX {
            return Err(LogError::TooMany);
        }
        let event = if agile { cursor.agile(&banks)? } else { cursor.old()? };
        if let (NO_ACTION, Some([locality])) = (event.kind, event.data.strip_prefix(LOCALITY)) {
            startup_locality = *locality;
        }
        events.push(event);
    }
    let used = log.len().saturating_sub(cursor.rest.len());
    Ok(Log { banks, events, startup_locality, used })
}

impl Log<'_> {
    /// The registers of a bank that events extend, by number.
    ///
    /// # Errors
    /// [`LogError::Algorithm`].
    pub fn replay(&self, bank: Bank) -> Result<BTreeMap<u32, Vec<u8>>, LogError> {
        if !self.banks.contains(&bank) || bank.hash(b"").is_none() {
            return Err(LogError::Algorithm(bank.as_str()));
        }
        let mut registers = BTreeMap::new();
        for event in self.events.iter().filter(|e| e.kind != NO_ACTION) {
            let begin = || {
                let mut zero = vec![0; bank.digest_len()];
                if let (0, Some(last)) = (event.register, zero.last_mut()) {
                    *last = self.startup_locality;
                }
                zero
            };
            let register = registers.entry(event.register).or_insert_with(begin);
            let digest = event.digest(bank).unwrap_or_default();
            *register = bank.hash(&[register.as_slice(), digest].concat()).unwrap_or_default();
        }
        Ok(registers)
    }
}
