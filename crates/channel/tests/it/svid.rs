//! X509-SVID leaf rules (SPIFFE X509-SVID sections 4 and 5), each tried alone on leaves an endorsed CA signed.

use std::sync::Arc;

use channel::credential::{self, Credential, CredentialRefusal, spki_digest};
use channel::{DomainTrust, VerifiedCredential};
use evidence::controls::without;
use evidence::statement::HostOs;
use evidence::{ContentDigest, Isolation, Kind, Measurement, StatementKey};
use silicon::der::{element, octets, oid, sequence};
use silicon::{Certificate, Key};
use trust::RoleName;

use crate::world::{NOW, endorsed, genesis, window};

const NAMES: &str = "2.5.29.17";
const KEY_USAGE: &str = "2.5.29.15";
const PURPOSES: &str = "2.5.29.37";
const BASIC: &str = "2.5.29.19";
const OURS: &str = "1.3.6.1.4.1.32473.1.1";

/// An authority whose key is held here.
struct Issuing {
    trust: Arc<DomainTrust>,
    key: Key,
}

fn issuing() -> Issuing {
    let key = Key::p256();
    // digitalSignature and keyCertSign.
    let usage = vec![3, 2, 2, 0x84];
    let ca = Certificate::new("shop", "shop", &key, window())
        .authority(Some(0))
        .with(KEY_USAGE, true, usage)
        .signed_by(&key);
    let (g, owner) = genesis(1);
    let authority = endorsed(&g, &owner, spki_digest(&ca).unwrap());
    Issuing { trust: Arc::new(DomainTrust::new(authority, &ca).unwrap()), key }
}

fn stated(role: &str) -> Vec<u8> {
    let credential = Credential {
        domain: genesis(1).0.root(),
        role: RoleName::new(role).unwrap(),
        measurement: Measurement::new([1; 48]),
        statement_key: StatementKey::new([2; 32]),
        kind: Kind::Software,
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        exportable: false,
        policy: 1,
        proof: ContentDigest::of(b""),
        log_index: 0,
    };
    credential.encode()
}

/// URI names.
fn names(uris: &[&str]) -> Vec<u8> {
    sequence(&uris.iter().map(|u| element(0x86, u.as_bytes())).collect::<Vec<_>>())
}

fn purposes(last: &[u8]) -> Vec<u8> {
    sequence(&last.iter().map(|n| oid(&format!("1.3.6.1.5.5.7.3.{n}"))).collect::<Vec<_>>())
}

/// A leaf as an authority makes it.
fn leaf() -> Certificate {
    let key = Key::p256();
    Certificate::new("", "shop", &key, window())
        .with(NAMES, true, names(&["spiffe://shop/web"]))
        .with(KEY_USAGE, true, vec![3, 2, 7, 0x80])
        .with(PURPOSES, false, purposes(&[1, 2]))
        .with(OURS, false, stated("web"))
}

/// One extension replaced, or left out.
fn with(extension: &str, critical: bool, content: Option<Vec<u8>>) -> Certificate {
    let mut leaf = leaf();
    leaf.extensions.retain(|(id, ..)| id != extension);
    match content {
        Some(content) => leaf.with(extension, critical, content),
        None => leaf,
    }
}

fn verify(i: &Issuing, leaf: &Certificate) -> Result<VerifiedCredential, CredentialRefusal> {
    credential::verify(&[leaf.signed_by(&i.key).into()], &i.trust, NOW)
}

