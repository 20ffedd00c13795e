//! AMD SEV-SNP attestation reports (AMD 56860, revision 1.58; AMD 57230 for the certificates).
//!
//! Versions 2 to 5 of the report, chips of the families Milan, Genoa (with Bergamo and Siena) and Turin, signed
//! by a VCEK or a VLEK. A version that was never seen is refused rather than guessed.

mod appraise;
mod chain;
mod endorsement;
pub mod layout;
mod parse;
mod refusal;
pub mod table;
mod verify;

pub use appraise::{Family, Knobs, Required, appraise};
pub use endorsement::{About, Endorsement, EndorsementRefusal, lacking};
pub use layout::{Facts, Product, Report, SigningKey, Tcb};
pub use parse::parse;
pub use refusal::SnpRefusal;
pub use verify::{PINNED_ROOTS, verify};
