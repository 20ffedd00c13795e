//! The first hour: the README's tutorial word for word, help, wrong usage, and what a restart keeps.

use crate::stage::Stage;

/// The lines of the README's tutorial block.
fn tutorial() -> Vec<String> {
    let readme = include_str!("../../../../README.md");
    let block = readme.split("<!-- tutorial -->").nth(1).unwrap().split("```").nth(1).unwrap();
    block.lines().skip(1).filter(|l| !l.trim().is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_readme_tutorial_protects_an_unmodified_redis() {
    if !std::path::Path::new("/usr/bin/redis-server").exists() {
        println!("skipped: redis-server is not installed");
        return;
    }
    let lines = tutorial();
    assert!((5..=10).contains(&lines.len()), "{} commands", lines.len());
    let stages = std::iter::once(Stage::own()).chain(Stage::ordinary());
    for stage in stages {
        // One shell, one directory, the executable first in PATH: as a reader would type it.
        let script = format!("set -e\n{}\n", lines.join("\n"));
        let mut shell = stage.command(&[]);
        let path = format!("{}:/usr/bin:/bin", stage.path().display());
        let program = std::process::Command::new("/bin/sh");
        drop(program);
        shell.env("PATH", path);
        let output = run_shell(&stage, &script);
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains("PONG"), "{out}{err}");
        assert!(out.contains("everything holds"), "{out}{err}");
    }
}

fn run_shell(stage: &Stage, script: &str) -> std::process::Output {
    use std::os::unix::process::CommandExt;
    let mut shell = std::process::Command::new("/bin/sh");
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(stage.path()).unwrap());
    shell.args(["-c", script]).current_dir(stage.path()).env("HOME", stage.path());
    shell.env("PATH", format!("{}:/usr/bin:/bin", stage.path().display()));
    if uid != 0 && crate::stage::is_root() {
        shell.uid(uid).gid(uid);
    }
    shell.output().unwrap()
}

#[test]
fn every_command_has_help_and_wrong_usage_is_status_two() {
    let stage = Stage::own();
    let help = stage.good(".", &["--help"]);
    for command in [
        "tour", "new", "up", "add", "run", "ps", "logs", "stop", "explain", "measure", "policy",
        "revoke", "audit", "doctor", "verify", "connect",
    ] {
        assert!(help.contains(command), "{command}");
        assert!(stage.good(".", &[command, "--help"]).contains("Usage"), "{command}");
    }
    assert!(!help.contains("__"), "hidden commands are shown");
    for wrong in [
        &["tuor"][..],
        &["new"],
        &["add", "x"],
        &["ps"],
        &["new", "Not A Name"],
        &["policy"],
        &["run"],
    ] {
        let output = stage.run(".", wrong);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let typo = stage.run(".", &["tuor"]);
    assert!(String::from_utf8_lossy(&typo.stderr).contains("tour"), "no suggestion");
}

#[test]
fn a_program_added_later_is_admitted_after_a_restart_and_the_log_goes_on() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["up"]);
    assert_eq!(stage.run("shop", &["up"]).status.code(), Some(2), "two monitors of one domain");
    stage.good(
        "shop",
        &["add", "greeter", "--stdio", "plain", "--", "/bin/sh", "-c", "echo hello; exit 7"],
    );
    stage.good("shop", &["stop"]);
    stage.good("shop", &["up"]);
    let output = stage.run("shop", &["run", "--attach", "greeter"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), b"hello\n".as_slice()));
    stage.good("shop", &["add", "sleeper", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["stop"]);
    stage.good("shop", &["up"]);
    assert!(stage.good("shop", &["run", "sleeper"]).contains("admitted: as sleeper"));
    assert!(stage.good("shop", &["explain", "sleeper"]).contains("speaks for sleeper"));
    assert!(stage.good("shop", &["ps"]).contains("sleeper"));
    let first = stage.good("shop", &["audit", "show"]).lines().count();
    stage.good("shop", &["stop"]);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "sleeper"]);
    assert!(
        stage.good("shop", &["audit", "show"]).lines().count() > first,
        "the log did not go on"
    );
    assert!(stage.good("shop", &["audit", "verify"]).contains("everything holds"));
    stage.good("shop", &["stop"]);
    assert_eq!(stage.run("shop", &["ps"]).status.code(), Some(3));
}

#[test]
fn a_changed_decision_record_or_log_entry_is_found_by_the_audit() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "sleeper", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "sleeper"]);
    stage.good("shop", &["stop"]);
    let log = stage.path().join("shop/state/casemate-authority/log");
    let record = std::fs::read_dir(log.join("decisions")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&record).unwrap();
    for at in [good.len() / 3, good.len() / 2, good.len() - 2] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&record, &bad).unwrap();
        assert_ne!(stage.run("shop", &["audit", "verify"]).status.code(), Some(0), "byte {at}");
    }
    std::fs::write(&record, &good).unwrap();
    stage.good("shop", &["audit", "verify"]);
    // A decision whose policy is none of those the owners signed.
    let policies = stage.path().join("shop/policy");
    let kept = stage.path().join("shop/policy-kept");
    std::fs::rename(&policies, &kept).unwrap();
    assert_eq!(stage.run("shop", &["audit", "verify"]).status.code(), Some(1));
    std::fs::rename(&kept, &policies).unwrap();
    stage.good("shop", &["audit", "verify"]);
    let entries = log.join("entries");
    let mut bytes = std::fs::read(&entries).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&entries, &bytes).unwrap();
    assert_eq!(stage.run("shop", &["audit", "verify"]).status.code(), Some(1));
}

