//! Texts people and services write: domain files, profiles, attestation results, JSON. Read or refused, with words.
#![no_main]

use evidence::Profile;
use libfuzzer_sys::fuzz_target;
use trust::DomainFile;

fuzz_target!(|bytes: &[u8]| {
    let _ = evidence::ear::parse(bytes);
    let _ = evidence::json::parse(bytes, 1 << 16);
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Err(e) = DomainFile::parse(text) {
        assert!(!e.to_string().is_empty());
    }
    if let Ok(profile) = Profile::parse(text) {
        let _ = profile.section::<evidence::snp::Knobs>();
        let _ = profile.section::<evidence::tdx::Knobs>();
        let _ = profile.section::<evidence::tpm::Knobs>();
    }
});
