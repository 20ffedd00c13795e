//! Integration tests of the services, in one binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

mod admission;
mod claims;
mod impostor;
mod log;
mod policy;
mod secrets;
mod snp;
