//! The monitor: programs measured over exactly the bytes that run, isolated, and given their identity.
//!
//! Four kinds of process of one executable (ARCHITECTURE.md, "Processes"): [`supervisor`], [`keyholder`],
//! [`launcher`] and one [`proxy`] per program. What parses hostile bytes holds no long-lived key and no privilege.
#![deny(unsafe_code)]

pub mod harden;
pub mod init;
pub mod keyholder;
pub mod launcher;
pub mod machine;
pub mod program;
pub mod proxy;
pub mod sandbox;
pub mod supervisor;
#[expect(
    unsafe_code,
    reason = "the one file of this crate that calls the kernel without a safe wrapper"
)]
mod sys;
