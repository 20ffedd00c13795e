//! `casemate new`: a development domain.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::clock::now;
use crate::domain::{Domain, Founders};
use crate::owners::Names;

/// Make a development domain in a new directory.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate new shop && cd shop && casemate up\n         casemate new bank --sign 2 --by ana.pub --by bo.pub --by cy.pub     two of three owners sign; one of them revokes with --revoke 1\n\nOwners' keys are SSH keys: `ssh-keygen -t ed25519` makes one, its .pub file goes here."
)]
pub struct NewArgs {
    /// Name of the domain (a SPIFFE trust domain) and of the directory
    name: String,
    /// Directory, if it is to be called otherwise
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many owners must sign, more than half of them; without, a development key signs alone
    #[arg(long, value_name = "K", requires = "by")]
    sign: Option<usize>,
    /// An owner's SSH public key, called NAME.pub
    #[arg(long, value_name = "NAME.pub", requires = "sign")]
    by: Vec<PathBuf>,
    /// How many of them revoke, at most as many as sign: what only takes away may need fewer
    #[arg(long, value_name = "N", requires = "sign")]
    revoke: Option<usize>,
}

/// Makes it.
pub fn run(args: &NewArgs) -> Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let owners = args.sign.map(|need| Founders {
        need,
        revoke: args.revoke.unwrap_or(need),
        by: args.by.clone(),
    });
    let domain = Domain::create(&dir, &args.name, owners.as_ref(), now())?;
    println!("domain {} in {}", args.name, dir.display());
    println!("root   sha256:{}", domain.genesis.root());
    println!(
        "This is a development domain: its hardware is software and protects from nobody who owns this machine."
    );
    if let Some(owners) = owners {
        let (signers, names) = (domain.genesis.signers_now(), Names::of(&domain));
        println!("{} of {} owners sign, {} revoke:", owners.need, owners.by.len(), owners.revoke);
        signers.keys().iter().for_each(|k| println!("  {}", names.say(k)));
        println!(
            "Next:  cd {} && casemate policy sign --key KEY      (each owner with their own; `casemate policy status` says who is missing)",
            dir.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("Next:  cd {} && casemate up", dir.display());
    Ok(ExitCode::SUCCESS)
}
