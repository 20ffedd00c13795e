//! Who signs after whom: the old k hand over, the new show their keys, and each set signs only its own time.

use std::collections::BTreeMap;

use evidence::controls::without;
use evidence::{ContentDigest, DomainRoot, Measurement};
use trust::genesis::GenesisError;
use trust::policy::PolicyError;
use trust::signing::{Namespace, Signed, Signers, SigningError, SigningKey};
use trust::succession::SuccessionError;
use trust::{
    DomainName, Genesis, Policy, PolicyInForce, Revocation, Revocations, Revoked, SignerChange,
};

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).unwrap()
}

fn signers(need: usize, of: &[u8]) -> Signers {
    let keys = of.iter().map(|n| key(*n).public_openssh().unwrap()).collect::<Vec<_>>();
    Signers::new(need, &keys).unwrap()
}

fn three() -> Genesis {
    Genesis::new(DomainName::new("shop").unwrap(), signers(2, &[1, 2, 3]), [5; 32])
}

fn sign(namespace: Namespace, payload: Vec<u8>, by: &[u8]) -> Signed {
    let signatures = by.iter().map(|n| key(*n).sign(namespace, &payload).unwrap()).collect();
    Signed { payload, signatures }
}

/// Owner 3 leaves, owner 4 comes.
fn handover(genesis: &Genesis) -> SignerChange {
    let (number, previous) = genesis.next_change();
    SignerChange {
        domain: genesis.root(),
        number,
        previous,
        signers: signers(2, &[1, 2, 4]),
        policy: None,
        epoch: 0,
        secrets: BTreeMap::new(),
    }
}

fn policy(version: u64, previous: Option<ContentDigest>) -> Policy {
    let root = three().root();
    owners::changed(|p| (p.version, p.previous, p.root) = (version, previous, root))
}

fn follow(change: &SignerChange, by: &[u8]) -> Result<Genesis, SuccessionError> {
    let mut genesis = three();
    genesis.follow(sign(Namespace::Signers, change.encode(), by))?;
    Ok(genesis)
}

#[test]
fn the_domain_stays_what_it_was_when_its_signers_change() {
    let after = follow(&handover(&three()), &[1, 2]).unwrap();
    assert_eq!((after.root(), after.encode()), (three().root(), three().encode()));
    assert_eq!(after.signers_now(), &signers(2, &[1, 2, 4]));
    let read = Genesis::pinned(&after.encode_chain(), three().root()).unwrap();
    assert_eq!(read, after);
    // Without changes the chain is the genesis, byte for byte.
    assert_eq!(three().encode_chain(), three().encode());
}

#[test]
fn a_change_that_too_few_of_the_old_signed_is_refused() {
    let change = handover(&three());
    for by in [&[][..], &[1], &[1, 4], &[4]] {
        let refused = follow(&change, by).unwrap_err();
        assert!(
            matches!(refused, SuccessionError::Signing(SigningError::TooFew { need: 2, .. })),
            "{by:?}: {refused}"
        );
    }
    assert!(without("signers", || follow(&change, &[1, 4])).is_ok());
}

#[test]
fn nobody_hands_the_domain_to_keys_nobody_holds() {
    let change = SignerChange { signers: signers(2, &[4, 5, 6]), ..handover(&three()) };
    for by in [&[1, 2][..], &[1, 2, 4]] {
        let refused = follow(&change, by).unwrap_err();
        assert!(matches!(refused, SuccessionError::Unpossessed { need: 2, .. }), "{refused}");
    }
    assert!(without("succession_possession", || follow(&change, &[1, 2])).is_ok());
    assert!(follow(&change, &[1, 2, 4, 5]).is_ok());
}

