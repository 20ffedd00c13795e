//! Predicts what hardware will measure before anything boots: SNP launch digests, TDX MRTD, Nitro enclave PCRs, SGX MRENCLAVE,
//! a TPM's registers of a direct kernel boot.
//!
//! Every input that decides a digest is an argument; nothing is guessed. Images are hostile input as much as evidence is:
//! offsets are checked against the bytes, tables and pages are bounded. What is predicted is no evidence, and makes none.

pub mod eif;
pub mod ovmf;
pub mod sgx;
pub mod snp;
pub mod tdx;
pub mod tpm;
mod vmsa;
pub mod volume;

use thiserror::Error;

/// A page of every hardware here.
pub(crate) const PAGE: usize = 4096;
/// Longest firmware image: 64 MiB, four times the largest build there is.
pub const FIRMWARE_LEN_MAX: usize = 64 << 20;
/// Pages that metadata may ask for besides the image: 4 GiB of them.
pub(crate) const PAGES_MAX: u64 = 1 << 20;

/// Why nothing can be predicted.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PredictError {
    /// Longer than the limit.
    #[error("{what} of {got} bytes, at most {max} allowed")]
    TooLong {
        /// Which input.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not of the format.
    #[error("not {what}: {why}")]
    Form {
        /// The format.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A firmware without what this needs.
    #[error("this firmware has no {0}; build or take one for this kind of machine")]
    Lacks(&'static str),
    /// A value that no machine has.
    #[error("{what} is {got}, expected {expected}")]
    Value {
        /// Which.
        what: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
}

pub(crate) type Result<T> = core::result::Result<T, PredictError>;

pub(crate) const fn form(what: &'static str, why: &'static str) -> PredictError {
    PredictError::Form { what, why }
}

/// `len` bytes at `at`, if they are there.
pub(crate) fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    slice(bytes, at, N)?.try_into().ok()
}

pub(crate) fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn u64_le(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

pub(crate) fn size(n: u64) -> Option<usize> {
    usize::try_from(n).ok()
}
