//! CCA tokens: agreement with every captured case, every byte of a genuine one, and halves that do not belong together.

use evidence::cbor::members::MemberError;
use evidence::cbor::vendor::VendorCborError;
use evidence::cca::{
    self, CcaRefusal, Facts, HashAlgorithm, Knobs, PlatformProfile, RealmProfile, appraise,
};
use evidence::controls::without;
use evidence::cose::anchor::{Anchor, AnchorError, AnchorKey, Device};
use evidence::cose::key::{Curve, KeyError};
use evidence::cose::vendor::VendorCoseError;
use evidence::profile::{Section, Stated};
use evidence::{Authentic, Outcome, Time};
use serde_json::{Value, json};

use crate::folders::{self, Folder};
use crate::mint::{Bytes, Claims, Signer, array, bytes, int, map, tag, text};
use crate::profiles::{FORENSIC, demands_every_knob, impossible, shipped};
use crate::psa::components;

const PRODUCTION: &str = "cca-2026-11";

const NOW: Time = Time::from_unix(1_780_000_000);

fn verify(token: &[u8], anchors: &[Anchor]) -> Result<Authentic<Facts>, CcaRefusal> {
    cca::verify(token, anchors, NOW)
}

fn anchor(folder: &Folder) -> Anchor {
    Anchor { key: AnchorKey::read(&folder.anchor()).unwrap(), devices: Stated::Unconstrained }
}

fn failed(facts: &Facts, knobs: &Knobs) -> Vec<&'static str> {
    let checks = appraise(facts, knobs);
    checks.iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.name).collect()
}

/// The corpus's word for a refusal.
fn class(refusal: &CcaRefusal) -> &'static str {
    match refusal {
        CcaRefusal::PlatformSignature(_) => "platform_signature_invalid",
        CcaRefusal::RealmSignature(VendorCoseError::Signature) => "realm_signature_invalid",
        CcaRefusal::Binding { .. } => "binding",
        _ => "other",
    }
}

#[test]
fn every_captured_cca_token_is_judged_as_it_was_established() {
    for folder in folders::all("cca") {
        let (id, expected) = (&folder.id, folder.expected());
        let got = verify(&folder.read("token.cbor"), &[anchor(&folder)]);
        assert_eq!(json!(got.is_ok()), expected["authentic"], "{id}: {:?}", got.err());
        match got {
            Err(refusal) => {
                let reason = expected["reason"].as_str().unwrap();
                assert!(reason.starts_with(class(&refusal)), "{id}: {reason}, got {refusal}");
            }
            Ok(facts) => {
                let accepted = failed(facts.facts(), &shipped(FORENSIC)).is_empty();
                assert_eq!(accepted, expected["verdict"] == "valid", "{id}");
                fields(id, expected, facts.facts());
            }
        }
    }
}

fn fields(id: &str, expected: &Value, facts: &Facts) {
    let (platform, realm) = (&facts.platform, &facts.realm);
    let challenge = hex::encode(realm.challenge);
    for (name, got) in [
        ("platform_profile", json!(platform.profile.as_str())),
        ("realm_profile", json!(realm.profile.as_str())),
        ("measurement", json!(hex::encode(&realm.initial_measurement))),
        ("rem", realm.extensible_measurements.iter().map(hex::encode).collect()),
        ("report_data", json!(challenge)),
        ("realm_challenge", json!(challenge)),
        ("personalization_value", json!(hex::encode(realm.personalization_value))),
        ("realm_hash_alg", json!(realm.hash_algorithm.as_str())),
        ("realm_pubkey_hash_alg", json!(realm.public_key_hash_algorithm.as_str())),
        ("realm_public_key", json!(hex::encode(&realm.public_key))),
        ("implementation_id", json!(hex::encode(platform.device.implementation_id))),
        ("instance_id", json!(hex::encode(platform.device.instance_id))),
        ("lifecycle", json!(format!("{:#06x}", platform.lifecycle.raw()))),
        ("lifecycle_state", json!(platform.lifecycle.state().as_cca_str())),
        ("debug", json!(platform.lifecycle.is_debug())),
        ("sw_components", components(&platform.components)),
        (
            "cose_alg",
            json!({"platform": facts.platform_algorithm.cose(), "realm": facts.realm_algorithm.cose()}),
        ),
    ] {
        assert_eq!(expected[name], got, "{id} {name}");
    }
}

