//! `cargo xtask fuzz`: every target for a while, and what became of each.

use std::fs;
use std::process::{Command, Stdio};

/// Seconds a target runs unless told otherwise.
const SECONDS: u32 = 20;

/// Runs the named targets, or all.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let (mut seconds, mut wanted) = (SECONDS, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--seconds" => {
                let number = args.next().and_then(|n| n.parse().ok());
                seconds = number.ok_or("--seconds takes a number")?;
            }
            name => wanted.push(name.to_owned()),
        }
    }
    let there = Command::new("cargo")
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|s| s.success()) {
        println!("skipped: cargo-fuzz is not installed; `cargo install cargo-fuzz` does that");
        return Ok(());
    }
    let all = targets()?;
    if let Some(unknown) = wanted.iter().find(|w| !all.contains(w)) {
        return Err(format!("no target {unknown:?}; there are {}", all.join(", ")));
    }
    let chosen = if wanted.is_empty() { all } else { wanted };
    println!("xtask: building {} targets", chosen.len());
    fuzz(&["build", "-s", "none"])?;
    let time = format!("-max_total_time={seconds}");
    for target in &chosen {
        let args = ["fuzz", "run", "-s", "none", target, "--", &time, "-print_final_stats=1"];
        let output = Command::new("cargo").args(args).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        let stat = |name: &str| {
            let line = said.lines().find_map(|l| l.strip_prefix(name))?;
            line.trim_start_matches(':').trim().parse::<u64>().ok()
        };
        if !output.status.success() {
            let tail = said.lines().rev().take(30).collect::<Vec<_>>();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            return Err(format!("{target} fell:\n{tail}"));
        }
        let runs = stat("stat::number_of_executed_units").unwrap_or_default();
        println!("xtask: {target}: {runs} executions in {seconds} s, nothing found");
    }
    Ok(())
}

fn fuzz(args: &[&str]) -> Result<(), String> {
    let status =
        Command::new("cargo").arg("fuzz").args(args).status().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("cargo fuzz {} failed", args.join(" "))) }
}

fn targets() -> Result<Vec<String>, String> {
    let files = fs::read_dir("fuzz/fuzz_targets").map_err(|e| e.to_string())?;
    let mut names = files
        .flatten()
        .filter_map(|f| Some(f.path().file_stem()?.to_str()?.to_owned()))
        .collect::<Vec<_>>();
    names.sort();
    Ok(names)
}
