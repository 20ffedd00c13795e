//! Trust as its users see it: every refusal by itself, and what becomes possible without exactly its check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![allow(missing_docs, reason = "tests")]

mod asked;
mod claims;
mod decisions;
mod differences;
mod domain_file;
mod examples;
mod objects;
mod pending;
mod policies;
mod succession;
mod supposed;
