//! A manifest of any bytes: never a panic, no time without bound, and nothing but NVIDIA's own manifests is taken.
#![no_main]

use evidence::nvidia::{PINNED_RIM_ROOTS, RimRefusal, verify_rim};
use evidence::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let at = Time::from_unix(1_720_000_000);
    let judged = verify_rim(data, &PINNED_RIM_ROOTS, at);
    if let Ok(rim) = judged {
        // The corpus holds genuine manifests: whatever the fuzzer changed and kept genuine reads the same again.
        assert!(rim.facts().window.contains(at));
        return;
    }
    // Without any root nothing is taken, and the refusal comes before the content.
    let refused = verify_rim(data, &[], at).unwrap_err();
    assert!(!matches!(refused, RimRefusal::Digest | RimRefusal::Signature(_)));
});
