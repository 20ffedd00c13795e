//! The log: append-only, Merkle-hashed (RFC 6962 section 2), laid out as C2SP tlog-tiles, with checkpoints as signed notes.
//!
//! [`tree`] and [`note`] are pure and check offline what [`disk`] keeps. An entry counts once it is durable; nothing that
//! was acknowledged is lost, and a log shorter than its own checkpoint is refused rather than continued.
#![forbid(unsafe_code)]

pub mod disk;
pub mod entry;
pub mod note;
pub mod tree;

pub use disk::{Log, LogError};
pub use tree::Hash;
