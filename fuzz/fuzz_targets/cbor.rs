//! What is read as deterministic CBOR is written back to the same bytes, and nothing else is read.
#![no_main]

use evidence::cbor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = cbor::decode(bytes, 1 << 16) {
        assert_eq!(cbor::encode(&value), bytes);
    }
});