#[test]
fn each_rule_of_a_leaf_refuses_alone() {
    let i = issuing();
    assert_eq!(verify(&i, &leaf()).unwrap().spiffe_id(), "spiffe://shop/web");
    let two = names(&["spiffe://shop/web", "spiffe://shop/api"]);
    let authority = sequence(&[silicon::der::boolean(true)]);
    // The same leaf that may also sign certificates; one whose usage is only advice.
    let (signs, advice) = (vec![3, 2, 2, 0x84], vec![3, 2, 7, 0x80]);
    let cases: [(&'static str, &str, Certificate); 9] = [
        ("svid_one_uri", "not exactly one URI name", with(NAMES, true, Some(two))),
        ("svid_key_usage", "key usage is not critical", with(KEY_USAGE, false, Some(advice))),
        (
            "svid_key_usage",
            "key usage is not critical",
            with(KEY_USAGE, true, Some(vec![3, 2, 5, 0x20])),
        ),
        ("svid_signs_nothing", "a leaf signs no certificates", with(KEY_USAGE, true, Some(signs))),
        ("credential_purposes", "extended key usage", with(PURPOSES, false, Some(purposes(&[1])))),
        (
            "credential_purposes",
            "extended key usage",
            with(PURPOSES, false, Some(purposes(&[1, 3]))),
        ),
        ("credential_purposes", "extended key usage", with(PURPOSES, false, None)),
        ("credential_role", "SPIFFE id and role differ", with(OURS, false, Some(stated("api")))),
        (
            "credential_role",
            "SPIFFE id and role differ",
            with(NAMES, true, Some(names(&["spiffe://shoq/web"]))),
        ),
    ];
    for (check, says, leaf) in cases {
        let refused = verify(&i, &leaf).unwrap_err();
        assert!(
            matches!(refused, CredentialRefusal::Profile(why) if why.starts_with(says)),
            "{check}: {refused}"
        );
        assert!(without(check, || verify(&i, &leaf)).is_ok(), "{check}");
    }
    // An authority among leaves is refused on the path already, and behind it for what it is.
    let ca = with(BASIC, true, Some(authority));
    assert!(matches!(verify(&i, &ca), Err(CredentialRefusal::Chain { .. })));
    let behind = without("credential_path", || verify(&i, &ca)).unwrap_err();
    assert_eq!(behind, CredentialRefusal::Profile("a leaf is no certificate authority"));
    let removed = without("svid_leaf", || verify(&i, &ca)).unwrap_err();
    assert!(matches!(removed, CredentialRefusal::Chain { .. }));
}

#[test]
fn a_name_without_a_path_is_a_domain_and_no_program() {
    let i = issuing();
    for (uri, check) in [("spiffe://shop/", "svid_path"), ("spiffe://shop", "svid_path")] {
        let leaf = with(NAMES, true, Some(names(&[uri])));
        let refused = verify(&i, &leaf).unwrap_err();
        assert_eq!(refused, CredentialRefusal::Profile("a leaf's SPIFFE id has a path"));
        // Without the check it is still the name of no role.
        let behind = without(check, || verify(&i, &leaf)).unwrap_err();
        assert_eq!(behind, CredentialRefusal::Profile("SPIFFE id and role differ"));
    }
    for uri in ["https://shop/web", "SPIFFE://shop/web", "spiffe:/shop/web"] {
        assert!(verify(&i, &with(NAMES, true, Some(names(&[uri])))).is_err(), "{uri}");
    }
}

#[test]
fn a_leaf_without_names_usage_or_our_extension_or_with_a_malformed_one_is_refused() {
    let i = issuing();
    let refused = |extension, content| verify(&i, &with(extension, true, content)).unwrap_err();
    let profile = CredentialRefusal::Profile;
    assert_eq!(refused(NAMES, None), profile("no subject alternative name"));
    assert_eq!(refused(NAMES, Some(names(&[]))), profile("not exactly one URI name"));
    assert_eq!(refused(KEY_USAGE, None), profile("key usage is missing"));
    let ours = |content| verify(&i, &with(OURS, false, content)).unwrap_err();
    assert_eq!(ours(None), CredentialRefusal::Extension);
    for bad in [Vec::new(), b"junk".to_vec(), octets(&stated("web")), stated("web")[1..].to_vec()] {
        assert_eq!(ours(Some(bad)), CredentialRefusal::Extension);
    }
    // Every field counts: one removed, one added.
    let pairs = evidence::cbor::decode(&stated("web"), 4096).unwrap().into_map().unwrap();
    for n in 0..=pairs.len() {
        let mut changed = pairs.clone();
        if n < pairs.len() {
            changed.remove(n);
        } else {
            changed.push((99.into(), 1.into()));
        }
        let bad = evidence::cbor::encode(&ciborium::Value::Map(changed));
        assert_eq!(ours(Some(bad)), CredentialRefusal::Extension, "field {n}");
    }
}

#[test]
fn junk_is_no_certificate() {
    for junk in [Vec::new(), vec![0x30], b"junk".to_vec(), vec![0; 64]] {
        let refused =
            credential::verify(&[junk.clone().into()], &issuing().trust, NOW).unwrap_err();
        assert_eq!(refused, CredentialRefusal::Form);
        assert_eq!(spki_digest(&junk).unwrap_err(), CredentialRefusal::Form);
    }
}
