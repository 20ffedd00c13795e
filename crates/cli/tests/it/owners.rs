//! Several owners, each with a key of another kind and a directory of their own: nothing happens until enough of them signed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::stage::Stage;

/// Keys of owners, made by OpenSSH's own tool.
fn keygen(dir: &Path, name: &str, args: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-f", name, "-C", name]).args(args).current_dir(dir);
    assert!(command.status().unwrap().success(), "{name}");
}

fn plain(dir: &Path, names: &[&str]) {
    names.iter().for_each(|n| keygen(dir, n, &["-t", "ed25519", "-N", ""]));
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Runs and demands an exit status; everything it said.
fn says(stage: &Stage, status: i32, args: &[&str]) -> String {
    let output = stage.run("bank", args);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(status), "casemate {}\n{said}", args.join(" "));
    said
}

fn bank(stage: &Stage, need: &str, owners: &[&str], more: &[&str]) {
    let files = owners.iter().map(|o| format!("{o}.pub")).collect::<Vec<_>>();
    let mut args = vec!["new", "bank", "--sign", need];
    files.iter().for_each(|f| args.extend(["--by", f.as_str()]));
    args.extend(more);
    stage.good(".", &args);
}

fn have_keygen() -> bool {
    let found = Path::new("/usr/bin/ssh-keygen").exists();
    if !found {
        println!("skipped: ssh-keygen is not installed");
    }
    found
}

