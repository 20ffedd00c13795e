//! `casemate explain`: why a program was let in, from the record of the decision.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use checker::DecisionRecord;
use evidence::ContentDigest;
use ledger::entry::Entry;
use serde_json::json;
use services::authority::{AuditSecret, sealed_record};

use crate::audit;
use crate::domain::Domain;
use crate::output::{Failure, Format, json};

/// Say why a program was let in.
#[derive(clap::Args)]
pub struct ExplainArgs {
    /// Its role
    name: String,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
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
    let key = domain.audit_secret()?.ok_or_else(withheld)?;
    read(&key, &log, &digest)
}

/// What is missing where the audit key is not kept.
fn withheld() -> Failure {
    Failure::Missing(
        "decision records are encrypted to the owners' audit key, and keys/audit is not here; ask an owner who holds it".to_owned(),
    )
}

/// A record by its digest.
pub fn read(key: &AuditSecret, log: &Path, name: &ContentDigest) -> Result<DecisionRecord> {
    let path = log.join("decisions").join(name.to_string());
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let record = sealed_record::open(key, name, &bytes);
    Ok(DecisionRecord::decode(&record.map_err(|e| Failure::Refused(e.to_string()))?)?)
}

/// The proof of a record, in English.
pub fn english(record: &DecisionRecord) -> Vec<String> {
    trust::proof::Proof::decode(&record.proof).map(|p| p.english()).unwrap_or_default()
}

/// Explains.
pub fn run(args: &ExplainArgs) -> Result<ExitCode> {
    let domain = Domain::find()?;
    let record = newest(&domain, &args.name)?;
    let report = checker::recheck(&record);
    if args.format == Format::Json {
        json(
            &json!({"role": record.role, "at": record.at.to_string(), "decision": record.digest().to_string(),
            "connect": record.connect, "listen": record.listen, "secrets": record.secrets, "proof": english(&record),
            "rechecked": report.holds()}),
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} was admitted at {} (decision {})", record.role, record.at, record.digest());
    english(&record).iter().for_each(|line| println!("  {line}"));
    println!(
        "it may connect to: {}",
        if record.connect.is_empty() { "nobody".to_owned() } else { record.connect.join(", ") }
    );
    println!(
        "re-checked now by the independent checker: {}",
        if report.holds() { "holds" } else { "DOES NOT HOLD" }
    );
    println!(
        "What would not pass in production: the hardware is `software`, isolation is `software`, the host is `mutable`."
    );
    Ok(ExitCode::from(u8::from(!report.holds())))
}
