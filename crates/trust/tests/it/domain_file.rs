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
[program.shop]
releases = [{{ product = "shop-server", from = 3 }}]
builds = ["git+https://shop.example/shop"]
on = ["software"]
in = ["office"]
[issuer.maker]
key = "{maker}"
holder = "Maker Ltd"
may = {{ release = ["shop-server"], build = "any", upgrade = ["web"] }}
depth = 1
until = "2027-01-01T00:00:00Z"
[issuer.audit]
key = "{audit}"
holder = "Audit Ltd"
may = {{ place = ["DE"] }}
depth = 0
until = "2027-01-01T00:00:00Z"
[place.office]
countries = ["DE"]
need = 1
level = 2
basis = ["auditor-visit"]
age-days = 90
"#,
        maker = public(7),
        audit = public(8),
        root = "ab".repeat(32),
        image = "cd".repeat(48)
    )
}

fn public(seed: u8) -> String {
    trust::signing::SigningKey::from_seed([seed; 32]).unwrap().public_openssh().unwrap()
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
        ("[{ product", "[{ product = \"Shop\", from = 1 }, { product", "program.shop.releases"),
        ("git+https://shop.example/shop", "shop?branch=x", "program.shop.builds"),
        ("key = \"ssh-ed25519 A", "key = \"ssh-rsa A", "issuer.maker.key"),
        ("\"Maker Ltd\"", "\" Maker\"", "issuer.maker.holder"),
        ("\"Maker Ltd\"", "\"Ma\\u200bker\"", "issuer.maker.holder"),
        ("[\"shop-server\"]", "[\"shop-serve\"]", "issuer.maker.may.release"),
        ("[\"shop-server\"]", "\"all\"", "issuer.maker.may.release"),
        ("[\"shop-server\"]", "[]", "issuer.maker.may.release"),
        ("upgrade = [\"web\"]", "upgrade = [\"apl\"]", "issuer.maker.may.upgrade"),
        ("upgrade = [\"web\"]", "upgrade = [\"web\", \"web\"]", "issuer.maker.may.upgrade"),
        ("place = [\"DE\"]", "place = [\"de\"]", "issuer.audit.may.place"),
        ("depth = 1", "depth = 9", "issuer.maker.depth"),
        ("until = \"2027-01-01T00:00:00Z\"", "until = \"2027-01-01\"", "issuer.maker.until"),
        ("countries = [\"DE\"]", "countries = [\"Germany\"]", "place.office.countries"),
        ("need = 1\nlevel", "need = 0\nlevel", "place.office.need"),
        ("level = 2", "level = 4", "place.office.level"),
        ("auditor-visit", "auditor", "place.office.basis"),
        ("age-days = 90", "age-days = 0", "place.office.age-days"),
        ("age-days = 90", "", "place.office"),
        ("age-days = 90", "age-days = 90\naws-vlek = \"x\"", "place.office"),
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
        ("may = { place = [\"DE\"] }", "may = {}", "issuer.audit.may"),
        ("need = 1\nlevel", "need = 2\nlevel", "place.office.need"),
        ("place = [\"DE\"]", "place = [\"FR\"]", "place.office.need"),
        ("countries = [\"DE\"]", "countries = []", "place.office.countries"),
        ("basis = [\"auditor-visit\"]", "basis = []", "place.office.basis"),
    ] {
        let DomainFileError::Impossible { field, .. } = refused(from, to) else {
            panic!("{from} -> {to}: {}", refused(from, to))
        };
        assert_eq!(field, name, "{from} -> {to}");
    }
    // A measurement may be left out only where something else can stand in for it.
    let none = good().replace("upgrade = [\"web\"]", "upgrade = [\"shop\"]");
    let none = none.replacen("measurement = [", "measurement = [] # [", 1);
    let DomainFileError::Impossible { field, .. } = compile(&none).unwrap_err() else { panic!() };
    assert_eq!(field, "program.api.measurement");
    let twice = good().replace(&public(8), &public(7));
    let DomainFileError::Impossible { field, .. } = compile(&twice).unwrap_err() else { panic!() };
    assert!(field.contains("which is that of issuer.audit"), "{field}");
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
