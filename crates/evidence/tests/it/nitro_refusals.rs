//! AWS attestation documents made under a root of our own: what a right signature does not excuse.

use evidence::cbor::members::MemberError;
use evidence::cbor::vendor::VendorCborError;
use evidence::controls::without;
use evidence::nitro::{
    self, DocumentKind, Facts, Knobs, NitroRefusal, TpmKnobs, appraise, appraise_tpm,
};
use evidence::profile::Section;
use evidence::x509::path::PathError;
use evidence::x509::usage::UsageError;
use evidence::{Authentic, Check, Outcome, Time};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyUsagePurpose};

use crate::folders::time;
use crate::mint::{Bytes, Claims, NULL, array, bytes, header, int, map, tag, text};
use crate::pki::{self, Pki};
use crate::profiles::{FORENSIC, changed, demands_every_knob, impossible, shipped};

const PRODUCTION: &str = "nitro-2026-11";

fn now() -> Time {
    time("2026-06-01T00:00:00Z")
}

/// The shape of AWS's chain: leaf, instance, zone, region, root.
fn aws(place: usize, params: &mut CertificateParams) {
    if (1..=3).contains(&place) {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(place as u8 - 1));
    }
    if place == 3 {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "0a1b.eu-central-1.aws.nitro-enclaves");
    }
}

fn pki() -> Pki {
    pki::chain(5, aws, |_, _| {})
}

fn pcrs(count: u8) -> Bytes {
    map(&(0..count).map(|n| (int(n.into()), bytes(&[n + 1; 48]))).collect::<Vec<_>>())
}

fn claims(pki: &Pki) -> Claims {
    let (leaf, issuers) = pki.chain.split_first().unwrap();
    let bundle = issuers.iter().rev().map(|c| bytes(c)).collect::<Vec<_>>();
    Claims(vec![
        (text("module_id"), text("i-0-enc0")),
        (text("digest"), text("SHA384")),
        (text("timestamp"), int(1_780_271_990_000)),
        (text("pcrs"), pcrs(16)),
        (text("certificate"), bytes(leaf)),
        (text("cabundle"), array(&bundle)),
        (text("public_key"), NULL.to_vec()),
        (text("user_data"), bytes(b"data")),
        (text("nonce"), bytes(&[9; 32])),
    ])
}

fn verify(pki: &Pki, document: &[u8]) -> Result<Authentic<Facts>, NitroRefusal> {
    nitro::verify(document, DocumentKind::Enclave, &[pki.root], now())
}

/// The document signed as AWS does.
fn signed(pki: &Pki, claims: &Claims) -> Result<Authentic<Facts>, NitroRefusal> {
    verify(pki, &pki.leaf.sign1(&header(-35), &claims.write()))
}

#[test]
fn a_document_of_our_own_making_is_taken_under_our_own_root() {
    let pki = pki();
    let facts = signed(&pki, &claims(&pki)).unwrap();
    assert_eq!(facts.facts().region, "eu-central-1");
    assert_eq!(facts.facts().age_secs, now().unix() - 1_780_271_990);
    assert_eq!(facts.facts().public_key, None);
}

#[test]
fn a_document_that_lacks_a_member_is_refused_by_its_name() {
    let pki = pki();
    for name in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"] {
        let refused = signed(&pki, &claims(&pki).without(name)).unwrap_err();
        let NitroRefusal::Member(MemberError::Missing { name: got, .. }) = refused else {
            panic!("{name}: {refused}")
        };
        assert_eq!(got, name);
    }
    for name in ["public_key", "user_data", "nonce"] {
        assert!(signed(&pki, &claims(&pki).without(name)).is_ok(), "{name} is optional");
        assert!(signed(&pki, &claims(&pki).set(name, NULL.to_vec())).is_ok(), "{name} may be null");
    }
}

