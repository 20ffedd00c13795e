//! The project's own commands: `cargo xtask test` passes all tests, `tidy` checks the house rules, `checks` gathers CHECKS.md.

mod packages;
mod rules;
mod tidy;

use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let words = args.iter().map(String::as_str).collect::<Vec<_>>();
    let done = match words.as_slice() {
        ["test"] => test(true),
        ["test", "--no-install"] => test(false),
        ["tidy"] => tidy::run(),
        ["checks"] => tidy::gather_checks(),
        _ => Err("usage: cargo xtask test [--no-install] | tidy | checks".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Installs what tests need, builds, checks the house rules, and runs every test; the runner's own lines come last.
fn test(install: bool) -> Result<(), String> {
    println!("xtask: packages the tests use");
    packages::ensure(install)?;
    println!("xtask: building");
    cargo(&["build", "--workspace", "--all-targets", "--locked"])?;
    println!("xtask: house rules");
    tidy::run()?;
    println!("xtask: documentation tests");
    cargo(&["test", "--workspace", "--doc", "--locked", "--quiet"])?;
    println!("xtask: tests");
    let nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if nextest.is_ok_and(|s| s.success()) {
        cargo(&[
            "nextest",
            "run",
            "--workspace",
            "--locked",
            "--no-fail-fast",
            "--status-level",
            "slow",
            "--success-output",
            "never",
        ])
    } else {
        cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--tests"])
    }
}

fn cargo(args: &[&str]) -> Result<(), String> {
    let status = Command::new("cargo").args(args).status().map_err(|e| format!("cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args.join(" "))) }
}
