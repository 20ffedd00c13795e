//! Build provenance: one builder's word about one program from one source is taken, and every way to pass off another is refused.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use evidence::Measurement;
use evidence::controls::without;
use evidence::provenance::{
    Build, BuilderKey, Demand, PAYLOAD_TYPE, ProvenanceRefusal as Refusal, SIGNATURES_MAX,
    verify_provenance,
};
use serde_json::{Value, json};

use crate::vectors;

const BUILDER: &str = "https://builder.example/hosted@v1";
const TYPE: &str = "https://builder.example/types/workflow/v1";
const SOURCE: &str = "https://git.example/acme/bill";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

enum Signer {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    fn key(&self) -> BuilderKey {
        let spki = match self {
            Self::P256(key) => [
                &hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap(),
                key.public_key().as_ref(),
            ]
            .concat(),
            Self::Ed25519(key) => {
                [&hex::decode("302a300506032b6570032100").unwrap(), key.public_key().as_ref()]
                    .concat()
            }
        };
        BuilderKey::from_spki(&spki).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

fn subject() -> Measurement {
    Measurement::new([7; 48])
}

fn statement() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "bill.sbom", "digest": {"sha384": "09".repeat(48)}},
            {"name": "bill", "digest": {"sha256": "08".repeat(32), "sha384": "07".repeat(48)}},
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": TYPE,
                "externalParameters": {
                    "workflow": {"repository": SOURCE, "ref": "refs/heads/main"},
                    "inputs": {},
                },
                "resolvedDependencies": [
                    {"uri": format!("git+{SOURCE}@refs/heads/main"), "digest": {"gitCommit": COMMIT}},
                    {"uri": "git+https://git.example/acme/bill-library@refs/tags/v2",
                     "digest": {"gitCommit": "f".repeat(40)}},
                ],
            },
            "runDetails": {"builder": {"id": BUILDER}, "metadata": {"invocationId": "1"}},
        },
    })
}

fn demand(signers: &[&Signer]) -> Demand {
    Demand {
        keys: signers.iter().map(|s| s.key()).collect(),
        builder: BUILDER.to_owned(),
        build_type: TYPE.to_owned(),
        source_at: "/workflow/repository".to_owned(),
        source: SOURCE.to_owned(),
        parameters: vec!["inputs".to_owned()],
        subject: subject(),
    }
}

fn pae(kind: &str, payload: &[u8]) -> Vec<u8> {
    [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), payload].concat()
}

fn envelope(kind: &str, payload: &[u8], signatures: &[Vec<u8>]) -> Vec<u8> {
    let each = |s: &Vec<u8>| json!({"keyid": "a hint", "sig": BASE64_STANDARD.encode(s)});
    let signatures: Vec<Value> = signatures.iter().map(each).collect();
    let payload = BASE64_STANDARD.encode(payload);
    json!({"payloadType": kind, "payload": payload, "signatures": signatures})
        .to_string()
        .into_bytes()
}

fn signed(statement: &Value, signers: &[&Signer]) -> Vec<u8> {
    let payload = statement.to_string().into_bytes();
    let message = pae(PAYLOAD_TYPE, &payload);
    let signatures: Vec<_> = signers.iter().map(|s| s.sign(&message)).collect();
    envelope(PAYLOAD_TYPE, &payload, &signatures)
}

fn good() -> Build {
    let signer = Signer::ed25519();
    verify_provenance(&signed(&statement(), &[&signer]), &demand(&[&signer])).unwrap()
}

/// What becomes of the statement when `change` is done to it before the builder signs.
fn changed(change: impl FnOnce(&mut Value)) -> impl Fn() -> Result<Build, Refusal> {
    let signer = Signer::p256();
    let mut statement = statement();
    change(&mut statement);
    let (bytes, demand) = (signed(&statement, &[&signer]), demand(&[&signer]));
    move || verify_provenance(&bytes, &demand)
}

fn at<'a>(statement: &'a mut Value, pointer: &str) -> &'a mut Value {
    statement.pointer_mut(pointer).unwrap()
}

const DEFINITION: &str = "/predicate/buildDefinition";

#[test]
fn a_build_by_the_builder_that_was_named_is_taken_under_either_kind_of_key() {
    for signer in [Signer::p256(), Signer::ed25519()] {
        let build = verify_provenance(&signed(&statement(), &[&signer]), &demand(&[&signer]));
        let build = build.unwrap();
        assert_eq!((build.subject, &*build.source, &*build.revision), (subject(), SOURCE, COMMIT));
    }
    let (a, b) = (Signer::p256(), Signer::ed25519());
    let both = signed(&statement(), &[&a, &b]);
    assert_eq!(verify_provenance(&both, &demand(&[&b, &a])), Ok(good()));
    let mut json: Value = serde_json::from_slice(&both).unwrap();
    for name in ["/payload", "/signatures/0/sig", "/signatures/1/sig"] {
        let bytes = BASE64_STANDARD.decode(at(&mut json, name).as_str().unwrap()).unwrap();
        *at(&mut json, name) = BASE64_URL_SAFE.encode(bytes).into();
    }
    let url_safe = json.to_string();
    assert_eq!(verify_provenance(url_safe.as_bytes(), &demand(&[&a, &b])), Ok(good()));
}

