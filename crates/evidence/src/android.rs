//! Android key attestation (Android "Verify hardware-backed key pairs with key attestation"; source.android.com "Key and ID
//! attestation").
//!
//! A chain of certificates, leaf first, under a Google root; what the secure hardware says about key and device stands in
//! an extension of the leaf, and counts nowhere else: whoever holds an attested key could issue a certificate with one.

mod appraise;
mod chain;
pub mod layout;
mod parse;
mod refusal;
pub mod status;
mod verify;

pub use appraise::{Knobs, appraise};
pub use layout::{BootState, Facts, KeyDescription, RootOfTrust, SecurityLevel};
pub use parse::parse;
pub use refusal::AndroidRefusal;
pub use status::StatusList;
pub use verify::{PINNED_ROOTS, verify};
