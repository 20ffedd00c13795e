//! `casemate audit verify|show`: the log and every decision in it, re-checked without network, authority or monitor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;
use ledger::entry::{Entry, Kind};
use ledger::note::Verifier;
use serde_json::json;
use trust::Revocations;
use trust::signing::Signed;

use crate::domain::Domain;
use crate::explain;
use crate::output::{Failure, Format, json};

/// Re-check the log and every decision in it, offline.
#[derive(clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Audit,
}

#[derive(Subcommand)]
enum Audit {
    /// Check every entry against the signed checkpoint, and every decision record part by part
    Verify {
        /// The log's directory, if not this domain's own
        #[arg(long)]
        log: Option<PathBuf>,
        /// How to print
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// List the entries
    Show,
}

/// Where the authority keeps its log.
pub fn log_dir(domain: &Domain) -> PathBuf {
    domain.dir.join("state").join(crate::up::AUTHORITY).join("log")
}

/// Entries of a log that holds under the key the owners endorsed.
pub fn entries(domain: &Domain, log: &Path) -> Result<Vec<Vec<u8>>> {
    let state = domain.dir.join("state").join(crate::up::AUTHORITY).join("endorsement.cbor");
    let bytes = std::fs::read(&state).with_context(|| state.display().to_string())?;
    let signed = Signed::decode(&bytes)?;
    let authority = trust::EndorsedAuthority::verify(&signed, &domain.genesis, crate::clock::now());
    let authority = authority.map_err(|e| {
        Failure::Refused(format!("{e}; after a change of signers or an ended endorsement, `casemate up` asks those who sign now"))
    })?;
    let verifier = Verifier::parse(&authority.endorsement().log)?;
    ledger::disk::audit(log, &verifier).map_err(|e| Failure::Refused(e.to_string()).into())
}

/// Everything the authority acknowledged as revoked, each with the owners' signatures.
pub fn revocations(domain: &Domain) -> Result<Revocations> {
    let state = domain.dir.join("state").join(crate::up::AUTHORITY);
    let mut all = Revocations::default();
    for n in 1.. {
        let path = state.join(format!("revocation-{n}.cbor"));
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        };
        let added = Signed::decode(&bytes).map_err(anyhow::Error::from);
        added
            .and_then(|s| Ok(all.add(s, &domain.genesis).map(drop)?))
            .map_err(|e| Failure::Refused(format!("{}: {e}", path.display())))?;
    }
    Ok(all)
}

/// Number of the newest revocation, and of each role secret, that the authority acknowledged.
pub fn newest(domain: &Domain) -> Result<(u64, BTreeMap<String, u64>)> {
    let log = log_dir(domain);
    let (mut epoch, mut secrets) = (0_u64, BTreeMap::new());
    if !log.exists() {
        return Ok((epoch, secrets));
    }
    let entries = entries(domain, &log)?;
    for entry in entries.iter().filter_map(|e| Entry::parse(e)) {
        if entry.kind == Kind::Revocation {
            epoch = epoch.saturating_add(1);
        }
        if let Some((name, number)) = entry.secret() {
            secrets.insert(name.to_owned(), number);
        }
    }
    Ok((epoch, secrets))
}

/// Runs it.
pub fn run(args: &AuditArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    match &args.command {
        Audit::Verify { log, format } => {
            verify(&domain, &log.clone().unwrap_or_else(|| log_dir(&domain)), *format)
        }
        Audit::Show => {
            for (n, entry) in entries(&domain, &log_dir(&domain))?.iter().enumerate() {
                match Entry::parse(entry) {
                    Some(e) => {
                        let rest = String::from_utf8_lossy(e.rest);
                        println!("{n:>6}  {}  {:<10}  {rest}", e.at, e.kind.as_str());
                    }
                    None => println!("{n:>6}  {}", String::from_utf8_lossy(entry)),
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Re-checks everything; what was found, and whether all held.
pub fn recheck(domain: &Domain, log: &Path) -> Result<(usize, Vec<(String, checker::Report)>)> {
    let entries = entries(domain, log)?;
    let owners = domain.policies()?;
    let key = domain.audit_secret()?;
    let mut reports = Vec::new();
    for entry in &entries {
        let Some((role, digest)) = Entry::parse(entry).and_then(|e| e.admission()) else {
            continue;
        };
        let Some(key) = &key else {
            reports.push((role.to_owned(), withheld()));
            continue;
        };
        let record = explain::read(key, log, &digest)?;
        // The checker follows the record's own policy; whose word that policy is, the owners' signatures say.
        let signed = owners.iter().any(|p| p.signed().payload == record.policy);
        if !signed || record.domain != domain.genesis.root() {
            return Err(Failure::Refused(format!(
                "decision {digest} rests on a policy the owners of this domain did not sign; the authority went beyond them, or signed policies are missing here"
            ))
            .into());
        }
        reports.push((role.to_owned(), checker::recheck(&record)));
    }
    Ok((entries.len(), reports))
}

/// What can be said of a decision without the owners' audit key: it is in the log.
fn withheld() -> checker::Report {
    let part = checker::Part::InputWithheld("the record is encrypted and keys/audit is not here");
    checker::Report { evidence: part.clone(), proof: part.clone(), permission: part }
}

fn verify(domain: &Domain, log: &Path, format: Format) -> Result<ExitCode> {
    let (entries, reports) = recheck(domain, log)?;
    let failed = |p: &checker::Part| matches!(p, checker::Part::Failed(_));
    let parts = |r: &checker::Report| [r.evidence.clone(), r.proof.clone(), r.permission.clone()];
    let good = reports.iter().all(|(_, r)| r.holds());
    let bad = reports.iter().any(|(_, r)| parts(r).iter().any(failed));
    if format == Format::Json {
        let rows = reports.iter().map(|(role, r)| {
            json!({"role": role, "evidence": format!("{:?}", r.evidence), "proof": format!("{:?}", r.proof), "permission": format!("{:?}", r.permission)})
        });
        json(&json!({"entries": entries, "decisions": rows.collect::<Vec<_>>(), "holds": good}));
    } else {
        println!("log: {entries} entries under a checkpoint signed by the endorsed key");
        for (role, r) in &reports {
            println!(
                "decision on {role}: evidence {:?}, proof {:?}, permission {:?}",
                r.evidence, r.proof, r.permission
            );
        }
        println!(
            "{}",
            match (good, bad) {
                (true, _) => "everything holds",
                (false, true) => "NOT everything holds",
                (false, false) =>
                    "the log holds; decisions were not re-checked: put the owners' audit key into keys/audit",
            }
        );
    }
    Ok(ExitCode::from(if good {
        0
    } else if bad {
        1
    } else {
        3
    }))
}
