//! Tests of the crate as its users see it, over captured evidence where it is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod android;
mod binding;
mod cca;
mod corpus;
mod cose_vendor;
mod folders;
mod layers;
mod mint;
mod nitro;
mod nitro_refusals;
mod pki;
mod psa;
mod snp;
mod snp_refusals;
