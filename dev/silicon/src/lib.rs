//! Silicon of our own making: vendors' hierarchies whose keys are held here, so that a test can sign what no vendor would.
//! Never shipped. A check behind a signature can then be tried alone: everything about the evidence is right but the one
//! thing it is about, and without that check the evidence passes.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "read by this project's own tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "silicon that cannot be made fails its test"
)]

pub mod amd;
pub mod certificate;
pub mod der;
pub mod intel;
pub mod key;
pub mod software;

pub use certificate::{Certificate, Crl};
pub use key::Key;
