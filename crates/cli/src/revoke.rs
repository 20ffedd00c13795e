//! `casemate revoke`: a program is no longer trusted; its live connections close.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use evidence::{ContentDigest, IssuerKey, MachineId, Measurement};
use trust::revocation::{Revocation, Revoked};
use trust::signing::{Namespace, Signed};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::Failure;

/// Revoke a program, a machine, an issuer of claims, or one claim.
#[derive(clap::Args)]
#[command(
    after_help = "Examples: casemate revoke cache\n          casemate revoke issuer:audit-eu\n\
What rests on an issuer or a claim is granted to nobody again; credentials it got somebody last until they end. Revoke the program as well to end them now."
)]
pub struct RevokeArgs {
    /// A role (all its measurements), sha384:…, machine:HEX, issuer:NAME or issuer:HEX, or claim:HEX
    what: String,
}

/// Signs and sends revocations of these measurements; the newest epoch.
pub fn revoke(domain: &Domain, measurements: &[Measurement]) -> Result<u64> {
    let all = measurements.iter().map(|m| Revoked::Measurement(*m)).collect::<Vec<_>>();
    send(domain, &all)
}

/// Signs and sends revocations; the newest epoch.
fn send(domain: &Domain, all: &[Revoked]) -> Result<u64> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let root = domain.genesis.root();
    let trust = client::trust_of(&bundle, root, now())?;
    let key = domain.key()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut epoch = client::epoch(&bundle.authority, &trust, now).await?;
        for revoked in all {
            epoch += 1;
            let payload = Revocation { domain: root, epoch, revoked: revoked.clone() }.encode();
            let signatures = vec![key.sign(Namespace::Revocation, &payload)?];
            client::revoke(&bundle.authority, &trust, &Signed { payload, signatures }, now).await?;
        }
        Ok(epoch)
    })
}

/// Revokes.
pub fn run(args: &RevokeArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    let all = named(&domain, &args.what)?;
    let begin = Instant::now();
    let epoch = send(&domain, &all)?;
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
