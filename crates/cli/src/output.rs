//! How every command speaks: tables for people, JSON on demand, exit codes by cause.

use clap::ValueEnum;
use thiserror::Error;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A command's end that is not success.
#[derive(Debug, Error)]
pub enum Failure {
    /// Refused: exit status 1.
    #[error("{0}")]
    Refused(String),
    /// Wrong usage or unusable input: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Something can be supplied: exit status 3.
    #[error("{0}")]
    Missing(String),
}

/// The exit status of an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Failure>() {
        Some(Failure::Refused(_)) => 1,
        Some(Failure::Missing(_)) => 3,
        Some(Failure::Usage(_)) | None => 2,
    }
}

/// Prints JSON, pretty, with a line end.
pub fn json(value: &serde_json::Value) {
    println!("{value:#}");
}
