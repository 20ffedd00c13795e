//! Texts people and services write: domain files, profiles, attestation results, JSON. Read or refused, with words.
#![no_main]

use evidence::{DomainRoot, Profile};
use libfuzzer_sys::fuzz_target;
use trust::domain::examples;
use trust::permission::Permissions;
use trust::signing::Namespace;
use trust::{DomainFile, Policy, Subject};

fuzz_target!(|bytes: &[u8]| {
    let _ = evidence::ear::parse(bytes);
    let _ = evidence::json::parse(bytes, 1 << 16);
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    match DomainFile::parse(text) {
        Err(e) => {
            let lines = text.lines().count() + 1;
            assert!(!e.to_string().is_empty() && e.mistakes().iter().all(|m| m.line <= lines));
        }
        // What makes sense as a file makes sense as a policy.
        Ok(file) => {
            let compiled = file.compile(DomainRoot::new([1; 32]), 1, None, |_| Some(Vec::new()));
            let policy = compiled.expect("a file that loads compiles");
            assert_eq!(Policy::decode(&policy.encode()), Ok(policy.clone()));
            Permissions::compile(&policy).expect("its permissions compile");
            let bytes = policy.encode();
            Subject::read(Namespace::Policy, &bytes).expect("its owners can sign it");
        }
    }
    if let Err(e) = examples::parse(text) {
        assert!(!e.to_string().is_empty());
    }
    if let Ok(profile) = Profile::parse(text) {
        let _ = profile.section::<evidence::snp::Knobs>();
        let _ = profile.section::<evidence::tdx::Knobs>();
        let _ = profile.section::<evidence::tpm::Knobs>();
    }
});
