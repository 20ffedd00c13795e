//! Genesis, endorsements, revocations and the signatures over them: malformed, unsigned, and signed for something else.

use evidence::bytes::AuditKey;
use evidence::cbor::{self, CborError};
use evidence::controls::without;
use evidence::{DomainRoot, Measurement, SpkiDigest, Window};
use trust::endorsement::EndorsementError;
use trust::genesis::GenesisError;
use trust::revocation::RevocationError;
use trust::signing::{Namespace, SIGNED_MAX, SIGNERS_MAX, Signed, SigningError, SigningKey};
use trust::{AuthorityEndorsement, EndorsedAuthority, Genesis, Revocation, Revocations, Revoked};

use owners::{NOW, genesis, owner, sign};

/// One field of an encoded map replaced; none removes it.
fn with_field(bytes: &[u8], key: i64, value: Option<ciborium::Value>) -> Vec<u8> {
    let mut pairs = cbor::decode(bytes, 1 << 20).unwrap().into_map().unwrap();
    pairs.retain(|(k, _)| *k != key.into());
    pairs.extend(value.map(|v| (key.into(), v)));
    cbor::encode(&ciborium::Value::Map(pairs))
}

#[test]
fn a_genesis_that_is_malformed_misnamed_or_has_bad_signers_is_refused() {
    let good = genesis().encode();
    assert_eq!(Genesis::decode(&good).unwrap(), genesis());
    let refused = |key, value| Genesis::decode(&with_field(&good, key, value)).unwrap_err();
    assert_eq!(refused(1, Some(3.into())), GenesisError::Form(CborError::Version(3)));
    assert_eq!(refused(1, Some(2.into())), GenesisError::Form(CborError::Field("revoke")));
    assert_eq!(refused(5, None), GenesisError::Form(CborError::Field("nonce")));
    assert_eq!(refused(9, Some(1.into())), GenesisError::Form(CborError::UnknownField(9)));
    assert_eq!(refused(2, Some("Shop".into())), GenesisError::Name("Shop".into()));
    let need = SigningError::Need { need: 0, keys: 1 };
    assert_eq!(refused(3, Some(0.into())), GenesisError::Signers(need));
}

fn endorsement() -> AuthorityEndorsement {
    AuthorityEndorsement {
        domain: genesis().root(),
        ca: SpkiDigest::new([1; 32]),
        log: "shop/log".into(),
        audit: AuditKey::new([2; 32]),
        secrets: evidence::SecretsKey::new([7; 32]),
        measurement: Measurement::new([1; 48]),
        window: Window { not_before: NOW, not_after: NOW.plus_secs(10) },
    }
}

#[test]
fn an_endorsement_or_revocation_that_is_malformed_or_unsigned_is_refused() {
    let endorse = |signed: &Signed| EndorsedAuthority::verify(signed, &genesis(), NOW);
    let revoke = |signed: &Signed| Revocations::default().add(signed.clone(), &genesis()).map(drop);
    let revocation = Revocation {
        domain: genesis().root(),
        epoch: 1,
        revoked: Revoked::Measurement(Measurement::new([1; 48])),
    };
    let (good, bad) = (endorsement().encode(), b"junk".to_vec());
    assert!(endorse(&sign(Namespace::Endorsement, good.clone())).is_ok());
    let refused = endorse(&sign(Namespace::Endorsement, bad.clone())).unwrap_err();
    assert_eq!(refused, EndorsementError::Form(CborError::Malformed));
    assert_eq!(
        revoke(&sign(Namespace::Revocation, bad)).unwrap_err(),
        RevocationError::Form(CborError::Malformed)
    );
    // Signed by the owner, for another kind of object.
    let mixed = sign(Namespace::Revocation, good);
    assert!(matches!(endorse(&mixed), Err(EndorsementError::Signing(_))));
    assert!(without("sshsig_namespace", || endorse(&mixed)).is_ok());
    let mixed = sign(Namespace::Endorsement, revocation.encode());
    assert!(matches!(revoke(&mixed), Err(RevocationError::Signing(_))));
    assert!(without("sshsig_namespace", || revoke(&mixed)).is_ok());
    // A kind of thing that cannot be revoked, a measurement of another length, a machine that is nobody.
    for (kind, bytes) in
        [("person", vec![1; 48]), ("measurement", vec![1; 47]), ("machine", vec![0; 8])]
    {
        let payload = with_field(&revocation.encode(), 4, Some(kind.into()));
        let payload = with_field(&payload, 5, Some(ciborium::Value::Bytes(bytes)));
        let refused = revoke(&sign(Namespace::Revocation, payload)).unwrap_err();
        assert_eq!(refused, RevocationError::Form(CborError::Field("revoked")), "{kind}");
    }
}