#[test]
fn a_statement_another_key_signed_is_refused() {
    let (builder, stranger) = (Signer::p256(), Signer::p256());
    let bytes = signed(&statement(), &[&stranger]);
    let verify = || verify_provenance(&bytes, &demand(&[&builder]));
    assert_eq!(verify(), Err(Refusal::Signature(0)));
    assert_eq!(without("provenance_signature", verify), Ok(good()));
}

#[test]
fn a_strangers_signature_beside_the_builders_is_refused() {
    let (builder, stranger) = (Signer::ed25519(), Signer::p256());
    for (signers, which) in [([&builder, &stranger], 1), ([&stranger, &builder], 0)] {
        let bytes = signed(&statement(), &signers);
        let verify = || verify_provenance(&bytes, &demand(&[&builder]));
        assert_eq!(verify(), Err(Refusal::Signature(which)));
        assert_eq!(without("provenance_signature", verify), Ok(good()));
    }
}

#[test]
fn one_key_does_not_sign_twice() {
    let builder = Signer::p256();
    let bytes = signed(&statement(), &[&builder, &builder]);
    let verify = || verify_provenance(&bytes, &demand(&[&builder, &builder]));
    assert_eq!(verify(), Err(Refusal::Twice(1)));
    assert_eq!(without("provenance_twice", verify), Ok(good()));
}

#[test]
fn a_signature_over_anything_but_the_encoding_of_dsse_is_refused() {
    let builder = Signer::ed25519();
    let payload = statement().to_string().into_bytes();
    let (kind, n) = (PAYLOAD_TYPE, payload.len());
    let with = |head: String| [head.as_bytes(), &payload].concat();
    let messages = [
        payload.clone(),
        BASE64_STANDARD.encode(&payload).into_bytes(),
        with(format!("DSSEv1 {} {kind} ", kind.len())),
        with(format!("DSSEv1 {} {kind} {n}", kind.len())),
        with(format!("DSSEv1 0{} {kind} {n} ", kind.len())),
        with(format!("DSSEv2 {} {kind} {n} ", kind.len())),
        pae("application/json", &payload),
        pae(kind, BASE64_STANDARD.encode(&payload).as_bytes()),
    ];
    for message in messages {
        let bytes = envelope(kind, &payload, &[builder.sign(&message)]);
        let verify = || verify_provenance(&bytes, &demand(&[&builder]));
        assert_eq!(verify(), Err(Refusal::Signature(0)));
        assert_eq!(without("provenance_signature", verify), Ok(good()));
    }
    let right = envelope(kind, &payload, &[builder.sign(&pae(kind, &payload))]);
    assert_eq!(verify_provenance(&right, &demand(&[&builder])), Ok(good()));
}

#[test]
fn what_was_signed_as_something_else_than_a_statement_is_refused() {
    let builder = Signer::ed25519();
    let payload = statement().to_string().into_bytes();
    let kind = "application/vnd.cyclonedx+json";
    let bytes = envelope(kind, &payload, &[builder.sign(&pae(kind, &payload))]);
    let verify = || verify_provenance(&bytes, &demand(&[&builder]));
    assert_eq!(verify(), Err(Refusal::PayloadType(kind.to_owned())));
    assert_eq!(without("provenance_payload_type", verify), Ok(good()));
}

#[test]
fn a_statement_about_another_program_is_refused() {
    for change in [
        |s: &mut Value| s["subject"][1]["digest"]["sha384"] = "06".repeat(48).into(),
        |s: &mut Value| s["subject"][1]["digest"]["sha384"] = "07".repeat(47).into(),
        // The right bytes under another algorithm's name are another program.
        |s: &mut Value| s["subject"][1]["digest"] = json!({"sha3_384": "07".repeat(48)}),
        // Names mean nothing.
        |s: &mut Value| s["subject"][1] = json!({"name": "07".repeat(48), "digest": {"a": "b"}}),
        |s: &mut Value| s["subject"] = json!([]),
    ] {
        let verify = changed(change);
        assert_eq!(verify(), Err(Refusal::Subject(subject())));
        assert_eq!(without("provenance_subject", verify), Ok(good()));
    }
}

