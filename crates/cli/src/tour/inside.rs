//! Inside.
use anyhow::Result;
use std::process::ExitCode;
/// x
#[derive(clap::Args)]
pub struct ProgramArgs {
    what: String,
}
/// Runs.
pub fn run(args: &ProgramArgs) -> Result<ExitCode> {
    println!("{}", args.what);
    Ok(ExitCode::SUCCESS)
}
