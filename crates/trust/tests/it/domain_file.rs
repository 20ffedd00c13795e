//! The domain file: every value that makes no sense and every demand nothing could meet, by the field's name.

use evidence::DomainRoot;
use trust::DomainFile;
use trust::domain::{DomainFileError, LEN_MAX, MISTAKES_MAX, Mistake, Severity, Wrong};

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
in = "anywhere"
listen = [80]
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

/// The one error that a change makes.
fn one(from: &str, to: &str) -> Mistake {
    let all = refused(from, to);
    let mut errors = all.mistakes().iter().filter(|m| m.severity == Severity::Error);
    let first = errors.next().unwrap().clone();
    assert_eq!(errors.next(), None, "{from} -> {to}");
    first
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
        ("build = \"any\"", "build = [\"git:x\"]", "issuer.maker.may.build"),
        ("upgrade = [\"web\"]", "upgrade = [\"wbe\"]", "issuer.maker.may.upgrade"),
        ("place = [\"DE\"]", "place = [\"de\"]", "issuer.audit.may.place"),
        ("depth = 1", "depth = 9", "issuer.maker.depth"),
        ("until = \"2027-01-01T00:00:00Z\"", "until = \"2027-01-01\"", "issuer.maker.until"),
        ("countries = [\"DE\"]", "countries = [\"Germany\"]", "place.office.countries"),
        ("need = 1\nlevel", "need = 0\nlevel", "place.office.need"),
        ("level = 2", "level = 4", "place.office.level"),
        ("auditor-visit", "auditor", "place.office.basis"),
        ("age-days = 90", "age-days = 0", "place.office.age-days"),
    ] {
        let all = refused(from, to);
        let first = all.mistakes().iter().find(|m| m.severity == Severity::Error).unwrap();
        assert_eq!(first.field, name, "{from} -> {to}: {first}");
        let known = matches!(first.wrong, Wrong::Value { .. } | Wrong::Unknown { .. });
        assert!(known, "{from} -> {to}: {first}");
    }
}

#[test]
fn each_demand_that_nothing_could_meet_is_refused_by_its_field() {
    let software = "[hardware.software]";
    for (from, to, name) in [
        ("\non = [\"software\"]", "\non = []", "program.api.on"),
        ("in = \"anywhere\"", "in = [\"eu\"]", "program.api.in"),
        ("may = { place = [\"DE\"] }", "may = {}", "issuer.audit.may"),
        ("[\"shop-server\"], build", "[], build", "issuer.maker.may.release"),
        ("need = 1\nlevel", "need = 2\nlevel", "place.office.need"),
        ("place = [\"DE\"]", "place = [\"FR\"]", "place.office.need"),
        ("countries = [\"DE\"]", "countries = []", "place.office.countries"),
        ("basis = [\"auditor-visit\"]", "basis = []", "place.office.basis"),
        ("age-days = 90", "age-days = 90\naws-vlek = \"x\"", "place.office"),
        ("measurement = [", "measurement = [] # [", "program.api.measurement"),
    ] {
        let all = refused(from, to);
        let found = all.mistakes().iter().find(|m| matches!(m.wrong, Wrong::Impossible { .. }));
        assert_eq!(found.map(|m| m.field.as_str()), Some(name), "{from} -> {to}: {all}");
    }
    // A measurement may be left out only where something else can stand in for it; one key is one voice.
    let none = good().replacen("measurement = [", "measurements = [", 1);
    let all = compile(&none).unwrap_err().to_string();
    assert!(all.contains("an issuer stand in for it"), "{all}");
    let vouched =
        good().replacen(&format!("measurement = [\"sha384:{}\"]\n", "cd".repeat(48)), "", 1);
    let vouched = vouched.replace("upgrade = [\"web\"]", "program = [\"api\"]");
    assert!(compile(&vouched).unwrap().programs[0].measurements.is_empty());
    let twice = compile(&good().replace(&public(8), &public(7))).unwrap_err().to_string();
    assert!(twice.contains("one key is one voice"), "{twice}");
    let begin = good().find(software).unwrap();
    let end = good().find("[hardware.snp]").unwrap();
    let mut without = good();
    without.replace_range(begin..end, "");
    let all = compile(&without).unwrap_err();
    let [only, shop] = all.mistakes() else { panic!("{all}") };
    assert!(matches!(only.wrong, Wrong::Impossible { .. }), "{only}");
    assert_eq!(shop.field, "program.shop.on");
    assert_eq!(only.field, "program.api.on", "a kind of hardware without its section");
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
        ("place = [\"DE\"]", "places = [\"DE\"]", "did you mean `place`?"),
        ("holder = \"Audit Ltd\"", "", "missing field `holder`"),
        ("depth = 0", "", "missing field `depth`"),
        ("age-days = 90", "", "missing field `age-days`"),
    ] {
        let said = refused(from, to).to_string();
        assert!(said.contains(says), "{from} -> {to}: {said}");
    }
    let long = " ".repeat(LEN_MAX + 1);
    let refused = DomainFile::parse(&long).unwrap_err();
    assert_eq!(refused.mistakes()[0].wrong, Wrong::TooLong(LEN_MAX + 1));
}

