//! A request and its response to fields (DSP0274 1.1 sections 10.11.1 and 10.11.2; NVIDIA Opaque Data Format). Nothing is judged.
//!
//! Refused are other messages and versions, lengths that contradict each other, measurements that are no digests, numbers
//! that occur twice, and anything but zeros after the signature.

use super::layout::{
    Block, Field, FieldId, Opaque, REPORT_MAX, REQUEST_LEN, Report, SIGNATURE_LEN,
};
use super::refusal::NvidiaRefusal;
use crate::bytes::Nonce;

const SPDM_1_1: u8 = 0x11;
const GET_MEASUREMENTS: u8 = 0xe0;
const MEASUREMENTS: u8 = 0x60;
/// Param1 of the request: a signature is asked for.
const SIGNED: u8 = 1;
/// Param2 of the request: every measurement.
const ALL: u8 = 0xff;
/// MeasurementSpecification: DMTF.
const DMTF: u8 = 1;
/// Type and size before a DMTF value.
const VALUE_HEADER: usize = 3;
/// The largest digest SPDM knows is SHA-512's.
const DIGEST_MAX: usize = 64;
/// First bytes of opaque data with a header.
const MAGIC: &[u8] = b"NVDAOD";
/// Fields of one report; NVIDIA numbers 36.
const FIELDS_MAX: usize = 256;

/// Reads a report.
///
/// # Errors
/// [`NvidiaRefusal::TooLong`], [`NvidiaRefusal::Short`], [`NvidiaRefusal::Message`], [`NvidiaRefusal::Record`],
/// [`NvidiaRefusal::Opaque`], [`NvidiaRefusal::OpaqueVersion`], [`NvidiaRefusal::Trailing`].
pub fn parse(bytes: &[u8]) -> Result<Report, NvidiaRefusal> {
    if bytes.len() > REPORT_MAX {
        return Err(NvidiaRefusal::TooLong(bytes.len()));
    }
    let (request, response) = bytes
        .split_at_checked(REQUEST_LEN)
        .ok_or(NvidiaRefusal::Short { part: "request", len: bytes.len() })?;
    let mut r = Reader { rest: request, part: "request" };
    r.message([SPDM_1_1, GET_MEASUREMENTS, SIGNED, ALL])?;
    let nonce = Nonce::new(r.array()?);
    let [slot] = r.array()?;

    let mut r = Reader { rest: response, part: "response" };
    r.message([SPDM_1_1, MEASUREMENTS, 0, slot])?;
    let [count, a, b, c] = r.array()?;
    let record = r.take(usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(usize::MAX))?;
    let blocks = blocks(record, count)?;
    let responder_nonce = Nonce::new(r.array()?);
    let opaque_len = u16::from_le_bytes(r.array()?);
    let opaque = opaque(r.take(opaque_len.into())?)?;
    let signed_len = bytes.len().saturating_sub(r.rest.len());
    let signature = r.array::<SIGNATURE_LEN>()?;
    if r.rest.iter().any(|b| *b != 0) {
        return Err(NvidiaRefusal::Trailing(r.rest.len()));
    }
    let trailing = r.rest.len();
    Ok(Report { nonce, slot, responder_nonce, blocks, opaque, signature, signed_len, trailing })
}

fn blocks(record: &[u8], count: u8) -> Result<Vec<Block>, NvidiaRefusal> {
    let mut r = Reader { rest: record, part: "measurement record" };
    let mut blocks = Vec::<Block>::new();
    for _ in 0..count {
        let [index, specification] = r.array()?;
        let size = u16::from_le_bytes(r.array()?);
        let content = r.take(size.into())?;
        let refuse = |why| NvidiaRefusal::Record { index, why };
        if specification != DMTF {
            return Err(refuse("its specification is not DMTF"));
        }
        if index == 0 || blocks.last().is_some_and(|b| b.index >= index) {
            return Err(refuse("its number does not follow the one before"));
        }
        let mut inner = Reader { rest: content, part: "measurement block" };
        let [value_type] = inner.array()?;
        let value_len = u16::from_le_bytes(inner.array()?);
        if content.len() != usize::from(value_len).saturating_add(VALUE_HEADER) {
            return Err(refuse("its two sizes contradict each other"));
        }
        if value_type > 3 || !(1..=DIGEST_MAX).contains(&inner.rest.len()) {
            return Err(refuse("it is no digest"));
        }
        let (content, value) = (content.to_vec(), inner.rest.to_vec());
        blocks.push(Block { index, value_type, content, value });
    }
    if blocks.is_empty() || !r.rest.is_empty() {
        return Err(NvidiaRefusal::Record {
            index: count,
            why: "the record has more or fewer bytes than its blocks",
        });
    }
    Ok(blocks)
}

fn opaque(data: &[u8]) -> Result<Opaque, NvidiaRefusal> {
    let mut r = Reader { rest: data, part: "opaque data" };
    let mut header = None;
    if data.starts_with(MAGIC) {
        r.take(MAGIC.len())?;
        let [p0, p1, major, minor, _patch, _padding] = r.array()?;
        if [p0, p1] != [0, 0] || major > 2 {
            return Err(NvidiaRefusal::OpaqueVersion {
                profile: u16::from_le_bytes([p0, p1]),
                major,
                minor,
            });
        }
        header = Some((major, minor));
    }
    let mut fields = Vec::<Field>::new();
    while !r.rest.is_empty() {
        let id = FieldId(u16::from_le_bytes(r.array()?));
        let value_type = match header {
            Some(_) => Some(u16::from_le_bytes(r.array()?)),
            None => None,
        };
        let len = u16::from_le_bytes(r.array()?);
        let data = r.take(len.into())?.to_vec();
        if fields.iter().any(|f| f.id == id) {
            return Err(NvidiaRefusal::Opaque { id, why: "occurs twice" });
        }
        if fields.len() >= FIELDS_MAX {
            return Err(NvidiaRefusal::Opaque { id, why: "is one too many" });
        }
        fields.push(Field { id, value_type, data });
    }
    Ok(Opaque { header, fields })
}

struct Reader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], NvidiaRefusal> {
        let short = NvidiaRefusal::Short { part: self.part, len: self.rest.len() };
        let (head, rest) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NvidiaRefusal> {
        let short = NvidiaRefusal::Short { part: self.part, len: self.rest.len() };
        self.take(N)?.try_into().map_err(|_| short)
    }

    fn message(&mut self, expected: [u8; 4]) -> Result<(), NvidiaRefusal> {
        let got = self.array()?;
        if got == expected {
            Ok(())
        } else {
            Err(NvidiaRefusal::Message { part: self.part, expected, got })
        }
    }
}
