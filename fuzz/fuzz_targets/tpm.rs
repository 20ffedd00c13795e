//! Bytes that pretend to be a quote, a key or a signature of a TPM never panic, keep the limits of the format, and are authentic under
//! no key they were not signed by.
#![no_main]

use evidence::tpm::machine::{self, Report};
use evidence::tpm::{AttestationKey, KeyKind, parse_public, parse_quote, parse_signature, verify};
use evidence::{HardwareEvidence, Kind, Time};
use libfuzzer_sys::fuzz_target;

const NOW: Time = Time::from_unix(1_780_000_000);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(quote) = parse_quote(bytes) {
        assert!(quote.selections.len() <= 8);
        assert!(quote.selections.iter().flat_map(|s| &s.pcrs).all(|n| *n < 24));
    }
    if let Ok(public) = parse_public(bytes) {
        assert!(public.kind == KeyKind::Rsa || matches!(public.key.len(), 65 | 97));
    }
    if let Ok(report) = Report::decode(bytes) {
        assert_eq!(report.encode(), bytes);
    }
    let (report, endorsements) = (bytes.to_vec(), vec![bytes.to_vec()]);
    let evidence = HardwareEvidence { kind: Kind::Tpm, report, endorsements };
    assert!(machine::verify(&evidence, &[machine::key_root(bytes)], NOW).is_err());
    let Ok(key) = AttestationKey::trusted(bytes) else { return };
    if let Ok(signature) = parse_signature(bytes, key.kind()) {
        assert!(verify(bytes, &signature, &key, NOW).is_err());
    }
});
