//! Bytes that pretend to be a conceptual message wrapper never panic, and one that is read comes back from CBOR as it was, and
//! from JSON where that has a form for it.
#![no_main]

use evidence::cmw::{Cmw, DEPTH_MAX};
use libfuzzer_sys::fuzz_target;

fn depth(cmw: &Cmw) -> usize {
    match cmw {
        Cmw::Collection(c) => 1 + c.members().iter().map(|(_, m)| depth(m)).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Cmw::from_extension(bytes);
    let Ok(cmw) = Cmw::parse(bytes) else { return };
    assert!(depth(&cmw) <= DEPTH_MAX);
    // A content format may have a number for which there is no tag; such a record has no tag to begin with.
    let cbor = cmw.to_cbor().expect("what was read can be written");
    assert_eq!(Cmw::from_cbor(&cbor).as_ref(), Ok(&cmw));
    if let Ok(json) = cmw.to_json() {
        let mut again = Cmw::from_json(json.to_string().as_bytes()).expect("what was written can be read");
        // JSON objects have no order.
        assert_eq!(again.to_json().ok(), Some(json));
        again = Cmw::from_cbor(&again.to_cbor().expect("written")).expect("read");
        assert!(depth(&again) == depth(&cmw));
    }
});
