//! PSA tokens: agreement with every captured case, every byte of a genuine one, and what a right signature does not excuse.

use evidence::cbor::members::MemberError;
use evidence::cbor::vendor::VendorCborError;
use evidence::controls::without;
use evidence::cose::anchor::{Anchor, AnchorError, AnchorKey, Device};
use evidence::cose::key::{Curve, MacKey};
use evidence::cose::vendor::{Algorithm, VendorCoseError};
use evidence::profile::{Section, Stated};
use evidence::psa::layout::{LifecycleState, SwComponent};
use evidence::psa::{self, Facts, Knobs, Profile, PsaRefusal, appraise};
use evidence::{Authentic, Outcome, Time};
use serde_json::{Value, json};

use crate::folders;
use crate::mint::{Bytes, Claims, NULL, Signer, array, bytes, int, mac0, map, tag, text};
use crate::profiles::{FORENSIC, demands_every_knob, impossible, shipped};

const PRODUCTION: &str = "psa-2026-11";

const NOW: Time = Time::from_unix(1_780_000_000);

fn verify(token: &[u8], anchors: &[Anchor]) -> Result<Authentic<Facts>, PsaRefusal> {
    psa::verify(token, anchors, NOW)
}

fn anchor(file: &[u8]) -> Anchor {
    Anchor { key: AnchorKey::read(file).unwrap(), devices: Stated::Unconstrained }
}

fn failed(facts: &Facts, knobs: &Knobs) -> Vec<&'static str> {
    let checks = appraise(facts, knobs);
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

#[test]
fn every_captured_psa_token_is_judged_as_it_was_established() {
    for folder in folders::all("psa") {
        let (id, expected) = (&folder.id, folder.expected());
        let got = verify(&folder.read("token.cbor"), &[anchor(&folder.anchor())]);
        assert_eq!(json!(got.is_ok()), expected["authentic"], "{id}: {:?}", got.err());
        let facts = match got {
            Err(refusal) => {
                assert!(expected["reason"].as_str().unwrap().starts_with("signature_invalid"));
                assert_eq!(
                    refusal,
                    PsaRefusal::Signature(AnchorError::Cose(VendorCoseError::Signature)),
                    "{id}"
                );
                continue;
            }
            Ok(facts) => facts.facts().clone(),
        };
        let accepted = failed(&facts, &shipped(FORENSIC)).is_empty();
        assert_eq!(accepted, expected["verdict"] == "valid", "{id}");
        let c = &facts.claims;
        for (name, got) in [
            ("profile", json!(c.profile.as_str())),
            ("nonce", json!(hex::encode(&c.nonce))),
            ("report_data", json!(hex::encode(&c.nonce))),
            ("instance_id", json!(hex::encode(c.device.instance_id))),
            ("implementation_id", json!(hex::encode(c.device.implementation_id))),
            ("boot_seed", json!(c.boot_seed.as_ref().map(hex::encode))),
            ("client_id", json!(c.client_id)),
            ("lifecycle", json!(format!("{:#06x}", c.lifecycle.raw()))),
            ("lifecycle_state", json!(c.lifecycle.state().as_str())),
            ("debug", json!(c.lifecycle.is_debug())),
            ("sw_components", components(&c.components)),
            ("cose_tag", json!(facts.tag)),
            ("alg", json!(facts.algorithm.cose())),
        ] {
            assert_eq!(expected[name], got, "{id} {name}");
        }
    }
}

/// As the corpus writes them: under the token's keys, without what is absent.
pub fn components(all: &[SwComponent]) -> Value {
    let one = |c: &SwComponent| {
        let fields = [
            ("1", c.measurement_type.clone()),
            ("2", Some(hex::encode(&c.measurement_value))),
            ("4", c.version.clone()),
            ("5", Some(hex::encode(&c.signer_id))),
            ("6", c.measurement_description.clone()),
        ];
        let there = fields.into_iter().filter_map(|(k, v)| Some((k.to_owned(), json!(v?))));
        there.collect::<Value>()
    };
    all.iter().map(one).collect()
}

