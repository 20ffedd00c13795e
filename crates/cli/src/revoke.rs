//! `casemate revoke`: a program is no longer trusted; its live connections close.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use evidence::Measurement;
use trust::Subject;
use trust::revocation::{Revocation, Revoked};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::Failure;
use crate::{deliver, sign};

/// Revoke a program.
#[derive(clap::Args)]
#[command(
    after_help = "Example: casemate revoke cache\n         casemate revoke cache --key ~/.ssh/id_ed25519      where `sign` says revoke = 1, one owner is enough"
)]
pub struct RevokeArgs {
    /// A role (all its measurements) or sha384:…
    what: String,
    #[command(flatten)]
    with: sign::With,
}

/// Signs and sends revocations of these measurements with the development key; the newest epoch.
pub fn revoke(domain: &Domain, measurements: &[Measurement]) -> Result<u64> {
    let mut last = 0;
    for (epoch, m) in (epoch(domain)?.saturating_add(1)..).zip(measurements) {
        let revoked = Revoked::Measurement(*m);
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
fn by_owners(domain: &Domain, measurements: &[Measurement], with: &sign::With) -> Result<ExitCode> {
    for m in measurements {
        let waiting = sign::all(domain)?.into_iter().find_map(|(_, s)| match s {
            Subject::Revocation(r) if r.revoked == Revoked::Measurement(*m) => Some(r),
            _ => None,
        });
        let (revoked, root) = (Revoked::Measurement(*m), domain.genesis.root());
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
    let measurements = if let Some(hex) = args.what.strip_prefix("sha384:") {
        vec![
            Measurement::from_hex(hex)
                .ok_or_else(|| Failure::Usage("sha384: and 96 lower-case hex digits".to_owned()))?,
        ]
    } else {
        let policy = domain.in_force()?.context("no signed policy")?;
        let found = policy
            .policy()
            .programs
            .iter()
            .find(|p| p.role.as_str() == args.what)
            .map(|p| p.measurements.clone());
        match found {
            Some(m) => m,
            None => bail!(Failure::Usage(format!("no program {:?} in the policy", args.what))),
        }
    };
    if !domain.signs_alone() {
        return by_owners(&domain, &measurements, &args.with);
    }
    let begin = Instant::now();
    let epoch = revoke(&domain, &measurements)?;
    println!(
        "revoked {} measurement(s), epoch {epoch} ({} ms)",
        measurements.len(),
        begin.elapsed().as_millis()
    );
    Ok(ExitCode::SUCCESS)
}