#[test]
fn another_version_of_statements_or_an_unknown_predicate_is_refused() {
    let old = "https://in-toto.io/Statement/v0.1";
    let verify = changed(|s| s["_type"] = old.into());
    assert_eq!(verify(), Err(Refusal::StatementType(old.to_owned())));
    assert_eq!(without("provenance_statement", verify), Ok(good()));
    for kind in ["https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1 ", ""] {
        let verify = changed(|s| s["predicateType"] = kind.into());
        assert_eq!(verify(), Err(Refusal::PredicateType(kind.to_owned())));
        assert_eq!(without("provenance_predicate", verify), Ok(good()));
    }
}

#[test]
fn an_unknown_builder_or_way_of_building_is_refused() {
    for id in ["https://builder.example/hosted@v10", "https://builder.example/hosted", ""] {
        let verify = changed(|s| *at(s, "/predicate/runDetails/builder/id") = id.into());
        let (expected, got) = (BUILDER.to_owned(), id.to_owned());
        assert_eq!(verify(), Err(Refusal::Builder { expected, got }));
        assert_eq!(without("provenance_builder", verify), Ok(good()));
    }
    let other = "https://builder.example/types/shell/v1";
    let verify = changed(|s| at(s, DEFINITION)["buildType"] = other.into());
    let (expected, got) = (TYPE.to_owned(), other.to_owned());
    assert_eq!(verify(), Err(Refusal::BuildType { expected, got }));
    assert_eq!(without("provenance_build_type", verify), Ok(good()));
}

#[test]
fn a_source_that_is_only_a_dependency_is_not_what_was_built() {
    let evil = "https://git.example/mallory/bill";
    let verify = changed(|s| {
        at(s, DEFINITION)["externalParameters"]["workflow"]["repository"] = evil.into();
    });
    let (expected, got) = (SOURCE.to_owned(), evil.to_owned());
    assert_eq!(verify(), Err(Refusal::Source { expected, got }));
    assert_eq!(without("provenance_source", verify), Ok(good()));
}

#[test]
fn a_builder_that_was_told_something_unexpected_is_refused() {
    let verify = changed(|s| at(s, DEFINITION)["externalParameters"]["patch"] = "evil".into());
    assert_eq!(verify(), Err(Refusal::Parameter("patch".to_owned())));
    assert_eq!(without("provenance_parameter", verify), Ok(good()));
}

#[test]
fn two_states_of_one_source_or_none_are_refused() {
    let verify = changed(|s| {
        let other = json!({"uri": SOURCE, "digest": {"gitCommit": "e".repeat(40)}});
        let all = at(s, DEFINITION)["resolvedDependencies"].as_array_mut().unwrap();
        all.push(other);
    });
    assert_eq!(verify(), Err(Refusal::Revision(2)));
    assert_eq!(without("provenance_one_source", verify), Ok(good()));
    for uri in [&format!("{SOURCE}-library"), &format!("{SOURCE}@main"), "", "git+git+x"] {
        let verify = changed(|s| {
            *at(s, &format!("{DEFINITION}/resolvedDependencies/0/uri")) = (*uri).into();
        });
        assert_eq!(verify(), Err(Refusal::Revision(0)), "{uri}");
    }
    for commit in ["", "0123", &"G".repeat(40), &"A".repeat(40), &"a".repeat(41)] {
        let verify = changed(|s| {
            let at = at(s, &format!("{DEFINITION}/resolvedDependencies/0/digest"));
            at["gitCommit"] = (*commit).into();
        });
        assert_eq!(verify(), Err(Refusal::Field("digest.gitCommit")), "{commit}");
    }
}

