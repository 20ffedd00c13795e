//! What every kind of hardware evidence has in common: its kind, the bytes, and the facts it yields.

use core::fmt;

use thiserror::Error;

use crate::authentic::Authentic;
use crate::bytes::{Measurement, ReportData, RootDigest};
use crate::snp::SnpRefusal;
use crate::software::SoftwareRefusal;
use crate::time::Time;
use crate::tpm::TpmRefusal;
use crate::{snp, software, tpm};

/// Kinds of hardware (and its development stand-in) that can vouch for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// The software platform: for development; it protects from nobody who owns the machine (I11).
    Software,
    /// AMD SEV-SNP.
    Snp,
    /// A measured boot vouched for by a TPM 2.0: it proves what runs and encrypts no memory.
    Tpm,
}

impl Kind {
    /// Every kind this version verifies.
    pub const ALL: [Self; 3] = [Self::Software, Self::Snp, Self::Tpm];

    /// The spelling in policies, JSON and statements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Snp => "snp",
            Self::Tpm => "tpm",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }

    /// True for evidence no production policy may take unless it names the kind (I11).
    #[must_use]
    pub const fn is_development(self) -> bool {
        matches!(self, Self::Software)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The exact bytes that identify one machine (CHIP_ID, a software machine's id). Compared whole, never by prefix.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId(Vec<u8>);

impl MachineId {
    /// An id of 1 to 64 bytes that is not all zero: masked ids identify nothing.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=64).contains(&bytes.len()) && bytes.iter().any(|b| *b != 0);
        fits.then(|| Self(bytes.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineId({self})")
    }
}

/// Hardware evidence as it travels: untrusted until a verifying function has turned it into facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareEvidence {
    /// Which verifier it is for. The sender's word: a wrong one fails to parse.
    pub kind: Kind,
    /// The report, byte for byte as the hardware gave it.
    pub report: Vec<u8>,
    /// Certificates and other endorsements that came along, DER or as the kind fixes.
    pub endorsements: Vec<Vec<u8>>,
}

/// Why hardware evidence of some kind is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HardwareRefusal {
    /// The software platform's.
    #[error(transparent)]
    Software(#[from] SoftwareRefusal),
    /// AMD SEV-SNP's.
    #[error(transparent)]
    Snp(#[from] SnpRefusal),
    /// A TPM's.
    #[error(transparent)]
    Tpm(#[from] TpmRefusal),
}

/// Authentic facts, by the verifier of the kind the evidence says it is of, under `roots`.
///
/// # Errors
/// [`HardwareRefusal`].
pub fn verify(
    evidence: &HardwareEvidence,
    roots: &[RootDigest],
    at: Time,
) -> Result<Authentic<HardwareFacts>, HardwareRefusal> {
    Ok(match evidence.kind {
        Kind::Software => software::verify(evidence, roots, at)?,
        Kind::Snp => snp::verify(evidence, roots, at)?,
        Kind::Tpm => tpm::machine::verify(evidence, roots, at)?,
    })
}

/// What authentic hardware evidence says, in the words all kinds share.
#[derive(Clone, Debug)]
pub struct HardwareFacts {
    /// Kind of hardware.
    pub kind: Kind,
    /// The pinned root its chain ended in.
    pub root: RootDigest,
    /// Which machine, where the hardware says it.
    pub machine: Option<MachineId>,
    /// What the hardware measured at launch: the machine image, or on the software platform the monitor.
    pub measurement: Measurement,
    /// The caller-bound field.
    pub report_data: ReportData,
    /// The host-supplied, measured configuration: a domain root where a monitor runs under one.
    pub host_data: [u8; 32],
    /// True if a debugger could have looked inside.
    pub debug: bool,
    /// What only this kind has.
    pub detail: Detail,
}

/// Facts that only one kind of hardware has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Detail {
    /// The software platform.
    Software(software::Facts),
    /// AMD SEV-SNP.
    Snp(Box<snp::Facts>),
    /// A TPM.
    Tpm(Box<tpm::machine::MachineFacts>),
}

/// How far isolation holds. Every statement carries it and no policy accepts it by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isolation {
    /// A machine of its own, by hardware.
    MachineExclusive,
    /// One kernel, inside a hardware-isolated machine, shared with other programs.
    MachineSharedKernel,
    /// A process under a host's kernel.
    Process,
    /// A WebAssembly sandbox inside a process.
    Wasm,
    /// The software platform: nothing holds against whoever owns the machine.
    Software,
}

impl Isolation {
    /// Every value.
    pub const ALL: [Self; 5] = [
        Self::MachineExclusive,
        Self::MachineSharedKernel,
        Self::Process,
        Self::Wasm,
        Self::Software,
    ];

    /// The spelling in statements and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MachineExclusive => "machine-exclusive",
            Self::MachineSharedKernel => "machine-shared-kernel",
            Self::Process => "process",
            Self::Wasm => "wasm",
            Self::Software => "software",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|i| i.as_str() == text)
    }
}
