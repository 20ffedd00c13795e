//! Bytes that pretend to be a key attestation extension, a chain or a status list never panic and are refused under a root
//! nobody pinned; an extension that is read has a version that is known.
#![no_main]

use evidence::Time;
use evidence::android::layout::VERSIONS;
use evidence::android::{StatusList, parse, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(description) = parse(bytes) {
        assert!(VERSIONS.contains(&description.attestation_version));
    }
    let status = StatusList::parse(bytes).ok();
    // A length in front of each certificate, so that the fuzzer can take a chain apart.
    let mut chain = Vec::new();
    let mut rest = bytes;
    while let [a, b, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*a, *b])).min(tail.len());
        let (one, after) = tail.split_at(len);
        chain.push(one.to_vec());
        rest = after;
    }
    assert!(verify(&chain, &[], status.as_ref(), Time::from_unix(1_780_000_000)).is_err());
});
