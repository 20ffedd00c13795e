//! The one file of a domain: the smallest one as it is promised, and every way it can be wrong.

use evidence::appraise::Machines;

use super::*;
use crate::names::RoleName;
use crate::policy::Outsider;

/// The smallest domain, word for word as documented, with whole digests.
fn smallest() -> String {
    format!(
        r#"
format = 1
domain = "pay.bank.example"
sign   = {{ need = 2, by = ["ana.pub", "bo.pub", "cy.pub"] }}

[hardware.snp]
profile = "snp-2026-11"            # shipped and dated; `casemate policy show` expands every knob
image   = "node.corim"             # which booted machine images
machines = "any-genuine"           # written out: diversion is then not excluded, and results say so

[place]
eu = {{ aws-vlek = "eu-central-1" }}
us = {{ aws-vlek = "us-east-1" }}

[program.cache]
measurement = ["sha384:{}"]       # written by `casemate add`, never pasted
on = ["snp"]
in = ["eu", "us"]
listen = [6379]

[program.api]
measurement = ["sha384:{}"]
on = ["snp"]
in = ["eu"]
connect = ["cache"]
secrets = ["db-password"]
"#,
        "9f".repeat(48),
        "41".repeat(48)
    )
}

fn compile(text: &str) -> Result<Policy, DomainFileError> {
    DomainFile::parse(text)?
        .compile(DomainRoot::new([1; 32]), 1, None, |f| (f == "node.corim").then(Vec::new))
}

#[test]
fn the_smallest_domain_compiles_and_survives_its_encoding() {
    let policy = compile(&smallest()).unwrap();
    assert_eq!(policy.programs.len(), 2);
    assert_eq!(policy.hardware[0].machines, Machines::AnyGenuine);
    assert_eq!(Policy::decode(&policy.encode()).unwrap(), policy);
    let permissions = crate::permission::Permissions::compile(&policy).unwrap();
    assert_eq!(
        permissions.text(),
        "permit (principal == Role::\"api\", action == Action::\"connect\", resource == Role::\"cache\");\n\
         permit (principal == Role::\"api\", action == Action::\"read\", resource == Secret::\"db-password\");\n\
         permit (principal == Role::\"cache\", action == Action::\"listen\", resource == Port::\"6379\");\n"
    );
    let (api, cache) = (RoleName::new("api").unwrap(), RoleName::new("cache").unwrap());
    use crate::permission::Action::{Connect, Listen, Read};
    assert!(
        permissions.permits(&api, &Connect("cache")) && permissions.permits(&cache, &Listen(6379))
    );
    assert!(
        !permissions.permits(&cache, &Connect("api"))
            && !permissions.permits(&cache, &Read("db-password"))
    );
    assert!(!permissions.permits(&api, &Listen(6379)));
}

#[test]
fn every_mistake_is_named() {
    for (from, to, says) in [
        ("machines =", "machine =", "did you mean `machines`?"),
        ("listen =", "lisen =", "did you mean `listen`?"),
        ("format = 1", "format = 2", "format is \"2\", expected 1"),
        ("pay.bank.example", "Pay.bank.example", "a SPIFFE trust domain"),
        ("9f9f", "9F9F", "96 lower-case hex digits"),
        ("sha384:9f", "sha384:9", "96 lower-case hex digits"),
        ("\"any-genuine\"", "\"any\"", "any-genuine"),
        ("in = [\"eu\"]", "in = [\"moon\"]", "unknown place `moon`; there are `eu`, `us`"),
        ("on = [\"snp\"]", "on = [\"software\"]", "no [hardware] section"),
        ("on = [\"snp\"]", "on = []", "can never be admitted"),
        ("[program.api]", "[program.API]", "a role"),
        ("\"node.corim\"", "\"other.corim\"", "reference values"),
        ("machines = \"any-genuine\"", "", "missing field `machines`"),
        ("listen = [6379]", "listen = [6379]\nclients = [\"anyone\"]", "expected \"anonymous\""),
        ("listen = [6379]", "listen = [6379]\nclients = [\"api\"]", "in `connect`"),
        ("listen = [6379]", "listen = [6379]\nclient = [\"anonymous\"]", "did you mean `clients`?"),
        ("connect = [\"cache\"]", "clients = [\"anonymous\"]", "listens on no port"),
    ] {
        let text = smallest().replacen(from, to, 1);
        assert_ne!(text, smallest(), "{from}");
        let said = compile(&text).unwrap_err().to_string();
        assert!(said.contains(says), "{from} -> {to}: {said}");
    }
}

#[test]
fn a_mistake_is_shown_with_its_line() {
    let said = compile(&smallest().replacen("listen =", "lisen =", 1)).unwrap_err().to_string();
    assert!(said.contains("line 19"), "{said}");
}

#[test]
fn nobody_is_a_client_without_being_a_program_unless_the_policy_says_so() {
    use crate::permission::{Action::Serve, Permissions};
    let cache = RoleName::new("cache").unwrap();
    let permits = |text: &str| {
        let policy = compile(text).unwrap();
        assert_eq!(Policy::decode(&policy.encode()).unwrap(), policy);
        let permissions = Permissions::compile(&policy).unwrap();
        (permissions.permits(&cache, &Serve(Outsider::Anonymous)), permissions.text())
    };
    assert!(!permits(&smallest()).0);
    let (permitted, text) =
        permits(&smallest().replacen("listen =", "clients = [\"anonymous\"]\nlisten =", 1));
    let line = "permit (principal == Outsider::\"anonymous\", action == Action::\"connect\", resource == Role::\"cache\");\n";
    assert!(permitted && text.contains(line), "{text}");
    // The word among an admission's clients can be no role's name.
    assert!(RoleName::new(Outsider::Anonymous.as_client()).is_none());
}

#[test]
fn policies_of_older_formats_are_read_as_they_were_signed() {
    let now = compile(&smallest()).unwrap();
    // The formats before the third named places and did not describe them.
    let then = Policy { places: Vec::new(), ..now.clone() };
    for hex in [
        include_str!("../../../../vectors/policy-1.hex"),
        include_str!("../../../../vectors/policy-2.hex"),
    ] {
        let old = hex::decode(hex.split_whitespace().collect::<String>()).unwrap();
        assert_eq!(Policy::decode(&old).unwrap(), then);
    }
    // What stands in the newest format is refused in an older one, and the next is not understood.
    let mut new = now.encode();
    let version = |bytes: &mut Vec<u8>, v: u8| {
        assert_eq!(bytes[1], 1, "the first key");
        bytes[2] = v;
    };
    for v in [1, 2] {
        version(&mut new, v);
        let refused = Policy::decode(&new);
        assert!(matches!(refused, Err(evidence::cbor::CborError::UnknownField(_))), "{v}");
    }
    version(&mut new, 4);
    assert_eq!(Policy::decode(&new), Err(evidence::cbor::CborError::Version(4)));
}