#[test]
fn every_flipped_bit_of_a_psa_token_is_refused_signed_or_not() {
    // Nobody signs the tag, the array's head, the lengths of its parts and the empty unsigned header; no flip is taken there
    // either.
    for id in ["psa/tfm-profile-2", "psa/veraison-end-to-end"] {
        let Some(folder) = folders::one(id) else { return };
        let (token, anchors) = (folder.read("token.cbor"), [anchor(&folder.anchor())]);
        assert!(verify(&token, &anchors).is_ok());
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&changed, &anchors).is_err(), "{id} bit {bit}");
        }
        for len in 0..token.len() {
            assert!(verify(&token[..len], &anchors).is_err(), "{id} cut at {len}");
        }
        assert!(verify(&[&token[..], &[0]].concat(), &anchors).is_err());
    }
}

fn component() -> Bytes {
    map(&[
        (int(1), text("BL")),
        (int(2), bytes(&[3; 32])),
        (int(4), text("1.0")),
        (int(5), bytes(&[4; 32])),
    ])
}

fn claims() -> Claims {
    Claims(vec![
        (int(265), text(Profile::Tfm.as_str())),
        (int(10), bytes(&[1; 32])),
        (int(256), bytes(&[1; 33])),
        (int(2394), int(-5)),
        (int(2395), int(0x3000)),
        (int(2396), bytes(&[2; 32])),
        (int(268), bytes(&[5; 8])),
        (int(2398), text("1234567890123-12345")),
        (int(2399), array(&[component()])),
        (int(2400), text("https://verifier.example")),
    ])
}

fn legacy() -> Claims {
    Claims(vec![
        (int(-75000), text(Profile::Legacy.as_str())),
        (int(-75008), bytes(&[1; 64])),
        (int(-75009), bytes(&[1; 33])),
        (int(-75001), int(3002)),
        (int(-75002), int(0x3001)),
        (int(-75003), bytes(&[2; 32])),
        (int(-75004), bytes(&[5; 32])),
        (int(-75005), text("1234567890123")),
        (int(-75006), array(&[component()])),
    ])
}

/// What becomes of claims signed by a key that is also the anchor.
fn signed(claims: &Claims) -> Result<Authentic<Facts>, PsaRefusal> {
    let signer = Signer::new(Curve::P256);
    verify(&signer.tagged(&claims.write()), &[signer.anchor()])
}

#[test]
fn claims_are_read_in_all_three_spellings_and_on_all_three_curves() {
    let v2 = claims().set(265, text(Profile::V2.as_str())).without(268).set(2397, bytes(&[5; 32]));
    let implied = legacy().without(-75000);
    let none = legacy().without(-75006).set(-75007, int(1));
    for (claims, profile, seed) in [
        (claims(), Profile::Tfm, 8),
        (v2, Profile::V2, 32),
        (legacy(), Profile::Legacy, 32),
        (implied, Profile::Legacy, 32),
        (none, Profile::Legacy, 32),
    ] {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let signer = Signer::new(curve);
            let token = signer.tagged(&claims.write());
            let facts = verify(&token, &[signer.anchor()]).unwrap();
            let facts = facts.facts();
            assert_eq!(
                (facts.claims.profile, facts.algorithm),
                (profile, Algorithm::of_curve(curve))
            );
            assert_eq!(facts.claims.boot_seed.as_ref().unwrap().len(), seed);
            assert!(facts.claims.unknown_claims.is_empty());
        }
    }
    assert_eq!(signed(&claims()).unwrap().holds_until(), Time::MAX);
}

#[test]
fn a_claim_that_is_missing_is_refused_by_its_name() {
    for key in [10, 256, 2394, 2395, 2396] {
        let refused = signed(&claims().without(key)).unwrap_err();
        assert!(
            matches!(refused, PsaRefusal::Member(MemberError::Missing { .. })),
            "{key}: {refused}"
        );
    }
    for key in [268, 2398, 2400] {
        assert!(signed(&claims().without(key)).is_ok(), "{key} is optional");
    }
    assert_eq!(signed(&claims().without(265)).unwrap_err(), PsaRefusal::NoProfile);
    let missing = signed(&legacy().without(-75004)).unwrap_err();
    assert!(matches!(missing, PsaRefusal::Member(MemberError::Missing { name: "boot seed", .. })));
}

