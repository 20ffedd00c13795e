//! `casemate policy check`: every mistake of the domain file, one a line, where compilers put them.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use trust::DomainFile;
use trust::domain::{Mistake, Severity};

use crate::domain::{Domain, FILE, told};
use crate::output::{Format, json};
use crate::owners;

pub fn run(format: Format) -> Result<ExitCode> {
    let domain = Domain::find()?;
    let (mistakes, file) = match DomainFile::parse(&domain.text()?) {
        Ok(file) => (file.warnings().to_vec(), Some(file)),
        Err(e) => (e.mistakes().to_vec(), None),
    };
    let more = file.as_ref().map(|f| beside(&domain, f)).transpose()?.unwrap_or_default();
    let errors = mistakes.iter().filter(|m| m.severity == Severity::Error).count();
    let errors = errors.saturating_add(more.len());
    if format == Format::Json {
        let rows = mistakes.iter().map(row);
        let beside = more.iter().map(|m| json!({"severity": "error", "message": m}));
        json(
            &json!({"file": FILE, "errors": errors, "mistakes": rows.chain(beside).collect::<Vec<_>>()}),
        );
        return Ok(ExitCode::from(if errors == 0 { 0 } else { 2 }));
    }
    mistakes.iter().for_each(|m| println!("{}", told(FILE, m)));
    more.iter().for_each(|m| println!("error: {m}"));
    let warnings = mistakes.len().saturating_sub(errors.saturating_sub(more.len()));
    if errors > 0 {
        println!("{errors} error(s), {warnings} warning(s): this file becomes no policy");
        return Ok(ExitCode::from(2));
    }
    let file = file.context("no file")?;
    let policy = file.compile(domain.genesis.root(), 1, None, |_| None)?;
    println!(
        "{} programs on {} kinds of hardware: no mistakes found{}",
        policy.programs.len(),
        policy.hardware.len(),
        if warnings == 0 { String::new() } else { format!(", {warnings} warning(s)") }
    );
    Ok(ExitCode::SUCCESS)
}

fn row(m: &Mistake) -> serde_json::Value {
    json!({"severity": m.severity.as_str(), "line": m.line, "column": m.column, "field": m.field, "message": m.message()})
}

/// What does not fit what stands beside the file: key files, genesis, files of reference values.
fn beside(domain: &Domain, file: &DomainFile) -> Result<Vec<String>> {
    let mut out = Vec::new();
    if *file.domain() != domain.genesis.domain {
        out.push(format!(
            "casemate.toml is of domain {}, its genesis of {}; a domain's name never changes",
            file.domain(),
            domain.genesis.domain
        ));
    }
    let line = file.sign().line;
    match owners::stated(domain, file.sign()) {
        Err(e) => out.push(format!("{e:#}")),
        Ok(stated) if stated != *domain.genesis.signers_now() => {
            let now = domain.genesis.signers_now();
            println!(
                "{FILE}:{line}: note: `sign` states others than those who sign now ({} of {}); `casemate policy sign` proposes the change to them",
                now.need(),
                now.keys().len()
            );
        }
        Ok(_) => {}
    }
    if let Err(e) = file.compile(domain.genesis.root(), 1, None, |_| None) {
        out.extend(e.mistakes().iter().map(|m| told(FILE, m)));
    }
    Ok(out)
}
