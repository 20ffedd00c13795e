//! Arm CCA attestation tokens (Arm RMM specification DEN0137 section A7.2; draft-ffm-rats-cca-token).
//!
//! Two tokens in one: the platform's, signed by its attestation key, and the realm's, signed by a key that the platform
//! token names by its hash. Profiles 1.0.0 of both and their legacy forms are read; a profile that was never seen is
//! refused rather than guessed. Keys come from whoever provisioned the platform.

mod appraise;
pub mod layout;
mod parse;
mod refusal;
mod verify;

pub use appraise::{DigestLengths, Knobs, appraise};
pub use layout::{Facts, HashAlgorithm, PlatformProfile, RealmProfile, Token};
pub use parse::parse;
pub use refusal::CcaRefusal;
pub use verify::verify;
