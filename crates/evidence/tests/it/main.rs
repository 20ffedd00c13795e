//! Tests of the crate as its users see it, over captured evidence where it is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod binding;
mod corpus;
mod layers;
mod nvidia;
mod nvidia_composite;
mod nvidia_policy;
mod nvidia_refusals;
mod nvidia_rim;
mod nvidia_silicon;
mod snp;
mod snp_refusals;
