//! Claims as people make them: an auditor and a maker, each with a key of `ssh-keygen`'s form, let a program in that the
//! owners never measured; what they take back, or the owners revoke, lets it in no longer.

use crate::stage::Stage;
use trust::signing::SigningKey;

fn keyfile(stage: &Stage, name: &str, seed: u8) -> String {
    let key = SigningKey::from_seed([seed; 32]).unwrap();
    let path = stage.path().join(name);
    std::fs::write(&path, key.to_openssh(name).unwrap()).unwrap();
    std::fs::write(path.with_extension("pub"), key.public_openssh().unwrap()).unwrap();
    key.public_openssh().unwrap()
}

/// What the command says when it refuses, and how it ends.
fn refused(stage: &Stage, dir: &str, args: &[&str]) -> (i32, String) {
    let output = stage.run(dir, args);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

/// Run, it is not admitted, for this reason; and it runs no longer.
fn turned_away(stage: &Stage, why: &str) {
    let (_, said) = refused(stage, "shop", &["run", "api"]);
    assert!(said.contains(why), "{said}");
    stage.good("shop", &["stop", "api"]);
}

#[test]
fn others_than_the_owners_let_a_program_in_and_take_that_back() {
    let stage = Stage::own();
    let (maker, audit) = (keyfile(&stage, "maker", 31), keyfile(&stage, "audit", 32));
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "api", "--", "/bin/sleep", "60"]);
    let measured = stage.good("shop", &["measure", "api"]);
    let measured =
        measured.split_whitespace().find(|w| w.starts_with("sha384:")).unwrap().to_owned();
    let file = stage.path().join("shop/casemate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let machine = machine(&stage);
    // The owners trust releases from version 3 on, on machines that an auditor saw in Germany.
    let text = text.replace(
        &format!("measurement = [\"{measured}\"]"),
        "releases = [{ product = \"api-server\", from = 3 }]\nin = [\"de\"]",
    );
    let more = format!(
        "\n[issuer.maker]\nkey = \"{maker}\"\nholder = \"Maker Ltd\"\nmay = {{ release = [\"api-server\"] }}\ndepth = 0\nuntil = \"2036-01-01T00:00:00Z\"\n\
[issuer.audit]\nkey = \"{audit}\"\nholder = \"Audit Ltd\"\nmay = {{ place = [\"DE\"] }}\ndepth = 0\nuntil = \"2036-01-01T00:00:00Z\"\n\
[place.de]\ncountries = [\"DE\"]\nneed = 1\nlevel = 2\nbasis = [\"auditor-visit\"]\nage-days = 90\n"
    );
    std::fs::write(&file, text + &more).unwrap();
    stage.good("shop", &["policy", "check"]);
    stage.good("shop", &["policy", "sign"]);
    let shown = stage.good("shop", &["policy", "show"]);
    for part in ["issuer maker (Maker Ltd)", "release of api-server", "place de", "from version 3"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    stage.good("shop", &["up"]);
    turned_away(&stage, "a measurement the policy trusts");

    let release = |version: &str, out: &str| {
        stage.good(
            "shop",
            &[
                "claim",
                "release",
                "api-server",
                version,
                &measured,
                "--anybody",
                "--key",
                "../maker",
                "--out",
                out,
            ],
        );
    };
    release("2", "old.claim");
    release("3", "new.claim");
    let place = [
        "claim",
        "place",
        "--machine",
        &machine,
        "--country",
        "DE",
        "--site",
        "Frankfurt, hall 3",
        "--operator",
        "Host GmbH",
        "--basis",
        "auditor-visit",
        "--level",
        "2",
        "--key",
        "../audit",
        "--out",
        "hall3.claim",
        "--send",
    ];
    assert!(stage.good("shop", &place).contains("the authority has claim"));
    let shown = stage.good("shop", &["claim", "show", "new.claim", "hall3.claim"]);
    assert!(shown.contains("is api-server version 3") && shown.contains("stands in DE"), "{shown}");
    stage.good("shop", &["claim", "send", "old.claim"]);
    turned_away(&stage, "vouches now");
    stage.good("shop", &["claim", "send", "new.claim"]);
    assert!(stage.good("shop", &["run", "api"]).contains("admitted: as api"));
    let why = stage.good("shop", &["explain", "api"]);
    for part in [
        "says: program",
        "is api-server version 3",
        "stands in de",
        "re-checked now by the independent checker: holds",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let listed = stage.good("shop", &["claim", "ls"]);
    assert!(
        listed.contains("maker (Maker Ltd): program") && listed.lines().count() == 3,
        "{listed}"
    );
    assert!(stage.good("shop", &["audit", "verify"]).contains("everything holds"));

    // Taken back by whoever said it; said again, and its issuer revoked by the owners.
    stage.good("shop", &["stop", "api"]);
    stage.good("shop", &["claim", "withdraw", "new.claim", "--key", "../maker", "--send"]);
    turned_away(&stage, "vouches now");
    release("4", "newer.claim");
    stage.good("shop", &["claim", "send", "newer.claim"]);
    assert!(stage.good("shop", &["run", "api"]).contains("admitted: as api"));
    stage.good("shop", &["stop", "api"]);
    stage.good("shop", &["revoke", "issuer:maker"]);
    turned_away(&stage, "vouches now");
    stage.good("shop", &["stop"]);
    // All of it is still there after a restart.
    stage.good("shop", &["up"]);
    turned_away(&stage, "vouches now");
    assert_eq!(stage.good("shop", &["claim", "ls"]).lines().count(), 5);
    stage.good("shop", &["stop"]);
}

/// The id of the domain's software machine.
fn machine(stage: &Stage) -> String {
    let text = stage.good("shop", &["doctor"]);
    let line = text.lines().find(|l| l.contains("machine id")).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn claims_that_cannot_be_made_read_or_sent_say_why() {
    let stage = Stage::own();
    keyfile(&stage, "maker", 31);
    let zeros = format!("sha384:{}", "0".repeat(96));
    let root = "ab".repeat(32);
    for (args, code, says) in [
        (
            vec!["claim", "program", "api", "sha384:00", "--key", "maker", "--domain", &root],
            2,
            "96 lower-case hex digits",
        ),
        (
            vec!["claim", "program", "Api", &zeros, "--key", "maker", "--domain", &root],
            2,
            "lower-case letters",
        ),
        (vec!["claim", "program", "api", &zeros, "--key", "none", "--domain", &root], 2, "none"),
        (
            vec!["claim", "program", "api", &zeros, "--key", "maker.pub", "--domain", &root],
            2,
            "not an OpenSSH private key",
        ),
        (
            vec!["claim", "program", "api", &zeros, "--key", "maker", "--anybody"],
            2,
            "names no domain",
        ),
        (
            vec!["claim", "program", "api", &zeros, "--key", "maker", "--domain", "ab"],
            2,
            "64 lower-case hex digits",
        ),
        (vec!["claim", "program", "api", &zeros, "--key", "maker"], 2, "casemate new"),
        (vec!["claim", "show", "maker"], 2, "maker: claim:"),
        (vec!["claim", "show", "none"], 2, "none"),
    ] {
        let (got, said) = refused(&stage, ".", &args);
        assert!(said.contains(says), "{args:?}: {said}");
        assert_eq!(got, code, "{args:?}: {said}");
    }
    stage.good(
        ".",
        &[
            "claim",
            "release",
            "api",
            "1",
            &zeros,
            "--key",
            "maker",
            "--anybody",
            "--out",
            "a.claim",
        ],
    );
    let mut bytes = std::fs::read(stage.path().join("a.claim")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(stage.path().join("b.claim"), bytes).unwrap();
    let (code, said) = refused(&stage, ".", &["claim", "show", "a.claim", "b.claim"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("b.claim") && said.contains("does not verify"), "{said}");
    let json = stage.good(".", &["claim", "show", "a.claim", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[0]["verb"], &json[0]["domain"]),
        (&"release".into(), &serde_json::Value::Null)
    );
}
