//! Frames: what travels inside the TLS of an attested channel. A header of four bytes, then at most 64 KiB of data or one
//! message. `docs/formats/channel.md` is the page.
//!
//! Reading refuses unknown kinds, empty frames and lengths above the kind's limit before it keeps a byte of them.
//! Where a frame ends is the reader's count, never a look at the content: a message inside data is data.

use evidence::controls::holds;
use evidence::statement;
use thiserror::Error;

use crate::credential::DER_MAX;

/// Kind, then length (24 bits, big-endian).
pub const HEADER_LEN: usize = 4;
/// Most data in a frame: with its header it fills four TLS records exactly.
pub const DATA_MAX: usize = 4 * 16_384 - HEADER_LEN;
/// Longest news: revocations that the owners signed.
pub const NEWS_MAX: usize = 256 * 1024;
const STATEMENT_MAX: usize = statement::LEN_MAX;
/// A leaf and its issuer, and what is around them.
const CHAIN_MAX: usize = 2 * DER_MAX + 1024;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Application data.
    Data,
    /// First message of each side.
    Hello,
    /// A platform's statement about this connection.
    Statement,
    /// Revocations the other side has not heard of.
    News,
    /// A side wants to be bound by another credential.
    Offer,
    /// The other side's part.
    Answer,
    /// The first side's part.
    Confirm,
}

impl Kind {
    /// Every kind, at the place that is its number.
    const ALL: [Self; 7] = [
        Self::Data,
        Self::Hello,
        Self::Statement,
        Self::News,
        Self::Offer,
        Self::Answer,
        Self::Confirm,
    ];

    fn code(self) -> u8 {
        let at = Self::ALL.iter().position(|k| *k == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }

    fn parse(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The longest content.
    #[must_use]
    pub const fn len_max(self) -> usize {
        match self {
            Self::Data => DATA_MAX,
            Self::Hello => 1024,
            Self::Statement => STATEMENT_MAX,
            Self::News => NEWS_MAX,
            Self::Offer => CHAIN_MAX,
            Self::Answer => CHAIN_MAX + STATEMENT_MAX,
            Self::Confirm => STATEMENT_MAX + 1024,
        }
    }
}

/// Why bytes are no frames.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A kind this version does not have.
    #[error("frame of unknown kind {0}; the peer speaks another version")]
    Kind(u8),
    /// Empty, or longer than its kind may be.
    #[error("frame of {got} bytes, expected 1 to {max}; the peer is broken or hostile")]
    Length {
        /// Limit of the kind.
        max: usize,
        /// Said by the header.
        got: usize,
    },
    /// The connection ended inside a frame.
    #[error("connection ended inside a frame; what came of it is not whole")]
    Cut,
    /// A frame that has no place here.
    #[error(
        "frame of kind {got:?} where {expected:?} belongs; nothing is taken before the peer has proved who it is"
    )]
    Unexpected {
        /// What belongs here.
        expected: Kind,
        /// What came.
        got: Kind,
    },
}

/// The header of a frame with `len` bytes.
///
/// # Errors
/// [`FrameError::Length`].
pub fn header(kind: Kind, len: usize) -> Result<[u8; HEADER_LEN], FrameError> {
    let wrong = FrameError::Length { max: kind.len_max(), got: len };
    if len == 0 || len > kind.len_max() {
        return Err(wrong);
    }
    let [_, a, b, c] = u32::try_from(len).map_err(|_| wrong)?.to_be_bytes();
    Ok([kind.code(), a, b, c])
}

fn read_header([code, a, b, c]: [u8; HEADER_LEN]) -> Result<(Kind, usize), FrameError> {
    let kind = Kind::parse(code).ok_or(FrameError::Kind(code))?;
    let got = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
    let max = kind.len_max();
    if got == 0 || !holds("frame_length", got <= max) {
        return Err(FrameError::Length { max, got });
    }
    Ok((kind, got))
}

/// What stands next in the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// So many bytes of application data.
    Data(usize),
    /// A whole message.
    Message(Kind, Vec<u8>),
}

/// Finds frames in bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    header: Vec<u8>,
    open: Option<Open>,
}

#[derive(Debug)]
enum Open {
    Data { left: usize },
    Message { kind: Kind, left: usize, bytes: Vec<u8> },
}