/// An agent of its own, ended with the test.
struct Agent {
    child: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
        // Where the agent looks for the token's library's configuration.
        command.env("SOFTHSM2_CONF", dir.join("softhsm2.conf"));
        let agent = Self { child: command.spawn().unwrap(), socket };
        for _ in 0..500 {
            if agent.socket.exists() {
                return agent;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("ssh-agent did not start");
    }

    fn add(&self, dir: &Path, args: &[&str], answer: &Path) {
        let status = Command::new("ssh-add")
            .args(args)
            .current_dir(dir)
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("SSH_ASKPASS", answer)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .status();
        assert!(status.unwrap().success(), "ssh-add {args:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(path: &Path, answer: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\necho {answer}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.to_owned()
}

/// A token with one key, whose file is gone; none where there is no softhsm2.
fn token(dir: &Path) -> Option<&'static str> {
    const LIB: &str = "/usr/lib/softhsm/libsofthsm2.so";
    if !Path::new(LIB).exists() || !Path::new("/usr/bin/softhsm2-util").exists() {
        println!("skipped: softhsm2 is not installed, no owner signs with a token");
        return None;
    }
    std::fs::create_dir(dir.join("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\n", dir.join("tokens").display());
    std::fs::write(dir.join("softhsm2.conf"), conf).unwrap();
    let util = |args: &[&str]| {
        let output = Command::new("softhsm2-util")
            .args(args)
            .current_dir(dir)
            .env("SOFTHSM2_CONF", dir.join("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    util(&["--init-token", "--free", "--label", "owners", "--pin", "1234", "--so-pin", "5678"]);
    keygen(dir, "eva", &["-t", "ecdsa", "-b", "256", "-N", "", "-m", "PKCS8"]);
    util(&[
        "--import", "eva", "--token", "owners", "--label", "eva", "--id", "01", "--pin", "1234",
    ]);
    std::fs::remove_file(dir.join("eva")).unwrap();
    Some(LIB)
}

#[test]
fn every_kind_of_key_signs_and_the_last_one_puts_the_policy_in_force() {
    if !have_keygen() {
        return;
    }
    let stage = Stage::own();
    let dir = stage.path().to_owned();
    plain(&dir, &["ana", "cy", "di"]);
    keygen(&dir, "bo", &["-t", "ecdsa", "-b", "256", "-N", "open sesame"]);
    let library = token(&dir);
    let mut owners = vec!["ana", "bo", "cy", "di"];
    owners.extend(library.map(|_| "eva"));
    bank(&stage, &owners.len().to_string(), &owners, &[]);
    let agent = Agent::start(&dir);
    let passphrase = script(&dir.join("passphrase"), "open sesame");
    // A key file as it is.
    let first = says(&stage, 3, &["policy", "sign", "--key", "../ana"]);
    assert!(first.contains("signed by ana (SHA256:"), "{first}");
    let status = says(&stage, 0, &["policy", "status"]);
    assert!(status.contains(&format!("policy-1: {} more", owners.len() - 1)), "{status}");
    let json = says(&stage, 0, &["policy", "status", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let waits = &json["pending"][0];
    assert_eq!(
        (&waits["name"], &waits["kind"]),
        (&"policy-1".into(), &"casemate-policy@v1".into())
    );
    assert_eq!(waits["missing"].as_array().unwrap().len(), owners.len() - 1);
    // An encrypted one: ssh-keygen asks for its passphrase.
    let mut bo = stage.command(&["policy", "sign", "policy-1", "--key", "../bo"]);
    bo.current_dir(dir.join("bank")).env("SSH_ASKPASS", &passphrase);
    let bo = bo.env("SSH_ASKPASS_REQUIRE", "force").output().unwrap();
    assert!(text(&bo).contains("signed by bo"), "{}", text(&bo));
    // Stock ssh-keygen, by the command that was printed.
    let command = first.lines().find_map(|l| l.trim().strip_prefix("or without casemate: "));
    let command = command.unwrap().replace(" KEY ", " ../cy ");
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("ssh-keygen"));
    let made = Command::new("ssh-keygen").args(words).current_dir(dir.join("bank")).status();
    assert!(made.unwrap().success(), "{command}");
    let taken = ["policy", "sign", "policy-1", "--import", "pending/policy-1.payload.sig"];
    assert!(says(&stage, 3, &taken).contains("signature of cy"));
    // An agent's key, and a token's through the agent.
    agent.add(&dir, &["-q", "di"], &passphrase);
    let mut last = vec!["di"];
    if let Some(library) = library {
        let pin = script(&dir.join("pin"), "1234");
        agent.add(&dir, &["-s", library], &pin);
        last.push("eva");
    }
    std::fs::remove_file(dir.join("di")).unwrap();
    for owner in last {
        let public = format!("../{owner}.pub");
        let mut signs = stage.command(&["policy", "sign", "policy-1", "--key", &public]);
        signs.current_dir(dir.join("bank")).env("SSH_AUTH_SOCK", &agent.socket);
        let said = text(&signs.output().unwrap());
        assert!(said.contains(&format!("signed by {owner}")), "{said}");
    }
    let shown = says(&stage, 0, &["policy", "show"]);
    assert!(shown.starts_with("domain bank, version 1"), "{shown}");
    assert!(says(&stage, 0, &["policy", "status"]).contains("nothing waits"));
}

#[test]
fn owners_who_do_not_fit_found_no_domain() {
    if !have_keygen() {
        return;
    }
    let stage = Stage::own();
    plain(stage.path(), &["ana", "bo", "cy"]);
    let made = |args: &[&str]| {
        let mut all = vec!["new", "bank"];
        all.extend(args);
        let output = stage.run(".", &all);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stage.path().join("bank").exists(), "{args:?} leaves something behind");
        text(&output)
    };
    let three = ["--by", "ana.pub", "--by", "bo.pub", "--by", "cy.pub"];
    let with = |need| [&["--sign", need][..], &three].concat();
    for need in ["0", "1", "4"] {
        assert!(made(&with(need)).contains("more than half"), "{need}");
    }
    let revoke = [&with("2")[..], &["--revoke", "3"]].concat();
    assert!(made(&revoke).contains("at most the 2 that sign"));
    let twice = made(&["--sign", "2", "--by", "ana.pub", "--by", "ana.pub"]);
    assert!(twice.contains("two owners' files are called ana.pub"), "{twice}");
    std::fs::copy(stage.path().join("ana.pub"), stage.path().join("ann.pub")).unwrap();
    assert!(made(&["--sign", "2", "--by", "ana.pub", "--by", "ann.pub"]).contains("stands twice"));
    let private = stage.path().join("oops.pub");
    std::fs::copy(stage.path().join("bo"), private).unwrap();
    let private = made(&["--sign", "2", "--by", "ana.pub", "--by", "oops.pub"]);
    assert!(private.contains("is a private key"), "{private}");
    keygen(stage.path(), "rsa", &["-t", "rsa", "-N", ""]);
    assert!(made(&["--sign", "1", "--by", "rsa.pub"]).contains("ssh-keygen -t ed25519"));
}

#[test]
fn what_comes_by_mail_is_shown_as_it_is_or_refused() {
    if !have_keygen() {
        return;
    }
    let stage = Stage::own();
    plain(stage.path(), &["ana", "bo", "cy", "eve"]);
    bank(&stage, "2", &["ana", "bo", "cy"], &[]);
    // Owners have directories of their own.
    let copied = Command::new("cp").args(["-r", "bank", "bos"]).current_dir(stage.path()).status();
    assert!(copied.unwrap().success());
    says(&stage, 3, &["policy", "sign", "--key", "../ana"]);
    let mail = stage.path().join("bank/pending/policy-1.pending");
    let bo = |args: &[&str]| stage.run("bos", args);
    // Another domain's object is not shown.
    stage.good(".", &["new", "other", "--sign", "1", "--by", "eve.pub"]);
    stage.run("other", &["policy", "sign"]);
    let foreign = bo(&["policy", "sign", "../other/pending/policy-1.pending", "--key", "../bo"]);
    assert_eq!(foreign.status.code(), Some(1));
    let said = text(&foreign);
    assert!(said.contains("it was not made for you to sign") && !said.contains("digest"), "{said}");
    // A payload that was exchanged under ana's signature.
    let mut swapped = std::fs::read(&mail).unwrap();
    let at = swapped.windows(7).position(|w| w == b"mutable").unwrap();
    swapped[at] = b'M';
    std::fs::write(stage.path().join("swapped.pending"), &swapped).unwrap();
    let refused = bo(&["policy", "sign", "../swapped.pending", "--key", "../bo"]);
    assert!(
        !refused.status.success() && !text(&refused).contains("signed by"),
        "{}",
        text(&refused)
    );
    // A stranger's key signs nothing, and neither does one that everybody can read.
    let stranger = bo(&["policy", "sign", mail.to_str().unwrap(), "--key", "../eve"]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(text(&stranger).contains("key of no owner of this domain"), "{}", text(&stranger));
    let open = Command::new("chmod").args(["644", "bo"]).current_dir(stage.path()).status();
    assert!(open.unwrap().success());
    let loose = bo(&["policy", "sign", mail.to_str().unwrap(), "--key", "../bo"]);
    assert!(text(&loose).contains("can be read by others"), "{}", text(&loose));
    Command::new("chmod").args(["600", "bo"]).current_dir(stage.path()).status().unwrap();
    // The genuine one is, and it says what it is; in force at bo's, and by import at ana's.
    let signed = bo(&["policy", "sign", mail.to_str().unwrap(), "--key", "../bo"]);
    let said = text(&signed);
    assert!(signed.status.success(), "{said}");
    assert!(said.starts_with("policy version 1 of domain bank"), "{said}");
    says(&stage, 0, &["policy", "import", "../bos/policy/policy-1.cbor"]);
    let again = says(&stage, 1, &["policy", "import", "../bos/policy/policy-1.cbor"]);
    assert!(again.contains("is known here already"), "{again}");
}

#[test]
fn two_policies_of_one_number_are_evidence_on_disk_and_neither_replaces_the_other() {
    if !have_keygen() {
        return;
    }
    let stage = Stage::own();
    plain(stage.path(), &["ana", "bo", "cy"]);
    bank(&stage, "2", &["ana", "bo", "cy"], &[]);
    let copied = Command::new("cp").args(["-r", "bank", "bos"]).current_dir(stage.path()).status();
    assert!(copied.unwrap().success());
    says(&stage, 0, &["policy", "sign", "--key", "../ana", "--key", "../cy"]);
    // Cy signs another first version elsewhere, with bo.
    stage.good("bos", &["add", "thief", "--", "/bin/sleep", "60"]);
    stage.good("bos", &["policy", "sign", "--key", "../cy", "--key", "../bo"]);
    let said = says(&stage, 1, &["policy", "import", "../bos/policy/policy-1.cbor"]);
    assert!(
        said.contains("two policies of version 1") && said.contains("ask the owners"),
        "{said}"
    );
    let kept = std::fs::read_dir(stage.path().join("bank/policy")).unwrap().flatten();
    let kept = kept.map(|e| e.file_name().to_string_lossy().into_owned());
    let evidence = kept.filter(|n| n.starts_with("equivocation-1-")).collect::<Vec<_>>();
    assert_eq!(evidence.len(), 1);
    let file = stage.path().join("bank/policy").join(&evidence[0]);
    let other = stage.path().join("bos/policy/policy-1.cbor");
    assert_eq!(std::fs::read(file).unwrap(), std::fs::read(other).unwrap());
    // Ours stands, and an older one comes back for nobody who has seen newer.
    let own = std::fs::read(stage.path().join("bank/policy/policy-1.cbor")).unwrap();
    std::fs::write(stage.path().join("old.cbor"), own).unwrap();
    says(&stage, 0, &["add", "web", "--", "/bin/sleep", "60"]);
    says(&stage, 0, &["policy", "sign", "--key", "../ana", "--key", "../bo"]);
    assert!(says(&stage, 1, &["policy", "import", "../old.cbor"]).contains("known here already"));
    let said = says(&stage, 1, &["policy", "import", "../bos/policy/policy-1.cbor"]);
    assert!(said.contains("two policies of version 1"), "after newer ones too: {said}");
    assert!(says(&stage, 0, &["policy", "show"]).starts_with("domain bank, version 2"));
    // One owner's own copies: the second proposal under one number is refused while the first is signed.
    says(&stage, 0, &["add", "one", "--", "/bin/sleep", "61"]);
    says(&stage, 3, &["policy", "sign", "--key", "../ana"]);
    says(&stage, 0, &["add", "two", "--", "/bin/sleep", "62"]);
    let second = says(&stage, 1, &["policy", "sign", "--key", "../ana"]);
    assert!(second.contains("casemate policy withdraw policy-3"), "{second}");
    says(&stage, 0, &["policy", "withdraw", "policy-3"]);
    says(&stage, 3, &["policy", "sign", "--key", "../ana"]);
    // What is no object at all holds nothing up.
    std::fs::write(stage.path().join("bank/pending/junk.pending"), b"junk").unwrap();
    let status = says(&stage, 0, &["policy", "status"]);
    assert!(
        status.contains("casemate policy withdraw junk") && status.contains("policy-3: 1 more")
    );
    says(&stage, 0, &["policy", "withdraw", "junk"]);
    assert!(!says(&stage, 0, &["policy", "status"]).contains("junk"));
    says(&stage, 2, &["policy", "withdraw", "junk"]);
}

#[test]
fn owners_endorse_release_revoke_and_hand_over_in_numbers_that_the_domain_says() {
    if !have_keygen() {
        return;
    }
    let stage = Stage::own();
    plain(stage.path(), &["ana", "bo", "cy", "di"]);
    bank(&stage, "2", &["ana", "bo", "cy"], &["--revoke", "1"]);
    assert!(says(&stage, 3, &["up"]).contains("no policy is signed yet"));
    says(&stage, 0, &["add", "cache", "--listen", "6379", "--", "/bin/sleep", "600"]);
    let cli = ["add", "cli", "--to", "cache", "--secret", "token", "--", "/bin/sleep", "500"];
    says(&stage, 0, &cli);
    says(&stage, 3, &["policy", "sign", "--key", "../ana"]);
    says(&stage, 0, &["policy", "sign", "policy-1", "--key", "../bo"]);
    // One endorsement is not enough.
    let up = says(&stage, 3, &["up", "--key", "../ana"]);
    assert!(up.contains("1 more signature(s) needed"), "{up}");
    assert!(says(&stage, 3, &["run", "cache"]).contains("no authority runs"));
    let waiting = std::fs::read_dir(stage.path().join("bank/pending")).unwrap().flatten();
    let mut names = waiting.map(|e| e.file_name().to_string_lossy().into_owned());
    let name = names.find(|n| n.ends_with(".pending")).unwrap();
    let name = name.trim_end_matches(".pending");
    // Each owner appraises what the authority showed; without, or with a changed bit of it, nobody signs.
    let mail = stage.path().join("bank/pending").join(format!("{name}.pending"));
    let genuine = std::fs::read(&mail).unwrap();
    for bit in [1, 400, 900] {
        let mut changed = genuine.clone();
        let at = changed.len() - 1000 + bit;
        changed[at] ^= 1;
        std::fs::write(stage.path().join("changed.pending"), changed).unwrap();
        let said = says(&stage, 1, &["policy", "sign", "../changed.pending", "--key", "../cy"]);
        assert!(
            said.contains("the authority's evidence: ") && !said.contains("signed by"),
            "{said}"
        );
    }
    let endorsed = says(&stage, 0, &["policy", "sign", name, "--key", "../cy"]);
    assert!(endorsed.contains("the authority is endorsed"), "{endorsed}");
    assert!(endorsed.contains("appraised here: genuine evidence"), "{endorsed}");
    assert!(says(&stage, 0, &["run", "cache"]).contains("admitted"));
    // A secret takes two, a revocation one; neither owner does the other's thing alone.
    std::fs::write(stage.path().join("value"), "s3cret").unwrap();
    says(&stage, 3, &["secret", "set", "token", "--file", "../value", "--key", "../ana"]);
    let set = says(&stage, 0, &["policy", "sign", "secret-token-1", "--key", "../bo"]);
    assert!(set.contains("roles it concerns under policy version 1: cli"), "{set}");
    assert!(set.contains("secret token is set, number 1"), "{set}");
    let revoked = says(&stage, 0, &["revoke", "cache", "--key", "../cy"]);
    assert!(
        revoked.contains("under policy version 1: cache") && revoked.contains("revoked, number 1")
    );
    says(&stage, 0, &["stop", "cache"]);
    assert!(says(&stage, 1, &["run", "cache"]).contains("revoked"));
    let explained = says(&stage, 1, &["explain", "cache"]);
    assert!(explained.contains("cache was refused at"), "{explained}");
    assert!(explained.contains("what is revoked never comes back"), "{explained}");
    // Cy leaves, di comes: the old two sign, and two of the new.
    std::fs::copy(stage.path().join("di.pub"), stage.path().join("bank/di.pub")).unwrap();
    let file = stage.path().join("bank/casemate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"cy.pub\"", "\"di.pub\"")).unwrap();
    let root = says(&stage, 0, &["policy", "status"]).lines().next().unwrap().to_owned();
    says(&stage, 3, &["policy", "sign", "--key", "../cy"]);
    let half = says(&stage, 3, &["policy", "sign", "signers-1", "--key", "../di"]);
    assert!(half.contains("- cy (") && half.contains("+ comes di ("), "{half}");
    let enough = says(&stage, 3, &["policy", "sign", "signers-1", "--key", "../ana"]);
    assert!(enough.contains("it counts once nothing runs"), "{enough}");
    // What the old owners still sign would be nobody's word after the change: it is made anew.
    let other = format!("sha384:{}", "ab".repeat(48));
    says(&stage, 0, &["revoke", &other, "--key", "../bo"]);
    says(&stage, 0, &["stop"]);
    let late = says(&stage, 1, &["policy", "sign", "signers-1"]);
    assert!(late.contains("it would make them nobody's word"), "{late}");
    says(&stage, 0, &["policy", "withdraw", "signers-1"]);
    says(&stage, 3, &["policy", "sign", "--key", "../cy", "--key", "../di"]);
    let done = says(&stage, 0, &["policy", "sign", "signers-1", "--key", "../ana"]);
    assert!(done.contains("the domain root stays"), "{done}");
    assert_eq!(says(&stage, 0, &["policy", "status"]).lines().next(), Some(root.as_str()));
    // What cy signed for the authority counts no longer; what was signed in their time does.
    says(&stage, 3, &["up", "--key", "../di"]);
    assert_eq!(
        says(&stage, 1, &["policy", "sign", name, "--key", "../cy"]).lines().last(),
        Some(
            "casemate: ../cy is the key of no owner of this domain; `casemate policy status` lists them"
        )
    );
    says(&stage, 0, &["policy", "sign", name, "--key", "../bo"]);
    assert!(says(&stage, 0, &["run", "cli"]).contains("admitted"));
    assert!(
        says(&stage, 1, &["run", "cache"]).contains("revoked"),
        "revocations outlive a handover"
    );
    assert!(says(&stage, 0, &["audit", "verify"]).contains("everything holds"));
    says(&stage, 0, &["add", "more", "--", "/bin/sleep", "7"]);
    says(&stage, 3, &["policy", "sign", "--key", "../di"]);
    let force = says(&stage, 0, &["policy", "sign", "policy-2", "--key", "../ana"]);
    assert!(force.contains("is in force: the authority has it"), "{force}");
    // Started again, the owners are not asked again.
    says(&stage, 0, &["stop"]);
    says(&stage, 0, &["up"]);
}
