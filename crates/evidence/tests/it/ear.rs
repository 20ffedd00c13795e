//! Attestation results: every published example, and every way a result is refused.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use evidence::controls::without;
use evidence::ear::{
    self, Appraisal, Claim, Ear, EarRefusal, Expected, ResultKey, Spelling, Tier, Vector, Verifier,
};
use evidence::{Authentic, Time};
use serde_json::{Value, json};

use crate::vectors::topic;

#[test]
fn every_published_example_is_read_or_refused_as_its_authors_say() {
    let mut seen = [0, 0];
    for v in topic("ear") {
        // Diagnostic notation of the JSON examples is JSON; that of the CBOR ones is not.
        if v.path.contains("-cbor-") || v.path.starts_with("rust-ear-jwt") {
            continue;
        }
        let read = ear::parse(&v.bytes);
        assert_eq!(read.is_ok(), v.outcome == "accept", "{}: {:?}", v.path, read.err());
        seen[usize::from(v.outcome == "accept")] += 1;
        if let Ok(read) = read {
            // What is written again says the same, in the newest spelling.
            let written = ear::parse(ear::to_json(&read).to_string().as_bytes()).unwrap();
            assert_eq!(written.spelling, Spelling::Draft04);
            let submods = |e: &Ear| {
                e.submods
                    .iter()
                    .map(|(n, a)| (n.clone(), a.status, a.vector.clone(), a.key.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(submods(&written), submods(&read), "{}", v.path);
        }
    }
    assert!(seen == [0, 0] || (seen[0] >= 4 && seen[1] >= 9), "{seen:?}");
}

#[test]
fn a_token_of_another_implementation_is_believed_under_its_key() {
    let all = topic("ear");
    let file = |name: &str| all.iter().find(|v| v.path.ends_with(name)).map(|v| v.bytes.clone());
    let (Some(token), Some(jwk)) = (file("token.jwt"), file("key.jwk.json")) else { return };
    let key = ResultKey::from_jwk(&jwk).unwrap();
    let expected = Expected { nonce: Some("3WHyjndGOTI=".into()), key: None, must_end: false };
    let at = Time::from_unix(1_704_908_196);
    let good = ear::verify(&token, &[key], &expected, at).unwrap();
    assert_eq!(good.facts().spelling, Spelling::Veraison2023);
    assert_eq!(good.facts().submods[0].1.vector.get(Claim::Hardware), Some(2));
}

const MADE: i64 = 1_790_000_000;

fn key() -> (EcdsaKeyPair, ResultKey) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = ResultKey::Es256(key.public_key().as_ref().to_vec());
    (key, public)
}

fn token(key: &EcdsaKeyPair, header: &Value, claims: &str) -> Vec<u8> {
    let part = |b: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(b);
    let head = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.as_bytes()));
    let signature = key.sign(&SystemRandom::new(), head.as_bytes()).unwrap();
    format!("{head}.{}", part(signature.as_ref())).into_bytes()
}

fn result() -> Ear {
    let mut vector = Vector::default();
    vector.claim(Claim::Hardware, 2);
    Ear {
        spelling: Spelling::Draft04,
        issued: Time::from_unix(MADE),
        expires: Some(Time::from_unix(MADE + 60)),
        nonces: vec!["nonce-of-the-party".into()],
        verifier: Verifier { developer: "casemate".into(), build: "1".into() },
        status: None,
        submods: vec![(
            "snp".into(),
            Appraisal {
                status: Tier::Affirming,
                vector,
                policies: vec!["snp-2026-11".into()],
                nonces: vec![],
                key: Some(b"the key".to_vec()),
                attester_claims: None,
            },
        )],
        raw_evidence: None,
    }
}

fn judge(claims: &Value, expected: &Expected, at: i64) -> Result<Authentic<Ear>, EarRefusal> {
    let (key, public) = key();
    let token = token(&key, &json!({"alg": "ES256"}), &claims.to_string());
    ear::verify(&token, &[public], expected, Time::from_unix(at))
}

