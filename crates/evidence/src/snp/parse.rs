//! 1,184 bytes to fields. Reserved bytes that must be zero are checked; nothing is judged.

use super::layout::{REPORT_LEN, Report, SIGNED_LEN};
use super::refusal::SnpRefusal;
use crate::controls::holds;

/// Reads a report.
///
/// # Errors
/// [`SnpRefusal::Length`], [`SnpRefusal::Version`], [`SnpRefusal::SignatureField`], [`SnpRefusal::Reserved`].
pub fn parse(bytes: &[u8]) -> Result<Report, SnpRefusal> {
    if bytes.len() != REPORT_LEN {
        return Err(SnpRefusal::Length { expected: REPORT_LEN, got: bytes.len() });
    }
    let r = At(bytes);
    let version = r.u32(0)?;
    if !matches!(version, 2..=5) {
        return Err(SnpRefusal::Version(version));
    }
    let signature = (r.array(0x2a0)?, r.array(0x2e8)?);
    // R and S are 384 bits in fields of 576: what stands above is not part of any signature.
    for part in [&signature.0, &signature.1] {
        if part.iter().skip(48).any(|b| *b != 0) {
            return Err(SnpRefusal::SignatureField);
        }
    }
    // Reserved bytes of an understood version are zero; others would be fields of a firmware this code does not know.
    let cpuid = if version >= 3 { 0x18b } else { 0x188 };
    let vectors = if version >= 5 { 0x208 } else { 0x1f8 };
    for (from, to) in [
        (0x4c, 0x50),
        (cpuid, 0x1a0),
        (0x1eb, 0x1ec),
        (0x1ef, 0x1f0),
        (vectors, SIGNED_LEN),
        (0x330, REPORT_LEN),
    ] {
        if !holds("snp_reserved", bytes.get(from..to).is_some_and(|b| b.iter().all(|b| *b == 0))) {
            return Err(SnpRefusal::Reserved { from, to });
        }
    }
    let fw = |at| -> Result<[u8; 3], SnpRefusal> {
        let [build, minor, major] = r.array::<3>(at)?;
        Ok([major, minor, build])
    };
    Ok(Report {
        version,
        guest_svn: r.u32(0x04)?,
        policy: r.u64(0x08)?,
        family_id: r.array(0x10)?,
        image_id: r.array(0x20)?,
        vmpl: r.u32(0x30)?,
        signature_algo: r.u32(0x34)?,
        current_tcb: r.array(0x38)?,
        platform_info: r.u64(0x40)?,
        key_info: r.u32(0x48)?,
        report_data: r.array(0x50)?,
        measurement: r.array(0x90)?,
        host_data: r.array(0xc0)?,
        id_key_digest: r.array(0xe0)?,
        author_key_digest: r.array(0x110)?,
        report_id: r.array(0x140)?,
        report_id_ma: r.array(0x160)?,
        reported_tcb: r.array(0x180)?,
        cpuid: if version >= 3 { Some(r.array(0x188)?) } else { None },
        chip_id: r.array(0x1a0)?,
        committed_tcb: r.array(0x1e0)?,
        current_version: fw(0x1e8)?,
        committed_version: fw(0x1ec)?,
        launch_tcb: r.array(0x1f0)?,
        launch_mit_vector: if version >= 5 { Some(r.u64(0x1f8)?) } else { None },
        current_mit_vector: if version >= 5 { Some(r.u64(0x200)?) } else { None },
        signature,
    })
}

struct At<'a>(&'a [u8]);

impl At<'_> {
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], SnpRefusal> {
        let short = || SnpRefusal::Length { expected: REPORT_LEN, got: self.0.len() };
        let end = at.checked_add(N).ok_or_else(short)?;
        self.0.get(at..end).and_then(|b| b.try_into().ok()).ok_or_else(short)
    }

    fn u32(&self, at: usize) -> Result<u32, SnpRefusal> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, SnpRefusal> {
        self.array(at).map(u64::from_le_bytes)
    }
}