#[test]
fn every_flipped_bit_of_a_cca_token_is_refused_signed_or_not() {
    // Nobody signs tag 399, the pair's map, the tags, heads and lengths of both halves and their empty unsigned headers; no
    // flip is taken there either.
    for id in ["cca/fvp-tf-rmm", "cca/fvp-draft-ffm-00"] {
        let Some(folder) = folders::one(id) else { return };
        let (token, anchors) = (folder.read("token.cbor"), [anchor(&folder)]);
        assert!(verify(&token, &anchors).is_ok());
        for byte in 0..token.len() {
            for bit in [byte % 8, (byte + 3) % 8] {
                let mut changed = token.clone();
                changed[byte] ^= 1 << bit;
                assert!(verify(&changed, &anchors).is_err(), "{id} byte {byte} bit {bit}");
            }
        }
        for len in (0..token.len()).step_by(7) {
            assert!(verify(&token[..len], &anchors).is_err(), "{id} cut at {len}");
        }
        assert!(verify(&[&token[..], &[0]].concat(), &anchors).is_err());
    }
}

/// A platform and a realm of our own.
struct World {
    platform: Signer,
    realm: Signer,
}

impl World {
    fn new() -> Self {
        Self { platform: Signer::new(Curve::P384), realm: Signer::new(Curve::P384) }
    }

    fn platform_claims(&self) -> Claims {
        let component =
            map(&[(int(1), text("BL")), (int(2), bytes(&[3; 32])), (int(5), bytes(&[4; 32]))]);
        Claims(vec![
            (int(265), text(PlatformProfile::V1.as_str())),
            (int(10), bytes(&HashAlgorithm::Sha512.of(&self.realm.cose_key()))),
            (int(2396), bytes(&[2; 32])),
            (int(256), bytes(&[1; 33])),
            (int(2401), bytes(b"config")),
            (int(2395), int(0x3003)),
            (int(2399), array(&[component])),
            (int(2402), text("sha-256")),
        ])
    }

    fn realm_claims(&self) -> Claims {
        Claims(vec![
            (int(265), text(RealmProfile::V1.as_str().unwrap())),
            (int(10), bytes(&[6; 64])),
            (int(44235), bytes(&[7; 64])),
            (int(44236), text("sha-384")),
            (int(44237), bytes(&self.realm.cose_key())),
            (int(44238), bytes(&[8; 48])),
            (
                int(44239),
                array(&[bytes(&[9; 48]), bytes(&[9; 48]), bytes(&[9; 48]), bytes(&[9; 48])]),
            ),
            (int(44240), text("sha-512")),
        ])
    }

    fn token(&self, platform: &Claims, realm: &Claims) -> Bytes {
        pair(&self.platform.tagged(&platform.write()), &self.realm.tagged(&realm.write()))
    }

    fn verify(&self, platform: &Claims, realm: &Claims) -> Result<Authentic<Facts>, CcaRefusal> {
        verify(&self.token(platform, realm), &[self.platform.anchor()])
    }

    fn platform(&self, claims: &Claims) -> Result<Authentic<Facts>, CcaRefusal> {
        self.verify(claims, &self.realm_claims())
    }

    fn realm(&self, claims: &Claims) -> Result<Authentic<Facts>, CcaRefusal> {
        self.verify(&self.platform_claims(), claims)
    }
}

fn pair(platform: &[u8], realm: &[u8]) -> Bytes {
    tag(399, map(&[(int(44234), bytes(platform)), (int(44241), bytes(realm))]))
}

