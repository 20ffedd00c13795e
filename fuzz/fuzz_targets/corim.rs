//! Bytes that pretend to be a reference manifest never panic; what is read is within its limits.
#![no_main]

use evidence::Time;
use evidence::corim::{Comid, Corim, SignedCorim, TAGS_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = SignedCorim::parse(bytes);
    let _ = Comid::parse(bytes);
    if let Ok(corim) = Corim::parse(bytes, &[], Time::from_unix(0)) {
        assert!(corim.comids.len() + corim.unread.len() <= TAGS_MAX);
    }
});
