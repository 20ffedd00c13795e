//! `casemate explain`: why a program was let in or refused, from the log; or what would be decided about one that is supposed.

mod supposed;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use checker::DecisionRecord;
use evidence::{ContentDigest, Time};
use ledger::entry::{Entry, Kind};
use serde_json::json;
use services::authority::{AuditSecret, sealed_record};

use crate::audit;
use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Say why a program was let in or refused, or what would be decided about one.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  casemate explain api                                              the newest decision on it, from the log\n  casemate explain --what-if api --on snp --in eu                   what would be decided, under the policy in force\n  casemate explain --what-if --measurement sha384:… --on snp        about a program nobody has added\n  casemate explain --what-if api --evidence report.bin              on the machine that a report was made by\n  casemate explain --what-if api --on snp --file                    under the domain file, before it is signed\n\nExit status of --what-if: 0 it would be admitted, 1 it would not. Refusals before anything was authentic are counted by the authority, not logged: strangers fill no log."
)]
pub struct ExplainArgs {
    /// Its role
    name: Option<String>,
    /// Suppose a program instead of reading the log
    #[arg(long)]
    what_if: bool,
    #[command(flatten)]
    facts: supposed::Facts,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// What the log says of a program last.
enum Last {
    Admitted,
    Refused(Time, Vec<String>),
}

/// The newest record of a role's admission.
pub fn newest(domain: &Domain, role: &str) -> Result<DecisionRecord> {
    let log = audit::log_dir(domain);
    let entries = audit::entries(domain, &log)?;
    let digest = entries.iter().rev().find_map(|e| {
        let (name, digest) = Entry::parse(e)?.admission()?;
        (name == role).then_some(digest)
    });
    let digest = digest.ok_or_else(|| {
        Failure::Refused(format!("{role} was never admitted; `casemate ps` shows why"))
    })?;
    read(&domain.audit_secret()?.ok_or_else(withheld)?, &log, &digest)
}

/// The newest decision on a role: by name where it was admitted, by what the policies trust for it where it was not.
fn last(domain: &Domain, role: &str) -> Result<Option<Last>> {
    let log = audit::log_dir(domain);
    let entries = audit::entries(domain, &log)?;
    let measured = measurements(domain, role)?;
    let key = domain.audit_secret()?;
    for entry in entries.iter().rev().filter_map(|e| Entry::parse(e)) {
        if entry.admission().is_some_and(|(name, _)| name == role) {
            return Ok(Some(Last::Admitted));
        }
        // Whose refusal it was stands in the record, which only the owners read.
        let (Kind::Refusal, Some(key)) = (entry.kind, &key) else { continue };
        let digest = core::str::from_utf8(entry.rest).ok().and_then(ContentDigest::from_hex);
        let Some(digest) = digest else { continue };
        let said = String::from_utf8_lossy(&bytes(key, &log, &digest)?).into_owned();
        if let Some((who, reasons)) = said.split_once(": ")
            && measured.iter().any(|m| m == who)
        {
            let reasons = reasons.split("; ").map(ToOwned::to_owned).collect();
            return Ok(Some(Last::Refused(entry.at, reasons)));
        }
    }
    Ok(None)
}

/// Everything any policy here trusted for a role, and what its program measures now.
fn measurements(domain: &Domain, role: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for policy in domain.policies()? {
        let programs = policy.policy().programs.iter().filter(|p| p.role.as_str() == role);
        all.extend(programs.flat_map(|p| &p.measurements).map(ToString::to_string));
    }
    if let Ok((_, config)) = domain.config(role)
        && let Ok(manifest) = monitor::program::image::measure(&config)
    {
        all.push(manifest.measurement().to_string());
    }
    Ok(all)
}

/// What is missing where the audit key is not kept.
fn withheld() -> Failure {
    Failure::Missing(
        "decision records are encrypted to the owners' audit key, and keys/audit is not here; ask an owner who holds it".to_owned(),
    )
}

fn bytes(key: &AuditSecret, log: &Path, name: &ContentDigest) -> Result<Vec<u8>> {
    let path = log.join("decisions").join(name.to_string());
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let record = sealed_record::open(key, name, &bytes);
    record.map_err(|e| Failure::Refused(e.to_string()).into())
}

/// A record by its digest.
pub fn read(key: &AuditSecret, log: &Path, name: &ContentDigest) -> Result<DecisionRecord> {
    Ok(DecisionRecord::decode(&bytes(key, log, name)?)?)
}

/// The proof of a record, in English.
pub fn english(record: &DecisionRecord) -> Vec<String> {
    trust::proof::Proof::decode(&record.proof).map(|p| p.english()).unwrap_or_default()
}

/// Explains.
pub fn run(args: &ExplainArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    if args.what_if {
        return supposed::run(&domain, args.name.as_deref(), &args.facts, args.format);
    }
    if args.facts.any() {
        return Err(Failure::Usage(
            "facts are supposed with --what-if; without it the log is read".to_owned(),
        )
        .into());
    }
    let name = args.name.as_deref().ok_or_else(|| {
        Failure::Usage(
            "say which role: `casemate explain ROLE`; or suppose a program with --what-if"
                .to_owned(),
        )
    })?;
    match last(&domain, name)? {
        Some(Last::Refused(at, reasons)) => refused(&domain, name, at, &reasons, args.format),
        _ => admitted(&newest(&domain, name)?, args.format),
    }
}

/// A refusal from the log, and what would change it under the policy that is in force now.
fn refused(
    domain: &Domain,
    name: &str,
    at: Time,
    reasons: &[String],
    format: Format,
) -> Result<ExitCode> {
    if format == Format::Json {
        json(&json!({"role": name, "at": at.to_string(), "admitted": false, "reasons": reasons}));
        return Ok(ExitCode::from(1));
    }
    println!("{name} was refused at {at}");
    reasons.iter().for_each(|r| println!("  {r}"));
    println!("Under the policy as it is now:");
    supposed::now(domain, name)?;
    Ok(ExitCode::from(1))
}

fn admitted(record: &DecisionRecord, format: Format) -> Result<ExitCode> {
    let report = checker::recheck(record);
    if format == Format::Json {
        json(
            &json!({"role": record.role, "at": record.at.to_string(), "admitted": true, "decision": record.digest().to_string(),
            "connect": record.connect, "listen": record.listen, "secrets": record.secrets, "proof": english(record),
            "rechecked": report.holds()}),
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} was admitted at {} (decision {})", record.role, record.at, record.digest());
    english(record).iter().for_each(|line| println!("  {line}"));
    println!(
        "it may connect to: {}",
        if record.connect.is_empty() { "nobody".to_owned() } else { record.connect.join(", ") }
    );
    println!(
        "re-checked now by the independent checker: {}",
        if report.holds() { "holds" } else { "DOES NOT HOLD" }
    );
    if record.hardware.kind.is_development() {
        println!(
            "What would not pass in production: the hardware is `software`, isolation is `software`, the host is `mutable`."
        );
    }
    Ok(ExitCode::from(u8::from(!report.holds())))
}
