//! `casemate verify`: hardware evidence, offline.

use std::path::PathBuf;
use std::process::ExitCode;

/// Verify a file of hardware evidence, offline.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// One evidence file, or a case folder
    path: PathBuf,
}

/// Not yet.
pub fn run(args: &VerifyArgs) -> ExitCode {
    eprintln!(
        "casemate: {}: verifying evidence files is not in this version yet",
        args.path.display()
    );
    ExitCode::from(2)
}
