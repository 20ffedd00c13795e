//! NVIDIA GPUs and NVSwitches: measurement reports (SPDM 1.1, DMTF DSP0274) and the reference manifests they are compared
//! with (TCG RIM as SWID tags with XML signatures).
//!
//! A report says which firmware a device measured; only a manifest (RIM) says which firmware NVIDIA made. Without the two
//! RIMs of a GPU a report proves a genuine device and nothing about what runs on it. A report says nothing about the
//! machine that has the device either: [`crate::composite`] ties the two together.

mod appraise;
mod c14n;
mod chain;
mod dsig;
pub mod layout;
mod matching;
mod parse;
mod refusal;
mod revocation;
mod rim;
mod verify;
mod xml;

pub use appraise::{Devices, Knobs, Revocations, Rims, appraise};
pub use layout::{Block, Device, Facts, Field, FieldId, Kind, Opaque, Report};
pub use parse::parse;
pub use refusal::{NvidiaRefusal, RimRefusal};
pub use revocation::{CertificateStatus, Revocation};
pub use rim::{Firmware, MinSvn, PINNED_RIM_ROOTS, Rim, verify_rim};
pub use verify::{Asked, Evidence, PINNED_ROOTS, Roots, verify};
