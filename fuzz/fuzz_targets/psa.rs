//! Bytes that pretend to be a PSA token never panic, are refused where no anchor is given or another device's, and claims that
//! are read keep the limits of the format.
#![no_main]

use evidence::Time;
use evidence::cose::anchor::{Anchor, AnchorKey};
use evidence::profile::Stated;
use evidence::psa::layout::COMPONENTS_MAX;
use evidence::psa::{parse, verify};
use libfuzzer_sys::fuzz_target;

/// A public key whose private part nobody kept.
const KEY: &[u8] = br#"{"kty":"EC","crv":"P-256","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}"#;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = parse(bytes) {
        let c = &token.claims;
        assert!(matches!(c.nonce.len(), 32 | 48 | 64) && c.client_id != 0);
        assert!(c.components.len() <= COMPONENTS_MAX && c.device.instance_id[0] == 1);
    }
    let at = Time::from_unix(1_780_000_000);
    assert!(verify(bytes, &[], at).is_err());
    let key = AnchorKey::read(KEY).expect("a point of P-256");
    assert!(verify(bytes, &[Anchor { key, devices: Stated::Value(Vec::new()) }], at).is_err());
    // The bytes as an anchor's file: read or refused.
    let _ = AnchorKey::read(bytes);
});
