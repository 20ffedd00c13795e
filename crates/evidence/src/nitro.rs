//! AWS attestation documents: of Nitro Enclaves and of NitroTPM (AWS "Verifying the root of trust", attestation_process.md
//! of the NSM API, "Validate a NitroTPM Attestation Document").
//!
//! Both are COSE_Sign1 objects signed by a short-lived certificate under one AWS root. They are two kinds: a NitroTPM
//! document has no debug rule and its PCR 0 is AWS's firmware, so it never passes for an enclave's.

mod appraise;
mod chain;
pub mod layout;
mod parse;
mod refusal;
mod verify;

pub use appraise::{Knobs, TpmKnobs, appraise, appraise_tpm};
pub use layout::{Document, DocumentKind, Facts};
pub use parse::parse;
pub use refusal::NitroRefusal;
pub use verify::{PINNED_ROOTS, attestation_key, quote_nonce, verify};
