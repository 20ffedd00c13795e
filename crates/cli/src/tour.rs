//! `casemate tour`.
pub mod inside;
use anyhow::Result;
use std::process::ExitCode;
/// The tour.
#[derive(clap::Args)]
pub struct TourArgs {}
/// Runs.
pub fn run(_args: &TourArgs) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