#[test]
fn a_claim_of_another_type_size_or_value_is_refused() {
    let hash = |n: usize| bytes(&vec![1; n]);
    let other = |pairs: &[(Bytes, Bytes)]| array(&[map(pairs)]);
    let (value, signer) = ((int(2), hash(32)), (int(5), hash(32)));
    for (key, value) in [
        (10, hash(31)),
        (10, hash(33)),
        (10, hash(65)),
        (10, array(&[hash(32), hash(32)])),
        (256, hash(32)),
        (256, bytes(&[2; 33])),
        (2394, int(0)),
        (2394, int(1 << 31)),
        (2394, text("1")),
        (2395, int(0x0100)),
        (2395, int(0x7000)),
        (2395, int(0x13000)),
        (2395, int(-1)),
        (2396, hash(31)),
        (268, hash(7)),
        (268, hash(33)),
        (2398, text("1234567890123")),
        (2398, text("123456789012x-12345")),
        (2398, text("1234567890123-1234")),
        (2399, array(&[])),
        (2399, map(&[])),
        (2399, array(&vec![component(); 65])),
        (2399, array(&[bytes(b"x")])),
        (2399, other(&[])),
        (2399, other(std::slice::from_ref(&value))),
        (2399, other(std::slice::from_ref(&signer))),
        (2399, other(&[(int(2), hash(20)), signer.clone()])),
        (2399, other(&[value.clone(), (int(5), hash(0))])),
        (2399, other(&[value.clone(), signer.clone(), (int(1), text(""))])),
        (2399, other(&[value.clone(), signer.clone(), (int(4), int(1))])),
        (2399, other(&[value, signer, (int(3), int(1))])),
        (2400, text("")),
        (2400, NULL.to_vec()),
    ] {
        let refused = signed(&claims().set(key, value.clone())).unwrap_err();
        assert!(
            matches!(refused, PsaRefusal::Member(_)),
            "{key} {}: {refused}",
            hex::encode(value)
        );
    }
    for len in [32, 48, 64] {
        assert!(signed(&claims().set(10, hash(len))).is_ok());
    }
}

#[test]
fn a_profile_that_was_never_seen_or_stands_under_the_wrong_key_is_refused() {
    for profile in
        ["tag:psacertified.org,2023:psa#other", "PSA_IOT_PROFILE_1", "", "HTTP://arm.com/psa/2.0.0"]
    {
        let refused = signed(&claims().set(265, text(profile))).unwrap_err();
        assert_eq!(refused, PsaRefusal::Profile(profile.to_owned()));
    }
    let legacy = signed(&legacy().set(-75000, text(Profile::V2.as_str()))).unwrap_err();
    assert_eq!(legacy, PsaRefusal::Profile(Profile::V2.as_str().to_owned()));
}

#[test]
fn components_and_the_word_that_there_are_none_exclude_each_other() {
    let both = legacy().set(-75007, int(1));
    let neither = legacy().without(-75006);
    for claims in [both, neither, claims().without(2399)] {
        assert_eq!(signed(&claims).unwrap_err(), PsaRefusal::Measurements);
    }
    let wrong = legacy().without(-75006).set(-75007, int(0));
    assert!(matches!(signed(&wrong), Err(PsaRefusal::Member(MemberError::Form { .. }))));
}

#[test]
fn a_claim_that_occurs_twice_or_a_length_that_is_not_stated_is_refused() {
    let twice = signed(&claims().twice(10)).unwrap_err();
    assert_eq!(twice, PsaRefusal::Claims(VendorCborError::DuplicateKey("10".into())));
    let signer = Signer::new(Curve::P256);
    let pairs = claims().0.iter().flat_map(|(k, v)| [&k[..], v].concat()).collect::<Bytes>();
    let open = [&[0xbf][..], &pairs, &[0xff]].concat();
    let refused = verify(&signer.tagged(&open), &[signer.anchor()]).unwrap_err();
    assert_eq!(refused, PsaRefusal::Claims(VendorCborError::Indefinite(0)));
    let no_map = verify(&signer.tagged(&array(&[])), &[signer.anchor()]).unwrap_err();
    assert!(matches!(no_map, PsaRefusal::Member(MemberError::Form { name: "the payload", .. })));
}