#[test]
fn a_token_of_our_own_making_is_taken_in_both_forms_of_the_realms_key() {
    let w = World::new();
    let facts = w.verify(&w.platform_claims(), &w.realm_claims()).unwrap();
    assert!(failed(facts.facts(), &shipped(PRODUCTION)).is_empty());
    let raw = w.realm_claims().without(265).set(44237, bytes(w.realm.point()));
    let named = w.platform_claims().set(10, bytes(&HashAlgorithm::Sha512.of(w.realm.point())));
    let facts = w.verify(&named, &raw).unwrap();
    assert_eq!(facts.facts().realm.profile, RealmProfile::Legacy);
    assert_eq!(failed(facts.facts(), &shipped(PRODUCTION)), ["cca_realm_profile"]);
    // The profile fixes the form: a point is no COSE_Key, and the other way round.
    let point = w.realm_claims().set(44237, bytes(w.realm.point()));
    assert_eq!(w.realm(&point).unwrap_err(), CcaRefusal::RealmKey(KeyError::Form));
    let cose = w.realm_claims().without(265);
    assert_eq!(w.realm(&cose).unwrap_err(), CcaRefusal::RealmKey(KeyError::Curve));
}

#[test]
fn a_realm_token_beside_another_platforms_token_is_refused_though_both_are_genuine() {
    let (a, b) = (World::new(), World::new());
    let spliced = pair(
        &a.platform.tagged(&a.platform_claims().write()),
        &b.realm.tagged(&b.realm_claims().write()),
    );
    let attack = || verify(&spliced, &[a.platform.anchor(), b.platform.anchor()]);
    assert!(matches!(attack(), Err(CcaRefusal::Binding { .. })));
    assert!(without("cca_binding", attack).is_ok());
    // The same with captured ones: the halves of two genuine tokens.
    let (Some(one), Some(two)) =
        (folders::one("cca/fvp-draft-ffm-00"), folders::one("cca/veraison-good"))
    else {
        return;
    };
    let halves = |f: &Folder| {
        let token = f.read("token.cbor");
        let parsed = cca::parse(&token).unwrap();
        let half = |s: &evidence::cose::vendor::Signed<'_>| {
            tag(18, array(&[bytes(s.protected), map(&[]), bytes(s.payload), bytes(s.signature)]))
        };
        (half(&parsed.platform_signed), half(&parsed.realm_signed))
    };
    let ((p1, r1), (p2, r2)) = (halves(&one), halves(&two));
    let anchors = [anchor(&one), anchor(&two)];
    for (platform, realm, whole) in
        [(&p1, &r1, true), (&p2, &r2, true), (&p1, &r2, false), (&p2, &r1, false)]
    {
        let got = verify(&pair(platform, realm), &anchors);
        assert_eq!(got.is_ok(), whole);
        assert!(whole || matches!(got, Err(CcaRefusal::Binding { .. })));
    }
}

#[test]
fn a_realm_token_that_its_own_key_did_not_sign_is_refused() {
    let (w, other) = (World::new(), World::new());
    let token = pair(
        &w.platform.tagged(&w.platform_claims().write()),
        &other.realm.tagged(&w.realm_claims().write()),
    );
    let attack = || verify(&token, &[w.platform.anchor()]);
    assert_eq!(attack().unwrap_err(), CcaRefusal::RealmSignature(VendorCoseError::Signature));
    assert!(without("vendor_cose_signature", attack).is_ok());
    // Signed by the realm's key under another algorithm's name.
    let named = tag(18, w.realm.sign1(&crate::mint::header(-7), &w.realm_claims().write()));
    let token = pair(&w.platform.tagged(&w.platform_claims().write()), &named);
    let attack = || verify(&token, &[w.platform.anchor()]);
    assert!(matches!(
        attack(),
        Err(CcaRefusal::RealmSignature(VendorCoseError::KeyMismatch { .. }))
    ));
    assert!(without("vendor_cose_algorithm", attack).is_ok());
}