impl Reader {
    /// Looks at the next bytes. Says how many of them it has used up, and what it found; data is not used up but left
    /// where it is, after those.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Event>), FrameError> {
        let mut rest = bytes;
        let used = |rest: &[u8]| bytes.len().saturating_sub(rest.len());
        while !rest.is_empty() {
            match &mut self.open {
                Some(Open::Data { left }) => {
                    return Ok((used(rest), Some(Event::Data(rest.len().min(*left)))));
                }
                Some(Open::Message { kind, left, bytes: message }) => {
                    let (now, later) = rest.split_at(rest.len().min(*left));
                    message.extend_from_slice(now);
                    *left = left.saturating_sub(now.len());
                    rest = later;
                    if *left == 0 {
                        let event = Event::Message(*kind, core::mem::take(message));
                        self.open = None;
                        return Ok((used(rest), Some(event)));
                    }
                }
                None => {
                    let missing = HEADER_LEN.saturating_sub(self.header.len());
                    let (now, later) = rest.split_at(rest.len().min(missing));
                    rest = later;
                    self.header.extend_from_slice(now);
                    if let Ok(header) = <[u8; HEADER_LEN]>::try_from(self.header.as_slice()) {
                        self.header.clear();
                        self.open = Some(match read_header(header)? {
                            (Kind::Data, left) => Open::Data { left },
                            (kind, left) => Open::Message { kind, left, bytes: Vec::new() },
                        });
                    }
                }
            }
        }
        Ok((used(rest), None))
    }

    /// So many bytes of data were taken by whoever they are for.
    pub fn took(&mut self, n: usize) {
        if let Some(Open::Data { left }) = &mut self.open {
            *left = left.saturating_sub(n);
            if *left == 0 {
                self.open = None;
            }
        }
    }

    /// The kind of the frame that has begun and not ended.
    #[must_use]
    pub const fn open_kind(&self) -> Option<Kind> {
        match &self.open {
            Some(Open::Data { .. }) => Some(Kind::Data),
            Some(Open::Message { kind, .. }) => Some(*kind),
            None => None,
        }
    }

    /// True between two frames.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        self.open.is_none() && self.header.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::controls::without;

    fn frame(kind: Kind, content: &[u8]) -> Vec<u8> {
        [&header(kind, content.len()).unwrap(), content].concat()
    }

    /// All events of `bytes` when they come in pieces of `size`; data joined.
    fn events(bytes: &[u8], size: usize) -> Result<Vec<Event>, FrameError> {
        let (mut reader, mut out, mut data) = (Reader::default(), Vec::new(), 0);
        for mut piece in bytes.chunks(size) {
            while !piece.is_empty() {
                let (used, event) = reader.read(piece)?;
                piece = &piece[used..];
                match event {
                    Some(Event::Data(n)) => {
                        reader.took(n);
                        piece = &piece[n..];
                        data += n;
                    }
                    Some(message) => {
                        out.push(Event::Data(core::mem::take(&mut data)));
                        out.push(message);
                    }
                    None => {}
                }
            }
        }
        if !reader.is_between() {
            return Err(FrameError::Cut);
        }
        out.push(Event::Data(data));
        Ok(out)
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let inner = frame(Kind::Offer, b"an offer that is data");
        let bytes = [
            frame(Kind::Data, &inner),
            frame(Kind::Data, b"x"),
            frame(Kind::Answer, b"answer"),
            frame(Kind::Data, &[7; 300]),
        ]
        .concat();
        let expected = vec![
            Event::Data(inner.len() + 1),
            Event::Message(Kind::Answer, b"answer".to_vec()),
            Event::Data(300),
        ];
        for size in 1..bytes.len() + 1 {
            assert_eq!(events(&bytes, size).as_ref(), Ok(&expected), "pieces of {size}");
        }
        for end in 1..bytes.len() {
            let cut = events(&bytes[..end], 9);
            assert!(cut == Err(FrameError::Cut) || cut.is_ok(), "{end}: {cut:?}");
        }
    }

    #[test]
    fn unknown_kinds_empty_frames_and_too_long_ones_are_refused_at_their_header() {
        for code in 7..=u8::MAX {
            assert_eq!(events(&[code, 0, 0, 1], 4), Err(FrameError::Kind(code)));
        }
        for kind in Kind::ALL {
            let code = header(kind, 1).unwrap()[0];
            let max = kind.len_max();
            assert_eq!(events(&[code, 0, 0, 0], 4), Err(FrameError::Length { max, got: 0 }));
            let [_, a, b, c] = u32::try_from(max + 1).unwrap().to_be_bytes();
            let long = || events(&[code, a, b, c], 4);
            assert_eq!(long(), Err(FrameError::Length { max, got: max + 1 }));
            assert_eq!(without("frame_length", long), Err(FrameError::Cut));
            assert!(header(kind, max).is_ok() && header(kind, max + 1).is_err());
        }
    }
}
