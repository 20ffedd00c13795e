//! The house rules as checks over the tree: what a machine can see of CONTRIBUTING.md and ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rules;

/// Every file git knows of, with its text.
pub(crate) type Tree = BTreeMap<String, String>;

fn tree() -> Result<Tree, String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|e| e.to_string())?;
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(names.lines().filter_map(|n| Some((n.to_owned(), fs::read_to_string(n).ok()?))).collect())
}

/// Checks every rule and names every breach.
pub(crate) fn run() -> Result<(), String> {
    let tree = tree()?;
    let mut breaches = Vec::new();
    for rule in rules::ALL {
        breaches.extend(rule(&tree));
    }
    breaches.extend(rules::arrows(&metadata()?));
    if tree.get("CHECKS.md") != Some(&checks(&tree)) {
        breaches.push(
            "CHECKS.md is not what docs/checks/*.md say: run `cargo xtask checks`".to_owned(),
        );
    }
    if breaches.is_empty() {
        println!("  {} files keep {} rules", tree.len(), rules::ALL.len().saturating_add(2));
        return Ok(());
    }
    Err(format!("{} breaches of the house rules:\n  {}", breaches.len(), breaches.join("\n  ")))
}

/// Package names with the names of their normal dependencies and those dependencies' features.
fn metadata() -> Result<serde_json::Value, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .output();
    serde_json::from_slice(&output.map_err(|e| e.to_string())?.stdout).map_err(|e| e.to_string())
}

fn checks(tree: &Tree) -> String {
    let mut out = "# Every check that refuses, with its test\n\nGathered from `docs/checks/` by `cargo xtask checks`.\n".to_owned();
    for (name, text) in tree.iter().filter(|(n, _)| n.starts_with("docs/checks/")) {
        let title = Path::new(name)
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned())
            .unwrap_or_default();
        out.push_str(&format!("\n## {title}\n\n{}\n", text.trim()));
    }
    out
}

/// Writes CHECKS.md.
pub(crate) fn gather_checks() -> Result<(), String> {
    fs::write(PathBuf::from("CHECKS.md"), checks(&tree()?)).map_err(|e| e.to_string())
}
