//! `casemate verify` over a folder of evidence: every case folder and every file whose kind is known below it, a line each and a summary.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::input::Input;
use super::report::Report;
use super::{VerifyArgs, VerifyFormat, ear, find, is_evidence};
use crate::output::{Failure, json as print_json};

/// Most pieces of evidence below one folder.
const MANY: usize = 100_000;

/// How one piece fared.
enum Fared {
    Judged(Box<(Report, Input)>),
    /// Not evidence, or of no kind known here; why.
    Unread(String),
}

/// Judges everything below a folder. Exit status: 1 if anything is refused, else 2 if anything cannot be read, else 3 if something is
/// missing, else 0.
pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let mut found = Vec::new();
    collect(&args.path, &mut found)?;
    if found.is_empty() {
        bail!(Failure::Usage(format!("{}: no evidence below it", args.path.display())));
    }
    let progress = std::io::stderr().is_terminal() && args.format == VerifyFormat::Table;
    let (mut rows, mut counts) = (Vec::new(), [0_usize; 4]);
    for (n, path) in found.iter().enumerate() {
        if progress {
            eprint!("\r{} of {} ", n.saturating_add(1), found.len());
            let _ = std::io::stderr().flush();
        }
        let fared = find(&args.of(path)).map_or_else(
            |e| Fared::Unread(format!("{e:#}")),
            |judged| Fared::Judged(Box::new(judged)),
        );
        let (place, word, tee, why) = match &fared {
            Fared::Unread(why) => (3, "unread", "", why.clone()),
            Fared::Judged(judged) => {
                let report = &judged.0;
                let why = report.failure().unwrap_or_default();
                match (report.authentic, why.is_empty()) {
                    (None, _) => (2, "unknown", report.tee, why),
                    (Some(_), true) => (0, "valid", report.tee, why),
                    (Some(_), false) => (1, "INVALID", report.tee, why),
                }
            }
        };
        if let Some(count) = counts.get_mut(place) {
            *count = count.saturating_add(1);
        }
        let name = path.strip_prefix(&args.path).unwrap_or(path).display().to_string();
        if args.format == VerifyFormat::Table {
            if progress {
                eprint!("\r");
            }
            let why = why.lines().next().unwrap_or_default();
            println!("{word:<8} {tee:<12} {name}{}{why}", if why.is_empty() { "" } else { ": " });
        } else {
            rows.push(row(&name, fared, args.format));
        }
    }
    let [valid, invalid, unknown, unread] = counts;
    if args.format == VerifyFormat::Table {
        println!(
            "{} found: {valid} valid, {invalid} invalid, {unknown} of which it cannot be said, {unread} not read",
            found.len()
        );
    } else {
        print_json(&Value::Array(rows));
    }
    let status = match (invalid, unread, unknown) {
        (0, 0, 0) => 0,
        (0, 0, _) => 3,
        (0, _, _) => 2,
        _ => 1,
    };
    Ok(ExitCode::from(status))
}

fn row(name: &str, fared: Fared, format: VerifyFormat) -> Value {
    match fared {
        Fared::Unread(why) => json!({"path": name, "error": why}),
        Fared::Judged(judged) => {
            let (report, input) = *judged;
            let mut value = match format {
                VerifyFormat::Ear => ear::result(&report, input.at, input.nonce.as_deref()),
                VerifyFormat::Json | VerifyFormat::Table => report.json(),
            };
            if let Some(map) = value.as_object_mut() {
                map.insert("path".to_owned(), name.into());
            }
            value
        }
    }
}

/// Case folders as one piece each; elsewhere every file that can only be evidence. In order of names; links are not followed.
fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let usage = |e: std::io::Error| Failure::Usage(format!("{}: {e}", dir.display()));
    let entries = std::fs::read_dir(dir).map_err(usage)?;
    let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(usage)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(usage)?);
        if found.len() >= MANY {
            bail!(Failure::Usage(format!("more than {MANY} pieces of evidence below it")));
        }
        if kind.is_dir() && path.join("case.json").is_file() {
            found.push(path);
        } else if kind.is_dir() {
            collect(&path, found)?;
        } else if kind.is_file() && is_evidence(&path) {
            found.push(path);
        }
    }
    Ok(())
}
