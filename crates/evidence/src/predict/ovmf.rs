//! Firmware images in the layout of OVMF: the GUIDed table below the reset vector, and the sections it points to for SEV and TDX
//! (edk2 `OvmfPkg/ResetVector`, AMD and TDVF metadata).
//!
//! The table is read backwards from a footer at a fixed place; every entry and section must lie within the image. Nothing
//! in it is trusted further than that: what it says decides a digest, and a wrong one gives another digest.

use super::{
    FIRMWARE_LEN_MAX, PAGE, PredictError, Result, form, size, slice, u16_le, u32_le, u64_le,
};

const WHAT: &str = "an OVMF firmware image";
/// The reset vector and what stands behind the table.
const BEHIND_TABLE: usize = 32;
/// Length and GUID of an entry, behind its data.
const ENTRY_HEAD: usize = 18;
/// Entries of one table: the builds there are have about ten.
const ENTRIES_MAX: usize = 64;
/// Sections of one metadata block.
const SECTIONS_MAX: u32 = 64;

/// GUIDs as they stand in memory: the first three fields little-endian.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "evaluated by the compiler over constants"
)]
const fn guid(text: &[u8; 36]) -> [u8; 16] {
    const fn nibble(c: u8) -> u8 {
        match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => panic!("not a lower-case hex digit"),
        }
    }
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut out = [0; 16];
    let (mut n, mut at) = (0, 0);
    while n < 16 {
        if text[at] == b'-' {
            at += 1;
        }
        out[order[n]] = nibble(text[at]) << 4 | nibble(text[at + 1]);
        at += 2;
        n += 1;
    }
    out
}

const FOOTER: [u8; 16] = guid(b"96b582de-1fb2-45f7-baea-a366c55a082d");
const HASH_TABLE: [u8; 16] = guid(b"7255371f-3a3b-4b04-927b-1da6efa8d454");
const RESET_BLOCK: [u8; 16] = guid(b"00f771de-1a7e-4fcb-890e-68c77e2fb44e");
const SEV_METADATA: [u8; 16] = guid(b"dc886566-984a-4798-a75e-5585a7bf67cc");
const TDX_METADATA: [u8; 16] = guid(b"e47a6535-984a-4798-865e-4685a7bf8ec2");

/// GUIDs of the table of hashes that QEMU writes for a kernel booted directly.
pub(crate) const HASHES: [u8; 16] = guid(b"9438d606-4f22-4cc9-b479-a793d411fd21");
pub(crate) const HASH_KERNEL: [u8; 16] = guid(b"4de79437-abd2-427f-b835-d5b172d2045b");
pub(crate) const HASH_INITRD: [u8; 16] = guid(b"44baf731-3a2f-4bd7-9af1-41e29169781d");
pub(crate) const HASH_CMDLINE: [u8; 16] = guid(b"97d02dd8-bd20-4c94-aa78-e7714d36ab2a");

/// What a SEV section is for (edk2 `OvmfSevMetadata.asm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SevSection {
    /// Memory that is accepted before the firmware runs.
    SecMemory,
    /// The secrets page.
    Secrets,
    /// The CPUID page.
    Cpuid,
    /// The calling area of an SVSM.
    SvsmCaa,
    /// The page of kernel hashes.
    KernelHashes,
}

/// One SEV section: guest-physical address and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SevMemory {
    /// Where it begins.
    pub gpa: u64,
    /// How long it is.
    pub len: u64,
    /// What it is for.
    pub section: SevSection,
}

/// One TDX section (TDVF design guide, "TDVF descriptor").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdxSection {
    /// Where its bytes stand in the image.
    pub data_offset: u32,
    /// How many bytes.
    pub data_len: u32,
    /// Where it is in memory.
    pub gpa: u64,
    /// How much memory.
    pub len: u64,
    /// Type, as the guide numbers them.
    pub section: u32,
    /// Attributes; bit 0 extends MRTD by the contents.
    pub attributes: u32,
}

/// A firmware image taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ovmf<'a> {
    bytes: &'a [u8],
    reset_eip: Option<u32>,
    hash_table: Option<(u32, u32)>,
    sev: Vec<SevMemory>,
    tdx: Vec<TdxSection>,
}

impl<'a> Ovmf<'a> {
    /// Reads an image.
    ///
    /// # Errors
    /// [`PredictError::TooLong`], [`PredictError::Form`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (got, max) = (bytes.len(), FIRMWARE_LEN_MAX);
        if got > max {
            return Err(PredictError::TooLong { what: "firmware", got, max });
        }
        if got == 0 || got.checked_rem(PAGE) != Some(0) {
            return Err(form(WHAT, "its length is no multiple of 4096"));
        }
        let mut image = Self { bytes, reset_eip: None, hash_table: None, sev: vec![], tdx: vec![] };
        for (guid, data) in table(bytes)? {
            match guid {
                RESET_BLOCK => image.reset_eip = u32_le(data, 0),
                HASH_TABLE => {
                    image.hash_table = u32_le(data, 0).zip(u32_le(data, 4)).filter(|t| t.0 != 0);
                }
                SEV_METADATA => image.sev = sev_sections(bytes, data)?,
                TDX_METADATA => image.tdx = tdx_sections(bytes, data)?,
                _ => {}
            }
        }
        Ok(image)
    }

    /// The image.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where it begins in memory: it ends at 4 GiB.
    #[must_use]
    pub fn gpa(&self) -> u64 {
        (1_u64 << 32).saturating_sub(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }

    /// Where a second processor begins, if the image says it.
    #[must_use]
    pub const fn reset_eip(&self) -> Option<u32> {
        self.reset_eip
    }

    /// Address and room of the table of kernel hashes, if the image measures a kernel at all.
    #[must_use]
    pub const fn hash_table(&self) -> Option<(u32, u32)> {
        self.hash_table
    }

    /// SEV sections, in their order.
    #[must_use]
    pub fn sev(&self) -> &[SevMemory] {
        &self.sev
    }

    /// TDX sections, in their order.
    #[must_use]
    pub fn tdx(&self) -> &[TdxSection] {
        &self.tdx
    }
}

