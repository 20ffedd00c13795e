//! The `casemate` command as a person and as a script use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod ask;
mod authority;
mod claims;
mod collateral;
mod connect;
mod first_hour;
mod image;
mod isolation;
mod memory;
mod owners;
mod policy;
mod policy_people;
mod predicted;
mod running;
mod sdk;
mod stage;
mod tour;
mod verify;
mod verify_batch;
mod verify_cose;
mod verify_intel;
mod verify_nvidia;
mod verify_tpm;
