//! Messages of admissions, between monitor and programs, of logs and of sealed blobs: read or refused; what reads back is what was written.
#![no_main]

use channel::admission::{Admission, AdmissionRequest, Bundle, Challenge, ChallengeRequest, News, Refused};
use ledger::entry::Entry;
use ledger::note::{Signer, Verifier};
use ledger::tree;
use libfuzzer_sys::fuzz_target;
use platform::seal::Sealer;
use platform::{Secret, StoreId};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(m) = AdmissionRequest::decode(bytes) {
        assert_eq!(m.encode(), bytes);
    }
    if let Ok(m) = Admission::decode(bytes) {
        assert_eq!(m.encode(), bytes);
    }
    if let Ok(m) = Bundle::decode(bytes) {
        assert_eq!(m.encode(), bytes);
    }
    if let Ok(m) = Challenge::decode(bytes) {
        assert_eq!(m.encode(), bytes);
    }
    if let Ok(m) = ChallengeRequest::decode(bytes) {
        assert_eq!(m.encode(), bytes);
    }
    let _ = (News::decode(bytes), Refused::decode(bytes));
    if let Some(entry) = Entry::parse(bytes) {
        let _ = (entry.admission(), entry.policy(), entry.secret());
    }
    let root = Secret::new([1; 32]);
    let sealer = Sealer {
        root: &root,
        domain: evidence::DomainRoot::new([2; 32]),
        program: evidence::Measurement::new([3; 48]),
        anchor: evidence::statement::Anchor::Unprotected,
    };
    assert!(sealer.open(&StoreId::new("store").unwrap(), 1, bytes).is_err());
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let _ = Verifier::parse(text);
    let signer = Signer::new("log", Secret::new([4; 32])).unwrap();
    assert!(signer.verifier().verify(text).is_err());
    let hashes = bytes.chunks_exact(32).map(|c| c.try_into().unwrap()).collect::<Vec<[u8; 32]>>();
    if let [first, second, rest @ ..] = &hashes[..] {
        let size = u64::from(first[0]) + 1;
        if let Some(root) = tree::root_from_inclusion(*first, u64::from(first[1]), size, rest) {
            assert!(rest.is_empty() || root != *first);
        }
        let _ = tree::is_consistent((u64::from(first[2]), *first), (u64::from(second[2]), *second), rest);
    }
});
