//! Bytes that pretend to be a CCA token never panic, are refused where no anchor is given, and claims that are read keep the
//! limits of the format.
#![no_main]

use evidence::Time;
use evidence::cca::{parse, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = parse(bytes) {
        assert!(!token.platform.components.is_empty() && !token.platform.config.is_empty());
        assert!(matches!(token.platform.challenge.len(), 32 | 48 | 64));
        assert!(token.realm.extensible_measurements.iter().all(|m| matches!(m.len(), 32 | 48 | 64)));
    }
    assert!(verify(bytes, &[], Time::from_unix(1_780_000_000)).is_err());
});
