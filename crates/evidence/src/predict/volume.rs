//! Firmware volumes inside a firmware image (UEFI Platform Initialization, Volume 3: firmware volumes, files, sections).
//!
//! OVMF keeps its code in one file of its first volume, compressed; what is in it are volumes again, and those are measured.

use std::io::Cursor;

use super::{FIRMWARE_LEN_MAX, PredictError, Result, array, form, slice, u16_le, u32_le, u64_le};
use crate::bytes::sha256;

const WHAT: &str = "a firmware with volumes";
const SIGNATURE: &[u8; 4] = b"_FVH";
/// Where the signature stands in a volume's header.
const SIGNATURE_AT: usize = 40;
/// LzmaCustomDecompress, EE4E5898-3914-4259-9D6E-DC7BD79403CF.
const LZMA: [u8; 16] = [
    0x98, 0x58, 0x4e, 0xee, 0x14, 0x39, 0x59, 0x42, 0x9d, 0x6e, 0xdc, 0x7b, 0xd7, 0x94, 0x03, 0xcf,
];
const GUID_DEFINED: u8 = 0x02;
const VOLUME_IMAGE: u8 = 0x17;
const FILE_HEADER: usize = 24;
/// Longest that the compressed part may become.
const UNPACKED_MAX: usize = FIRMWARE_LEN_MAX;
/// Sections and files are few.
const PARTS_MAX: usize = 4096;

/// A volume that firmware unpacks and measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// SHA-256 over it as it is packed.
    pub digest: [u8; 32],
    /// Its length.
    pub len: u64,
}

/// The packed volumes of a firmware image, in their order.
///
/// # Errors
/// [`PredictError`].
pub fn packed(firmware: &[u8]) -> Result<Vec<Volume>> {
    if firmware.len() > FIRMWARE_LEN_MAX {
        let got = firmware.len();
        return Err(PredictError::TooLong { what: "firmware", got, max: FIRMWARE_LEN_MAX });
    }
    let body =
        compressed(firmware).ok_or(form(WHAT, "no compressed section in its first volume"))?;
    let unpacked = unpack(body)?;
    let mut volumes = Vec::new();
    for (kind, body) in sections(&unpacked) {
        if kind == VOLUME_IMAGE {
            let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
            volumes.push(Volume { digest: sha256(body), len });
        }
    }
    if volumes.is_empty() {
        return Err(form(WHAT, "nothing but sections without volumes is packed in it"));
    }
    Ok(volumes)
}

/// The first volume's first section that is packed by LZMA.
fn compressed(firmware: &[u8]) -> Option<&[u8]> {
    if array::<4>(firmware, SIGNATURE_AT)? != *SIGNATURE {
        return None;
    }
    let volume = slice(firmware, 0, super::size(u64_le(firmware, 32)?)?)?;
    let mut at = usize::from(u16_le(volume, 48)?);
    let extended = usize::from(u16_le(volume, 52)?);
    if extended != 0 {
        let len = super::size(u32_le(volume, extended.checked_add(16)?)?.into())?;
        at = extended.checked_add(len)?;
    }
    for _ in 0..PARTS_MAX {
        at = at.checked_next_multiple_of(8)?;
        let len = u24(volume, at.checked_add(20)?)?;
        let file = slice(volume, at, len)?;
        let body = file.get(FILE_HEADER..)?;
        let packed = sections(body).find_map(|(kind, body)| {
            let is = kind == GUID_DEFINED && array::<16>(body, 0) == Some(LZMA);
            // The offset to the data is counted from the section's own header, which is not in `body`.
            let header = if body.len() >= 0x00ff_ffff { 8 } else { 4 };
            let offset = usize::from(u16_le(body, 16)?).checked_sub(header)?;
            is.then(|| body.get(offset..)).flatten()
        });
        if packed.is_some() {
            return packed;
        }
        at = at.checked_add(len)?;
    }
    None
}

/// Sections one after the other, each with its type; it ends where one does not fit.
fn sections(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 0_usize;
    core::iter::from_fn(move || {
        let kind = *bytes.get(at.checked_add(3)?)?;
        let (len, header) = match u24(bytes, at)? {
            0x00ff_ffff => (super::size(u32_le(bytes, at.checked_add(4)?)?.into())?, 8),
            len => (len, 4),
        };
        let body = slice(bytes, at.checked_add(header)?, len.checked_sub(header)?)?;
        at = at.checked_add(len)?.checked_next_multiple_of(4)?;
        Some((kind, body))
    })
    .take(PARTS_MAX)
}

fn u24(bytes: &[u8], at: usize) -> Option<usize> {
    let [a, b, c] = array(bytes, at)?;
    super::size(u32::from_le_bytes([a, b, c, 0]).into())
}

/// LZMA with its usual header, which says how long it becomes: that is held against the limit before anything is unpacked.
fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let said = u64_le(packed, 5).and_then(super::size).filter(|n| *n <= UNPACKED_MAX);
    let said = said.ok_or(form(WHAT, "its packed part says no length, or one beyond the limit"))?;
    let options = lzma_rs::decompress::Options {
        memlimit: Some(UNPACKED_MAX),
        ..lzma_rs::decompress::Options::default()
    };
    let mut out = Vec::new();
    let done = lzma_rs::lzma_decompress_with_options(&mut Cursor::new(packed), &mut out, &options);
    if done.is_err() || out.len() != said {
        return Err(form(WHAT, "its packed part is damaged"));
    }
    Ok(out)
}