#[test]
fn a_change_of_another_domain_number_or_past_is_refused_alone() {
    let good = handover(&three());
    let foreign = SignerChange { domain: DomainRoot::new([9; 32]), ..good.clone() };
    assert!(matches!(follow(&foreign, &[1, 2]), Err(SuccessionError::Domain { .. })));
    assert!(without("succession_domain", || follow(&foreign, &[1, 2])).is_ok());
    let later = SignerChange { number: 2, ..good.clone() };
    assert!(matches!(
        follow(&later, &[1, 2]),
        Err(SuccessionError::Number { expected: 1, got: 2 })
    ));
    assert!(without("succession_number", || follow(&later, &[1, 2])).is_ok());
    let fork = SignerChange { previous: ContentDigest::of(b"another"), ..good.clone() };
    assert!(matches!(follow(&fork, &[1, 2]), Err(SuccessionError::Chain { .. })));
    assert!(without("succession_chain", || follow(&fork, &[1, 2])).is_ok());
    // Twice the same is no second one.
    let mut twice = follow(&good, &[1, 2]).unwrap();
    let again = sign(Namespace::Signers, good.encode(), &[1, 2]);
    assert!(matches!(twice.follow(again), Err(SuccessionError::Number { .. })));
    // A second change that begins before the first would make old signers' word out of new ones'.
    let mut after = follow(&SignerChange { epoch: 5, ..good }, &[1, 2]).unwrap();
    let back = SignerChange { epoch: 4, ..handover(&after) };
    let mut attack = || after.follow(sign(Namespace::Signers, back.encode(), &[1, 2]));
    assert_eq!(attack(), Err(SuccessionError::Backwards));
    assert!(without("succession_forward", attack).is_ok());
}

#[test]
fn each_set_of_signers_signs_only_its_own_time() {
    let first = sign(Namespace::Policy, policy(1, None).encode(), &[1, 3]);
    let one = PolicyInForce::verify(&first, &three(), None).unwrap();
    let change = SignerChange { policy: Some((1, one.digest())), epoch: 1, ..handover(&three()) };
    let after = follow(&change, &[1, 2]).unwrap();
    // What was signed before stays in force.
    let one = PolicyInForce::verify(&first, &after, None).unwrap();
    let next = |by: &[u8]| {
        let signed = sign(Namespace::Policy, policy(2, Some(one.digest())).encode(), by);
        PolicyInForce::verify(&signed, &after, Some(&one))
    };
    assert!(next(&[1, 4]).is_ok());
    let retired = PolicyError::Signing(SigningError::Retired(Namespace::Policy.as_str()));
    assert_eq!(next(&[1, 3]).unwrap_err(), retired);
    assert!(without("retired_signers", || next(&[1, 3])).is_ok());
    // Those who left cannot rewrite their own time either: it is pinned.
    let other = owners::changed(|p| {
        p.root = three().root();
        p.programs.clear();
    });
    let rewrite = || {
        let signed = sign(Namespace::Policy, other.encode(), &[1, 3]);
        PolicyInForce::verify(&signed, &after, None)
    };
    assert_eq!(rewrite().unwrap_err(), retired);
    assert!(without("retired_policy", rewrite).is_ok());
    let revoke = |epoch: u64, by: &[u8]| {
        let revoked = Revoked::Measurement(Measurement::new([1; 48]));
        let payload = Revocation { domain: after.root(), epoch, revoked }.encode();
        sign(Namespace::Revocation, payload, by)
    };
    let mut all = Revocations::default();
    assert!(all.add(revoke(1, &[1, 4]), &after).is_err(), "before their time");
    assert!(all.add(revoke(1, &[2, 3]), &after).is_ok());
    assert!(all.add(revoke(2, &[2, 3]), &after).is_err(), "after their time");
    assert!(all.add(revoke(2, &[2, 4]), &after).is_ok());
}

#[test]
fn a_chain_that_is_cut_swapped_or_of_no_changes_is_refused() {
    let after = follow(&handover(&three()), &[1, 2]).unwrap();
    let good = after.encode_chain();
    for cut in 0..good.len() {
        assert!(Genesis::pinned(&good[..cut], three().root()).is_err(), "{cut}");
    }
    let empty = ciborium::Value::Array(vec![
        ciborium::Value::Bytes(three().encode()),
        ciborium::Value::Array(vec![]),
    ]);
    assert!(Genesis::decode_chain(&evidence::cbor::encode(&empty)).is_err());
    let pinned = Genesis::pinned(&good, DomainRoot::new([1; 32]));
    assert!(matches!(pinned, Err(GenesisError::Root { .. })));
}

#[test]
fn a_domain_that_revokes_with_fewer_says_so_in_its_root() {
    let with = |revoke| {
        let signers = signers(2, &[1, 2, 3]).with_revoke(revoke).unwrap();
        Genesis::new(DomainName::new("shop").unwrap(), signers, [5; 32])
    };
    assert_eq!(with(2).encode(), three().encode());
    assert_ne!(with(1).root(), three().root());
    assert_eq!(Genesis::decode(&with(1).encode()).unwrap(), with(1));
    for revoke in [0, 3] {
        let refused = signers(2, &[1, 2, 3]).with_revoke(revoke).unwrap_err();
        assert_eq!(refused, SigningError::Revoke { revoke, need: 2 });
    }
}
