//! Claims: every verb as it was signed, and everything else refused by its field.

use super::*;
use crate::names::RoleName;
use evidence::controls::without;
use evidence::{MachineId, Measurement};

const FROM: Time = Time::from_unix(1_000);
const TO: Time = Time::from_unix(2_000);

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32]).unwrap()
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// One of every verb.
fn every() -> Vec<Says> {
    let (one, two) = (Measurement::new([1; 48]), Measurement::new([2; 48]));
    let standing = Standing {
        machine: MachineId::new(&[5; 32]).unwrap(),
        country: Country::new("DE").unwrap(),
        site: "Frankfurt, hall 3".into(),
        operator: "Räder GmbH".into(),
        basis: Basis::AuditorVisit,
        level: 2,
        observed: FROM,
    };
    let scope = Scope::of(&["api".into(), "web".into()]).unwrap();
    vec![
        Says::Program { role: role("api"), measurement: one },
        Says::Release { product: role("shop"), version: 3, measurement: one },
        Says::Build {
            source: Source::new("git+https://a.example/b").unwrap(),
            revision: "0a1b".into(),
            measurement: one,
        },
        Says::Upgrade { role: role("api"), from: one, to: two },
        Says::Place(standing),
        Says::Delegate { to: IssuerKey::new([8; 32]), topic: Topic::Program, scope, depth: 2 },
        Says::Speaks { key: IssuerKey::new([8; 32]) },
        Says::Withdraw { claim: ContentDigest::of(b"x") },
        Says::Distrust { role: role("api"), measurement: one },
    ]
}

fn claim(says: Says) -> Claim {
    let window = Window { not_before: FROM, not_after: TO };
    let issuer = key().issuer();
    Claim { domain: Some(DomainRoot::new([3; 32])), issuer, window, says }
}

#[test]
fn every_verb_is_signed_and_read_as_it_was_said() {
    for says in every() {
        let signed = claim(says.clone()).sign(&key()).unwrap();
        assert_eq!(signed.claim(), &claim(says.clone()), "{}", says.verb());
        assert_eq!(AuthenticClaim::verify(signed.bytes()).unwrap(), signed);
        assert!(!signed.claim().to_string().is_empty());
    }
}

#[test]
fn a_claim_with_any_bit_changed_or_cut_short_is_refused() {
    for says in every() {
        let good = claim(says).sign(&key()).unwrap().bytes().to_vec();
        for n in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[n] ^= 1 << bit;
                assert!(AuthenticClaim::verify(&bad).is_err(), "byte {n} bit {bit}");
            }
            assert!(AuthenticClaim::verify(&good[..n]).is_err(), "cut at {n}");
        }
        let longer = [&good[..], &[0]].concat();
        assert!(AuthenticClaim::verify(&longer).is_err());
    }
}

#[test]
fn a_claim_counts_as_whose_key_signed_it_and_nobody_elses() {
    let mut forged = claim(every().remove(0));
    forged.issuer = IssuerKey::new([9; 32]);
    let payload = forged.encode();
    let signature = key().sign_raw(&cose::to_be_signed(LABEL, &payload)).unwrap();
    let forged = cose::assemble(payload, signature);
    let attack = || AuthenticClaim::verify(&forged);
    assert!(matches!(attack(), Err(ClaimError::Cose(CoseError::Signature))));
    let taken = without("cose_signature", attack).unwrap();
    assert_eq!(taken.claim().issuer, IssuerKey::new([9; 32]));
    // What a monitor or a machine signs is no claim, and a claim is none of theirs: the label keeps them apart.
    let payload = claim(every().remove(0)).encode();
    let other = key().sign_raw(&cose::to_be_signed("casemate-statement@v1", &payload)).unwrap();
    assert!(AuthenticClaim::verify(&cose::assemble(payload, other)).is_err());
}

#[test]
fn a_window_that_never_is_and_a_promise_to_no_domain_are_not_signed_and_not_read() {
    let never = |from: i64, to: i64| {
        let window = Window { not_before: Time::from_unix(from), not_after: Time::from_unix(to) };
        Claim { window, ..claim(every().remove(0)) }
    };
    for (from, to) in [(2, 1), (-1, 1), (1, Time::MAX.unix() + 1)] {
        let made = || never(from, to).sign(&key());
        assert!(matches!(made(), Err(ClaimError::Window { .. })), "{from} {to}");
        assert!(without("claim_order", made).is_ok());
    }
    assert!(never(1, 1).sign(&key()).is_ok());
    for says in every() {
        let open = || Claim { domain: None, ..claim(says.clone()) }.sign(&key());
        if says.is_of_the_world() {
            assert!(open().is_ok(), "{}", says.verb());
        } else {
            assert!(matches!(open(), Err(ClaimError::Domainless(_))), "{}", says.verb());
            assert!(without("claim_domainless", open).is_ok());
        }
    }
}

