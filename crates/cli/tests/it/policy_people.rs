//! Who knows only the README: writes a policy for two programs in two places, breaks it, and is told each time what is wrong and where.

use crate::stage::Stage;

/// A block of the README that follows a marker.
fn block(marker: &str) -> String {
    let readme = include_str!("../../../../README.md");
    let (_, rest) = readme.split_once(marker).unwrap_or_else(|| panic!("README has no {marker}"));
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The README's policy, with digests where it leaves them out, in a domain of its own.
fn written(stage: &Stage) -> String {
    stage.good(".", &["new", "shop"]);
    let mut text = block("<!-- policy -->");
    for digit in ["a", "b", "c"] {
        text = text.replacen("sha384:…", &format!("sha384:{}", digit.repeat(96)), 1);
    }
    std::fs::write(stage.path().join("shop/casemate.toml"), &text).unwrap();
    std::fs::write(stage.path().join("shop/casemate.test.toml"), block("<!-- examples -->"))
        .unwrap();
    text
}

#[test]
fn who_knows_only_the_readme_writes_a_policy_and_is_told_what_is_wrong_and_where() {
    let stage = Stage::own();
    let good = written(&stage);
    let file = stage.path().join("shop/casemate.toml");
    let checked = stage.good("shop", &["policy", "check"]);
    assert!(
        checked.ends_with("2 programs on 1 kinds of hardware: no mistakes found\n"),
        "{checked}"
    );
    let tested = stage.good("shop", &["policy", "test", "--file"]);
    assert!(tested.contains("3 examples, 0 failed"), "{tested}");
    for (from, to, says) in [
        ("listen = [6379]", "lisen = [6379]", "unknown field `lisen`; did you mean `listen`?"),
        ("in = [\"eu\"]", "in = [\"ue\"]", "unknown place `ue`; there are `eu`, `us`"),
        (
            "connect = [\"cache\"]",
            "connect = [\"cash\"]",
            "unknown role `cash`; did you mean `cache`?",
        ),
        ("in = [\"eu\"]\n", "\n", "the program may run anywhere although [place] names places"),
        ("on = [\"snp\"]", "on = [\"software\"]", "has no [hardware] section"),
        ("machines = \"any-genuine\"", "machines = \"any\"", "expected \"any-genuine\" or a list"),
        ("[program.api]", "[program.сache]", "which looks like 'c'"),
        (
            "secrets = [\"db-password\"]",
            "secrets = [\"db-password\", \"db_password\"]",
            "looks like",
        ),
        ("snp-2026-11", "snp-2026-12", "did you mean `snp-2026-11`?"),
        ("listen = [6379]", "listen = 6379]", "casemate.toml:"),
    ] {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good, "the README has no {from:?}");
        std::fs::write(&file, &broken).unwrap();
        let output = stage.run("shop", &["policy", "check"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{from} -> {to}: {said}");
        let told = said.lines().find(|l| l.contains(says));
        let told = told.unwrap_or_else(|| panic!("{from} -> {to}: {said}"));
        // The line that was broken, or for what was left out the program it belongs to.
        let line = told.split(':').nth(1).unwrap().parse::<usize>().unwrap();
        let word = to.trim().lines().next().unwrap_or_default();
        let at = broken.lines().nth(line - 1).unwrap();
        assert!(at.contains(word) || (word.is_empty() && at == "[program.api]"), "{told}\n{at}");
        // Signing is refused with the same words.
        let signed = stage.run("shop", &["policy", "sign"]);
        assert_eq!(signed.status.code(), Some(2), "{from} -> {to}");
        assert!(String::from_utf8_lossy(&signed.stderr).contains(says), "{from} -> {to}");
    }
    // All at once, for programs too.
    let broken = good.replacen("listen", "lisen", 1).replacen("[\"eu\"]", "[\"moon\"]", 1);
    std::fs::write(&file, broken).unwrap();
    let output = stage.run("shop", &["policy", "check", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["file"]), (Some(2), &"casemate.toml".into()));
    let all = json["mistakes"].as_array().unwrap();
    let errors = all.iter().filter(|m| m["severity"] == "error").collect::<Vec<_>>();
    assert!(errors.len() >= 2 && errors.iter().all(|m| m["line"].is_u64()), "{json}");
}

#[test]
fn a_policy_whose_examples_fail_is_signed_only_when_that_is_said() {
    let stage = Stage::own();
    let good = written(&stage);
    let file = stage.path().join("shop/casemate.toml");
    std::fs::write(&file, good.replacen("in = [\"eu\"]", "in = [\"eu\", \"us\"]", 1)).unwrap();
    let output = stage.run("shop", &["policy", "test", "--file"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED  casemate.test.toml:"), "{said}");
    let json = stage.run("shop", &["policy", "test", "--file", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["failed"], 1);
    let refused = stage.run("shop", &["policy", "sign"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--untested"));
    let before = stage.good("shop", &["policy", "show"]);
    assert!(before.starts_with("domain shop, version 1,"), "{before}");
    let signed = stage.good("shop", &["policy", "sign", "--untested"]);
    assert!(signed.contains("although 1 example(s) fail, as asked"), "{signed}");
    std::fs::write(stage.path().join("shop/casemate.test.toml"), "[[tests]]").unwrap();
    let unread = stage.run("shop", &["policy", "test"]);
    assert_eq!(unread.status.code(), Some(2));
    let said = String::from_utf8_lossy(&unread.stderr);
    assert!(said.contains("casemate.test.toml:1:3: error: unknown field `tests`"), "{said}");
}

#[test]
fn what_if_names_the_nearest_missing_fact_and_the_change() {
    let stage = Stage::own();
    written(&stage);
    stage.good("shop", &["policy", "sign"]);
    let asked = |args: &[&str]| {
        let mut all = vec!["explain", "--what-if"];
        all.extend(args);
        let output = stage.run("shop", &all);
        let (out, err) = (output.stdout, output.stderr);
        let said = [out, err].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = asked(&["api", "--on", "snp", "--in", "eu"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("admitted as api") && said.contains("connect: cache"), "{said}");
    let (code, said) = asked(&["api", "--in", "us"]);
    assert_eq!(code, 1);
    assert!(said.contains("program.in: expected eu, got us"), "{said}");
    assert!(said.contains("add \"us\" to `in` of [program.api] in casemate.toml"), "{said}");
    let (code, said) = asked(&["api", "--on", "software"]);
    assert!(code == 1 && said.contains("hardware kind: expected snp, got software"), "{said}");
    let stranger = format!("sha384:{}", "d".repeat(96));
    let (code, said) = asked(&["--measurement", &stranger, "--on", "snp", "--ask", "api"]);
    assert!(code == 1 && said.contains("casemate add api -- COMMAND"), "{said}");
    let image = format!("sha384:{}", "e".repeat(96));
    let (code, said) = asked(&["api", "--in", "eu", "--image", &image, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["missing"][0]["rule"]), (1, &"image".into()));
    for (args, says) in [
        (&["thief"][..], "name one of the policy"),
        (&[], "suppose which program"),
        (&["--measurement", "sha384:00"], "96 lower-case hex digits"),
        (&["api", "--host", "melted"], "measured or mutable"),
        (&["api", "--evidence", "casemate.toml"], "casemate.toml: "),
    ] {
        let (code, said) = asked(args);
        assert!(code == 2 && said.contains(says), "{args:?}: {said}");
    }
    // `up` starts a monitor on the software platform: nothing is started that the policy does not take.
    let output = stage.run("shop", &["up"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not trust this executable"));
    assert!(!stage.path().join("shop/run").exists());
    let output = stage.run("shop", &["explain", "api", "--on", "snp"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--what-if"));
}

#[test]
fn any_two_versions_are_compared_and_shown_from_here_or_another_folder() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "web", "--listen", "8000", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["add", "api", "--to", "web", "--", "/bin/sleep", "61"]);
    let first = "widens   policy: program: + web\n";
    assert_eq!(stage.good("shop", &["policy", "diff", "1", "2"]), first);
    let back = stage.good("shop", &["policy", "diff", "3", "1"]);
    assert_eq!(back, "narrows  policy: program: - api\nnarrows  policy: program: - web\n");
    assert_eq!(stage.good("shop", &["policy", "diff", "2"]), "widens   policy: program: + api\n");
    let folder = stage.path().join("kept");
    std::fs::create_dir(&folder).unwrap();
    for n in [1, 2] {
        let name = format!("policy-{n}.cbor");
        std::fs::copy(stage.path().join("shop/policy").join(&name), folder.join(&name)).unwrap();
    }
    assert_eq!(stage.good("shop", &["policy", "diff", "1", "2", "--from", "../kept"]), first);
    let shown = stage.good("shop", &["policy", "show", "1", "--from", "../kept"]);
    assert!(shown.starts_with("domain shop, version 1,") && !shown.contains("web"), "{shown}");
    for (args, says) in [
        (&["policy", "diff", "1", "9"][..], "there are 1 to 3"),
        (&["policy", "show", "3", "--from", "../kept"], "there are 1 to 2"),
        (&["policy", "show", "1", "--from", "../nowhere"], "is no folder"),
    ] {
        let output = stage.run("shop", args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{args:?}");
    }
    // Versions that the owners did not sign are none.
    std::fs::write(folder.join("policy-2.cbor"), b"junk").unwrap();
    assert_eq!(
        stage.run("shop", &["policy", "show", "1", "--from", "../kept"]).status.code(),
        Some(1)
    );
}
