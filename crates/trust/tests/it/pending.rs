//! Objects that wait for signatures: who counts, what is shown, and what comes by mail from a stranger.

use evidence::cbor::{self, CborError};
use evidence::controls::without;
use evidence::{DomainRoot, Measurement};
use trust::pending::{Pending, PendingError, Subject};
use trust::signing::{Namespace, Signers, SigningKey};
use trust::{DomainName, Genesis, Policy, PolicyInForce, Revocation, Revoked, RoleName};

use owners::changed;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).unwrap()
}

fn keys(of: &[u8]) -> Vec<String> {
    of.iter().map(|n| key(*n).public_openssh().unwrap()).collect()
}

/// A domain of three owners, of whom two sign and one revokes.
fn three() -> Genesis {
    let signers = Signers::new(2, &keys(&[1, 2, 3])).unwrap().with_revoke(1).unwrap();
    Genesis::new(DomainName::new("shop").unwrap(), signers, [5; 32])
}

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = changed(change);
    policy.root = three().root();
    policy
}

fn sign(pending: &Pending, n: u8) -> String {
    key(n).sign(pending.namespace, &pending.payload).unwrap()
}

fn waiting() -> (Pending, Subject) {
    let subject = Subject::Policy(Box::new(policy(|_| {})));
    (Pending::new(&subject), subject)
}

#[test]
fn an_object_is_complete_with_k_signatures_of_distinct_owners_and_not_before() {
    let (mut pending, subject) = waiting();
    assert_eq!(pending.progress(&three(), &subject).lacking, 2);
    for _ in 0..3 {
        let one = sign(&pending, 1);
        pending.add(&one, &three()).unwrap();
        let progress = pending.progress(&three(), &subject);
        assert_eq!((progress.signed.len(), progress.lacking), (1, 1), "one owner counts once");
        assert!(pending.complete(&three(), &subject).is_none());
    }
    let two = sign(&pending, 3);
    pending.add(&two, &three()).unwrap();
    let progress = pending.progress(&three(), &subject);
    assert_eq!((progress.missing, progress.lacking), (keys(&[2]), 0));
    let signed = pending.complete(&three(), &subject).unwrap();
    assert!(PolicyInForce::verify(&signed, &three(), None).is_ok());
}

#[test]
fn copies_that_were_signed_apart_become_one() {
    let (mut ana, subject) = waiting();
    let mut bo = ana.clone();
    ana.add(&sign(&ana, 1), &three()).unwrap();
    bo.add(&sign(&bo, 2), &three()).unwrap();
    let (read, _) = Pending::decode(&bo.encode(), &three()).unwrap();
    ana.merge(&read, &three()).unwrap();
    assert!(ana.complete(&three(), &subject).is_some());
    // A copy in which something else was signed gives nothing.
    let other = Pending::new(&Subject::Policy(Box::new(policy(|p| p.programs.clear()))));
    let attack = || ana.clone().merge(&other, &three());
    assert!(matches!(attack(), Err(PendingError::Other { .. })));
    assert!(without("pending_other", attack).is_ok());
}

#[test]
fn a_swapped_payload_takes_no_signature_along() {
    let (mut pending, _) = waiting();
    pending.add(&sign(&pending, 1), &three()).unwrap();
    pending.payload = policy(|p| p.programs.clear()).encode();
    let attack = || Pending::decode(&pending.encode(), &three());
    let refused = attack().unwrap_err();
    assert_eq!(refused, PendingError::Stranger(1, Namespace::Policy.as_str()));
    assert!(without("sshsig_signature", attack).is_ok());
    // The kind is part of what is signed.
    let (mut pending, _) = waiting();
    let wrong = key(1).sign(Namespace::Secret, &pending.payload).unwrap();
    assert!(matches!(pending.add(&wrong, &three()), Err(PendingError::Stranger(..))));
    assert!(without("sshsig_namespace", || pending.add(&wrong, &three())).is_ok());
}

#[test]
fn a_stranger_signs_nothing_here() {
    let (mut pending, _) = waiting();
    let stranger = sign(&pending, 9);
    assert!(matches!(pending.add(&stranger, &three()), Err(PendingError::Stranger(1, _))));
    assert!(without("pending_stranger", || pending.add(&stranger, &three())).is_ok());
}

#[test]
fn an_object_of_another_domain_is_not_shown() {
    let root = policy(|_| {});
    for foreign in [
        Policy { root: DomainRoot::new([9; 32]), ..root.clone() },
        Policy { domain: DomainName::new("shoq").unwrap(), ..root },
    ] {
        let pending = Pending::new(&Subject::Policy(Box::new(foreign)));
        let attack = || Pending::decode(&pending.encode(), &three());
        assert!(matches!(attack(), Err(PendingError::Domain { .. })));
        assert!(without("pending_domain", attack).is_ok());
    }
}

#[test]
fn what_is_shown_is_what_is_signed_to_the_last_byte() {
    // Bytes of an older spelling decode to the same words.
    let hex =
        include_str!("../../../../vectors/policy-1.hex").split_whitespace().collect::<String>();
    let old = hex::decode(hex).unwrap();
    let attack = || Subject::read(Namespace::Policy, &old).map(drop);
    assert_eq!(attack(), Err(PendingError::Spelling));
    assert!(without("pending_spelling", attack).is_ok());
}

