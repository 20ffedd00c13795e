//! `casemate policy check|show|diff|sign`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use evidence::Profile;
use serde_json::json;
use trust::diff::{Change, diff};
use trust::policy::{Place, PlaceBy};

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
    /// Print the policy in force, with its permissions as Cedar, or a shipped profile with every knob in words
    #[command(after_help = "Example: casemate policy show snp-2026-11")]
    Show {
        /// A shipped profile; without, the policy in force
        profile: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Say what the domain file says and the policy in force does not, and whether it widens or narrows
    Diff {
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Ask questions, answered for everything anybody could run or say, with a counterexample where there is one
    Ask(crate::ask::AskArgs),
    /// Say what changes, and sign what the domain file says as the next version, with the development key
    Sign,
}

/// Runs it.
pub fn run(args: &PolicyArgs) -> Result<ExitCode> {
    if let Policy::Show { profile: Some(name), format } = &args.command {
        return profile(name, *format);
    }
    if let Policy::Ask(args) = &args.command {
        return crate::ask::run(args);
    }
    let domain = Domain::find()?;
    match &args.command {
        Policy::Ask(_) => {}
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
        Policy::Show { format, .. } => show(&domain, *format)?,
        Policy::Diff { format } => print(&differences(&domain)?, *format),
        Policy::Sign => {
            print(&differences(&domain)?, Format::Table);
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

/// What signing now would change; against nothing, before there is a policy.
fn differences(domain: &Domain) -> Result<Vec<Change>> {
    let Some(old) = domain.in_force()? else { return Ok(Vec::new()) };
    let (version, previous) = (old.policy().version, old.policy().previous);
    let new = domain.file()?.compile(domain.genesis.root(), version, previous, |_| None);
    let new = new.map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(diff(old.policy(), &new))
}

fn print(changes: &[Change], format: Format) {
    if format == Format::Json {
        let rows = changes
            .iter()
            .map(|c| json!({"what": c.what, "change": c.how, "direction": c.direction.as_str()}));
        return json(&rows.collect());
    }
    changes.iter().for_each(|c| println!("{c}"));
    if changes.is_empty() {
        println!("the domain file says what the policy in force says");
    }
}

/// A shipped profile: what it is of, where its demands come from, every knob of every kind.
fn profile(name: &str, format: Format) -> Result<ExitCode> {
    let Some(profile) = Profile::shipped(name) else {
        let all = Profile::shipped_names().collect::<Vec<_>>().join(", ");
        return Err(
            Failure::Usage(format!("no profile {name:?} is shipped; there are {all}")).into()
        );
    };
    let kinds = profile.kinds();
    if format == Format::Json {
        let kinds = kinds.iter().map(|(kind, words)| ((*kind).to_owned(), json!(words)));
        json(
            &json!({"id": profile.id(), "dated": profile.dated(), "digest": profile.digest().to_string(),
            "sources": profile.sources(), "kinds": kinds.collect::<serde_json::Map<_, _>>()}),
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}, dated {}, digest {}", profile.id(), profile.dated(), profile.digest());
    for source in profile.sources() {
        println!("  after {source}");
    }
    for (kind, words) in kinds {
        println!("\n{kind}");
        for line in words {
            println!("  {line}");
        }
    }
    println!(
        "\nWhat a profile does not state is refused; `unconstrained` is stated, and leaves a knob open."
    );
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
    for issuer in &p.issuers {
        let may = issuer.may.iter().map(|(topic, scope)| format!("{} of {scope}", topic.as_str()));
        let on = match issuer.depth {
            0 => "passes nothing on".to_owned(),
            n => format!("may pass that on {n} deep"),
        };
        println!(
            "issuer {} ({}) may speak about {}, {on}, until {}",
            issuer.name,
            issuer.holder,
            may.collect::<Vec<_>>().join("; "),
            issuer.until
        );
    }
    p.places.iter().for_each(|place| println!("{}", in_words(place)));
    for program in &p.programs {
        for m in &program.measurements {
            println!("program {} is sha384:{m}", program.role);
        }
        for (product, from) in &program.releases {
            println!("program {} is {product}, from version {from} on", program.role);
        }
        for source in &program.builds {
            println!("program {} is what is built from {source}", program.role);
        }
        if !program.places.is_empty() {
            println!("program {} runs in {} only", program.role, program.places.join(" or "));
        }
    }
    print!("{}", in_force.permissions().text());
    Ok(())
}

/// What it takes to be in a place.
fn in_words(place: &Place) -> String {
    match &place.by {
        PlaceBy::AwsVlek(region) => {
            format!("place {}: AWS region {region}, by the machine's VLEK", place.name)
        }
        PlaceBy::Endorsed(e) => format!(
            "place {}: {} independent issuer(s) say {} at level {} or more, by {}, seen at most {} days ago",
            place.name,
            e.need,
            e.countries.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(" or "),
            e.level,
            e.basis.iter().map(|b| b.as_str()).collect::<Vec<_>>().join(" or "),
            e.age_secs_max.div_euclid(86_400)
        ),
    }
}
