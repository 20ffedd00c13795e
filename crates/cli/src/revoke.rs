//! `casemate revoke`: a program is no longer trusted; its live connections close.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use channel::admission::{Bundle, client};
use evidence::Measurement;
use trust::revocation::{Revocation, Revoked};
use trust::signing::{Namespace, Signed};

use crate::clock::now;
use crate::domain::Domain;
use crate::output::Failure;

/// Revoke a program.
#[derive(clap::Args)]
#[command(after_help = "Example: casemate revoke cache")]
pub struct RevokeArgs {
    /// A role (all its measurements) or sha384:…
    what: String,
}

/// Signs and sends revocations of these measurements; the newest epoch.
pub fn revoke(domain: &Domain, measurements: &[Measurement]) -> Result<u64> {
    let bundle = Bundle::decode(&domain.bundle()?)?;
    let root = domain.genesis.root();
    let trust = client::trust_of(&bundle, root, now())?;
    let key = domain.key()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut epoch = client::epoch(&bundle.authority, &trust, now).await?;
        for m in measurements {
            epoch += 1;
            let payload =
                Revocation { domain: root, epoch, revoked: Revoked::Measurement(*m) }.encode();
            let signatures = vec![key.sign(Namespace::Revocation, &payload)?];
            client::revoke(&bundle.authority, &trust, &Signed { payload, signatures }, now).await?;
        }
        Ok(epoch)
    })
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
    let begin = Instant::now();
    let epoch = revoke(&domain, &measurements)?;
    println!(
        "revoked {} measurement(s), epoch {epoch} ({} ms)",
        measurements.len(),
        begin.elapsed().as_millis()
    );
    Ok(ExitCode::SUCCESS)
}
