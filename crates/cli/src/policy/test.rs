//! `casemate policy test`: the examples beside the policy, tried on the domain file and on the policy in force.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use trust::Policy;
use trust::domain::examples::{self, Example, Tried};
use trust::permission::Permissions;

use crate::domain::{Domain, located};
use crate::output::{Failure, Format, json};

/// Beside the domain file.
pub const FILE: &str = "casemate.test.toml";

pub const HELP: &str = "Exit status 1 if an example fails. In casemate.test.toml:
  [[test]]
  name = \"the api gets in from Frankfurt and reaches the cache\"
  program = \"api\"                    # what the policy trusts for a role; or measurement = \"sha384:…\"
  on = \"snp\"
  in = \"eu\"                          # a place counts as proved where it is stated
  expect = \"admitted\"
  may = [\"connect cache\", \"read db-password\"]
  may-not = [\"listen 80\"]

  [[test]]
  name = \"nobody gets in on development hardware\"
  program = \"api\"
  on = \"software\"
  expect = \"refused\"
  because = \"hardware kind\"          # optional: the rule that must refuse

Also: ask (the role asked for), image, machine, isolation, host; what is not stated is as the policy demands it.";

/// The examples of a domain; none if it has no such file and none was asked for.
fn load(domain: &Domain, given: Option<&Path>) -> Result<Option<Vec<Example>>> {
    let path = given.map_or_else(|| domain.dir.join(FILE), PathBuf::from);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if given.is_none() && e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    let all = examples::parse(&text).map_err(|e| Failure::Usage(located(&path, &e)))?;
    Ok(Some(all))
}

fn try_all(examples: &[Example], policy: &Policy) -> Result<Vec<Tried>> {
    let permissions = Permissions::compile(policy).map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(examples.iter().map(|e| e.run(policy, &permissions)).collect())
}

/// Examples that fail under a policy that is about to be signed; none where there are no examples.
pub fn failing(domain: &Domain, policy: &Policy) -> Result<Option<Vec<String>>> {
    let Some(examples) = load(domain, None)? else { return Ok(None) };
    let tried = try_all(&examples, policy)?;
    let failed = examples.iter().zip(&tried).filter(|(_, t)| !t.holds);
    Ok(Some(failed.map(|(e, t)| format!("{FILE}:{}: {}: {}", e.line, e.name, t.found)).collect()))
}

pub fn run(
    domain: &Domain,
    given: Option<&Path>,
    (on_file, on_force): (bool, bool),
    format: Format,
) -> Result<ExitCode> {
    let Some(examples) = load(domain, given)? else {
        return Err(Failure::Usage(format!(
            "no {FILE} beside the domain file; write who must get in and who must not (`casemate policy test --help` shows how)"
        ))
        .into());
    };
    let mut runs = Vec::new();
    if on_file {
        runs.push(("domain file".to_owned(), try_all(&examples, &domain.compile(1, None)?)?));
    }
    match domain.in_force()? {
        Some(p) if on_force => {
            let name = format!("in force ({})", p.policy().version);
            runs.push((name, try_all(&examples, p.policy())?));
        }
        None if !on_file => {
            return Err(Failure::Missing("no policy is in force yet".to_owned()).into());
        }
        _ => {}
    }
    let failed = runs.iter().flat_map(|(_, r)| r).filter(|t| !t.holds).count();
    if format == Format::Json {
        let rows = runs.iter().flat_map(|(policy, tried)| {
            examples.iter().zip(tried).map(move |(e, t)| {
                json!({"test": e.name, "line": e.line, "policy": policy, "passed": t.holds, "found": t.found})
            })
        });
        json(&json!({"failed": failed, "results": rows.collect::<Vec<_>>()}));
    } else {
        for (policy, tried) in &runs {
            println!("{policy}");
            for (e, t) in examples.iter().zip(tried) {
                let word = if t.holds { "passed" } else { "FAILED" };
                println!("  {word}  {FILE}:{}  {}: {}", e.line, e.name, t.found);
            }
        }
        println!("{} examples, {failed} failed", examples.len());
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}
