//! Frames of a channel: however bytes are cut into pieces, the same messages and the same data are found, or the same
//! refusal; no more data than came, no message above its limit, and nothing panics.
#![no_main]

use channel::frame::{Event, FrameError, Kind, Reader};
use libfuzzer_sys::fuzz_target;

/// Messages and data in their order, data joined where frames follow each other.
fn read(bytes: &[u8], size: usize) -> (Vec<(Option<Kind>, Vec<u8>)>, Option<FrameError>) {
    let (mut reader, mut found) = (Reader::default(), Vec::<(Option<Kind>, Vec<u8>)>::new());
    for mut piece in bytes.chunks(size.max(1)) {
        while !piece.is_empty() {
            let (used, event) = match reader.read(piece) {
                Ok(read) => read,
                Err(refusal) => return (found, Some(refusal)),
            };
            assert!(used <= piece.len());
            piece = &piece[used..];
            match event {
                Some(Event::Data(n)) => {
                    assert!(n > 0 && n <= piece.len());
                    match found.last_mut() {
                        Some((None, data)) => data.extend_from_slice(&piece[..n]),
                        _ => found.push((None, piece[..n].to_vec())),
                    }
                    reader.took(n);
                    piece = &piece[n..];
                }
                Some(Event::Message(kind, content)) => {
                    assert!(!content.is_empty() && content.len() <= kind.len_max());
                    found.push((Some(kind), content));
                }
                None => assert!(piece.is_empty()),
            }
        }
    }
    (found, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    assert_eq!(read(bytes, usize::from(size)), read(bytes, bytes.len()));
});
