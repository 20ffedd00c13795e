//! Examples beside a policy: they hold, they fail and say why, and none that is not understood is passed over.

use trust::domain::examples::{self, Example, Tried};
use trust::permission::Permissions;
use trust::{Policy, RoleName};

use owners::changed;

fn policy() -> Policy {
    changed(|p| {
        p.programs[0].connect = vec![RoleName::new("api").unwrap()];
        p.programs[0].secrets = vec!["db-password".into()];
    })
}

fn parse(text: &str) -> Vec<Example> {
    examples::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn tried(text: &str) -> Tried {
    let policy = policy();
    parse(text)[0].run(&policy, &Permissions::compile(&policy).unwrap())
}

const GOOD: &str = "[[test]]\nname = \"the web server gets in\"\nprogram = \"web\"\non = \"software\"\n\
                    expect = \"admitted\"\nmay = [\"connect api\", \"listen 80\", \"read db-password\"]\n\
                    may-not = [\"serve anonymous\", \"listen 81\"]\n";

fn stranger() -> String {
    format!(
        "[[test]]\nname = \"a stranger stays out\"\nmeasurement = \"sha384:{}\"\non = \"software\"\n\
         expect = \"refused\"\nbecause = \"program\"\n",
        "ee".repeat(48)
    )
}

#[test]
fn examples_hold_for_the_policy_they_are_of() {
    let (web, out) = (tried(GOOD), tried(&stranger()));
    assert!(web.holds && out.holds, "{web:?} {out:?}");
    assert_eq!((web.found.as_str(), out.found.as_str()), ("admitted as web", "refused by program"));
    let all = parse(&format!("{GOOD}\n{}", stranger()));
    assert_eq!(all.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 10]);
}

#[test]
fn an_example_that_fails_says_what_was_found() {
    for (from, to, says) in [
        ("\"admitted\"", "\"refused\" #", ""),
        ("connect api", "connect web", "may not connect web"),
        ("listen 81", "listen 80", "may listen 80"),
        ("\"web\"", "\"wep\"", "wep is no program of the policy"),
        ("\"software\"", "\"snp\"", "hardware kind: expected software, got snp"),
        ("on =", "ask = \"api\"\non =", "role: expected web, got api"),
        ("on =", "host = \"measured\"\non =", "host: expected mutable, got measured"),
    ] {
        let mut text = GOOD.replacen(from, to, 1);
        if says.is_empty() {
            text = text.lines().filter(|l| !l.starts_with("may")).collect::<Vec<_>>().join("\n");
        }
        let tried = tried(&text);
        assert!(!tried.holds && tried.found.contains(says), "{from} -> {to}: {}", tried.found);
    }
    // Refused for another reason than was expected is a failure too.
    let other = tried(&stranger().replacen("\"program\"", "\"program.in\"", 1));
    assert!(!other.holds && other.found == "refused by program, expected by program.in");
}

#[test]
fn examples_that_are_not_understood_are_refused_with_their_place() {
    for (from, to, says) in [
        ("expect =", "expects =", "did you mean `expect`?"),
        ("\"admitted\"", "\"admited\"", "did you mean `admitted`?"),
        ("[[test]]", "[[tests]]", "did you mean `test`?"),
        ("program =", "measurement = \"sha384:00\"\nprogram =", "one of them"),
        ("program = \"web\"", "", "say who"),
        ("connect api", "conect api", "`connect ROLE`"),
        ("on = \"software\"", "on = \"sofware\"", "did you mean `software`?"),
        ("may =", "because = \"role\"\nmay =", "expected to be admitted"),
        ("\"admitted\"", "\"refused\"", "expected to be refused"),
        ("name =", "", "line 2"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let said = examples::parse(&text).unwrap_err().to_string();
        assert!(said.contains(says), "{from} -> {to}: {said}");
    }
    assert!(examples::parse("").unwrap_err().to_string().contains("[[test]]"));
}
