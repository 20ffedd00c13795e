//! The four capabilities of a platform (isolation, measurement, sealing, attestation) and its randomness.
//!
//! Whoever needs them asks [`Platform`]. This crate holds the software platform's machine, the sealed-blob
//! format, and the two small protocols a monitor speaks: with its keyholder ([`keyholder`]) and with a
//! program ([`program`]). It decides nothing about trust.
#![forbid(unsafe_code)]

pub mod clock;
pub mod keyholder;
pub mod message;
pub mod program;
pub mod seal;
mod secret;
pub mod software;
pub mod tpm;

use evidence::statement::ProgramState;
use evidence::{ContentDigest, DomainRoot, Measurement, Nonce, StatementKey};

pub use seal::{OpenRefusal, Opened, StoreId};
pub use secret::Secret;

/// Fills `out` with bytes from the operating system's cryptographic generator.
///
/// # Errors
/// [`PlatformError::Random`] if it fails; nothing may go on with weaker randomness.
pub fn random(out: &mut [u8]) -> Result<(), PlatformError> {
    aws_lc_rs::rand::fill(out).map_err(|_| PlatformError::Random)
}

/// Thirty-two fresh random bytes as a nonce.
///
/// # Errors
/// [`PlatformError::Random`].
pub fn fresh_nonce() -> Result<Nonce, PlatformError> {
    let mut bytes = [0; Nonce::LEN];
    random(&mut bytes)?;
    Ok(Nonce::new(bytes))
}

/// What a platform says about itself and about the program that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The domain the monitor serves.
    pub domain: DomainRoot,
    /// The key of the monitor's statements.
    pub statement_key: StatementKey,
    /// The program that asks, as statements describe it.
    pub program: ProgramState,
}

/// The four capabilities, randomness included. Isolation is a fact of [`Info`], not a call: a program is
/// isolated before its first instruction.
pub trait Platform {
    /// Who am I, how isolated am I, under which domain.
    ///
    /// # Errors
    /// [`PlatformError`] if the platform cannot be reached.
    fn info(&mut self) -> Result<Info, PlatformError>;

    /// Measurement: what identifies this program.
    ///
    /// # Errors
    /// As [`Platform::info`].
    fn measurement(&mut self) -> Result<Measurement, PlatformError> {
        Ok(self.info()?.program.measurement)
    }

    /// Sealing: only this program, on this platform, in this domain opens the blob.
    ///
    /// # Errors
    /// [`PlatformError`].
    fn seal(
        &mut self,
        store: &StoreId,
        version: u64,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PlatformError>;

    /// Opens a sealed blob that is at least as new as `at_least`.
    ///
    /// # Errors
    /// [`PlatformError::Open`] with the refusal.
    fn open(
        &mut self,
        store: &StoreId,
        at_least: u64,
        blob: &[u8],
    ) -> Result<Opened, PlatformError>;

    /// Attestation: a statement that this program said `said` to whoever chose `nonce`.
    ///
    /// # Errors
    /// [`PlatformError`].
    fn attest(&mut self, nonce: Nonce, said: ContentDigest) -> Result<Vec<u8>, PlatformError>;

    /// Cryptographic randomness.
    ///
    /// # Errors
    /// [`PlatformError::Random`].
    fn random(&mut self, out: &mut [u8]) -> Result<(), PlatformError> {
        random(out)
    }
}

/// Why a platform did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The generator failed.
    #[error("the operating system gives no randomness; nothing can go on without it")]
    Random,
    /// The socket to the monitor failed.
    #[error("the monitor's socket failed: {0}; the monitor may have ended, see `casemate ps`")]
    Socket(#[from] std::io::Error),
    /// A message was not of the protocol.
    #[error("message of the monitor protocol: {0}")]
    Message(#[from] evidence::cbor::CborError),
    /// The other end refused.
    #[error("the monitor refused: {0}")]
    Refused(Refused),
    /// The authority does not admit the program.
    #[error("the authority does not admit this program: {0}")]
    NotAdmitted(String),
    /// The authority could not be asked.
    #[error("this program has no admission yet: {0}")]
    Unavailable(String),
    /// A blob did not open.
    #[error(transparent)]
    Open(#[from] OpenRefusal),
    /// A file of the software machine is unusable.
    #[error("software machine: {0}")]
    Machine(#[from] software::MachineError),
    /// A TPM.
    #[error(transparent)]
    Tpm(#[from] tpm::TpmError),
}

/// Why a keyholder or proxy refuses a request. The coarse code is all that crosses the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The request is not of the protocol, or longer than its limit.
    #[error("the request is not of the protocol; use a client of this version")]
    Malformed,
    /// This program was not granted that.
    #[error(
        "the program has no grant for it; add the grant to its configuration, which changes its measurement"
    )]
    NotGranted,
    /// The hardware or the operating system failed.
    #[error("the platform failed; see the monitor's log")]
    Platform,
    /// The program has not been admitted (yet).
    #[error("the program is not admitted; see `casemate explain`")]
    NotAdmitted,
}

impl Refused {
    const ALL: [Self; 4] = [Self::Malformed, Self::NotGranted, Self::Platform, Self::NotAdmitted];

    /// Its code on the wire.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Malformed => 1,
            Self::NotGranted => 2,
            Self::Platform => 3,
            Self::NotAdmitted => 4,
        }
    }

    /// Reads that code.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }
}
