//! What owners sign, and what they did not: a genuine policy with bytes exchanged is none, and objects of anybody are none.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use owners::{genesis, policy, sign};
use trust::policy::PolicyInForce;
use trust::proof::Proof;
use trust::role_secret::RoleSecrets;
use trust::signing::{Namespace, Signed};
use trust::{EndorsedAuthority, Genesis, Pending, Policy, Revocations, Subject};

static GENUINE: LazyLock<Signed> = LazyLock::new(|| sign(Namespace::Policy, policy().encode()));

/// A policy that waits, with its owner's signature.
static WAITING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut pending = Pending::new(&Subject::Policy(Box::new(policy())));
    pending.signatures = GENUINE.signatures.clone();
    pending.encode()
});

fn exchanged(genuine: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut changed = genuine.to_vec();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.len();
        changed[at] = changed[at].wrapping_add(change[2]);
    }
    changed
}

fuzz_target!(|bytes: &[u8]| {
    let genesis = genesis();
    if let Ok(read) = Genesis::decode(bytes) {
        assert_eq!(read.encode(), bytes);
    }
    if let Ok(read) = Genesis::decode_chain(bytes) {
        assert_eq!(read.encode_chain(), bytes);
    }
    if let Ok((pending, subject)) = Pending::decode(bytes, &genesis) {
        assert!(pending.signatures.is_empty() && pending.complete(&genesis, &subject).is_none());
        let _ = subject.words(&genesis, None, ToOwned::to_owned);
    }
    if let Ok((pending, _)) = Pending::decode(&exchanged(&WAITING, bytes), &genesis) {
        assert!(pending.signatures.is_empty() || pending.payload == GENUINE.payload);
    }
    let _ = Policy::decode(bytes);
    let _ = Proof::decode(bytes);
    if let Ok(signed) = Signed::decode(bytes) {
        assert!(PolicyInForce::verify(&signed, &genesis, None).is_err());
        assert!(EndorsedAuthority::verify(&signed, &genesis, owners::NOW).is_err());
        assert!(Revocations::default().add(signed.clone(), &genesis).is_err());
        assert!(RoleSecrets::default().check(&signed, &genesis).is_err());
    }
    let mut changed = GENUINE.clone();
    changed.payload = exchanged(&changed.payload, bytes);
    assert!(changed == *GENUINE || PolicyInForce::verify(&changed, &genesis, None).is_err());
});
