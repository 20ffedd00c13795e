//! `casemate policy show` and `diff`: signed versions, the domain file, and shipped profiles, in words.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use evidence::Profile;
use serde_json::json;
use trust::diff::{Change, diff};
use trust::{Policy, PolicyInForce, describe};

use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Signed versions, from the domain's own folder or another.
fn versions(domain: &Domain, from: Option<&Path>) -> Result<Vec<PolicyInForce>> {
    match from {
        None => domain.policies(),
        Some(dir) if dir.is_dir() => domain.policies_in(dir),
        Some(dir) => Err(Failure::Usage(format!("{} is no folder", dir.display())).into()),
    }
}

/// One of them by its number.
fn version(all: &[PolicyInForce], number: u64) -> Result<&PolicyInForce> {
    all.iter().find(|p| p.policy().version == number).ok_or_else(|| {
        let newest = all.last().map_or(0, |p| p.policy().version);
        Failure::Usage(format!("no policy version {number} here; there are 1 to {newest}")).into()
    })
}

/// What signing now would change; against nothing, before there is a policy.
pub fn differences(domain: &Domain) -> Result<Vec<Change>> {
    let Some(old) = domain.in_force()? else { return Ok(Vec::new()) };
    let new = domain.compile(old.policy().version, old.policy().previous)?;
    Ok(diff(old.policy(), &new))
}

pub fn difference(
    domain: &Domain,
    (old, new): (Option<u64>, Option<u64>),
    from: Option<&Path>,
    format: Format,
) -> Result<ExitCode> {
    let (changes, same) = match old {
        None => (differences(domain)?, "the domain file says what the policy in force says"),
        Some(old) => {
            let all = versions(domain, from)?;
            let newest = all.last().map_or(0, |p| p.policy().version);
            let (old, new) = (version(&all, old)?, version(&all, new.unwrap_or(newest))?);
            (diff(old.policy(), new.policy()), "both versions say the same")
        }
    };
    print(&changes, same, format);
    Ok(ExitCode::SUCCESS)
}

pub fn print(changes: &[Change], same: &str, format: Format) {
    if format == Format::Json {
        let rows = changes
            .iter()
            .map(|c| json!({"what": c.what, "change": c.how, "direction": c.direction.as_str()}));
        return json(&rows.collect());
    }
    changes.iter().for_each(|c| println!("{c}"));
    if changes.is_empty() {
        println!("{same}");
    }
}

/// A shipped profile: what it is of, where its demands come from, every knob of every kind.
pub fn profile(name: &str, format: Format) -> Result<ExitCode> {
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

pub fn policy(
    domain: &Domain,
    what: Option<&str>,
    from: Option<&Path>,
    format: Format,
) -> Result<ExitCode> {
    let all = versions(domain, from)?;
    let found = match what {
        None => all.last().context("no signed policy; sign one with `casemate policy sign`")?,
        Some(text) => {
            let number = text.parse().map_err(|_| {
                Failure::Usage(format!(
                    "{text:?} is no version; say a number, or a profile without --from"
                ))
            })?;
            version(&all, number)?
        }
    };
    let p = found.policy();
    if format == Format::Json {
        let programs = p.programs.iter().map(|p| {
            json!({"role": p.role.as_str(), "measurements": p.measurements.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "on": p.on.iter().map(|k| k.as_str()).collect::<Vec<_>>(), "in": p.places, "listen": p.listen,
                "connect": p.connect.iter().map(|r| r.as_str()).collect::<Vec<_>>(), "secrets": p.secrets,
                "clients": p.outsiders.iter().map(|o| o.as_str()).collect::<Vec<_>>()})
        });
        json(
            &json!({"domain": p.domain.as_str(), "root": p.root.to_string(), "version": p.version,
            "digest": found.digest().to_string(), "programs": programs.collect::<Vec<_>>(), "cedar": found.permissions().text()}),
        );
        return Ok(ExitCode::SUCCESS);
    }
    words(p, found);
    Ok(ExitCode::SUCCESS)
}

fn words(p: &Policy, found: &PolicyInForce) {
    println!("domain {}, version {}, digest {}", p.domain, p.version, found.digest());
    for line in p.hardware.iter().flat_map(describe::hardware) {
        println!("{line}");
    }
    for line in p.issuers.iter().map(describe::issuer).chain(p.places.iter().map(describe::place)) {
        println!("{line}");
    }
    for line in p.programs.iter().flat_map(describe::program) {
        println!("{line}");
    }
    print!("{}", found.permissions().text());
}