#[test]
fn a_member_of_another_type_size_or_value_is_refused_by_its_name() {
    let pki = pki();
    let good = claims(&pki);
    let registers = |pairs: &[(Bytes, Bytes)]| {
        let three = (0..3).map(|n| (int(n), bytes(&[1; 48])));
        map(&three.chain(pairs.iter().cloned()).collect::<Vec<_>>())
    };
    for (name, value) in [
        ("module_id", text("")),
        ("module_id", bytes(b"i-0")),
        ("digest", text("SHA256")),
        ("digest", text("sha384")),
        ("timestamp", int(0)),
        ("timestamp", int(-1)),
        ("timestamp", text("now")),
        ("timestamp", NULL.to_vec()),
        ("pcrs", map(&[])),
        ("pcrs", array(&[])),
        ("pcrs", pcrs(2)),
        ("pcrs", pcrs(33)),
        ("pcrs", registers(&[(int(32), bytes(&[1; 48]))])),
        ("pcrs", registers(&[(int(-1), bytes(&[1; 48]))])),
        ("pcrs", registers(&[(text("3"), bytes(&[1; 48]))])),
        ("pcrs", registers(&[(int(3), bytes(&[1; 47]))])),
        ("pcrs", registers(&[(int(3), bytes(&[1; 0]))])),
        ("pcrs", registers(&[(int(3), text("1"))])),
        ("certificate", bytes(b"")),
        ("certificate", bytes(&[0x30; 1025])),
        ("certificate", text("MII")),
        ("cabundle", array(&[])),
        ("cabundle", array(&[bytes(b"")])),
        ("cabundle", array(&[bytes(&[0x30; 1025])])),
        ("cabundle", array(&[text("MII")])),
        ("cabundle", bytes(&pki.chain[1])),
        ("public_key", bytes(b"")),
        ("public_key", bytes(&[1; 1025])),
        ("public_key", text("key")),
        ("user_data", bytes(&[1; 513])),
        ("nonce", bytes(&[1; 513])),
        ("nonce", int(1)),
    ] {
        let refused = signed(&pki, &good.set(name, value.clone())).unwrap_err();
        let NitroRefusal::Member(MemberError::Form { name: got, .. }) = refused else {
            panic!("{name} {}: {refused}", hex::encode(value))
        };
        assert_eq!(got, name);
    }
    for (name, value) in
        [("public_key", 1024), ("user_data", 512), ("user_data", 0), ("nonce", 512), ("nonce", 0)]
    {
        assert!(signed(&pki, &good.set(name, bytes(&vec![1; value]))).is_ok(), "{name} of {value}");
    }
}

#[test]
fn a_member_that_occurs_twice_or_that_nobody_knows_is_refused_by_its_name() {
    let pki = pki();
    for name in ["nonce", "pcrs", "certificate"] {
        let refused = signed(&pki, &claims(&pki).twice(name)).unwrap_err();
        let twice = VendorCborError::DuplicateKey(format!("{name:?}"));
        assert_eq!(refused, NitroRefusal::Payload(twice));
    }
    let register = (int(0), bytes(&[1; 48]));
    let twice = claims(&pki).set("pcrs", map(&[register.clone(), register]));
    assert_eq!(
        signed(&pki, &twice).unwrap_err(),
        NitroRefusal::Payload(VendorCborError::DuplicateKey("0".into()))
    );
    let strange = signed(&pki, &claims(&pki).set("extra", int(1))).unwrap_err();
    assert_eq!(strange, NitroRefusal::Member(MemberError::Unknown("\"extra\"".into())));
    let both = claims(&pki).set("nitrotpm_pcrs", pcrs(24));
    assert_eq!(signed(&pki, &both).unwrap_err(), NitroRefusal::TwoKinds);
}

#[test]
fn a_nitrotpm_has_exactly_its_24_registers() {
    let pki = pki();
    let with = |registers: Bytes| {
        let claims = claims(&pki).without("pcrs").set("nitrotpm_pcrs", registers);
        let document = pki.leaf.sign1(&header(-35), &claims.write());
        nitro::verify(&document, DocumentKind::Tpm, &[pki.root], now())
    };
    assert!(!with(pcrs(24)).unwrap().facts().debug());
    let shifted = map(&(1..25).map(|n| (int(n), bytes(&[1; 48]))).collect::<Vec<_>>());
    for registers in [pcrs(23), pcrs(25), shifted, map(&[])] {
        assert!(matches!(with(registers), Err(NitroRefusal::Member(MemberError::Form { .. }))));
    }
}

