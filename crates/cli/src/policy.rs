//! `casemate policy check|show|sign`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::json;

use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Check, show and sign the policy.
#[derive(clap::Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Policy,
}

#[derive(Subcommand)]
enum Policy {
    /// Read the domain file and say what is wrong with it
    Check,
    /// Print the policy in force, with its permissions as Cedar
    Show {
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Sign what the domain file says as the next version, with the development key
    Sign,
}

/// Runs it.
pub fn run(args: &PolicyArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    match &args.command {
        Policy::Check => {
            let policy = domain.file()?.compile(domain.genesis.root(), 1, None, |_| None);
            let policy = policy.map_err(|e| {
                Failure::Usage(format!("{}: {e}", domain.dir.join(crate::domain::FILE).display()))
            })?;
            trust::permission::Permissions::compile(&policy)
                .map_err(|e| Failure::Usage(e.to_string()))?;
            println!(
                "{} programs on {} kinds of hardware: no mistakes found",
                policy.programs.len(),
                policy.hardware.len()
            );
        }
        Policy::Show { format } => show(&domain, *format)?,
        Policy::Sign => {
            let version = domain.sign()?;
            let when = if domain.put_in_force()? {
                "is in force: the authority has it"
            } else {
                "comes into force when the authority starts"
            };
            println!("policy version {version} is signed and {when}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(domain: &Domain, format: Format) -> Result<()> {
    let in_force =
        domain.in_force()?.context("no signed policy; sign one with `casemate policy sign`")?;
    let p = in_force.policy();
    if format == Format::Json {
        let programs = p.programs.iter().map(|p| {
            json!({"role": p.role.as_str(), "measurements": p.measurements.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "on": p.on.iter().map(|k| k.as_str()).collect::<Vec<_>>(), "listen": p.listen,
                "connect": p.connect.iter().map(|r| r.as_str()).collect::<Vec<_>>(), "secrets": p.secrets,
                "clients": p.outsiders.iter().map(|o| o.as_str()).collect::<Vec<_>>()})
        });
        json(
            &json!({"domain": p.domain.as_str(), "root": p.root.to_string(), "version": p.version,
            "digest": in_force.digest().to_string(), "programs": programs.collect::<Vec<_>>(), "cedar": in_force.permissions().text()}),
        );
        return Ok(());
    }
    println!("domain {}, version {}, digest {}", p.domain, p.version, in_force.digest());
    for h in &p.hardware {
        let isolation = h.isolation.iter().map(|i| i.as_str()).collect::<Vec<_>>().join(", ");
        println!(
            "on {}: isolation {isolation}; {} image(s); machines {}",
            h.kind,
            h.images.len(),
            match &h.machines {
                evidence::appraise::Machines::AnyGenuine =>
                    "any genuine one (diversion is not excluded)".to_owned(),
                evidence::appraise::Machines::Only(list) => format!("{} listed", list.len()),
            }
        );
    }
    for program in &p.programs {
        for m in &program.measurements {
            println!("program {} is sha384:{m}", program.role);
        }
    }
    print!("{}", in_force.permissions().text());
    Ok(())
}
