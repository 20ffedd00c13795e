//! Bytes that pretend to be an AWS attestation document never panic, are refused under a root nobody pinned, and what is read
//! of them keeps the limits of the format.
#![no_main]

use evidence::Time;
use evidence::nitro::{DocumentKind, PINNED_ROOTS, parse, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(document) = parse(bytes) {
        assert!(!document.module_id.is_empty() && document.timestamp_ms > 0);
        assert!(document.pcrs.keys().all(|n| *n < 32) && !document.cabundle.is_empty());
        assert!(document.nonce.is_none_or(|n| n.len() <= 512));
    }
    let at = Time::from_unix(1_780_000_000);
    for kind in [DocumentKind::Enclave, DocumentKind::Tpm] {
        assert!(verify(bytes, kind, &[], at).is_err());
        // A document of AWS's own that was never seen would have to be signed by AWS for that very second.
        let _ = verify(bytes, kind, &PINNED_ROOTS, at);
    }
});