#[test]
fn nesting_claimed_lengths_and_size_are_bounded() {
    let pki = pki();
    let payload =
        |payload: &[u8]| verify(&pki, &pki.leaf.sign1(&header(-35), payload)).unwrap_err();
    let deep = claims(&pki).set("nonce", [vec![0x81; 40], int(0)].concat());
    assert!(matches!(payload(&deep.write()), NitroRefusal::Payload(VendorCborError::Deep(_))));
    for huge in [
        &b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\xa1\x61a\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x61a\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert!(matches!(payload(huge), NitroRefusal::Payload(VendorCborError::Truncated(_))));
    }
    let long = claims(&pki).set("nonce", bytes(&[0; 20_000])).write();
    let refused = payload(&long);
    assert!(refused.to_string().contains("at most 17408"), "{refused}");
    assert!(verify(&pki, &[0x84; 4000]).is_err());
    assert!(verify(&pki, b"").is_err());
    let trailing = [&claims(&pki).write()[..], &[0]].concat();
    assert_eq!(payload(&trailing), NitroRefusal::Payload(VendorCborError::Trailing { got: 1 }));
}

#[test]
fn a_signed_header_that_is_not_exactly_es384_is_refused_though_the_signature_holds() {
    let pki = pki();
    let payload = claims(&pki).write();
    let alg = (int(1), int(-35));
    let long = [&[0xa1, 0x18, 0x01][..], &int(-35)].concat();
    for protected in [
        header(-36),
        header(-7),
        map(&[alg.clone(), (int(4), bytes(b"k"))]),
        map(&[]),
        long,
        Bytes::new(),
    ] {
        let document = pki.leaf.sign1(&protected, &payload);
        let attack = || verify(&pki, &document);
        assert!(
            matches!(attack(), Err(NitroRefusal::Algorithm { .. })),
            "{}",
            hex::encode(&protected)
        );
        assert!(without("nitro_algorithm", attack).is_ok());
    }
}

#[test]
fn another_tag_an_unsigned_header_or_a_signature_of_another_length_is_refused() {
    let pki = pki();
    let payload = claims(&pki).write();
    let good = pki.leaf.sign1(&header(-35), &payload);
    assert_eq!(verify(&pki, &tag(17, good.clone())).unwrap_err(), NitroRefusal::Header);
    assert!(matches!(verify(&pki, &tag(61, good)), Err(NitroRefusal::Cose(_))));
    let part = |unsigned: Bytes, signature: usize| {
        array(&[bytes(&header(-35)), unsigned, bytes(&payload), bytes(&vec![1; signature])])
    };
    assert_eq!(
        verify(&pki, &part(map(&[(int(4), bytes(b"k"))]), 96)).unwrap_err(),
        NitroRefusal::Header
    );
    for len in [0, 64, 95, 97, 132] {
        assert_eq!(
            verify(&pki, &part(map(&[]), len)).unwrap_err(),
            NitroRefusal::SignatureLength(len)
        );
    }
    assert_eq!(verify(&pki, &part(map(&[]), 96)).unwrap_err(), NitroRefusal::Signature);
}

#[test]
fn a_document_signed_by_another_key_than_its_certificates_is_refused() {
    let (pki, other) = (pki(), pki::chain(5, aws, |_, _| {}));
    let document = other.leaf.sign1(&header(-35), &claims(&pki).write());
    let attack = || verify(&pki, &document);
    assert_eq!(attack().unwrap_err(), NitroRefusal::Signature);
    assert!(without("vendor_cose_signature", attack).is_ok());
}