#[test]
fn an_endorsement_is_in_force_from_its_first_second_to_its_last() {
    let signed = sign(Namespace::Endorsement, endorsement().encode());
    let at = |secs| EndorsedAuthority::verify(&signed, &genesis(), NOW.plus_secs(secs));
    assert_eq!([-1, 0, 10, 11].map(|s| at(s).is_ok()), [false, true, true, false]);
    for secs in [-1, 11] {
        assert!(without("endorsement_window", || at(secs)).is_ok());
    }
}

#[test]
fn a_signed_object_is_of_its_form_and_bounded() {
    let good = sign(Namespace::Policy, b"x".to_vec());
    assert_eq!(Signed::decode(&good.encode()).unwrap(), good);
    let refused = |bytes: &[u8]| Signed::decode(bytes).unwrap_err();
    assert_eq!(refused(b""), SigningError::Form(CborError::Malformed));
    let more = Signed { signatures: vec![String::new(); SIGNERS_MAX + 1], ..good.clone() };
    assert_eq!(refused(&more.encode()), SigningError::Form(CborError::Field("signatures")));
    let long = Signed { payload: vec![0; SIGNED_MAX], ..good };
    assert!(matches!(refused(&long.encode()), SigningError::Form(CborError::TooLong { .. })));
}

#[test]
fn only_an_unencrypted_ed25519_key_signs_here() {
    let pem = owner().to_openssh("").unwrap();
    assert!(SigningKey::from_openssh(&pem).is_ok());
    let public = owner().public_openssh().unwrap();
    for junk in ["", "ssh-ed25519 AAAA", public.as_str(), &pem[..pem.len() / 2]] {
        assert!(matches!(SigningKey::from_openssh(junk), Err(SigningError::PrivateKey(_))));
    }
    let dir = tempfile::tempdir().unwrap();
    for (kind, password) in [("ed25519", "secret"), ("ecdsa", "")] {
        let args = ["-q", "-t", kind, "-N", password, "-f", kind];
        let made = std::process::Command::new("ssh-keygen").args(args).current_dir(&dir).output();
        let Ok(made) = made else {
            println!("skipped: ssh-keygen is not installed");
            return;
        };
        assert!(made.status.success());
        let pem = std::fs::read_to_string(dir.path().join(kind)).unwrap();
        let Err(SigningError::PrivateKey(why)) = SigningKey::from_openssh(&pem) else { panic!() };
        assert!(why.contains("ssh-keygen -Y sign"), "{why}");
    }
}

#[test]
fn a_foreign_genesis_revokes_and_endorses_nothing_here() {
    let foreign = Genesis::new(genesis().domain, genesis().signers, [7; 32]);
    let e = AuthorityEndorsement { domain: foreign.root(), ..endorsement() };
    let signed = sign(Namespace::Endorsement, e.encode());
    // The same owners and the same name: only the root tells the two domains apart.
    assert!(EndorsedAuthority::verify(&signed, &foreign, NOW).is_ok());
    let attack = || EndorsedAuthority::verify(&signed, &genesis(), NOW);
    let domain = |root: &Genesis| -> DomainRoot { root.root() };
    let expected = EndorsementError::Domain { expected: domain(&genesis()), got: domain(&foreign) };
    assert_eq!(attack().unwrap_err(), expected);
    assert!(without("endorsement_domain", attack).is_ok());
}
