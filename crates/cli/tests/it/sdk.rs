//! Programs written for casemate, and one written for SPIFFE, run as anybody's programs: they meet who they may.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::stage::Stage;

/// A program of the examples; built now if whoever runs this test has not.
fn example(stage: &Stage, name: &str) -> String {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_casemate")).with_file_name("examples").join(name);
    if !built.exists() {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", "casemate-examples", "--examples"]);
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        assert!(cargo.status().unwrap().success(), "the examples do not build");
    }
    let copy = stage.path().join(name);
    std::fs::copy(built, &copy).unwrap();
    copy.to_str().unwrap().to_owned()
}

fn add(stage: &Stage, role: &str, grants: &[&str], program: &str) {
    let mut args = vec!["add", role, "--stdio", "plain"];
    args.extend(grants);
    args.extend(["--", program]);
    stage.good("shop", &args);
}

/// Exit status and what a program wrote.
fn attached(stage: &Stage, role: &str) -> (i32, String) {
    let output = stage.run("shop", &["run", "--attach", role]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

/// Waits until a program's log says it.
fn logged(stage: &Stage, role: &str, wanted: &str) -> String {
    let begin = Instant::now();
    loop {
        let log = stage.good("shop", &["logs", role]);
        if log.contains(wanted) {
            return log;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{role} never said {wanted:?}: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes the permission to connect away from a role, in the policy alone.
fn forbid(stage: &Stage, role: &str) {
    let file = stage.path().join("shop/casemate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, section) = text.split_once(&format!("[program.{role}]")).unwrap();
    let section = section.replacen("connect = [\"server\"]\n", "", 1);
    std::fs::write(&file, format!("{before}[program.{role}]{section}")).unwrap();
    assert!(!section.starts_with("connect"), "{section}");
}

#[test]
fn the_readme_shows_the_examples_as_they_are_in_under_thirty_lines() {
    let readme = include_str!("../../../../README.md");
    for program in [
        include_str!("../../../../examples/hello-server.rs"),
        include_str!("../../../../examples/hello-client.rs"),
    ] {
        assert!(readme.contains(program), "{program}");
        assert!(program.lines().count() < 30);
    }
    assert!(include_str!("../../../../examples/everything.rs").lines().count() < 30);
}

#[test]
fn programs_written_for_casemate_meet_by_role_and_a_third_is_refused() {
    for stage in std::iter::once(Stage::own()).chain(Stage::ordinary()) {
        let (server, client) = (example(&stage, "hello-server"), example(&stage, "hello-client"));
        stage.good(".", &["new", "shop"]);
        add(&stage, "server", &["--listen", "8000", "--self-tls"], &server);
        // TLS ends in the program, in its proxy, in the program without permission, in the program without a way.
        add(&stage, "client", &["--to", "server", "--self-tls"], &client);
        add(&stage, "plain", &["--to", "server"], &client);
        let other = ["--to", "server", "--self-tls", "--env", "OTHER=1"];
        add(&stage, "intruder", &other, &client);
        add(&stage, "stranger", &["--self-tls"], &client);
        forbid(&stage, "intruder");
        stage.good("shop", &["policy", "sign"]);
        stage.good("shop", &["up"]);
        stage.good("shop", &["run", "server"]);
        let both = attached(&stage, "client");
        let says = "spiffe://shop/server says: hello, spiffe://shop/client\n";
        assert_eq!(both, (0, says.to_owned()));
        let one = attached(&stage, "plain");
        assert_eq!(one, (0, "my proxy says: hello, spiffe://shop/plain\n".to_owned()));
        let (status, said) = attached(&stage, "intruder");
        assert!(status != 0 && said.contains("the policy does not let"), "{status} {said}");
        let (status, said) = attached(&stage, "stranger");
        assert!(status != 0 && said.contains("no peer is called"), "{status} {said}");
        let ps = stage.good("shop", &["ps"]);
        assert!(ps.contains("admitted: as server under policy"), "{ps}");
        assert!(ps.contains("with a key of its own"), "{ps}");
    }
}

#[test]
fn the_same_code_meets_where_tls_ends_in_both_proxies() {
    let stage = Stage::own();
    let (server, client) = (example(&stage, "hello-server"), example(&stage, "hello-client"));
    stage.good(".", &["new", "shop"]);
    add(&stage, "server", &["--listen", "8000"], &server);
    add(&stage, "client", &["--to", "server"], &client);
    add(&stage, "own", &["--to", "server", "--self-tls"], &client);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "server"]);
    let both = attached(&stage, "client");
    assert_eq!(both, (0, "my proxy says: hello, whoever you are\n".to_owned()));
    let one = attached(&stage, "own");
    assert_eq!(one, (0, "spiffe://shop/server says: hello, whoever you are\n".to_owned()));
}

#[test]
fn a_program_measures_seals_attests_and_is_told_what_it_may_not_have() {
    for grants in [&[][..], &["--self-tls"]] {
        let stage = Stage::own();
        let program = example(&stage, "everything");
        stage.good(".", &["new", "shop"]);
        add(&stage, "all", grants, &program);
        stage.good("shop", &["up"]);
        let (status, said) = attached(&stage, "all");
        assert_eq!(status, 0, "{said}");
        let measured = stage.good("shop", &["measure", "all"]);
        let own = said.lines().find_map(|l| l.strip_prefix("measurement ")).unwrap();
        assert!(measured.contains(own), "{measured} {said}");
        for line in [
            "isolation software",
            "opened only I read this",
            "refused: sealed as version 2",
            "attested as spiffe://shop/all",
            "refused: no secret called \"db-password\"",
        ] {
            assert!(said.contains(line), "{line:?} in {said}");
        }
    }
}

/// `casemate ARGS` in `shop` with that on its standard input; status and what it says.
fn fed(stage: &Stage, args: &[&str], input: &[u8]) -> (i32, String) {
    let mut child = stage
        .command(args)
        .current_dir(stage.path().join("shop"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn a_secret_that_the_owners_set_is_read_by_the_program_of_its_role() {
    for stage in std::iter::once(Stage::own()).chain(Stage::ordinary()) {
        let program = example(&stage, "everything");
        stage.good(".", &["new", "shop"]);
        add(&stage, "all", &["--secret", "db-password"], &program);
        let (status, said) = fed(&stage, &["secret", "set", "db-password"], b"x");
        assert!(status == 3 && said.contains("casemate up"), "{status} {said}");
        stage.good("shop", &["up"]);
        let (status, said) = fed(&stage, &["secret", "set", "db-pasword"], b"x");
        assert!(status == 2 && said.contains("no role of the signed policy may read"), "{said}");
        let (status, said) = fed(&stage, &["secret", "set", "db-password"], b"hunter22");
        assert_eq!((status, said.as_str()), (0, "secret db-password is set, number 1\n"));
        let (status, said) = attached(&stage, "all");
        assert!(status == 0 && said.contains("a secret of 8 bytes"), "{said}");
        // A restart keeps it; the directories of owners and authority hold ciphertext.
        stage.good("shop", &["stop"]);
        stage.good("shop", &["up"]);
        let (_, said) = attached(&stage, "all");
        assert!(said.contains("a secret of 8 bytes"), "{said}");
        let grep = Command::new("grep")
            .args(["-r", "hunter22", "."])
            .current_dir(stage.path().join("shop"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
        let listed = stage.good("shop", &["secret", "ls", "--format", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let row = serde_json::json!([{"name": "db-password", "readers": ["all"], "number": 1, "set": true}]);
        assert_eq!(listed, row);
        stage.good("shop", &["secret", "rm", "db-password"]);
        let (_, said) = attached(&stage, "all");
        assert!(said.contains("no secret called"), "{said}");
        let long = vec![b'x'; 16 * 1024 + 1];
        let (status, said) = fed(&stage, &["secret", "set", "db-password"], &long);
        assert!(status == 2 && said.contains("at most 16384"), "{status} {said}");
    }
}

#[test]
fn a_program_written_for_spiffe_finds_its_identity_and_loses_it_when_revoked() {
    for stage in std::iter::once(Stage::own()).chain(Stage::ordinary()) {
        let program = example(&stage, "svid");
        stage.good(".", &["new", "shop"]);
        add(&stage, "web", &[], &program);
        stage.good("shop", &["up"]);
        stage.good("shop", &["run", "web"]);
        let log = logged(&stage, "web", "holding");
        assert!(log.starts_with("spiffe://shop/web under 1 authority\n"), "{log}");
        let begin = Instant::now();
        stage.good("shop", &["revoke", "web"]);
        let log = logged(&stage, "web", "ended");
        println!("told after {} ms", begin.elapsed().as_millis());
        assert!(log.contains("revoked"), "{log}");
    }
}
