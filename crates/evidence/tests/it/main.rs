//! Tests of the crate as its users see it, over captured evidence where it is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod amd_forge;
mod android;
mod binding;
mod cca;
mod cmw;
mod corim;
mod corpus;
mod cose_vendor;
mod ear;
mod folders;
mod intel;
mod intel_silicon;
mod layers;
mod mint;
mod nitro;
mod nitro_refusals;
mod nvidia;
mod nvidia_composite;
mod nvidia_policy;
mod nvidia_refusals;
mod nvidia_rim;
mod nvidia_silicon;
mod pki;
mod predict;
mod profiles;
mod provenance;
mod psa;
mod snp;
mod snp_chain;
mod snp_endorsement;
mod snp_profile;
mod snp_refusals;
mod snp_silicon;
mod tpm;
mod tpm_silicon;
mod vectors;
mod x509_path;
