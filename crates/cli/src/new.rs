//! `casemate new`: a development domain.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::clock::now;
use crate::domain::Domain;

/// Make a development domain in a new directory.
#[derive(clap::Args)]
#[command(after_help = "Example: casemate new shop && cd shop && casemate up")]
pub struct NewArgs {
    /// Name of the domain (a SPIFFE trust domain) and of the directory
    name: String,
    /// Directory, if it is to be called otherwise
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Makes it.
pub fn run(args: &NewArgs) -> Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let domain = Domain::create(&dir, &args.name, now())?;
    println!("domain {} in {}", args.name, dir.display());
    println!("root   sha256:{}", domain.genesis.root());
    println!(
        "This is a development domain: its hardware is software and protects from nobody who owns this machine."
    );
    println!("Next:  cd {} && casemate up", dir.display());
    Ok(ExitCode::SUCCESS)
}