#[test]
fn a_platform_token_no_anchor_signed_is_refused() {
    let (w, other) = (World::new(), World::new());
    let token = w.token(&w.platform_claims(), &w.realm_claims());
    let refused = |anchors: &[Anchor]| verify(&token, anchors).unwrap_err();
    assert_eq!(refused(&[]), CcaRefusal::PlatformSignature(AnchorError::NoAnchor));
    assert_eq!(
        refused(&vec![other.platform.anchor(); 17]),
        CcaRefusal::PlatformSignature(AnchorError::TooMany(17))
    );
    let strangers = [other.platform.anchor(), w.realm.anchor()];
    assert_eq!(
        refused(&strangers),
        CcaRefusal::PlatformSignature(AnchorError::Cose(VendorCoseError::Signature))
    );
    let attack = || verify(&token, &strangers);
    assert!(without("vendor_cose_signature", attack).is_ok());
}

#[test]
fn a_platform_key_speaks_only_for_the_platform_it_is_provisioned_for() {
    let w = World::new();
    let token = w.token(&w.platform_claims(), &w.realm_claims());
    let device = Device { implementation_id: [2; 32], instance_id: [1; 33] };
    let other = Device { instance_id: [2; 33], ..device.clone() };
    let with = |devices| [Anchor { devices: Stated::Value(devices), ..w.platform.anchor() }];
    assert!(verify(&token, &with(vec![device])).is_ok());
    let attack = || verify(&token, &with(vec![other.clone()]));
    assert!(matches!(attack(), Err(CcaRefusal::Device(_))));
    assert!(without("cca_device", attack).is_ok());
}

#[test]
fn what_is_no_pair_of_signed_tokens_is_refused() {
    let w = World::new();
    let (p, r) = (
        w.platform.tagged(&w.platform_claims().write()),
        w.realm.tagged(&w.realm_claims().write()),
    );
    let refused = |token: Bytes| verify(&token, &[w.platform.anchor()]).unwrap_err();
    let both = map(&[(int(44234), bytes(&p)), (int(44241), bytes(&r))]);
    assert_eq!(refused(both.clone()), CcaRefusal::NoPair);
    assert_eq!(refused(tag(907, both)), CcaRefusal::NoPair);
    assert_eq!(refused(tag(399, array(&[bytes(&p), bytes(&r)]))), CcaRefusal::NoPair);
    let missing = |e: &CcaRefusal| matches!(e, CcaRefusal::Member(MemberError::Missing { .. }));
    assert!(missing(&refused(tag(399, map(&[(int(44234), bytes(&p))])))));
    assert!(missing(&refused(tag(399, map(&[(int(44241), bytes(&r))])))));
    let three = map(&[(int(44234), bytes(&p)), (int(44241), bytes(&r)), (int(1), bytes(&r))]);
    assert_eq!(refused(tag(399, three)), CcaRefusal::Member(MemberError::Unknown("1".into())));
    let twice = map(&[(int(44234), bytes(&p)), (int(44241), bytes(&r)), (int(44241), bytes(&r))]);
    assert_eq!(
        refused(tag(399, twice)),
        CcaRefusal::Cbor(VendorCborError::DuplicateKey("44241".into()))
    );
    // A half without its tag, and a half that is no token.
    assert_eq!(refused(pair(&p[1..], &r)), CcaRefusal::Untagged("platform"));
    assert_eq!(refused(pair(&p, &r[1..])), CcaRefusal::Untagged("realm"));
    assert!(matches!(refused(pair(&p, b"junk")), CcaRefusal::Cose { half: "realm", .. }));
    assert!(matches!(refused(pair(&p, b"")), CcaRefusal::Cose { half: "realm", .. }));
    // The halves exchanged.
    assert!(matches!(refused(pair(&r, &p)), CcaRefusal::Profile { half: "platform", .. }));
}

