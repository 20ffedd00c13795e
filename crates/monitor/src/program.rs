//! A program: how it is described on disk, which files it consists of, and the digest that identifies all of it.
//!
//! `config.json` ([`config`]) says what to run; [`resolve`] finds every file that can be executed or loaded;
//! [`image`] copies them into memory nobody else can write while hashing the very bytes copied; the [`manifest`] is
//! what was copied together with everything else that affects behaviour, and its digest is the measurement.

pub mod config;
pub mod elf;
pub mod image;
pub mod manifest;
pub mod resolve;

pub use config::{Config, ConfigError};
pub use image::{ImageError, Store};
pub use manifest::Manifest;
pub use resolve::{Plan, ResolveError};