#[test]
fn a_statement_or_envelope_that_lacks_something_is_refused() {
    let lacking = [
        ("", "_type"),
        ("", "subject"),
        ("/subject/0", "digest"),
        ("", "predicateType"),
        ("", "predicate"),
        ("/predicate/runDetails/builder", "id"),
        (DEFINITION, "buildType"),
        (DEFINITION, "externalParameters"),
        ("/predicate/buildDefinition/externalParameters", "workflow"),
        (DEFINITION, "resolvedDependencies"),
        ("/predicate/buildDefinition/resolvedDependencies/0/digest", "gitCommit"),
    ];
    for (parent, name) in lacking {
        let remove = |s: &mut Value| drop(at(s, parent).as_object_mut().unwrap().remove(name));
        let got = changed(remove)();
        assert!(matches!(got, Err(Refusal::Field(_))), "{parent}/{name}: {got:?}");
        let got = changed(|s| at(s, parent)[name] = 1.into())();
        assert!(matches!(got, Err(Refusal::Field(_))), "{parent}/{name}: {got:?}");
    }
    let builder = Signer::ed25519();
    let demand = demand(&[&builder]);
    let whole: Value = serde_json::from_slice(&signed(&statement(), &[&builder])).unwrap();
    for name in ["payloadType", "payload", "signatures"] {
        let mut json = whole.clone();
        json.as_object_mut().unwrap().remove(name);
        let got = verify_provenance(json.to_string().as_bytes(), &demand);
        assert_eq!(got, Err(Refusal::Field(name)));
    }
    let mut many = whole.clone();
    many["signatures"] = vec![whole["signatures"][0].clone(); SIGNATURES_MAX + 1].into();
    for signatures in [json!([]), many["signatures"].clone()] {
        let mut json = whole.clone();
        json["signatures"] = signatures;
        let got = verify_provenance(json.to_string().as_bytes(), &demand);
        assert_eq!(got, Err(Refusal::Field("signatures")));
    }
    let twice = whole.to_string().replacen('{', r#"{"payload":"","#, 1);
    assert!(matches!(verify_provenance(twice.as_bytes(), &demand), Err(Refusal::Json(_))));
    let mut none = demand.clone();
    none.keys.clear();
    assert_eq!(verify_provenance(b"", &none), Err(Refusal::Keys(0)));
}

#[test]
fn every_changed_byte_of_a_statement_or_signature_is_refused() {
    let builder = Signer::p256();
    let payload = statement().to_string().into_bytes();
    let signature = builder.sign(&pae(PAYLOAD_TYPE, &payload));
    let demand = demand(&[&builder]);
    let refused = |payload: &[u8], signature: &[u8]| {
        let bytes = envelope(PAYLOAD_TYPE, payload, &[signature.to_vec()]);
        assert_eq!(verify_provenance(&bytes, &demand), Err(Refusal::Signature(0)));
    };
    for i in 0..payload.len() {
        let mut payload = payload.clone();
        payload[i] ^= 1;
        refused(&payload, &signature);
    }
    for i in 0..signature.len() {
        let mut signature = signature.clone();
        signature[i] ^= 1;
        refused(&payload, &signature);
        refused(&payload, &signature[..i]);
    }
    let spki = [0u8; 91];
    assert_eq!(BuilderKey::from_spki(&spki), Err(Refusal::Key));
}

#[test]
fn whatever_is_done_to_an_envelope_it_says_what_the_builder_said_or_nothing() {
    let builder = Signer::ed25519();
    let (bytes, demand) = (signed(&statement(), &[&builder]), demand(&[&builder]));
    let mut unread = 0;
    for i in 0..bytes.len() {
        assert!(verify_provenance(&bytes[..i], &demand).is_err(), "cut at {i}");
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[i] ^= 1 << bit;
            if let Ok(build) = verify_provenance(&bytes, &demand) {
                assert_eq!(build, good(), "byte {i} bit {bit}");
                unread += 1;
            }
        }
    }
    // Only the hint is unread: `keyid`, its name and its eight letters.
    assert!((1..=13 * 8).contains(&unread), "{unread}");
    // What the builder signs may be anything at all.
    let payload = statement().to_string().into_bytes();
    for i in 0..payload.len() {
        for payload in [&payload[..i], &[&payload[..i], b"{", &payload[i..]].concat()] {
            let bytes =
                envelope(PAYLOAD_TYPE, payload, &[builder.sign(&pae(PAYLOAD_TYPE, payload))]);
            let _ = verify_provenance(&bytes, &demand).map(|build| assert_eq!(build, good()));
        }
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert!(matches!(verify_provenance(&deep, &demand), Err(Refusal::Json(_))));
    let long = vec![b' '; evidence::provenance::LEN_MAX + 1];
    assert!(matches!(verify_provenance(&long, &demand), Err(Refusal::Json(_))));
}

#[test]
fn a_signature_others_made_holds_and_their_older_statement_is_refused() {
    let Some(dir) = vectors::of_topic("tlog") else { return };
    let Ok(entry) = std::fs::read(dir.join("rekor-types/dsse.json")) else {
        println!("skipped: no DSSE entry at {}", dir.display());
        return;
    };
    let entry: Value = serde_json::from_slice(&entry).unwrap();
    let content = &entry["spec"]["proposedContent"];
    let pem = BASE64_STANDARD.decode(content["verifiers"][0].as_str().unwrap()).unwrap();
    let pem = String::from_utf8(pem).unwrap();
    let body: String = pem.lines().filter(|l| !l.starts_with("--")).collect();
    let key = BuilderKey::from_spki(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
    let mut demand = demand(&[&Signer::p256()]);
    let bytes = content["envelope"].as_str().unwrap().as_bytes();
    assert_eq!(verify_provenance(bytes, &demand), Err(Refusal::Signature(0)));
    demand.keys = vec![key];
    let got = verify_provenance(bytes, &demand);
    assert_eq!(got, Err(Refusal::StatementType("https://in-toto.io/Statement/v0.1".to_owned())));
}
