//! The software platform: evidence in the shape of real silicon, under a root of its own and with a
//! mark of its own, for development. It protects from nobody who owns the machine, and nothing here
//! lets it pass for hardware (I11): every signed object carries [`MARK`] and its labels are its own.

pub mod chain;
pub mod layout;
mod parse;
mod refusal;
mod verify;

pub use layout::{Endorsement, Facts, MARK, Report};
pub use refusal::SoftwareRefusal;
pub use verify::verify;
