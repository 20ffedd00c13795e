//! Starting an isolated process: a warm program of a running monitor beside `bwrap` with the same namespaces.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::table::{Samples, ratio, time};

const ROUNDS: usize = 60;

fn quiet(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

pub fn run() {
    let casemate = std::env::current_dir().unwrap().join("../target/release/casemate");
    if !casemate.exists() {
        println!("skipped: build the command first: cargo build --release, in the folder above");
        return;
    }
    if !quiet(Command::new("bwrap").arg("--version")) {
        println!("skipped: bwrap is not installed (package bubblewrap)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop");
    let ours = |args: &[&str], at: &Path| quiet(Command::new(&casemate).args(args).current_dir(at));
    assert!(ours(&["new", "shop"], dir.path()), "casemate new");
    assert!(ours(&["add", "job", "--", "/bin/true"], &shop), "casemate add");
    assert!(ours(&["up"], &shop), "casemate up");
    let bwrap = || {
        quiet(Command::new("bwrap").args([
            "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", "/usr/bin/true",
        ]))
    };
    let mut inside = Vec::new();
    let (mut a, mut b) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        a.add(time(|| assert!(ours(&["run", "job"], &shop), "casemate run")));
        b.add(time(|| assert!(bwrap(), "bwrap")));
        inside.push(());
    }
    let _ = ours(&["stop"], &shop);
    println!(
        "from the command to its exit, median of {ROUNDS}: casemate run {:?} (measured, attested, with its proxy), bwrap {:?}",
        a.median(), b.median()
    );
    let r = a.median().as_secs_f64() / b.median().as_secs_f64();
    ratio("warm start / bwrap", r, "<= 1", r <= 1.0);
}