#[test]
fn a_bundle_out_of_order_short_long_or_of_others_is_refused() {
    let (pki, other) = (pki(), pki::chain(5, aws, |_, _| {}));
    let bundle = |certificates: &[&Vec<u8>]| {
        let certificates = certificates.iter().map(|c| bytes(c)).collect::<Vec<_>>();
        signed(&pki, &claims(&pki).set("cabundle", array(&certificates))).unwrap_err()
    };
    let c = &pki.chain;
    // Leaf first instead of root first.
    assert!(matches!(
        bundle(&[&c[1], &c[2], &c[3], &c[4]]),
        NitroRefusal::Path(PathError::UntrustedRoot(_))
    ));
    assert!(matches!(
        bundle(&[&c[4], &c[3], &c[1]]),
        NitroRefusal::Path(PathError::Signature { .. })
    ));
    assert!(matches!(bundle(&[&c[4]]), NitroRefusal::Path(PathError::Signature { .. })));
    let long = [&c[4]; 9];
    assert!(matches!(bundle(&long), NitroRefusal::Path(PathError::TooLong(10))));
    assert!(matches!(
        bundle(&[&vec![0x30; 64]]),
        NitroRefusal::Certificate { name: "cabundle", .. }
    ));
    // A look-alike chain with the same names and its own root in place of the pinned one.
    let o = &other.chain;
    assert!(matches!(
        bundle(&[&o[4], &o[3], &o[2], &o[1]]),
        NitroRefusal::Path(PathError::UntrustedRoot(_))
    ));
    // The pinned root over somebody else's intermediates: names fit, the signature does not.
    let refused = || bundle(&[&c[4], &o[3], &o[2], &o[1]]);
    assert!(matches!(refused(), NitroRefusal::Path(PathError::Signature { .. })));
    let spliced = o[1..4].iter().rev().map(|c| bytes(c));
    let spliced = [bytes(&c[4])].into_iter().chain(spliced).collect::<Vec<_>>();
    let attack = || {
        let claims = claims(&pki).set("cabundle", array(&spliced)).set("certificate", bytes(&o[0]));
        verify(&pki, &other.leaf.sign1(&header(-35), &claims.write()))
    };
    assert!(matches!(attack(), Err(NitroRefusal::Path(PathError::Signature { .. }))));
    assert!(without("path_signature", attack).is_ok());
}

#[test]
fn issuers_that_may_not_issue_are_refused() {
    let no_ca = |place: usize, p: &mut CertificateParams| {
        if place == 2 {
            p.is_ca = IsCa::ExplicitNoCa;
        }
    };
    let too_deep = |place: usize, p: &mut CertificateParams| {
        if place == 3 {
            p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        }
    };
    let wrong_usage = |place: usize, p: &mut CertificateParams| {
        if place == 1 {
            p.key_usages = vec![KeyUsagePurpose::CrlSign];
        }
    };
    let attacks: [fn(usize, &mut CertificateParams); 3] = [no_ca, too_deep, wrong_usage];
    for (n, change) in attacks.into_iter().enumerate() {
        let pki = pki::chain(5, aws, change);
        let attack = || signed(&pki, &claims(&pki));
        assert!(matches!(attack(), Err(NitroRefusal::Path(PathError::NotCa(_)))), "attack {n}");
        let behind = without("path_ca", attack);
        // Behind it, the usage that is not stated is refused for its own reason.
        assert_eq!(behind.is_ok(), n != 2, "attack {n}");
    }
}

