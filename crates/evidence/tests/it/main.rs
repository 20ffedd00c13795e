//! Tests of the crate as its users see it, over captured evidence where it is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod amd_forge;
mod binding;
mod corpus;
mod ear;
mod layers;
mod snp;
mod snp_chain;
mod snp_profile;
mod snp_refusals;
mod vectors;