#[test]
fn a_token_without_a_tag_or_without_an_anchor_is_refused() {
    let signer = Signer::new(Curve::P256);
    let payload = claims().write();
    let untagged = signer.sign1(&crate::mint::header(-7), &payload);
    assert_eq!(verify(&untagged, &[signer.anchor()]).unwrap_err(), PsaRefusal::Untagged);
    let token = tag(18, untagged);
    assert!(verify(&token, &[signer.anchor()]).is_ok());
    assert_eq!(verify(&token, &[]).unwrap_err(), PsaRefusal::Signature(AnchorError::NoAnchor));
    let many = vec![signer.anchor(); 17];
    assert_eq!(verify(&token, &many).unwrap_err(), PsaRefusal::Signature(AnchorError::TooMany(17)));
}

#[test]
fn of_several_anchors_the_one_that_signed_counts_and_the_most_telling_refusal_is_given() {
    let (a, b, c) = (Signer::new(Curve::P256), Signer::new(Curve::P256), Signer::new(Curve::P384));
    let token = b.tagged(&claims().write());
    let all = [c.anchor(), a.anchor(), b.anchor()];
    let facts = verify(&token, &all).unwrap();
    assert_eq!(facts.facts().root, b.anchor().key.digest());
    let refused = |anchors: &[Anchor]| match verify(&token, anchors).unwrap_err() {
        PsaRefusal::Signature(AnchorError::Cose(e)) => e,
        other => panic!("{other}"),
    };
    assert_eq!(refused(&[a.anchor(), c.anchor()]), VendorCoseError::Signature);
    assert_eq!(refused(&[c.anchor(), a.anchor()]), VendorCoseError::Signature);
    assert!(matches!(
        refused(&[c.anchor()]),
        VendorCoseError::KeyMismatch { header: "ES256", key: "ES384" }
    ));
}

#[test]
fn a_mac_is_named_and_refused_unless_its_secret_is_given() {
    let secret = [7; 32];
    let token = mac0(&secret, 5, &claims().write());
    let ec = Signer::new(Curve::P256).anchor();
    assert_eq!(verify(&token, &[]).unwrap_err(), PsaRefusal::Signature(AnchorError::NoAnchor));
    let refused = verify(&token, std::slice::from_ref(&ec)).unwrap_err();
    assert!(refused.to_string().contains("HMAC 256/256"), "{refused}");
    let mac = Anchor {
        key: AnchorKey::Mac(MacKey::new(secret.to_vec()).unwrap()),
        devices: Stated::Unconstrained,
    };
    let facts = verify(&token, &[ec, mac]).unwrap();
    assert_eq!((facts.facts().tag, facts.facts().algorithm), (17, Algorithm::Hmac256));
    assert!(failed(facts.facts(), &shipped(FORENSIC)).is_empty());
    assert_eq!(failed(facts.facts(), &shipped(PRODUCTION)), ["psa_mac"]);
}

#[test]
fn a_key_speaks_only_for_the_device_it_is_provisioned_for() {
    let signer = Signer::new(Curve::P256);
    let token = signer.tagged(&claims().write());
    let device = Device { implementation_id: [2; 32], instance_id: [1; 33] };
    let other = Device { implementation_id: [3; 32], ..device.clone() };
    let with = |devices| Anchor { devices: Stated::Value(devices), ..signer.anchor() };
    assert!(verify(&token, &[with(vec![other.clone(), device])]).is_ok());
    let attack = || verify(&token, &[with(vec![other.clone()])]);
    assert!(matches!(attack(), Err(PsaRefusal::Device(_))));
    assert!(without("psa_device", attack).is_ok());
}