#[test]
fn a_claim_of_either_half_that_is_missing_is_refused() {
    let w = World::new();
    for key in [265, 10, 2396, 256, 2401, 2395, 2399, 2402] {
        let refused = w.platform(&w.platform_claims().without(key)).unwrap_err();
        assert!(
            matches!(refused, CcaRefusal::Member(MemberError::Missing { .. })),
            "{key}: {refused}"
        );
    }
    for key in [10, 44235, 44236, 44237, 44238, 44239, 44240] {
        let refused = w.realm(&w.realm_claims().without(key)).unwrap_err();
        assert!(
            matches!(refused, CcaRefusal::Member(MemberError::Missing { .. })),
            "{key}: {refused}"
        );
    }
}

#[test]
fn a_claim_of_either_half_of_another_type_size_or_value_is_refused() {
    let w = World::new();
    let hash = |n: usize| bytes(&vec![1; n]);
    for (key, value) in [
        (10, hash(31)),
        (2396, hash(33)),
        (256, hash(32)),
        (256, bytes(&[0; 33])),
        (2401, hash(0)),
        (2395, int(0x3100)),
        (2399, array(&[])),
        (2400, text("")),
        (2402, text("sha-1")),
        (2402, text("SHA-256")),
    ] {
        let refused = w.platform(&w.platform_claims().set(key, value)).unwrap_err();
        assert!(
            matches!(refused, CcaRefusal::Member(MemberError::Form { .. })),
            "{key}: {refused}"
        );
    }
    for (key, value) in [
        (10, hash(63)),
        (10, hash(65)),
        (44235, hash(32)),
        (44236, text("md5")),
        (44237, text("key")),
        (44238, hash(20)),
        (44239, array(&[hash(32), hash(32), hash(32)])),
        (44239, array(&[hash(32), hash(32), hash(32), hash(31)])),
        (44239, hash(32)),
        (44240, text("sha-1")),
        (44240, int(1)),
    ] {
        let refused = w.realm(&w.realm_claims().set(key, value)).unwrap_err();
        assert!(
            matches!(refused, CcaRefusal::Member(MemberError::Form { .. })),
            "{key}: {refused}"
        );
    }
    for profile in ["tag:arm.com,2024:cca_platform#2.0.0", "tag:arm.com,2023:realm#1.0.0", ""] {
        let refused = w.platform(&w.platform_claims().set(265, text(profile))).unwrap_err();
        assert_eq!(refused, CcaRefusal::Profile { half: "platform", got: profile.to_owned() });
        let refused =
            w.realm(&w.realm_claims().set(265, text(&format!("{profile}x")))).unwrap_err();
        assert_eq!(refused, CcaRefusal::Profile { half: "realm", got: format!("{profile}x") });
    }
    let twice = w.realm(&w.realm_claims().twice(44237)).unwrap_err();
    assert_eq!(twice, CcaRefusal::Cbor(VendorCborError::DuplicateKey("44237".into())));
    let deep = w.realm(&w.realm_claims().set(1, [vec![0x81; 64], int(0)].concat())).unwrap_err();
    assert!(matches!(deep, CcaRefusal::Cbor(VendorCborError::Deep(_))));
}

#[test]
fn the_realms_key_must_be_a_point_of_its_curve() {
    let w = World::new();
    let mut damaged = w.realm.cose_key();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let refused = w.realm(&w.realm_claims().set(44237, bytes(&damaged))).unwrap_err();
    assert_eq!(refused, CcaRefusal::RealmKey(KeyError::NotOnCurve("P-384")));
}

