//! Enclave images of AWS Nitro (`.eif`, version 3 and 4): what PCR0, PCR1, PCR2 and, of a signed image, PCR8 will be.
//!
//! Sections must follow each other to the exact end of the file, and their CRC must be right. The metadata section is measured by
//! nobody; the signature is not verified here, PCR8 says by whose certificate the enclave will claim to be signed.

use aws_lc_rs::digest;
use ciborium::Value;

use super::{PredictError, Result, array, form, size, slice};
use crate::bytes::{Measurement, sha384};

const WHAT: &str = "an enclave image";
const MAGIC: &[u8; 4] = b".eif";
/// Longest image: 4 GiB, which is more than an enclave's image can be.
pub const LEN_MAX: usize = 4 << 30;
const HEADER_LEN: usize = 548;
const SECTION_HEADER_LEN: usize = 12;
const SECTIONS_MAX: usize = 32;
/// Where the CRC stands, which is not part of what it covers.
const CRC_AT: usize = 544;
/// Longest signature section.
const SIGNATURE_LEN_MAX: usize = 32 * 1024;

/// Sections by their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kernel,
    Cmdline,
    Ramdisk,
    Signature,
    Metadata,
}

/// The registers of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcrs {
    /// Kernel, command line and all RAM disks.
    pub pcr0: Measurement,
    /// Kernel, command line and the first RAM disk.
    pub pcr1: Measurement,
    /// The other RAM disks: the application.
    pub pcr2: Measurement,
    /// The certificate an image is signed with.
    pub pcr8: Option<Measurement>,
}

/// What a register holds that was extended once, from zero.
#[must_use]
pub fn pcr(parts: &[&[u8]]) -> Measurement {
    let mut context = digest::Context::new(&digest::SHA384);
    parts.iter().for_each(|p| context.update(p));
    let inner = context.finish();
    Measurement::new(sha384(&[&[0; 48], inner.as_ref()].concat()))
}

/// The registers of an image.
///
/// 1. header, 2. sections one behind the other, 3. their CRC, 4. what each register covers.
///
/// # Errors
/// [`PredictError`].
pub fn pcrs(image: &[u8]) -> Result<Pcrs> {
    let bad = |why| form(WHAT, why);
    if image.len() > LEN_MAX {
        return Err(PredictError::TooLong {
            what: "enclave image",
            got: image.len(),
            max: LEN_MAX,
        });
    }
    // 1
    let short = bad("it is shorter than its header");
    let header = slice(image, 0, HEADER_LEN).ok_or(short.clone())?;
    if !header.starts_with(MAGIC) {
        return Err(bad("it does not begin with `.eif`"));
    }
    let half = |at| array(header, at).map(u16::from_be_bytes);
    if !matches!(half(4), Some(3 | 4)) {
        return Err(bad("it is of a version that is not known; 3 and 4 are"));
    }
    let count = usize::from(half(26).ok_or(short.clone())?);
    if !(1..=SECTIONS_MAX).contains(&count) {
        return Err(bad("it has no section, or more than 32"));
    }
    // 2
    let mut sections = Vec::new();
    let mut next = HEADER_LEN;
    for n in 0..count {
        let word = |base: usize| {
            let at = base.checked_add(n.checked_mul(8)?)?;
            size(array(header, at).map(u64::from_be_bytes)?)
        };
        let (at, len) = word(28).zip(word(284)).ok_or(short.clone())?;
        if at != next {
            return Err(bad("its sections do not follow each other"));
        }
        sections.push(section(image, at, len)?);
        let end = at.checked_add(SECTION_HEADER_LEN).and_then(|e| e.checked_add(len));
        next = end.ok_or(short.clone())?;
    }
    if next != image.len() {
        return Err(bad("something stands behind its last section"));
    }
    // 3
    let covered = [slice(image, 0, CRC_AT), image.get(HEADER_LEN..)].map(Option::unwrap_or_default);
    if array(header, CRC_AT).map(u32::from_be_bytes) != Some(crc32(&covered)) {
        return Err(bad("its CRC is wrong; it is damaged"));
    }
    // 4
    registers(&sections)
}