/// A payload with one field of what is said exchanged, signed as if it were sound.
fn with(says: Says, at: i64, value: Value) -> Result<AuthenticClaim, ClaimError> {
    let mut outer = cbor::decode(&claim(says).encode(), LEN_MAX).unwrap().into_map().unwrap();
    let inner = outer.iter_mut().find(|(k, _)| k.as_integer() == Some(6.into())).unwrap();
    let mut map = inner.1.clone().into_map().unwrap();
    map.retain(|(k, _)| k.as_integer() != Some(at.into()));
    map.push((at.into(), value));
    inner.1 = Value::Map(map);
    let payload = cbor::encode(&Value::Map(outer));
    let signature = key().sign_raw(&cose::to_be_signed(LABEL, &payload)).unwrap();
    AuthenticClaim::verify(&cose::assemble(payload, signature))
}

#[test]
fn names_numbers_and_texts_of_other_forms_are_refused_by_their_field() {
    let says = |verb: &str| every().into_iter().find(|s| s.verb() == verb).unwrap();
    let text = |t: &str| Value::from(t);
    let names = |n: &[&str]| Value::Array(n.iter().map(|n| Value::from(*n)).collect());
    let cases: Vec<(&str, i64, Value, &str)> = vec![
        ("program", 1, text("trust"), "verb"),
        ("program", 2, text("Api"), "role"),
        ("program", 3, Value::Bytes(vec![1; 32]), "measurement"),
        ("release", 2, text("shop server"), "product"),
        ("release", 4, (-1).into(), "version"),
        ("build", 2, text("a.example/b"), "source"),
        ("build", 2, text("git+https://a,b"), "source"),
        ("build", 2, text("git:a?b"), "source"),
        ("build", 4, text("a b"), "revision"),
        ("place", 2, Value::Bytes(vec![0; 32]), "machine"),
        ("place", 2, Value::Bytes(vec![1; 65]), "machine"),
        ("place", 3, text("de"), "country"),
        ("place", 3, text("DEU"), "country"),
        ("place", 4, text("hall\u{202e}3"), "site"),
        ("place", 5, text(""), "operator"),
        ("place", 5, text(&"x".repeat(129)), "operator"),
        ("place", 6, text("hearsay"), "basis"),
        ("place", 7, 0.into(), "level"),
        ("place", 7, 4.into(), "level"),
        ("delegate", 3, text("everything"), "topic"),
        ("delegate", 4, text("any"), "scope"),
        ("delegate", 4, names(&[]), "scope"),
        ("delegate", 4, names(&["web", "api"]), "scope"),
        ("delegate", 4, names(&["api", "api"]), "scope"),
        ("delegate", 4, names(&["*"]), "scope"),
        ("delegate", 4, names(&["a,b"]), "scope"),
        ("delegate", 5, 9.into(), "depth"),
        ("speaks", 2, Value::Bytes(vec![1; 33]), "key"),
        ("withdraw", 2, Value::Bytes(vec![1; 32]), "claim"),
    ];
    for (verb, at, value, field) in cases {
        let got = with(says(verb), at, value.clone());
        assert!(
            matches!(got, Err(ClaimError::Form(CborError::Field(f))) if f == field),
            "{verb} {at} {value:?}: {got:?}"
        );
    }
    let more = with(says("speaks"), 3, 1.into());
    assert!(matches!(more, Err(ClaimError::Form(CborError::UnknownField(3)))), "{more:?}");
}

#[test]
fn scopes_only_narrow() {
    let of = |names: &[&str]| {
        Scope::of(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap()
    };
    let (ab, bc, d) = (of(&["a", "b"]), of(&["b", "c"]), of(&["d"]));
    assert_eq!(ab.intersect(&bc), Some(of(&["b"])));
    assert_eq!(ab.intersect(&d), None);
    assert_eq!(ab.intersect(&Scope::Any), Some(ab.clone()));
    assert_eq!(Scope::Any.intersect(&Scope::Any), Some(Scope::Any));
    assert!(Scope::Any.covers(&ab) && !ab.covers(&Scope::Any) && ab.covers(&of(&["a"])));
    assert!(!ab.contains("ab") && !ab.contains("A") && ab.contains("a"));
    assert_eq!((ab.text(), Scope::Any.text()), ("a,b".to_owned(), "*".to_owned()));
}