/// Entries of the table with their data, from the last to the first.
fn table(bytes: &[u8]) -> Result<Vec<([u8; 16], &[u8])>> {
    let bad = |why| form(WHAT, why);
    let end = bytes.len().checked_sub(BEHIND_TABLE).ok_or(bad("it is too short"))?;
    let entry = |end: usize| {
        let head = end.checked_sub(ENTRY_HEAD)?;
        let len = usize::from(u16_le(bytes, head)?);
        let guid = super::array::<16>(bytes, head.checked_add(2)?)?;
        Some((guid, len, head))
    };
    let (guid, len, head) = entry(end).ok_or(bad("it is too short"))?;
    if guid != FOOTER {
        return Err(bad("the table's footer is not where it is in every image"));
    }
    let begin = end.checked_sub(len).ok_or(bad("its table is longer than it is"))?;
    let (mut all, mut at) = (Vec::new(), head);
    while at > begin {
        let (guid, len, head) = entry(at).ok_or(bad("an entry of its table is cut"))?;
        let next = at.checked_sub(len).filter(|n| *n >= begin && len >= ENTRY_HEAD);
        let next = next.ok_or(bad("an entry of its table reaches out of it"))?;
        all.push((guid, bytes.get(next..head).ok_or(bad("an entry of its table is cut"))?));
        if all.len() > ENTRIES_MAX {
            return Err(bad("its table has more than 64 entries"));
        }
        at = next;
    }
    Ok(all)
}

/// Where metadata begins: an offset from the end of the image.
fn metadata<'a>(bytes: &'a [u8], data: &[u8], signature: &[u8; 4]) -> Result<&'a [u8]> {
    let bad = |why| form(WHAT, why);
    let offset = u32_le(data, 0).and_then(|o| size(u64::from(o)));
    let at = offset.and_then(|o| bytes.len().checked_sub(o));
    let block = at.and_then(|at| bytes.get(at..)).ok_or(bad("its metadata lies outside"))?;
    if block.get(..4) != Some(signature) {
        return Err(bad("its metadata has another signature"));
    }
    if u32_le(block, 8) != Some(1) {
        return Err(bad("its metadata is of a version that is not known"));
    }
    Ok(block)
}

fn count(block: &[u8], item: usize) -> Result<usize> {
    let bad = |why| form(WHAT, why);
    let n = u32_le(block, 12).filter(|n| *n <= SECTIONS_MAX);
    let n = n.and_then(|n| size(u64::from(n))).ok_or(bad("it has more than 64 sections"))?;
    let len = n.saturating_mul(item).saturating_add(16);
    // The length written there counts the head as well; a shorter one would cut sections off.
    let stated = u32_le(block, 4).and_then(|l| size(u64::from(l)));
    if stated.is_none_or(|l| l < len) || slice(block, 0, len).is_none() {
        return Err(bad("its sections are cut"));
    }
    Ok(n)
}

fn sev_sections(bytes: &[u8], data: &[u8]) -> Result<Vec<SevMemory>> {
    let block = metadata(bytes, data, b"ASEV")?;
    (0..count(block, 12)?)
        .map(|n| {
            let at = n.saturating_mul(12).saturating_add(16);
            let word = |k: usize| {
                u32_le(block, at.saturating_add(k)).ok_or(form(WHAT, "its sections are cut"))
            };
            let section = match word(8)? {
                1 => SevSection::SecMemory,
                2 => SevSection::Secrets,
                3 => SevSection::Cpuid,
                4 => SevSection::SvsmCaa,
                16 => SevSection::KernelHashes,
                _ => return Err(form(WHAT, "it has a SEV section of a type that is not known")),
            };
            let (gpa, len) = (u64::from(word(0)?), u64::from(word(4)?));
            aligned(gpa, len)?;
            Ok(SevMemory { gpa, len, section })
        })
        .collect()
}

fn tdx_sections(bytes: &[u8], data: &[u8]) -> Result<Vec<TdxSection>> {
    let block = metadata(bytes, data, b"TDVF")?;
    (0..count(block, 32)?)
        .map(|n| {
            let at = n.saturating_mul(32).saturating_add(16);
            let cut = form(WHAT, "its sections are cut");
            let word = |k: usize| u32_le(block, at.saturating_add(k)).ok_or(cut.clone());
            let long = |k: usize| u64_le(block, at.saturating_add(k)).ok_or(cut.clone());
            let section = TdxSection {
                data_offset: word(0)?,
                data_len: word(4)?,
                gpa: long(8)?,
                len: long(16)?,
                section: word(24)?,
                attributes: word(28)?,
            };
            aligned(section.gpa, section.len)?;
            Ok(section)
        })
        .collect()
}

fn aligned(gpa: u64, len: u64) -> Result<()> {
    let page = u64::try_from(PAGE).unwrap_or(u64::MAX);
    let whole = |n: u64| n.checked_rem(page) == Some(0);
    if !whole(gpa) || !whole(len) || gpa.checked_add(len).is_none() {
        return Err(form(WHAT, "a section is not of whole pages"));
    }
    Ok(())
}
