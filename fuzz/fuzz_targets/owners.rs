//! What owners sign, and what they did not: a genuine policy with bytes exchanged is none, and objects of anybody are none.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use owners::{genesis, policy, sign};
use trust::policy::PolicyInForce;
use trust::proof::Proof;
use trust::role_secret::RoleSecrets;
use trust::signing::{Namespace, Signed};
use trust::{EndorsedAuthority, Genesis, Policy, Revocations};

static GENUINE: LazyLock<Signed> = LazyLock::new(|| sign(Namespace::Policy, policy().encode()));

fuzz_target!(|bytes: &[u8]| {
    let genesis = genesis();
    if let Ok(read) = Genesis::decode(bytes) {
        assert_eq!(read.encode(), bytes);
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
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.payload.len();
        changed.payload[at] = changed.payload[at].wrapping_add(change[2]);
    }
    assert!(changed == *GENUINE || PolicyInForce::verify(&changed, &genesis, None).is_err());
});
