//! Policies: signed, of the domain, in order, on top of each other; and permissions that compile.

use evidence::ContentDigest;
use evidence::cbor::CborError;
use evidence::controls::without;
use evidence::{DomainRoot, cbor};
use trust::permission::PermissionError;
use trust::policy::{PolicyError, PolicyInForce};
use trust::signing::{Namespace, SigningError, SigningKey};
use trust::{DomainName, RoleName};

use owners::{changed, genesis, in_force, policy, sign};

#[test]
fn a_policy_that_does_not_stand_on_the_one_before_is_refused_alone() {
    let one = in_force(&policy(), None).unwrap();
    let fork = changed(|p| (p.version, p.previous) = (2, Some(ContentDigest::of(b"another"))));
    let rootless = changed(|p| p.version = 2);
    for two in [fork, rootless] {
        let attack = || in_force(&two, Some(&one));
        assert!(matches!(attack(), Err(PolicyError::Chain { version: 2, .. })));
        assert!(without("policy_chain", attack).is_ok());
    }
}

#[test]
fn an_older_or_later_number_is_refused_alone() {
    let one = in_force(&policy(), None).unwrap();
    for version in [0, 3, u64::MAX] {
        let next = changed(|p| (p.version, p.previous) = (version, Some(one.digest())));
        let attack = || in_force(&next, Some(&one));
        let refused = attack().unwrap_err();
        assert_eq!(refused, PolicyError::Version { expected: 2, got: version });
        assert!(without("policy_version", attack).is_ok());
    }
}

#[test]
fn two_policies_of_one_number_are_kept_apart() {
    let one = in_force(&policy(), None).unwrap();
    let fork = changed(|p| p.programs.clear());
    let attack = || in_force(&fork, Some(&one));
    assert!(matches!(attack(), Err(PolicyError::Equivocation { version: 1, .. })));
    // Without the check it is still no next version.
    let behind = without("policy_equivocation", attack).unwrap_err();
    assert_eq!(behind, PolicyError::Version { expected: 2, got: 1 });
}

#[test]
fn a_policy_of_another_domain_by_root_or_by_name_is_refused_alone() {
    let root = changed(|p| p.root = DomainRoot::new([9; 32]));
    let name = changed(|p| p.domain = DomainName::new("shoq").unwrap());
    for foreign in [root, name] {
        let attack = || in_force(&foreign, None);
        assert!(matches!(attack(), Err(PolicyError::Domain { .. })));
        assert!(without("policy_domain", attack).is_ok());
    }
}

#[test]
fn what_the_owners_did_not_sign_or_what_is_no_policy_is_refused() {
    let stranger = SigningKey::from_seed([8; 32]).unwrap();
    let mut signed = sign(Namespace::Policy, policy().encode());
    signed.signatures = vec![stranger.sign(Namespace::Policy, &signed.payload).unwrap()];
    let attack = || PolicyInForce::verify(&signed, &genesis(), None);
    let few = SigningError::TooFew { got: 0, need: 1, namespace: Namespace::Policy.as_str() };
    assert_eq!(attack().unwrap_err(), PolicyError::Signing(few));
    assert!(without("signers", attack).is_ok());
    let junk = sign(Namespace::Policy, b"junk".to_vec());
    let refused = PolicyInForce::verify(&junk, &genesis(), None).unwrap_err();
    assert!(matches!(refused, PolicyError::Form(_)), "{refused}");
    let newer = cbor::encode(&cbor::map(vec![(1, 4.into())]));
    let refused = PolicyInForce::verify(&sign(Namespace::Policy, newer), &genesis(), None);
    assert_eq!(refused.unwrap_err(), PolicyError::Form(CborError::Version(4)));
}

#[test]
fn a_peer_that_is_no_program_and_a_secret_that_is_no_name_are_refused() {
    let stranger = changed(|p| p.programs[0].connect = vec![RoleName::new("nobody").unwrap()]);
    let refused = in_force(&stranger, None).unwrap_err();
    let unknown = PermissionError::UnknownPeer { from: "web".into(), to: "nobody".into() };
    assert_eq!(refused, PolicyError::Permissions(unknown));
    // A quote would end Cedar's text and begin somebody else's permission.
    for name in ["", "a b", "x\" || true", "schlüssel", "a/b"] {
        let secret = changed(|p| p.programs[0].secrets = vec![name.into()]);
        let refused = in_force(&secret, None).unwrap_err();
        let bad = PermissionError::SecretName { role: "web".into(), name: name.into() };
        assert_eq!(refused, PolicyError::Permissions(bad));
    }
}
