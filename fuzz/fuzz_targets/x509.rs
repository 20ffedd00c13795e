//! Certificates, revocation lists and OCSP answers: read or refused, and a certificate's parts are its own.
#![no_main]

use evidence::Time;
use evidence::x509::Certificate;
use evidence::x509::crl::Crl;
use evidence::x509::ocsp;
use evidence::x509::path::verify_path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = Certificate::parse(bytes) {
        assert_eq!(certificate.der(), bytes);
        let _ = (certificate.subject_text(), certificate.is_ca(), certificate.path_len());
        let at = Time::from_unix(1_800_000_000);
        assert!(verify_path(vec![certificate], &[], &[], at).is_err());
    }
    let _ = Crl::parse(bytes);
    let _ = ocsp::Ocsp::parse(bytes);
});
