//! Vendors' COSE and the keys it is checked with: what is taken from files, what is refused, and that a header never chooses
//! the algorithm.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use evidence::controls::without;
use evidence::cose::anchor::AnchorKey;
use evidence::cose::key::{Curve, EcKey, KeyError, MacKey};
use evidence::cose::vendor::{Algorithm, Signed, VendorCoseError};

use crate::mint::{Signer, array, bytes, header, int, mac0, map, tag};

const MAX: usize = 4096;

fn jwk(signer: &Signer, crv: &str) -> serde_json::Value {
    let (x, y) = signer.point()[1..].split_at((signer.point().len() - 1) / 2);
    let code = |b: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(b);
    serde_json::json!({"kty": "EC", "crv": crv, "x": code(x), "y": code(y)})
}

fn read(json: &serde_json::Value) -> Result<AnchorKey, KeyError> {
    AnchorKey::read(json.to_string().as_bytes())
}

#[test]
fn a_public_key_is_read_in_every_form_people_hold_it() {
    for (curve, name) in [(Curve::P256, "P-256"), (Curve::P384, "P-384"), (Curve::P521, "P-521")] {
        let signer = Signer::new(curve);
        let spki = signer.key().spki();
        let pem = |label: &str, der: &[u8]| {
            format!(
                "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
                BASE64_STANDARD.encode(der)
            )
        };
        let mut named = jwk(&signer, name);
        named["alg"] = Algorithm::of_curve(curve).as_str().into();
        named["use"] = "sig".into();
        named["kid"] = "a".into();
        named["key_ops"] = vec!["verify"].into();
        let forms = [
            jwk(&signer, name).to_string().into_bytes(),
            format!("\n {named}").into_bytes(),
            pem("PUBLIC KEY", &spki).into_bytes(),
            spki.clone(),
        ];
        for form in forms {
            let AnchorKey::Ec(key) = AnchorKey::read(&form).unwrap() else { panic!("not EC") };
            assert_eq!(key, signer.key(), "{name}");
        }
        assert_eq!(EcKey::from_cose_key(&signer.cose_key()).unwrap(), signer.key());
    }
}