#[test]
fn a_revoked_program_stays_revoked_after_a_restart() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "sleeper", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "sleeper"]);
    stage.good("shop", &["revoke", "sleeper"]);
    for _ in 0..2 {
        stage.good("shop", &["stop"]);
        stage.good("shop", &["up"]);
        let output = stage.run("shop", &["run", "sleeper"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("revocation: expected nothing revoked"), "{said}");
    }
}

#[test]
fn a_proof_with_any_step_changed_left_out_or_exchanged_is_refused_by_the_checker() {
    use checker::{DecisionRecord, Part, recheck};
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "sleeper", "--listen", "80", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "sleeper"]);
    stage.good("shop", &["stop"]);
    let decisions = stage.path().join("shop/state/casemate-authority/log/decisions");
    let file = std::fs::read_dir(decisions).unwrap().next().unwrap().unwrap().path();
    let key = std::fs::read_to_string(stage.path().join("shop/keys/audit")).unwrap();
    let key = services::authority::AuditSecret::from_file(&key).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let name = evidence::ContentDigest::from_hex(name).unwrap();
    let sealed = std::fs::read(file).unwrap();
    let record = services::authority::sealed_record::open(&key, &name, &sealed).unwrap();
    let record = DecisionRecord::decode(&record).unwrap();
    assert!(recheck(&record).holds());
    let proof = trust::proof::Proof::decode(&record.proof).unwrap();
    let failed = |changed: trust::proof::Proof| {
        let bad = DecisionRecord { proof: changed.encode(), ..record.clone() };
        matches!(recheck(&bad).proof, Part::Failed(_))
    };
    for n in 0..proof.0.len() {
        let mut without = proof.clone();
        without.0.remove(n);
        assert!(failed(without), "step {n} left out");
        for word in 0..proof.0[n].conclusion.0.len() {
            let mut other = proof.clone();
            other.0[n].conclusion.0[word].push('0');
            // A profile is part of a policy's word; every word counts.
            assert!(failed(other), "step {n} word {word}");
        }
        for premise in 0..proof.0[n].premises.len() {
            // One of two premises alone (Certifier A5), a premise exchanged, a premise from later.
            let mut fewer = proof.clone();
            fewer.0[n].premises.remove(premise);
            assert!(failed(fewer), "step {n} without premise {premise}");
            for instead in (0..proof.0.len()).filter(|i| *i != proof.0[n].premises[premise]) {
                let mut exchanged = proof.clone();
                exchanged.0[n].premises[premise] = instead;
                assert!(failed(exchanged), "step {n} premise {premise} from {instead}");
            }
        }
    }
    let wider = DecisionRecord { listen: vec![80, 81], ..record.clone() };
    assert!(
        matches!(recheck(&wider).permission, Part::Failed(_)),
        "a port the policy does not give"
    );
    let other = DecisionRecord { role: "api".into(), ..record.clone() };
    assert!(
        matches!(recheck(&other).proof, Part::Failed(_)),
        "another role than the proof ends in"
    );
    let mut broken = record.clone();
    broken.statement[40] ^= 1;
    let report = recheck(&broken);
    assert!(
        matches!(report.evidence, Part::Failed(_))
            && matches!(report.proof, Part::InputWithheld(_))
    );
}

#[test]
fn records_say_nothing_to_whoever_has_the_disk_and_everything_to_who_has_the_audit_key() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    let added = stage.good("shop", &["add", "canary", "--", "/bin/sleep", "60"]);
    let measurement = added.split("sha384:").nth(1).unwrap().split_whitespace().next().unwrap();
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "canary"]);
    // A program that is refused: its measurement is somebody's business too.
    let stranger = stage.path().join("shop/programs/stranger");
    std::fs::create_dir_all(&stranger).unwrap();
    let config =
        std::fs::read_to_string(stage.path().join("shop/programs/canary/config.json")).unwrap();
    std::fs::write(stranger.join("config.json"), config.replace("\"60\"", "\"61\"")).unwrap();
    assert_eq!(stage.run("shop", &["run", "stranger"]).status.code(), Some(1));
    stage.good("shop", &["stop"]);
    let log = stage.path().join("shop/state/casemate-authority/log");
    let raw = hex::decode(measurement).unwrap();
    let mut files = std::fs::read_dir(log.join("decisions")).unwrap().collect::<Vec<_>>();
    assert_eq!(files.len(), 2);
    files.push(
        std::fs::read_dir(&log)
            .unwrap()
            .find(|f| f.as_ref().unwrap().file_name() == "entries")
            .unwrap(),
    );
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for needle in [
            raw.as_slice(),
            measurement.as_bytes(),
            b"development evidence",
            b"a measurement the policy trusts",
        ] {
            assert!(
                !bytes.windows(needle.len()).any(|w| w == needle),
                "{}",
                String::from_utf8_lossy(needle)
            );
        }
    }
    assert!(stage.good("shop", &["audit", "verify"]).contains("everything holds"));
    let (key, away) = (stage.path().join("shop/keys/audit"), stage.path().join("audit-away"));
    std::fs::rename(&key, &away).unwrap();
    let output = stage.run("shop", &["audit", "verify"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("InputWithheld") && said.contains("the log holds"), "{said}");
    assert_eq!(stage.run("shop", &["explain", "canary"]).status.code(), Some(3));
    // Another owner's key opens nothing.
    std::fs::write(&key, format!("casemate-audit-key-1 {}\n", "07".repeat(32))).unwrap();
    assert_eq!(stage.run("shop", &["audit", "verify"]).status.code(), Some(1));
    std::fs::write(&key, "junk").unwrap();
    assert_eq!(stage.run("shop", &["audit", "verify"]).status.code(), Some(2));
    std::fs::rename(&away, &key).unwrap();
    stage.good("shop", &["explain", "canary"]);
}
