//! Evidence: bytes to authentic facts, and no further.
//!
//! ```text
//!  bytes --parse--> untrusted --verify--> Authentic<Facts> --appraise--> Verdict
//! ```
//!
//! Authentic and acceptable are two answers (I1): verification says whose word this is, appraisal says
//! whether a stated policy takes it. The types allow no other way round. This crate is pure: time,
//! randomness and collateral are arguments (I3); it reads no clock, file, network or environment.
#![forbid(unsafe_code)]
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod android;
pub mod appraise;
pub mod authentic;
pub mod azure;
pub mod binder;
pub mod bytes;
pub mod cbor;
pub mod cca;
pub mod cmw;
pub mod composite;
pub mod controls;
pub mod corim;
pub mod cose;
pub mod dcap;
pub mod ear;
pub mod hardware;
pub mod json;
mod knob;
pub mod layered;
pub mod nitro;
pub mod nvidia;
pub mod predict;
pub mod profile;
pub mod provenance;
pub mod psa;
pub mod sgx;
pub mod snp;
pub mod software;
pub mod statement;
pub mod tcg;
pub mod tdx;
pub mod time;
pub mod tpm;
pub mod x509;

pub use authentic::{Authentic, Check, Outcome};
pub use binder::{Binder, BinderKind, End, MonitorBinding, ProgramClaim, Session, Side};
pub use bytes::{
    AuditKey, BinderDigest, ContentDigest, DomainRoot, Exporter, IssuerKey, Measurement, Nonce,
    ReportData, RootDigest, SecretsKey, SpkiDigest, StatementKey,
};
pub use hardware::{Detail, HardwareEvidence, HardwareFacts, Isolation, Kind, MachineId};
pub use profile::Profile;
pub use time::{Time, Window};
