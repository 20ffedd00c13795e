//! `casemate revoke`: a program is no longer trusted; its live connections close.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use evidence::{ContentDigest, IssuerKey, MachineId, Measurement};
use trust::Subject;
use trust::revocation::{Revocation, Revoked};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::Failure;
use crate::{deliver, sign};

/// Revoke a program, a machine, an issuer of claims, or one claim.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: casemate revoke cache\n          casemate revoke issuer:audit-eu\n          casemate revoke cache --key ~/.ssh/id_ed25519      where `sign` says revoke = 1, one owner is enough\n\
What rests on an issuer or a claim is granted to nobody again; credentials it got somebody last until they end. Revoke the program as well to end them now."
)]
pub struct RevokeArgs {
    /// A role (all its measurements), sha384:…, machine:HEX, issuer:NAME or issuer:HEX, or claim:HEX
    what: String,
    #[command(flatten)]
    with: sign::With,
}

/// Signs and sends revocations of these measurements with the development key; the newest epoch.
pub fn revoke(domain: &Domain, measurements: &[Measurement]) -> Result<u64> {
    let all = measurements.iter().map(|m| Revoked::Measurement(*m)).collect::<Vec<_>>();
    alone(domain, &all)
}

/// Signs and sends revocations with the development key; the newest epoch.
fn alone(domain: &Domain, all: &[Revoked]) -> Result<u64> {
    let mut last = 0;
    for (epoch, revoked) in (epoch(domain)?.saturating_add(1)..).zip(all.iter().cloned()) {
        let subject =
            Subject::Revocation(Revocation { domain: domain.genesis.root(), epoch, revoked });
        match deliver::submit(domain, &subject, &sign::With::default())? {
            Some(_) => last = epoch,
            None => bail!(Failure::Missing("more owners must sign".to_owned())),
        }
    }
    Ok(last)
}

/// The newest one the authority has.
fn epoch(domain: &Domain) -> Result<u64> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let trust = client::trust_of(&bundle, domain.genesis.root(), now())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(client::epoch(&bundle.authority, &trust, now))?)
}

/// In a domain of several owners each revocation waits for as many as its domain file says, one by one: numbers leave none out.
fn by_owners(domain: &Domain, all: &[Revoked], with: &sign::With) -> Result<ExitCode> {
    for revoked in all {
        let waiting = sign::all(domain)?.into_iter().find_map(|(_, s)| match s {
            Subject::Revocation(r) if r.revoked == *revoked => Some(r),
            _ => None,
        });
        let (revoked, root) = (revoked.clone(), domain.genesis.root());
        let epoch = epoch(domain)?.saturating_add(1);
        let new = Revocation { domain: root, epoch, revoked };
        let subject = Subject::Revocation(waiting.filter(|r| r.epoch == epoch).unwrap_or(new));
        match deliver::submit(domain, &subject, with)? {
            Some(done) => println!("{done}"),
            None => return Ok(ExitCode::from(3)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Revokes.
pub fn run(args: &RevokeArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    let all = named(&domain, &args.what)?;
    if !domain.signs_alone() {
        return by_owners(&domain, &all, &args.with);
    }
    let begin = Instant::now();
    let epoch = alone(&domain, &all)?;
    println!("revoked {} thing(s), epoch {epoch} ({} ms)", all.len(), begin.elapsed().as_millis());
    Ok(ExitCode::SUCCESS)
}

/// What a word means.
fn named(domain: &Domain, what: &str) -> Result<Vec<Revoked>> {
    let hex = |expected: &str| Failure::Usage(format!("expected {expected}, got {what:?}"));
    if what.starts_with("sha384:") {
        let m = what.strip_prefix("sha384:").and_then(Measurement::from_hex);
        return Ok(vec![Revoked::Measurement(
            m.ok_or_else(|| hex("sha384: and 96 lower-case hex digits"))?,
        )]);
    }
    let policy = domain.in_force()?.context("no signed policy")?;
    let policy = policy.policy();
    Ok(match what.split_once(':') {
        Some(("machine", id)) => {
            let id = hex::decode(id).ok().and_then(|b| MachineId::new(&b));
            vec![Revoked::Machine(id.ok_or_else(|| hex("machine: and its id in hex"))?)]
        }
        Some(("issuer", name)) => {
            let known = policy.issuers.iter().find(|i| i.name.as_str() == name).map(|i| i.key);
            let key = known.or_else(|| IssuerKey::from_hex(name));
            vec![Revoked::Issuer(key.ok_or_else(|| {
                hex("issuer: and a name under [issuer], or a key in 64 lower-case hex digits")
            })?)]
        }
        Some(("claim", digest)) => {
            let digest = ContentDigest::from_hex(digest);
            vec![Revoked::Claim(digest.ok_or_else(|| {
                hex("claim: and 96 lower-case hex digits, as `casemate claim show` prints them")
            })?)]
        }
        _ => {
            let found = policy.programs.iter().find(|p| p.role.as_str() == what);
            let Some(program) = found else {
                bail!(Failure::Usage(format!("no program {what:?} in the policy")))
            };
            if program.measurements.is_empty() {
                bail!(Failure::Usage(format!(
                    "the policy lists no measurement for {what}; revoke the sha384:… that `casemate ps` shows, or issuer:NAME"
                )));
            }
            program.measurements.iter().map(|m| Revoked::Measurement(*m)).collect()
        }
    })
}
