//! The project's own commands: `cargo xtask test` passes all tests, `tidy` checks the house rules, `checks` gathers CHECKS.md,
//! `fuzz` runs the fuzz targets.

mod fuzz;
mod packages;
mod rules;
mod tally;
mod tidy;

use std::process::{Command, ExitCode, Stdio};

use tally::Tally;

fn main() -> ExitCode {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let words = args.iter().map(String::as_str).collect::<Vec<_>>();
    let done = match words.as_slice() {
        ["test"] => test(true),
        ["test", "--no-install"] => test(false),
        ["tidy"] => tidy::run(),
        ["checks"] => tidy::gather_checks(),
        ["fuzz", args @ ..] => fuzz::run(args),
        _ => Err(
            "usage: cargo xtask test [--no-install] | tidy | checks | fuzz [--seconds N] [TARGET…]"
                .to_owned(),
        ),
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
    let tally = if nextest.is_ok_and(|s| s.success()) { with_nextest()? } else { plain()? };
    println!("xtask: {tally}");
    if tally.is_good() { Ok(()) } else { Err("not every test passed".to_owned()) }
}

/// `cargo nextest`, whose report says what each test printed.
fn with_nextest() -> Result<Tally, String> {
    let report = "target/nextest/default/junit.xml";
    let _ = std::fs::remove_file(report);
    let ran = cargo(&[
        "nextest",
        "run",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--status-level",
        "slow",
        "--success-output",
        "never",
    ]);
    match std::fs::read_to_string(report) {
        Ok(xml) => {
            let tally = Tally::of_junit(&xml);
            if tally.is_good() { ran.map(|()| tally) } else { Ok(tally) }
        }
        Err(e) => Err(ran.err().unwrap_or_else(|| format!("{report}: {e}"))),
    }
}

/// Rust's own runner.
fn plain() -> Result<Tally, String> {
    let command = "test --workspace --locked --no-fail-fast --tests -- --show-output";
    let output = Command::new("cargo").args(command.split(' ')).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| format!("cargo: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let tally = Tally::of_libtest(&text);
    if tally.is_good() && !output.status.success() {
        return Err(format!("cargo {command} failed"));
    }
    Ok(tally)
}

fn cargo(args: &[&str]) -> Result<(), String> {
    let status = Command::new("cargo").args(args).status().map_err(|e| format!("cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args.join(" "))) }
}