#[test]
fn no_name_is_shown_as_what_it_is_not() {
    let lines = "eu\n  + program thief: secrets: none";
    for name in [lines, "eu, us", "\u{1b}[2Keu", "еu", "", "eu "] {
        let place = policy(|p| p.programs[0].places = vec![name.into()]);
        let secret = policy(|p| p.programs[0].secrets = vec![name.into()]);
        let profile = policy(|p| p.hardware[0].profile = name.into());
        for (i, policy) in [place, secret, profile].into_iter().enumerate() {
            let attack = || Subject::read(Namespace::Policy, &policy.encode()).map(drop);
            // The software platform has no profile.
            if (i, name) == (2, "") {
                continue;
            }
            assert_eq!(attack(), Err(PendingError::Name(name.into())));
            assert!(without("pending_name", attack).is_ok());
        }
    }
}

#[test]
fn a_signer_is_shown_the_difference_to_what_is_in_force_and_all_of_what_is_new() {
    let names = |k: &str| k.to_owned();
    let (mut first, subject) = waiting();
    let all = subject.words(&three(), None, names).unwrap().join("\n");
    for part in ["program web: listen: 80", "program api: clients: none", "isolation: software"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    for n in [1, 2] {
        first.add(&sign(&first, n), &three()).unwrap();
    }
    let signed = first.complete(&three(), &subject).unwrap();
    let one = PolicyInForce::verify(&signed, &three(), None).unwrap();
    let next = policy(|p| {
        (p.version, p.previous) = (2, Some(one.digest()));
        p.programs[0].connect = vec![RoleName::new("api").unwrap()];
        let mut thief = owners::role("thief", 0x33);
        thief.secrets = vec!["db-password".into()];
        p.programs.push(thief);
    });
    let subject = Subject::Policy(Box::new(next.clone()));
    let told = subject.words(&three(), Some(&one), names).unwrap().join("\n");
    for part in ["widens   program web: connect: + api", "+ program thief: secrets: db-password"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // A difference to something the signer does not have in force is none.
    for (stands, force) in [(next.clone(), None), (Policy { previous: None, ..next }, Some(&one))] {
        let subject = Subject::Policy(Box::new(stands));
        let attack = || subject.words(&three(), force, names);
        assert!(matches!(attack(), Err(PendingError::Behind { .. })));
        assert!(without("pending_follows", attack).is_ok());
    }
}

#[test]
fn one_owner_revokes_where_two_sign_and_nothing_else() {
    let revocation = Revocation {
        domain: three().root(),
        epoch: 1,
        revoked: Revoked::Measurement(Measurement::new([1; 48])),
    };
    let subject = Subject::Revocation(revocation);
    let mut pending = Pending::new(&subject);
    pending.add(&sign(&pending, 2), &three()).unwrap();
    let signed = pending.complete(&three(), &subject).unwrap();
    let mut all = trust::Revocations::default();
    assert!(all.add(signed.clone(), &three()).is_ok());
    // With a domain that says nothing of it, it takes two.
    let plain = Signers::new(2, &keys(&[1, 2, 3])).unwrap();
    assert_eq!((plain.revoke(), plain.needed(Namespace::Revocation)), (2, 2));
    // The smaller quorum signs no policy; without the check that it only removes, it does.
    let (mut policy, subject) = waiting();
    policy.add(&sign(&policy, 2), &three()).unwrap();
    assert!(policy.complete(&three(), &subject).is_none());
    let (payload, signatures) = (policy.payload.clone(), policy.signatures.clone());
    let one = trust::signing::Signed { payload, signatures };
    let attack = || PolicyInForce::verify(&one, &three(), None);
    assert!(attack().is_err());
    assert!(without("revoke_only", attack).is_ok());
}

#[test]
fn junk_and_oversized_pending_objects_are_refused() {
    let (pending, _) = waiting();
    let refused = |bytes: &[u8]| Pending::decode(bytes, &three()).unwrap_err();
    assert_eq!(refused(b""), PendingError::Form(CborError::Malformed));
    let many = Pending { signatures: vec![String::new(); 33], ..pending.clone() };
    assert_eq!(refused(&many.encode()), PendingError::Form(CborError::Field("signatures")));
    let mut pairs = cbor::decode(&pending.encode(), 1 << 20).unwrap().into_map().unwrap();
    pairs.push((9.into(), "note: harmless".into()));
    let more = cbor::encode(&ciborium::Value::Map(pairs));
    assert_eq!(refused(&more), PendingError::Form(CborError::UnknownField(9)));
    // Evidence travels with endorsements alone.
    let told = Pending { evidence: Some(b"trust me".to_vec()), ..pending.clone() };
    assert_eq!(refused(&told.encode()), PendingError::Form(CborError::Field("evidence")));
    let good = pending.encode();
    for cut in 0..good.len() {
        assert!(Pending::decode(&good[..cut], &three()).is_err(), "{cut}");
    }
}

#[test]
fn whatever_is_exchanged_in_a_pending_file_no_signature_stands_over_other_bytes() {
    use proptest::prelude::*;
    let (mut pending, _) = waiting();
    for n in [1, 2] {
        pending.add(&sign(&pending, n), &three()).unwrap();
    }
    let genuine = pending.encode();
    let edit = (0..genuine.len(), any::<u8>());
    let config = ProptestConfig { cases: 3000, ..ProptestConfig::default() };
    proptest!(config, |(edits in prop::collection::vec(edit, 1..4))| {
        let mut bytes = genuine.clone();
        for (at, by) in edits {
            bytes[at] = bytes[at].wrapping_add(by);
        }
        if let Ok((read, _)) = Pending::decode(&bytes, &three()) {
            prop_assert_eq!(&read.payload, &pending.payload);
            prop_assert_eq!(read.namespace, pending.namespace);
        }
    });
}
