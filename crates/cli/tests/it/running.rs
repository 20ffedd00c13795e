//! `casemate run` behaves as a person expects of running a program: its status, its signals, and values that may differ.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::Stage;

#[test]
fn an_open_value_differs_from_start_to_start_and_no_other_may() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    let says = ["--stdio", "plain", "--", "/bin/sh", "-c", "echo $POD of $APP"];
    let add = |pod: &str, app: &str| {
        let open = format!("POD={pod}");
        let env = format!("APP={app}");
        let head = ["add", "pod", "--open", &open, "--env", &env];
        let text = stage.good("shop", &[&head[..], &says].concat());
        text.lines().next().unwrap().to_owned()
    };
    let measured = add("first", "web");
    assert_eq!(add("second", "web"), measured, "the open value is measured");
    assert_ne!(add("first", "db"), measured, "a closed value is not measured");
    add("first", "web");
    stage.good("shop", &["up"]);
    assert_eq!(stage.good("shop", &["run", "--attach", "pod"]), "first of web\n");
    let other = stage.good("shop", &["run", "--attach", "pod", "--open", "POD=a=b"]);
    assert_eq!(other, "a=b of web\n");
    for wrong in ["APP=db", "PATH=/tmp", "NEW=x", "POD"] {
        let output = stage.run("shop", &["run", "pod", "--open", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("--open"), "{wrong}: {said}");
    }
    // Written into the file behind the command's back, it is another program.
    let config = stage.path().join("shop/programs/pod/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("APP=web", "APP=db")).unwrap();
    let output = stage.run("shop", &["run", "pod"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn signals_reach_an_attached_program_and_its_end_is_the_commands_end() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    let trap = "trap 'echo told; exit 9' INT; echo ready; while :; do read x; done";
    stage.good("shop", &["add", "polite", "--stdio", "plain", "--", "/bin/sh", "-c", trap]);
    let deaf = "echo ready; read x";
    stage.good("shop", &["add", "deaf", "--stdio", "plain", "--", "/bin/sh", "-c", deaf]);
    stage.good("shop", &["up"]);
    // A shell's word for the end by a signal is 128 and its number.
    for (name, signal, status) in
        [("polite", Signal::INT, 9), ("deaf", Signal::TERM, 143), ("deaf", Signal::HUP, 129)]
    {
        let mut command = stage.command(&["run", "--attach", name]);
        let command = command.current_dir(stage.path().join("shop"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Kept open: waiting for a child closes its input otherwise, and that ends a program that reads.
        let _input = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{name}, {signal:?}");
        if name == "polite" {
            assert_eq!(lines.next().unwrap().unwrap(), "told");
        }
    }
    let listed = stage.good("shop", &["ps", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let alive = listed.as_array().unwrap().iter().filter(|p| p["status"].is_null());
    assert_eq!(alive.count(), 1, "more than the authority lives on: {listed:#}");
}

#[test]
fn a_policy_signed_while_the_domain_is_up_admits_at_once_and_ends_what_it_no_longer_permits() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["up"]);
    let exe = stage.path().join("casemate");
    let part = [exe.to_str().unwrap(), "__tour-program"];
    let add = |args: &[&str], part_of: &[&str]| {
        let said =
            stage.good("shop", &[args, &["--stdio", "plain", "--"], &part, part_of].concat());
        assert!(said.contains("It is in force"), "{said}");
    };
    add(&["add", "server", "--listen", "8000"], &["serve", "8000"]);
    add(&["add", "holder", "--to", "server"], &["hold", "server:8000"]);
    // No restart between.
    assert!(stage.good("shop", &["run", "server"]).contains("admitted: as server under policy"));
    let mut command = stage.command(&["run", "--attach", "holder"]);
    let command = command.current_dir(stage.path().join("shop")).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "open");
    let file = stage.path().join("shop/casemate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("connect = [\"server\"]\n", "")).unwrap();
    let begin = std::time::Instant::now();
    let said = stage.good("shop", &["policy", "sign"]);
    assert!(said.contains("is in force"), "{said}");
    assert!(lines.next().unwrap().unwrap().starts_with("closed"));
    assert!(begin.elapsed().as_secs() < 5, "the connection lived on for {:?}", begin.elapsed());
    child.wait().unwrap();
    let shown = stage.good("shop", &["audit", "show"]);
    assert!(shown.lines().filter(|l| l.contains("  policy ")).count() >= 3, "{shown}");
    // A restart goes on under the same policy.
    stage.good("shop", &["stop"]);
    stage.good("shop", &["up"]);
    assert!(stage.good("shop", &["run", "server"]).contains("admitted: as server"));
    // Its own proxy closes what the policy does not permit.
    assert!(stage.good("shop", &["run", "--attach", "holder"]).contains("closed"));
}

#[test]
fn a_program_of_two_roles_is_admitted_in_the_one_it_is_started_as() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    for role in ["morning", "evening"] {
        stage.good("shop", &["add", role, "--", "/bin/sleep", "60"]);
    }
    stage.good("shop", &["add", "other", "--", "/bin/sleep", "61"]);
    stage.good("shop", &["up"]);
    let run = |args: &[&str]| {
        let output = stage.run("shop", &[&["run"], args].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for (args, role) in [
        (&["morning"][..], "morning"),
        (&["evening"], "evening"),
        (&["morning", "--role", "evening"], "evening"),
    ] {
        let (status, said) = run(args);
        assert!(status == 0 && said.contains(&format!("admitted: as {role} ")), "{said}");
        stage.good("shop", &["stop", args[0]]);
    }
    let (status, said) = run(&["morning", "--role", "other"]);
    assert!(status == 1 && said.contains("a request may narrow, not choose"), "{said}");
}