#[test]
fn certificates_that_do_not_state_their_usage_are_refused() {
    let silent = |place: usize, p: &mut CertificateParams| {
        if place == 2 {
            p.key_usages.clear();
        }
    };
    let silent_leaf = |place: usize, p: &mut CertificateParams| {
        if place == 0 {
            p.key_usages.clear();
        }
    };
    let other_leaf = |place: usize, p: &mut CertificateParams| {
        if place == 0 {
            p.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        }
    };
    let leaf_ca = |place: usize, p: &mut CertificateParams| {
        if place == 0 {
            p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            p.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        }
    };
    type Change = fn(usize, &mut CertificateParams);
    let attacks: [(Change, &'static str); 4] = [
        (silent, "x509_issuer_usage"),
        (silent_leaf, "nitro_leaf_usage"),
        (other_leaf, "nitro_leaf_usage"),
        (leaf_ca, "nitro_leaf_usage"),
    ];
    for (change, check) in attacks {
        let pki = pki::chain(5, aws, change);
        let attack = || signed(&pki, &claims(&pki));
        let refused = attack().unwrap_err();
        let leaf = refused == NitroRefusal::Leaf;
        assert_eq!(leaf, check == "nitro_leaf_usage");
        assert!(leaf || matches!(refused, NitroRefusal::Usage(UsageError::Issuer(_))), "{refused}");
        assert!(without(check, attack).is_ok(), "{check}");
    }
}

#[test]
fn a_critical_extension_nobody_understands_is_refused_anywhere_in_the_chain() {
    for at in 0..5 {
        for critical in [true, false] {
            let pki = pki::chain(5, aws, |place, p| {
                if place == at {
                    p.custom_extensions.push(pki::extension(&[1, 2, 3, 4], b"\x05\x00", critical));
                }
            });
            let attack = || signed(&pki, &claims(&pki));
            assert_eq!(attack().is_ok(), !critical, "place {at}");
            assert!(without("x509_critical_extension", attack).is_ok());
        }
    }
}

#[test]
fn a_leaf_on_another_curve_is_refused() {
    // The chain takes ECDSA P-384 alone, so that a P-256 leaf fits into it only as a subject.
    let pki = pki();
    let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let issuer_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let params = |ca: bool| {
        let mut p = CertificateParams::default();
        p.distinguished_name.push(rcgen::DnType::CommonName, if ca { "root" } else { "leaf" });
        p.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        p.key_usages =
            vec![if ca { KeyUsagePurpose::KeyCertSign } else { KeyUsagePurpose::DigitalSignature }];
        p
    };
    let root = params(true).self_signed(&issuer_key).unwrap();
    let issuer = rcgen::Issuer::new(params(true), issuer_key);
    let leaf = params(false).signed_by(&p256, &issuer).unwrap();
    let digest = evidence::RootDigest::new(evidence::bytes::sha256(root.der()));
    let claims = claims(&pki)
        .set("certificate", bytes(leaf.der()))
        .set("cabundle", array(&[bytes(root.der())]));
    let document = pki.leaf.sign1(&header(-35), &claims.write());
    let refused = nitro::verify(&document, DocumentKind::Enclave, &[digest], now()).unwrap_err();
    assert!(matches!(refused, NitroRefusal::Key(_)), "{refused}");
}

/// The names of the checks that failed.
fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

#[test]
fn every_knob_about_enclaves_refuses_what_it_is_about_and_nothing_else() {
    let pki = pki();
    let verified = signed(&pki, &claims(&pki)).unwrap();
    let fresh = Facts { age_secs: 300, ..verified.facts().clone() };
    let failed = |facts: &Facts, knobs: &Knobs| failed(&appraise(facts, knobs));
    let production = shipped::<Knobs>(PRODUCTION);
    assert!(failed(&fresh, &production).is_empty());
    let with = |knob: &str, line: &str| changed::<Knobs>(PRODUCTION, &[(knob, line)]).unwrap();
    let hex = |byte: u8| hex::encode([byte; 48]);
    let pcr = |index: u8, byte: u8| {
        let knob = format!("pcr{index}");
        with(&knob, &format!("{knob} = [\"{}\"]", hex(byte)))
    };
    let other = |index: u8, byte: u8| {
        with("other-pcrs", &format!("other-pcrs = {{ {index} = [\"{}\"] }}", hex(byte)))
    };
    let region = |r: &str| with("regions", &format!("regions = [\"eu-west-1\", \"{r}\"]"));
    let mut cases = vec![
        (Facts { age_secs: 301, ..fresh.clone() }, production.clone(), "nitro_age"),
        (Facts { age_secs: -1, ..fresh.clone() }, production.clone(), "nitro_age"),
        (Facts { nonce: None, ..fresh.clone() }, production.clone(), "nitro_challenge"),
        (
            Facts { nonce: Some(vec![1; 31]), ..fresh.clone() },
            production.clone(),
            "nitro_challenge",
        ),
        (fresh.clone(), with("pcr0", "pcr0 = []"), "nitro_pcr"),
        (fresh.clone(), other(5, 7), "nitro_pcr"),
        (fresh.clone(), other(31, 7), "nitro_pcr"),
        (fresh.clone(), region("eu-central-2"), "nitro_region"),
        (Facts { region: String::new(), ..fresh.clone() }, region("eu-central-1"), "nitro_region"),
    ];
    for index in [0, 1, 2, 3, 4, 8] {
        cases.push((fresh.clone(), pcr(index, 0xee), "nitro_pcr"));
        assert!(failed(&fresh, &pcr(index, index + 1)).is_empty(), "PCR {index}");
    }
    for (facts, knobs, name) in cases {
        assert_eq!(failed(&facts, &knobs), [name]);
        assert!(without(name, || failed(&facts, &knobs)).is_empty(), "{name}");
    }
    assert!(failed(&fresh, &other(5, 6)).is_empty());
    assert!(failed(&fresh, &region("eu-central-1")).is_empty());
    let old = Facts { age_secs: 1 << 40, nonce: None, ..fresh };
    assert!(failed(&old, &shipped(FORENSIC)).is_empty());
}

#[test]
fn every_knob_about_nitrotpm_refuses_what_it_is_about_and_nothing_else() {
    let pki = pki();
    let claims = claims(&pki).without("pcrs").set("nitrotpm_pcrs", pcrs(24));
    let document = pki.leaf.sign1(&header(-35), &claims.write());
    let verified = nitro::verify(&document, DocumentKind::Tpm, &[pki.root], now()).unwrap();
    let facts = Facts { age_secs: 0, ..verified.facts().clone() };
    let failed = |knobs: &TpmKnobs| failed(&appraise_tpm(&facts, knobs));
    assert!(failed(&shipped(PRODUCTION)).is_empty());
    for index in [4u8, 7, 12] {
        let knob = format!("pcr{index}");
        let with = |byte: u8| {
            let line = format!("{knob} = [\"{}\"]", hex::encode([byte; 48]));
            changed::<TpmKnobs>(PRODUCTION, &[(&knob, &line)]).unwrap()
        };
        assert!(failed(&with(index + 1)).is_empty());
        assert_eq!(failed(&with(0xee)), ["nitro_pcr"]);
        assert!(without("nitro_pcr", || failed(&with(0xee))).is_empty());
    }
}

#[test]
fn a_profile_states_every_knob_about_documents_and_demands_nothing_impossible() {
    for name in [FORENSIC, PRODUCTION] {
        demands_every_knob::<Knobs>(name);
        demands_every_knob::<TpmKnobs>(name);
        assert_eq!(shipped::<Knobs>(name).words().len(), 11);
        assert_eq!(shipped::<TpmKnobs>(name).words().len(), 7);
    }
    let zero = "0".repeat(96);
    for (knob, line) in [
        ("pcr0", "pcr0 = [\"AB\"]".to_owned()),
        ("pcr8", format!("pcr8 = [\"{}\"]", "A".repeat(96))),
        ("other-pcrs", format!("other-pcrs = {{ 32 = [\"{zero}\"] }}")),
        ("other-pcrs", format!("other-pcrs = {{ 05 = [\"{zero}\"] }}")),
        ("other-pcrs", format!("other-pcrs = {{ 4 = [\"{zero}\"] }}")),
        ("other-pcrs", "other-pcrs = { 5 = [\"\"] }".to_owned()),
        ("nonce-bytes-minimum", "nonce-bytes-minimum = 513".to_owned()),
    ] {
        impossible::<Knobs>(knob, &line);
    }
    impossible::<TpmKnobs>("pcr7", "pcr7 = [\"00\"]");
}