#[test]
fn a_jwk_that_says_more_less_or_otherwise_is_refused() {
    let signer = Signer::new(Curve::P256);
    let good = || jwk(&signer, "P-256");
    let with = |name: &str, value: serde_json::Value| {
        let mut json = good();
        json[name] = value;
        read(&json).unwrap_err()
    };
    assert!(read(&good()).is_ok());
    assert_eq!(with("d", "AA".into()), KeyError::Private);
    for (name, value) in [
        ("x5c", "a".into()),
        ("kty", "RSA".into()),
        ("kty", "oct".into()),
        ("x", 1.into()),
        ("x", serde_json::Value::Null),
        ("x", "AA==".into()),
        ("x", "A".into()),
        ("use", "enc".into()),
        ("key_ops", vec!["sign"].into()),
        ("alg", "ES384".into()),
        ("kid", "".into()),
        ("k", "AAAA".into()),
    ] {
        assert_eq!(with(name, value.clone()), KeyError::Jwk, "{name} {value}");
    }
    assert_eq!(with("crv", "secp256k1".into()), KeyError::Curve);
    assert_eq!(with("crv", "P-384".into()), KeyError::Curve);
    assert_eq!(with("x", "AA".into()), KeyError::Curve);
    let other = jwk(&Signer::new(Curve::P256), "P-256");
    assert_eq!(with("y", other["y"].clone()), KeyError::NotOnCurve("P-256"));
    let twice = good().to_string().replacen('{', r#"{"kty":"EC","#, 1);
    assert_eq!(AnchorKey::read(twice.as_bytes()).unwrap_err(), KeyError::Jwk);
    let secret = |len: usize| {
        read(&serde_json::json!({"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(vec![7; len])}))
    };
    assert_eq!(secret(31).unwrap_err(), KeyError::ShortSecret(31));
    assert!(matches!(secret(32), Ok(AnchorKey::Mac(_))));
}

#[test]
fn what_is_no_key_is_refused_for_its_form() {
    let signer = Signer::new(Curve::P384);
    let spki = signer.key().spki();
    let mut longer = spki.clone();
    longer.push(0);
    let mut compressed = signer.point().to_vec();
    compressed[0] = 2;
    for junk in [
        &b""[..],
        b"junk",
        b"-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
        &longer,
        signer.point(),
    ] {
        assert_eq!(AnchorKey::read(junk).unwrap_err(), KeyError::Form, "{}", hex::encode(junk));
    }
    assert_eq!(AnchorKey::read(&[0; 20_000]).unwrap_err(), KeyError::TooLong(20_000));
    assert_eq!(EcKey::from_point(&compressed).unwrap_err(), KeyError::Curve);
    assert_eq!(EcKey::from_point(&[4; 97]).unwrap_err(), KeyError::NotOnCurve("P-384"));
    // A P-256 head over a P-384 point.
    let p256 = Signer::new(Curve::P256).key().spki();
    let mixed = [&p256[..26], signer.point()].concat();
    assert_eq!(EcKey::from_spki(&mixed).unwrap_err(), KeyError::Curve);
}

#[test]
fn a_cose_key_of_another_form_is_refused() {
    let signer = Signer::new(Curve::P256);
    let (x, y) = signer.point()[1..].split_at(32);
    let key = |kty: i64, crv: i64, x: &[u8], more: &[(Vec<u8>, Vec<u8>)]| {
        let four =
            [(int(1), int(kty)), (int(-1), int(crv)), (int(-2), bytes(x)), (int(-3), bytes(y))];
        EcKey::from_cose_key(&map(&[&four[..], more].concat()))
    };
    assert!(key(2, 1, x, &[]).is_ok());
    assert_eq!(key(1, 1, x, &[]).unwrap_err(), KeyError::Form);
    assert_eq!(key(2, 4, x, &[]).unwrap_err(), KeyError::Curve);
    assert_eq!(key(2, 2, x, &[]).unwrap_err(), KeyError::Curve);
    assert_eq!(key(2, 1, &x[1..], &[]).unwrap_err(), KeyError::Curve);
    assert_eq!(key(2, 1, x, &[(int(-4), bytes(b"d"))]).unwrap_err(), KeyError::Form);
    assert_eq!(EcKey::from_cose_key(b"\xa0").unwrap_err(), KeyError::Form);
}

#[test]
fn a_shared_secret_prints_nothing_of_itself() {
    let key = MacKey::new(b"0123456789abcdef0123456789abcdef".to_vec()).unwrap();
    assert_eq!(format!("{key:?}"), "MacKey");
    assert_eq!(format!("{:?}", AnchorKey::Mac(key)), "Mac(MacKey)");
}

#[test]
fn the_header_must_name_the_keys_own_algorithm() {
    let signer = Signer::new(Curve::P256);
    for named in [-35, -36] {
        // Signed with ES256 under a header that says otherwise: the signature itself holds.
        let token = tag(18, signer.sign1(&header(named), b"claims"));
        let attack = || Signed::parse(&token, MAX).unwrap().verify(&signer.anchor().key);
        assert!(matches!(attack(), Err(VendorCoseError::KeyMismatch { key: "ES256", .. })));
        assert!(without("vendor_cose_algorithm", attack).is_ok());
    }
}

#[test]
fn a_vendors_signature_by_another_key_or_over_other_bytes_is_refused() {
    let signer = Signer::new(Curve::P384);
    let token = signer.tagged(b"claims");
    let other = Signer::new(Curve::P384).anchor().key;
    let good = Signed::parse(&token, MAX).unwrap();
    assert_eq!(good.verify(&signer.anchor().key), Ok(Algorithm::Es384));
    let mut changed = good.clone();
    changed.payload = b"Claims";
    for attack in [(&good, &other), (&changed, &signer.anchor().key)] {
        let attack = || attack.0.verify(attack.1);
        assert_eq!(attack(), Err(VendorCoseError::Signature));
        assert!(without("vendor_cose_signature", attack).is_ok());
    }
    // A signature cut, extended or empty.
    for signature in [&good.signature[..95], &[0; 96][..], b"", &[good.signature, &[0]].concat()] {
        let cut = Signed { signature, ..good.clone() };
        assert_eq!(cut.verify(&signer.anchor().key), Err(VendorCoseError::Signature));
    }
}

#[test]
fn a_mac_counts_only_under_its_own_secret_and_never_as_a_signature() {
    let secret = [7; 32];
    let key = AnchorKey::Mac(MacKey::new(secret.to_vec()).unwrap());
    let ec = Signer::new(Curve::P256).anchor().key;
    for (number, algorithm) in
        [(5, Algorithm::Hmac256), (6, Algorithm::Hmac384), (7, Algorithm::Hmac512)]
    {
        let token = mac0(&secret, number, b"claims");
        let signed = Signed::parse(&token, MAX).unwrap();
        assert_eq!(signed.verify(&key), Ok(algorithm));
        assert!(matches!(
            signed.verify(&ec),
            Err(VendorCoseError::KeyMismatch { key: "ES256", .. })
        ));
        let attack = || {
            let short = Signed { signature: &signed.signature[..8], ..signed.clone() };
            short.verify(&key)
        };
        assert_eq!(attack(), Err(VendorCoseError::Signature), "a truncated MAC");
        assert!(without("vendor_cose_mac", attack).is_ok());
    }
    let other = mac0(&[8; 32], 5, b"claims");
    assert_eq!(Signed::parse(&other, MAX).unwrap().verify(&key), Err(VendorCoseError::Signature));
    // The tag says signature, the header says MAC, and the other way round.
    for (number, named) in [(18, 5), (17, -7)] {
        let token =
            tag(number, array(&[bytes(&header(named)), map(&[]), bytes(b"x"), bytes(&[0; 64])]));
        let contradiction =
            VendorCoseError::Form("its tag and its algorithm contradict each other");
        assert_eq!(Signed::parse(&token, MAX).unwrap().algorithm(), Err(contradiction));
    }
}

#[test]
fn headers_nobody_knows_and_algorithms_nobody_uses_are_refused_by_name() {
    let signer = Signer::new(Curve::P256);
    let algorithm = |protected: &[u8]| {
        let token = tag(18, signer.sign1(protected, b"x"));
        Signed::parse(&token, MAX).unwrap().verify(&signer.anchor().key)
    };
    let alg = || (int(1), int(-7));
    assert!(algorithm(&map(&[alg(), (int(4), bytes(b"kid")), (int(3), int(263))])).is_ok());
    assert_eq!(
        algorithm(b""),
        Err(VendorCoseError::Cbor(evidence::cbor::vendor::VendorCborError::Truncated(0)))
    );
    assert_eq!(algorithm(&map(&[])), Err(VendorCoseError::NoAlgorithm));
    assert_eq!(algorithm(&map(&[(int(1), bytes(b"ES256"))])), Err(VendorCoseError::NoAlgorithm));
    for number in [-8, -37, -257, 0] {
        assert_eq!(algorithm(&header(number)), Err(VendorCoseError::Algorithm(number.into())));
    }
    // Critical headers, and any other label.
    for label in [2, 5, 15, 33] {
        let refused = VendorCoseError::Header(label.to_string());
        assert_eq!(algorithm(&map(&[alg(), (int(label), array(&[int(1)]))])), Err(refused));
    }
    // The algorithm where nobody signs it.
    let protected = header(-7);
    let unsigned = array(&[bytes(&protected), map(&[alg()]), bytes(b"x"), bytes(&[0; 64])]);
    assert_eq!(Signed::parse(&unsigned, MAX).unwrap_err(), VendorCoseError::Header("1".into()));
}

#[test]
fn what_has_not_four_parts_of_the_right_types_is_refused() {
    let b = || bytes(b"x");
    let form = |item: Vec<u8>| Signed::parse(&item, MAX).is_err();
    assert!(!form(array(&[b(), map(&[]), b(), b()])));
    for bad in [
        array(&[b(), map(&[]), b()]),
        array(&[b(), map(&[]), b(), b(), b()]),
        array(&[map(&[]), map(&[]), b(), b()]),
        array(&[b(), b(), b(), b()]),
        array(&[b(), map(&[]), crate::mint::NULL.to_vec(), b()]),
        array(&[b(), map(&[]), b(), crate::mint::NULL.to_vec()]),
        tag(98, array(&[b(), map(&[]), b(), b()])),
        tag(18, tag(18, array(&[b(), map(&[]), b(), b()]))),
        map(&[]),
    ] {
        assert!(form(bad.clone()), "{}", hex::encode(bad));
    }
}

#[test]
fn what_stands_in_the_unsigned_header_changes_nothing_that_is_read() {
    let signer = Signer::new(Curve::P256);
    let protected = header(-7);
    let signature = signer.sign(&crate::mint::structure("Signature1", &protected, b"claims"));
    let with = |unsigned: Vec<u8>| {
        tag(18, array(&[bytes(&protected), unsigned, bytes(b"claims"), bytes(&signature)]))
    };
    for unsigned in [map(&[]), map(&[(int(4), bytes(b"a"))]), map(&[(int(4), int(7))])] {
        let token = with(unsigned);
        let signed = Signed::parse(&token, MAX).unwrap();
        assert_eq!(signed.verify(&signer.anchor().key), Ok(Algorithm::Es256));
        assert_eq!(signed.payload, b"claims");
    }
    let strange = with(map(&[(int(33), bytes(b"a certificate"))]));
    assert_eq!(Signed::parse(&strange, MAX), Err(VendorCoseError::Header("33".into())));
}