fn expected() -> Expected {
    let nonce = Some("nonce-of-the-party".into());
    Expected { nonce, key: Some(b"the key".to_vec()), must_end: true }
}

#[test]
fn a_result_is_taken_from_its_making_to_its_end() {
    let claims = ear::to_json(&result());
    for (at, good) in [(-1, false), (0, true), (60, true), (61, false)] {
        let judged = judge(&claims, &expected(), MADE + at);
        assert_eq!(judged.is_ok(), good, "{at}: {judged:?}");
    }
    let early = || judge(&claims, &expected(), MADE - 1);
    assert!(matches!(early(), Err(EarRefusal::Future { .. })));
    assert!(without("ear_future", early).is_ok());
    let late = || judge(&claims, &expected(), MADE + 61);
    assert!(matches!(late(), Err(EarRefusal::Ended { .. })));
    assert!(without("ear_ended", late).is_ok());
    let mut endless = result();
    endless.expires = None;
    let endless = || judge(&ear::to_json(&endless), &expected(), MADE);
    assert!(matches!(endless(), Err(EarRefusal::NoEnd)));
    assert!(without("ear_no_end", endless).is_ok());
}

#[test]
fn another_nonce_another_key_and_another_signer_are_refused() {
    let claims = ear::to_json(&result());
    let wrong = Expected { nonce: Some("nonce-of-another".into()), ..expected() };
    let replayed = || judge(&claims, &wrong, MADE);
    assert_eq!(replayed().unwrap_err(), EarRefusal::Nonce);
    assert!(without("ear_nonce", replayed).is_ok());
    let wrong = Expected { key: Some(b"another key".to_vec()), ..expected() };
    let diverted = || judge(&claims, &wrong, MADE);
    assert_eq!(diverted().unwrap_err(), EarRefusal::Key);
    assert!(without("ear_key", diverted).is_ok());
    let ((mine, _), (_, pinned)) = (key(), key());
    let token = token(&mine, &json!({"alg": "ES256"}), &claims.to_string());
    let forged =
        || ear::verify(&token, std::slice::from_ref(&pinned), &expected(), Time::from_unix(MADE));
    assert_eq!(forged().unwrap_err(), EarRefusal::Signature);
    assert!(without("ear_signature", forged).is_ok());
}

#[test]
fn the_algorithm_is_the_pinned_keys_and_never_the_tokens() {
    let (key, public) = key();
    let claims = ear::to_json(&result()).to_string();
    let judge = |header: Value| {
        let token = token(&key, &header, &claims);
        ear::verify(&token, std::slice::from_ref(&public), &expected(), Time::from_unix(MADE))
    };
    assert!(judge(json!({"alg": "ES256", "kid": "x"})).is_ok());
    for alg in ["none", "HS256", "ES384", "es256", ""] {
        assert_eq!(judge(json!({"alg": alg})).unwrap_err(), EarRefusal::Algorithm(alg.into()));
    }
    assert_eq!(
        judge(json!({"alg": "ES256", "crit": ["b64"]})).unwrap_err(),
        EarRefusal::Claim("crit")
    );
    for junk in ["", ".", "..", "a.b", "a.b.c.d", "!.!.!"] {
        let judged = ear::verify(
            junk.as_bytes(),
            std::slice::from_ref(&public),
            &expected(),
            Time::from_unix(MADE),
        );
        assert!(judged.is_err(), "{junk:?}");
    }
    let twice = claims.replacen('{', "{\"iat\":1,", 1);
    let token = token(&key, &json!({"alg": "ES256"}), &twice);
    let judged = ear::verify(&token, &[public], &expected(), Time::from_unix(MADE));
    assert!(matches!(judged.unwrap_err(), EarRefusal::Json(_)));
}

