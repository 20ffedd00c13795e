//! Credentials: the chain to the owners' endorsement, windows, and the SPIFFE profile.

use channel::credential::{self, CredentialRefusal};
use channel::{DomainTrust, VerifiedCredential};
use evidence::controls::without;
use evidence::{DomainRoot, SpkiDigest, Time, Window};

use crate::world::{NOW, World, endorsed, genesis, peer_with, window, world};

fn check(
    w: &World,
    change: impl FnOnce(&mut channel::Credential),
    window: Window,
    at: Time,
) -> Result<VerifiedCredential, CredentialRefusal> {
    let peer = peer_with(w, "client", 11, change, window);
    credential::verify(&peer.identity.chain, &w.trust, at)
}

#[test]
fn a_credential_is_in_force_in_its_window_only() {
    let w = world(1);
    let narrow = Window { not_before: NOW, not_after: NOW.plus_secs(100) };
    let at = |secs| check(&w, |_| {}, narrow, NOW.plus_secs(secs)).is_ok();
    // Two minutes of grace before, for clocks that differ; none after.
    assert_eq!([at(-121), at(-120), at(0), at(100), at(101)], [false, true, true, true, false]);
    assert!(without("credential_path", || check(&w, |_| {}, narrow, NOW.plus_secs(101))).is_ok());
}

#[test]
fn a_credential_that_names_another_domain_is_refused() {
    let w = world(1);
    let attack = || check(&w, |c| c.domain = DomainRoot::new([9; 32]), window(), NOW);
    assert!(matches!(attack(), Err(CredentialRefusal::Domain { .. })));
    assert!(without("credential_domain", attack).is_ok());
}

#[test]
fn a_ca_the_owners_did_not_endorse_speaks_for_nobody() {
    let w = world(1);
    let (g, owner) = genesis(1);
    let attack =
        || DomainTrust::new(endorsed(&g, &owner, SpkiDigest::new([9; 32])), w.ca.certificate());
    assert!(matches!(attack(), Err(CredentialRefusal::Authority { .. })));
    assert!(without("endorsed_authority", attack).is_ok());
}

#[test]
fn a_certificate_of_another_ca_that_bears_the_same_name_is_refused() {
    // Certifier A1: the issuer's name is right, its signature is not.
    let (ours, theirs) = (world(1), world(2));
    let peer = peer_with(&theirs, "client", 11, |c| c.domain = ours.root, window());
    let attack = || credential::verify(&peer.identity.chain, &ours.trust, NOW);
    assert!(matches!(attack(), Err(CredentialRefusal::Chain { .. })));
    assert!(without("credential_path", attack).is_ok());
}

#[test]
fn no_certificate_too_many_and_garbage_are_refused() {
    let w = world(1);
    let peer = peer_with(&w, "client", 11, |_| {}, window());
    let leaf = peer.identity.chain[0].clone();
    let verify = |chain: &[_]| credential::verify(chain, &w.trust, NOW);
    assert!(matches!(verify(&[]), Err(CredentialRefusal::Count(0))));
    assert!(matches!(
        verify(&[leaf.clone(), leaf.clone(), leaf.clone()]),
        Err(CredentialRefusal::Count(3))
    ));
    for len in [0, 1, 100, leaf.len() - 1] {
        assert!(verify(&[leaf[..len].to_vec().into()]).is_err(), "{len}");
    }
    for byte in (0..leaf.len()).step_by(7) {
        let mut bad = leaf.to_vec();
        bad[byte] ^= 1;
        assert!(verify(&[bad.into()]).is_err(), "byte {byte}");
    }
    // The CA's own certificate is no leaf.
    assert!(verify(&[w.ca.certificate().to_vec().into()]).is_err());
}