#[test]
fn every_knob_about_psa_refuses_what_it_is_about_and_nothing_else() {
    let facts = signed(&claims()).unwrap().facts().clone();
    let production = shipped::<Knobs>(PRODUCTION);
    assert!(failed(&facts, &production).is_empty());
    let open = signed(&legacy()).unwrap().facts().clone();
    let strange =
        signed(&claims().set(-70000, int(1)).set("x", NULL.to_vec())).unwrap().facts().clone();
    assert_eq!(strange.claims.unknown_claims, ["-70000", "\"x\""]);
    let in_state = |raw| signed(&claims().set(2395, int(raw))).unwrap().facts().clone();
    let knobs = |change: fn(&mut Knobs)| {
        let mut knobs = shipped::<Knobs>(PRODUCTION);
        change(&mut knobs);
        knobs
    };
    let cases = [
        (in_state(0x4000), production.clone(), "psa_lifecycle"),
        (in_state(0x50ff), production.clone(), "psa_lifecycle"),
        (in_state(0x2000), production.clone(), "psa_lifecycle"),
        (in_state(0x0000), production.clone(), "psa_lifecycle"),
        (in_state(0x6000), production.clone(), "psa_lifecycle"),
        (open, production.clone(), "psa_profile"),
        (strange.clone(), production.clone(), "psa_unknown_claims"),
        (
            facts.clone(),
            knobs(|k| k.implementations = Stated::Value(vec![hex::encode([9; 32])])),
            "psa_implementation",
        ),
        (
            facts.clone(),
            knobs(|k| k.certifications = Stated::Value(vec!["1".into()])),
            "psa_certification",
        ),
        (facts.clone(), knobs(|k| k.clients = Stated::Value(vec![5])), "psa_client"),
        (
            facts.clone(),
            knobs(|k| k.signers = Stated::Value(vec![hex::encode([9; 32])])),
            "psa_signer",
        ),
        (
            facts.clone(),
            knobs(|k| k.measurements = Stated::Value(vec![hex::encode([9; 32])])),
            "psa_measurement",
        ),
    ];
    for (facts, knobs, name) in cases {
        assert_eq!(failed(&facts, &knobs), [name]);
        assert!(without(name, || failed(&facts, &knobs)).is_empty(), "{name}");
    }
    assert!(failed(&strange, &shipped(FORENSIC)).is_empty(), "RFC 9783 forbids to fail for them");
    let wanted = knobs(|k| {
        k.implementations = Stated::Value(vec![hex::encode([2; 32])]);
        k.certifications = Stated::Value(vec!["1234567890123-12345".into()]);
        k.clients = Stated::Value(vec![-5]);
        k.signers = Stated::Value(vec![hex::encode([4; 32])]);
        k.measurements = Stated::Value(vec![hex::encode([3; 32])]);
    });
    assert!(failed(&facts, &wanted).is_empty());
    // A device that measures nothing satisfies no list.
    let mut silent = facts;
    silent.claims.components.clear();
    assert_eq!(failed(&silent, &wanted), ["psa_signer", "psa_measurement"]);
    assert!(
        in_state(0x4000).claims.lifecycle.is_debug()
            && !in_state(0x3000).claims.lifecycle.is_debug()
    );
    assert_eq!(in_state(0x5001).claims.lifecycle.state(), LifecycleState::RecoverableRotDebug);
}

#[test]
fn a_profile_states_every_knob_about_psa_and_demands_nothing_impossible() {
    for name in [FORENSIC, PRODUCTION] {
        demands_every_knob::<Knobs>(name);
        assert_eq!(shipped::<Knobs>(name).words().len(), 9);
    }
    for (knob, line) in [
        ("lifecycles", "lifecycles = []"),
        ("profiles", "profiles = []"),
        ("implementations", "implementations = [\"aa\"]"),
        ("signers", "signers = [\"AA\"]"),
        ("measurements", "measurements = [\"\"]"),
        ("clients", "clients = [1, 0]"),
    ] {
        impossible::<Knobs>(knob, line);
    }
}