#[test]
fn every_knob_about_cca_refuses_what_it_is_about_and_nothing_else() {
    let w = World::new();
    let good = w.verify(&w.platform_claims(), &w.realm_claims()).unwrap().facts().clone();
    let platform = |key: i64, value: Bytes| {
        w.platform(&w.platform_claims().set(key, value)).unwrap().facts().clone()
    };
    let realm = |key: i64, value: Bytes| {
        w.realm(&w.realm_claims().set(key, value)).unwrap().facts().clone()
    };
    let knobs = |change: fn(&mut Knobs)| {
        let mut knobs = shipped::<Knobs>(PRODUCTION);
        change(&mut knobs);
        knobs
    };
    let production = shipped::<Knobs>(PRODUCTION);
    let other = || Stated::Value(vec![hex::encode([9; 32])]);
    let cases = [
        (platform(2395, int(0x4000)), production.clone(), "cca_lifecycle"),
        (platform(2395, int(0x5000)), production.clone(), "cca_lifecycle"),
        (platform(2395, int(0x1000)), production.clone(), "cca_lifecycle"),
        (
            platform(265, text(PlatformProfile::Legacy.as_str())),
            production.clone(),
            "cca_platform_profile",
        ),
        (platform(-1, int(0)), production.clone(), "cca_unknown_claims"),
        (realm(44243, text("private")), production.clone(), "cca_unknown_claims"),
        (realm(44238, bytes(&[8; 32])), production.clone(), "cca_digest_lengths"),
        (realm(44236, text("sha-256")), production.clone(), "cca_digest_lengths"),
        (good.clone(), knobs(|k| k.hashes = vec![HashAlgorithm::Sha512]), "cca_hash"),
        (
            good.clone(),
            knobs(|k| k.implementations = Stated::Value(vec![hex::encode([9; 32])])),
            "cca_implementation",
        ),
        (good.clone(), Knobs { configs: other(), ..production.clone() }, "cca_config"),
        (good.clone(), Knobs { signers: other(), ..production.clone() }, "cca_signer"),
        (good.clone(), Knobs { measurements: other(), ..production.clone() }, "cca_measurement"),
        (
            good.clone(),
            knobs(|k| k.personalizations = Stated::Value(vec![hex::encode([9; 64])])),
            "cca_personalization",
        ),
    ];
    for (facts, knobs, name) in cases {
        assert_eq!(failed(&facts, &knobs), [name]);
        assert!(without(name, || failed(&facts, &knobs)).is_empty(), "{name}");
    }
    let raw = w.realm_claims().without(265).set(44237, bytes(w.realm.point()));
    let named = w.platform_claims().set(10, bytes(&HashAlgorithm::Sha512.of(w.realm.point())));
    let legacy = w.verify(&named, &raw).unwrap().facts().clone();
    assert!(without("cca_realm_profile", || failed(&legacy, &production)).is_empty());
    let wanted = knobs(|k| {
        k.implementations = Stated::Value(vec![hex::encode([2; 32])]);
        k.configs = Stated::Value(vec![hex::encode("config")]);
        k.signers = Stated::Value(vec![hex::encode([4; 32])]);
        k.measurements = Stated::Value(vec![hex::encode([3; 32])]);
        k.personalizations = Stated::Value(vec![hex::encode([7; 64])]);
    });
    assert!(failed(&good, &wanted).is_empty());
}

#[test]
fn a_profile_states_every_knob_about_cca_and_demands_nothing_impossible() {
    for name in [FORENSIC, PRODUCTION] {
        demands_every_knob::<Knobs>(name);
        assert_eq!(shipped::<Knobs>(name).words().len(), 11);
    }
    for (knob, line) in [
        ("lifecycles", "lifecycles = []"),
        ("profiles", "platform-profiles = []"),
        ("profiles", "realm-profiles = []"),
        ("hashes", "hashes = []"),
        ("implementations", "implementations = [\"aa\"]"),
        ("personalizations", "personalizations = [\"aa\"]"),
        ("signers", "signers = [\"AA\"]"),
        ("measurements", "measurements = [\"\"]"),
    ] {
        impossible::<Knobs>(knob, line);
    }
}
