//! The domain file: every value that makes no sense and every demand nothing could meet, by the field's name.

use evidence::DomainRoot;
use trust::DomainFile;
use trust::domain::{DomainFileError, LEN_MAX};

/// A domain on both kinds of hardware.
fn good() -> String {
    format!(
        r#"
format = 1
domain = "shop"
sign = {{ need = 1, by = ["ana.pub"] }}
[hardware.software]
root = ["sha256:{root}"]
image = ["sha384:{image}"]
machines = ["0a0b"]
isolation = ["software"]
host = ["mutable"]
[hardware.snp]
profile = "snp-2026-11"
image = ["sha384:{image}"]
machines = "any-genuine"
[place]
eu = {{ aws-vlek = "eu-central-1" }}
[program.api]
measurement = ["sha384:{image}"]
on = ["software"]
connect = ["api"]
[program.web]
measurement = ["sha384:{image}"]
on = ["snp"]
in = ["eu"]
"#,
        root = "ab".repeat(32),
        image = "cd".repeat(48)
    )
}

fn compile(text: &str) -> Result<trust::Policy, DomainFileError> {
    DomainFile::parse(text)?.compile(DomainRoot::new([1; 32]), 1, None, |_| None)
}

fn refused(from: &str, to: &str) -> DomainFileError {
    let text = good().replacen(from, to, 1);
    assert_ne!(text, good(), "{from}");
    compile(&text).unwrap_err()
}

#[test]
fn each_value_that_makes_no_sense_is_refused_by_its_field() {
    compile(&good()).unwrap();
    for (from, to, name) in [
        ("format = 1", "format = 2", "format"),
        ("\"shop\"", "\"shop/\"", "domain"),
        ("sha256:ab", "sha256:AB", "hardware.software.root"),
        ("sha256:ab", "sha384:ab", "hardware.software.root"),
        ("sha384:cd", "sha384:cdc", "hardware.software.image"),
        ("[\"0a0b\"]", "[\"0a0\"]", "hardware.software.machines"),
        ("[\"0a0b\"]", "[\"0000\"]", "hardware.software.machines"),
        ("[\"0a0b\"]", "[\"\"]", "hardware.software.machines"),
        ("[\"0a0b\"]", "\"any\"", "hardware.software.machines"),
        ("[\"software\"]\nhost", "[\"hardware\"]\nhost", "hardware.software.isolation"),
        ("[\"mutable\"]", "[\"Mutable\"]", "hardware.software.host"),
        ("\"any-genuine\"", "\"any\"", "hardware.snp.machines"),
        ("image = [\"sha384:cdcd", "image = [\"sha384:cd", "hardware.software.image"),
        (
            "profile = \"snp-2026-11\"\nimage = [\"sha384:",
            "profile = \"snp-2026-11\"\nimage = [\"sha256:",
            "hardware.snp.image",
        ),
        (
            "profile = \"snp-2026-11\"\nimage = [",
            "profile = \"snp-2026-11\"\nimage = \"node.corim\" #",
            "hardware.snp.image",
        ),
        ("snp-2026-11", "snp-1999-01", "hardware.snp.profile"),
        ("\non = [\"software\"]", "\non = [\"sev\"]", "program.api.on"),
        ("connect = [\"api\"]", "connect = [\"API\"]", "program.api.connect"),
        ("[program.api]", "[program.\"a/b\"]", "program.a/b."),
        ("in = [\"eu\"]", "in = [\"moon\"]", "program.web.in"),
    ] {
        let DomainFileError::Value { field, .. } = refused(from, to) else {
            panic!("{from} -> {to}: {}", refused(from, to))
        };
        assert_eq!(field, name, "{from} -> {to}");
    }
}

#[test]
fn each_demand_that_nothing_could_meet_is_refused_by_its_field() {
    let software = "[hardware.software]";
    for (from, to, name) in [
        ("\non = [\"software\"]", "\non = []", "program.api.on"),
        ("connect = [\"api\"]", "in = [\"eu\"]", "program.api.in"),
        ("measurement = [", "measurement = [] # [", "program.api.measurement"),
    ] {
        let DomainFileError::Impossible { field, .. } = refused(from, to) else {
            panic!("{from} -> {to}: {}", refused(from, to))
        };
        assert_eq!(field, name, "{from} -> {to}");
    }
    let begin = good().find(software).unwrap();
    let end = good().find("[hardware.snp]").unwrap();
    let mut without = good();
    without.replace_range(begin..end, "");
    let DomainFileError::Impossible { field, .. } = compile(&without).unwrap_err() else {
        panic!()
    };
    assert_eq!(field, "program.api.on", "a kind of hardware without its section");
}

#[test]
fn what_is_no_toml_unknown_twice_or_missing_is_refused_with_its_line() {
    for (from, to, says) in [
        ("format = 1", "format = ", "line 2"),
        ("format = 1", "format = 1\nformat = 1", "duplicate key"),
        ("format = 1", "format = -1", "line 2"),
        ("host =", "hosts =", "did you mean `host`?"),
        ("machines = [\"0a0b\"]", "", "missing field `machines`"),
        ("[place]", "[places]", "did you mean `place`?"),
        ("[hardware.snp]", "[hardware.snq]", "did you mean `snp`?"),
        ("aws-vlek", "aws", "unknown field `aws`"),
    ] {
        let DomainFileError::Toml(said) = refused(from, to) else {
            panic!("{from} -> {to}: {}", refused(from, to))
        };
        assert!(said.contains(says), "{from} -> {to}: {said}");
    }
    let long = " ".repeat(LEN_MAX + 1);
    assert_eq!(DomainFile::parse(&long), Err(DomainFileError::TooLong(LEN_MAX + 1)));
}

#[test]
fn an_unknown_word_of_any_length_costs_no_more_than_reading_it() {
    let begin = std::time::Instant::now();
    let text = good().replacen("format = 1", &format!("{} = 1", "x".repeat(LEN_MAX / 2)), 1);
    assert!(matches!(DomainFile::parse(&text), Err(DomainFileError::Toml(_))));
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}