fn section(image: &[u8], at: usize, len: usize) -> Result<(Kind, &[u8])> {
    let bad = |why| form(WHAT, why);
    let head = slice(image, at, SECTION_HEADER_LEN).ok_or(bad("a section is cut"))?;
    let kind = match array(head, 0).map(u16::from_be_bytes) {
        Some(1) => Kind::Kernel,
        Some(2) => Kind::Cmdline,
        Some(3) => Kind::Ramdisk,
        Some(4) => Kind::Signature,
        Some(5) => Kind::Metadata,
        _ => return Err(bad("a section is of a type that is not known")),
    };
    let stated = array(head, 4).map(u64::from_be_bytes).and_then(size);
    if stated != Some(len) {
        return Err(bad("a section and the header disagree about its length"));
    }
    let data = at.checked_add(SECTION_HEADER_LEN).and_then(|at| slice(image, at, len));
    Ok((kind, data.ok_or(bad("a section is cut"))?))
}

fn registers(sections: &[(Kind, &[u8])]) -> Result<Pcrs> {
    let of = |kind: Kind| sections.iter().filter(move |(k, _)| *k == kind).map(|(_, d)| *d);
    let one = |kind, why| {
        let mut all = of(kind);
        match (all.next(), all.next()) {
            (Some(data), None) => Ok(data),
            _ => Err(form(WHAT, why)),
        }
    };
    let kernel = one(Kind::Kernel, "it has no kernel, or several")?;
    let cmdline = one(Kind::Cmdline, "it has no command line, or several")?;
    let ramdisks = of(Kind::Ramdisk).collect::<Vec<_>>();
    let [first, rest @ ..] = ramdisks.as_slice() else {
        return Err(form(WHAT, "it has no RAM disk"));
    };
    let pcr8 = match of(Kind::Signature).collect::<Vec<_>>().as_slice() {
        [] => None,
        [signature] => Some(pcr(&[&certificate(signature)?])),
        _ => return Err(form(WHAT, "it has several signatures")),
    };
    let all = [&[kernel, cmdline][..], &ramdisks].concat();
    Ok(Pcrs { pcr0: pcr(&all), pcr1: pcr(&[kernel, cmdline, first]), pcr2: pcr(rest), pcr8 })
}

/// The certificate, DER, of the signature section: CBOR, an array of maps with `signing_certificate` (PEM bytes) and `signature`.
fn certificate(section: &[u8]) -> Result<Vec<u8>> {
    let bad = || form(WHAT, "its signature section is not of the form that is known");
    if section.len() > SIGNATURE_LEN_MAX {
        return Err(bad());
    }
    let value: Value =
        ciborium::de::from_reader_with_recursion_limit(section, 8).map_err(|_| bad())?;
    let Value::Array(items) = value else { return Err(bad()) };
    let [Value::Map(members)] = items.as_slice() else { return Err(bad()) };
    let pem = members.iter().find(|(k, _)| k.as_text() == Some("signing_certificate"));
    let pem = match pem.map(|(_, v)| v) {
        Some(Value::Bytes(b)) => b.clone(),
        Some(Value::Array(numbers)) => {
            let byte = |v: &Value| v.as_integer().and_then(|i| u8::try_from(i).ok());
            numbers.iter().map(byte).collect::<Option<Vec<_>>>().ok_or_else(bad)?
        }
        _ => return Err(bad()),
    };
    let text = core::str::from_utf8(&pem).map_err(|_| bad())?;
    let body = text.trim().strip_prefix("-----BEGIN CERTIFICATE-----").ok_or_else(bad)?;
    let body = body.strip_suffix("-----END CERTIFICATE-----").ok_or_else(bad)?;
    let body = body.split_ascii_whitespace().collect::<String>();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).map_err(|_| bad())
}

/// CRC-32 of IEEE 802.3.
fn crc32(parts: &[&[u8]]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0_u32; 256];
    for (entry, n) in table.iter_mut().zip(0_u32..) {
        *entry = (0..8).fold(n, |c, _| if c & 1 == 1 { c >> 1 ^ POLYNOMIAL } else { c >> 1 });
    }
    let step = |crc: u32, byte: &u8| {
        let at = usize::from(crc.to_le_bytes()[0] ^ byte);
        table.get(at).copied().unwrap_or_default() ^ crc >> 8
    };
    !parts.iter().flat_map(|p| p.iter()).fold(u32::MAX, step)
}