#[test]
fn an_unknown_word_of_any_length_costs_no_more_than_reading_it() {
    let begin = std::time::Instant::now();
    let text = good().replacen("format = 1", &format!("{} = 1", "x".repeat(LEN_MAX / 2)), 1);
    assert!(DomainFile::parse(&text).is_err());
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

#[test]
fn all_mistakes_are_told_at_once_in_the_files_order_with_line_and_column() {
    let text = good()
        .replacen("machines = \"any-genuine\"", "machine = \"any-genuine\"", 1)
        .replacen("connect = [\"api\"]", "connect = [\"ap1\"]", 1)
        .replacen("in = [\"eu\"]", "in = [\"eus\"]", 1)
        .replacen("listen = [80]", "listen = [\"80\"]", 1);
    let all = DomainFile::parse(&text).unwrap_err();
    let errors = all.mistakes().iter().filter(|m| m.severity == Severity::Error);
    let told = errors.map(|m| (m.line, m.column, m.field.as_str())).collect::<Vec<_>>();
    let expected = [
        (11, 11, "hardware.snp"),
        (14, 1, "hardware.snp"),
        (21, 11, "program.api.listen"),
        (22, 12, "program.api.connect"),
        (26, 7, "program.web.in"),
    ];
    assert_eq!(told, expected, "{all}");
    let said = all.to_string();
    for near in ["did you mean `machines`?", "did you mean `api`?", "did you mean `eu`?"] {
        assert!(said.contains(near), "{near}: {said}");
    }
}

#[test]
fn what_looks_like_another_name_is_refused_with_both_lines() {
    let measured = format!("measurement = [\"sha384:{}\"]", "ee".repeat(48));
    let program = |name: &str| {
        format!(
            "[program.\"{name}\"]\n{measured}\non = [\"software\"]\nin = \"anywhere\"\n[program.web]"
        )
    };
    for (name, says) in [
        ("ap1", "\"ap1\" looks like \"api\" of line"),
        ("a-pi", "\"a-pi\" looks like \"api\" of line"),
        ("аpi", "holds 'а' (U+0430), which looks like 'a'"),
        ("Api", "expected a role"),
    ] {
        let said = one("[program.web]", &program(name)).to_string();
        assert!(said.contains(says), "{name}: {said}");
    }
    let said = one("need = 1, by = [\"ana.pub\"]", "need = 2, by = [\"ana.pub\", \"аna.pub\"]")
        .to_string();
    assert!(said.contains("sign.by: \"аna.pub\" looks like \"ana.pub\""), "{said}");
    let secrets = "secrets = [\"db-key\", \"db_key\"]\nlisten = [80]";
    let said = one("listen = [80]", secrets).to_string();
    assert!(said.contains("\"db_key\" looks like \"db-key\" of line 21"), "{said}");
    let said = one("eu = {", "EU = { aws-vlek = \"eu-central-1\" }\neu = {").to_string();
    assert!(said.contains("looks like"), "{said}");
}

#[test]
fn what_is_left_unsaid_never_permits_more() {
    for (from, to, says) in [
        ("in = [\"eu\"]", "", "may run anywhere although [place] names places"),
        ("in = [\"eu\"]", "in = []", "is an empty list, which would ask for no place at all"),
        ("machines = \"any-genuine\"", "", "missing field `machines`; write"),
        ("machines = [\"0a0b\"]", "machines = []", "can ever be admitted"),
        ("in = [\"eu\"]", "in = \"nowhere\"", "expected a list of places, or \"anywhere\""),
    ] {
        let said = one(from, to).to_string();
        assert!(said.contains(says), "{from} -> {to}: {said}");
    }
}

#[test]
fn demands_that_contradict_each_other_are_refused() {
    let id = "0b".repeat(64);
    for (from, to, says) in [
        (
            "machines = \"any-genuine\"",
            &*format!("machines = [\"{id}\"]"),
            "leave the machine's id out",
        ),
        ("machines = \"any-genuine\"", "machines = [\"0b\"]", "64 bytes"),
        ("isolation = [\"software\"]", "isolation = [\"process\"]", "leaves out `software`"),
        ("host = [\"mutable\"]", "host = [\"measured\"]", "leaves out `mutable`"),
        ("on = [\"snp\"]", "on = [\"snp\", \"software\"]", "cannot prove"),
        ("connect = [\"api\"]", "connect = [\"web\"]", "listens on no port"),
        ("listen = [80]", "listen = [80, 80]", "stands twice"),
        ("listen = [80]", "listen = [0]", "1 to 65535"),
        ("need = 1", "need = 2", "more than half"),
        ("need = 1", "need = 1, revoke = 2", "never harder than signing"),
        ("need = 1", "need = 1, revoke = 0", "at least 1"),
    ] {
        let said = refused(from, to).to_string();
        assert!(said.contains(says), "{from} -> {to}: {said}");
    }
}

#[test]
fn what_has_no_effect_yet_is_a_warning_and_no_error() {
    let warnings = |text: &str| {
        let file = DomainFile::parse(text).unwrap();
        file.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    // api and web measure the same, on different hardware.
    assert_eq!(warnings(&good()), Vec::<String>::new());
    for (from, to, says) in [
        ("connect = [\"api\"]", "", "nobody may connect to it"),
        ("in = [\"eu\"]", "in = \"anywhere\"", "place.eu: no program runs there"),
        (
            "on = [\"snp\"]\nin = [\"eu\"]",
            "on = [\"software\"]\nin = \"anywhere\"",
            "hardware.snp: no program runs on it",
        ),
        (
            "on = [\"snp\"]\nin = [\"eu\"]",
            "on = [\"software\"]\nin = \"anywhere\"",
            "is trusted as api too",
        ),
    ] {
        let told = warnings(&good().replacen(from, to, 1));
        assert!(told.iter().any(|w| w.contains(says)), "{says}: {told:?}");
    }
}

#[test]
fn a_file_of_nothing_but_mistakes_is_told_in_bounds() {
    let text = (0..100_000).map(|i| format!("k{i} = 1\n")).collect::<String>();
    let begin = std::time::Instant::now();
    let all = DomainFile::parse(&text).unwrap_err();
    assert_eq!(all.mistakes().len(), MISTAKES_MAX + 1);
    assert!(all.mistakes().iter().any(|m| m.wrong == Wrong::More));
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[test]
fn a_files_words_do_nothing_to_the_terminal_they_are_shown_on() {
    let evil = format!("{}\n\"\\u001b[2Kx\\ny\" = 1\n", "format = 1");
    let said = DomainFile::parse(&good().replacen("format = 1", &evil, 1)).unwrap_err().to_string();
    assert!(said.contains("unknown field `\\u{1b}[2Kx\\ny`"), "{said}");
    assert!(said.chars().all(|c| !c.is_control() || c == '\n') && said.lines().count() == 1);
}

#[test]
fn ten_thousand_programs_that_connect_to_each_other_cost_no_more_than_reading_them() {
    let (head, _) =
        good().split_once("[program.api]").map(|(h, t)| (h.to_owned(), t.to_owned())).unwrap();
    let mut text = head;
    for i in 0..10_000_u32 {
        let (measured, peer) = (format!("{i:096x}"), (i + 1) % 10_000);
        text.push_str(&format!(
            "[program.p{i}x]\nmeasurement = [\"sha384:{measured}\"]\non = [\"software\"]\nin = \"anywhere\"\nlisten = [80]\nconnect = [\"p{peer}x\"]\n"
        ));
    }
    let begin = std::time::Instant::now();
    // Numbers are digits to the eye: 1 is no l among them, but p1x and pix would be.
    compile(&text).unwrap();
    let wrong = text.replace("connect = [\"p", "connect = [\"q");
    let all = DomainFile::parse(&wrong).unwrap_err();
    assert_eq!(all.mistakes().len(), MISTAKES_MAX + 1);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn a_file_that_loads_compiles_permits_and_can_be_signed_whatever_was_done_to_it() {
    use proptest::prelude::*;
    let words = [
        "\"",
        "[",
        "]",
        "=",
        "\n",
        "#",
        "api",
        "web",
        "in",
        "on",
        "\"snp\"",
        "\"software\"",
        "[]",
        "0",
        "65536",
        "[program.x]",
        "connect",
        "secrets = [\"a\", \"A\"]",
        "\"anywhere\"",
        "а",
        "\u{1b}",
        "{",
        "}",
        ",",
        "revoke = 1",
    ];
    let edit = (0..2000_usize, 0..12_usize, prop::sample::select(words.to_vec()));
    let loaded = std::cell::Cell::new(0_u32);
    let config = ProptestConfig { cases: 4000, ..ProptestConfig::default() };
    proptest!(config, |(edits in prop::collection::vec(edit, 0..3))| {
        let mut text = good();
        for (at, len, word) in edits {
            let at = at % text.len();
            let end = (at + len).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, word);
            }
        }
        match DomainFile::parse(&text) {
            Err(e) => {
                let lines = text.split('\n').count();
                prop_assert!(e.mistakes().iter().any(|m| m.severity == Severity::Error));
                prop_assert!(e.mistakes().iter().all(|m| m.line <= lines), "{}", e);
                prop_assert!(e.to_string().chars().all(|c| !c.is_control() || c == '\n'), "{}", e);
            }
            Ok(file) => {
                loaded.set(loaded.get() + 1);
                let compiled = file.compile(DomainRoot::new([1; 32]), 1, None, |_| Some(Vec::new()));
                let policy = compiled.unwrap();
                prop_assert_eq!(trust::Policy::decode(&policy.encode()), Ok(policy.clone()));
                prop_assert!(trust::permission::Permissions::compile(&policy).is_ok());
                let bytes = policy.encode();
                prop_assert!(trust::Subject::read(trust::signing::Namespace::Policy, &bytes).is_ok());
            }
        }
    });
    assert!(loaded.get() > 400, "{} of 4000 loaded", loaded.get());
}
