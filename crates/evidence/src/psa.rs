//! PSA attestation tokens (RFC 9783; draft-tschofenig-rats-psa-token-07 for `PSA_IOT_PROFILE_1`).
//!
//! A device's initial attestation key signs one set of claims; there is no certificate, so the key comes from whoever
//! provisioned the device. Three spellings of the claims are read: RFC 9783's, that of its drafts
//! (`http://arm.com/psa/2.0.0`) and the legacy one. A profile that was never seen is refused rather than guessed.

pub(crate) mod appraise;
pub mod layout;
pub(crate) mod parse;
mod refusal;
mod verify;

pub use appraise::{Knobs, appraise};
pub use layout::{Facts, Lifecycle, Profile, SwComponent, Token};
pub use parse::parse;
pub use refusal::PsaRefusal;
pub use verify::verify;
