//! `casemate policy ask` as a person types it: a proof, a counterexample with what would make it real, and typing mistakes.

use crate::stage::Stage;
use trust::signing::SigningKey;

#[test]
fn a_question_is_answered_with_a_proof_or_a_counterexample_in_the_policys_words() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good(
        "shop",
        &["add", "web", "--listen", "80", "--secret", "db", "--", "/bin/sleep", "60"],
    );
    stage.good("shop", &["add", "cli", "--to", "web", "--", "/bin/sleep", "61"]);
    let said = |args: &[&str], code: i32| {
        let output = stage.run("shop", &[&["policy", "ask"], args].concat());
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    };
    assert!(said(&["only", "web", "read", "db"], 0).starts_with("holds     only web can read db"));
    let found = said(&["only", "cli", "read", "db"], 1);
    assert!(found.contains("DOES NOT") && found.contains("web may read db"), "{found}");
    assert!(said(&["only", "cli", "connect", "web"], 0).starts_with("holds"));
    assert!(said(&["only", "nobody", "connect", "web"], 1).contains("cli may connect to web"));
    let production = said(&["production"], 1);
    assert!(production.contains("which is development"), "{production}");
    assert!(said(&["within", "DE"], 1).contains("is confined to no place"));
    assert!(said(&["no-one"], 1).contains("signs a policy alone"));
    // A delegation that lets an issuer say a country changes the answer, before anything is signed.
    let file = stage.path().join("shop/casemate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let audit = SigningKey::from_seed([40; 32]).unwrap().public_openssh().unwrap();
    let placed = |codes: &str| {
        let place = format!(
            "\n[place.eu]\ncountries = [\"DE\", \"US\"]\nneed = 1\nlevel = 1\nbasis = [\"auditor-visit\"]\nage-days = 30\n\
[issuer.audit]\nkey = \"{audit}\"\nholder = \"Audit Ltd\"\nmay = {{ place = [{codes}] }}\ndepth = 0\nuntil = \"2036-01-01T00:00:00Z\"\n"
        );
        let confined =
            text.replace("\non = [\"software\"]", "\non = [\"software\"]\nin = [\"eu\"]");
        std::fs::write(&file, confined + &place).unwrap();
    };
    placed("\"DE\"");
    assert!(said(&["within", "DE"], 0).contains("web in eu: DE"));
    placed("\"DE\", \"US\"");
    let found = said(&["within", "DE"], 1);
    assert!(found.contains("may say US") && found.contains("if audit says: machine"), "{found}");
    assert!(said(&["within", "DE,US"], 0).starts_with("holds"));
    let keys = said(&["keys"], 0);
    assert!(
        keys.contains("place eu: 1 of these, independent of each other: audit (Audit Ltd)"),
        "{keys}"
    );
    let all = said(&[], 1);
    for part in [
        "only web can read db",
        "only cli can connect to web",
        "no single person",
        "who can make true",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let json = stage.run("shop", &["policy", "ask", "within", "DE", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["answers"][0]["holds"], false);
    assert_eq!(json["answers"][0]["counterexamples"][0]["claims"][0]["issuer"], "audit");
    // What is signed says otherwise still.
    assert!(said(&["--in-force", "within", "DE,US"], 1).contains("is confined to no place"));
    // What is not in the policy is a typing mistake, and not an answer.
    for (args, says) in [
        (vec!["only", "wbe", "read", "db"], "there are cli, web"),
        (vec!["only", "web", "read", "bd"], "there are db"),
        (vec!["within", "Germany"], "two capital letters"),
    ] {
        let said = said(&args, 2);
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