#[test]
fn a_status_better_than_its_claims_is_neither_believed_nor_written() {
    let mut lying = result();
    lying.submods[0].1.vector.claim(Claim::Executables, 96);
    let written = ear::to_json(&lying);
    assert_eq!(written["submods"]["snp"]["ear_status"], "contraindicated");
    assert_eq!(written["ear_status"], "contraindicated");
    for path in [&["ear_status"][..], &["submods", "snp", "ear_status"]] {
        let mut claims = written.clone();
        let at = path.iter().fold(&mut claims, |v, name| &mut v[*name]);
        *at = "affirming".into();
        let read = || ear::parse(claims.to_string().as_bytes());
        let refused = EarRefusal::Status { stated: Tier::Affirming, worst: Tier::Contraindicated };
        assert_eq!(read().unwrap_err(), refused, "{path:?}");
        assert!(without("ear_status", read).is_ok());
    }
}

#[test]
fn claims_missing_malformed_or_of_another_profile_are_named() {
    let good = ear::to_json(&result());
    let bad = |change: &dyn Fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        ear::parse(claims.to_string().as_bytes()).unwrap_err()
    };
    for name in ["eat_profile", "iat", "ear_verifier_id", "submods"] {
        let gone = bad(&|c| drop(c.as_object_mut().unwrap().remove(name)));
        assert_eq!(gone, EarRefusal::Claim(name));
    }
    let profile = "tag:ietf.org,2026:rats/ear#05";
    assert_eq!(bad(&|c| c["eat_profile"] = profile.into()), EarRefusal::Profile(profile.into()));
    assert_eq!(bad(&|c| c["iat"] = 1.5.into()), EarRefusal::Time("iat"));
    assert_eq!(bad(&|c| c["exp"] = 1e9.into()), EarRefusal::Time("exp"));
    assert_eq!(bad(&|c| c["submods"] = json!({})), EarRefusal::Claim("submods"));
    assert_eq!(bad(&|c| c["eat_nonce"] = "short".into()), EarRefusal::Claim("eat_nonce"));
    assert_eq!(bad(&|c| c["eat_nonce"] = json!(["12345678"])), EarRefusal::Claim("eat_nonce"));
    let many = (0..65).map(|n| (n.to_string(), good["submods"]["snp"].clone()));
    let many = Value::Object(many.collect());
    assert_eq!(bad(&|c| c["submods"] = many.clone()), EarRefusal::Claim("submods"));
    for value in [json!(128), json!(-129), json!(1.0), json!("2")] {
        let refused =
            bad(&|c| c["submods"]["snp"]["ear_trustworthiness_vector"]["hardware"] = value.clone());
        assert_eq!(refused, EarRefusal::Claim("ear_trustworthiness_vector"));
    }
    for status in [json!("fine"), json!(3), json!(null)] {
        assert_eq!(
            bad(&|c| c["submods"]["snp"]["ear_status"] = status.clone()),
            EarRefusal::Claim("ear_status")
        );
    }
    // A draft's list of policies is never one text, and never empty.
    for ids in [json!("one"), json!([]), json!([1])] {
        let refused = bad(&|c| c["submods"]["snp"]["ear_appraisal_policy_ids"] = ids.clone());
        assert_eq!(refused, EarRefusal::Claim("ear_appraisal_policy_ids"));
    }
    // Claims nobody knows are passed over.
    let mut more = good.clone();
    more["something-new"] = json!({"a": 1});
    more["submods"]["snp"]["ear_something"] = json!([1]);
    assert!(ear::parse(more.to_string().as_bytes()).is_ok());
}

#[test]
fn a_key_that_is_private_or_of_another_kind_is_no_verifiers_key() {
    for bad in [
        r#"{"kty":"oct","k":"AAAA"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
        "{}",
        "[]",
        "",
    ] {
        assert_eq!(ResultKey::from_jwk(bad.as_bytes()), None, "{bad}");
    }
    let x = BASE64_URL_SAFE_NO_PAD.encode([1; 32]);
    let public = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    assert_eq!(ResultKey::from_jwk(public.as_bytes()), Some(ResultKey::EdDsa(vec![1; 32])));
    let private = public.replace("\"x\"", "\"d\":\"AA\",\"x\"");
    assert_eq!(ResultKey::from_jwk(private.as_bytes()), None);
}
