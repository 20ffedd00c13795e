//! The launch digest of an SEV-SNP machine (AMD 56860, "SNP_LAUNCH_UPDATE": a chain of SHA-384 over PAGE_INFO structures), and the
//! ID block that names it.
//!
//! 1. every page of the firmware, 2. its SEV sections in their order (the page of kernel hashes filled in as QEMU does), 3. the
//! save area of each processor. The CPUID and secrets pages are measured by type and address, never by content.

pub use super::vmsa::Vmm;

use super::ovmf::{HASH_CMDLINE, HASH_INITRD, HASH_KERNEL, HASHES, Ovmf, SevMemory, SevSection};
use super::vmsa::{Processor, RESET_EIP, page};
use super::{PAGE, PAGES_MAX, PredictError, Result, form, size};
use crate::bytes::{Measurement, sha256, sha384};

/// Processors of one machine.
pub const VCPUS_MAX: u32 = 4096;
/// Where every save area is measured.
const VMSA_GPA: u64 = 0xffff_ffff_f000;
/// PAGE_INFO.
const PAGE_INFO_LEN: u16 = 0x70;
/// PAGE_TYPE values.
const NORMAL: u8 = 1;
const VMSA: u8 = 2;
const ZERO: u8 = 3;
const UNMEASURED: u8 = 4;
const SECRETS: u8 = 5;
const CPUID: u8 = 6;

/// A kernel that is booted directly, by the hashes QEMU hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// SHA-256 of the kernel.
    pub kernel: [u8; 32],
    /// SHA-256 of the initial RAM disk; of nothing, where there is none.
    pub initrd: [u8; 32],
    /// SHA-256 of the command line with the NUL byte behind it.
    pub cmdline: [u8; 32],
}

impl Kernel {
    /// Hashes the three.
    #[must_use]
    pub fn of(kernel: &[u8], initrd: &[u8], cmdline: &str) -> Self {
        let cmdline = [cmdline.as_bytes(), &[0]].concat();
        Self { kernel: sha256(kernel), initrd: sha256(initrd), cmdline: sha256(&cmdline) }
    }

    /// The table as it stands in memory: 16 bytes of GUID, a length, three entries, padded to 16.
    fn table(&self) -> Vec<u8> {
        let mut out = HASHES.to_vec();
        out.extend(168_u16.to_le_bytes());
        for (guid, hash) in
            [(HASH_CMDLINE, self.cmdline), (HASH_INITRD, self.initrd), (HASH_KERNEL, self.kernel)]
        {
            out.extend(guid);
            out.extend(50_u16.to_le_bytes());
            out.extend(hash);
        }
        out.resize(176, 0);
        out
    }
}

/// Everything besides the firmware that decides the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Who starts it.
    pub vmm: Vmm,
    /// How many processors.
    pub vcpus: u32,
    /// Which: CPUID_Fn00000001_EAX.
    pub signature: u32,
    /// SEV_FEATURES of the save areas.
    pub features: u64,
    /// A kernel booted directly.
    pub kernel: Option<Kernel>,
}

/// CPUID_Fn00000001_EAX of a processor (AMD CPUID specification, Fn0000_0001_EAX).
#[must_use]
pub const fn cpu_signature(family: u32, model: u32, stepping: u32) -> u32 {
    let (low, high) = if family > 0xf { (0xf, family.saturating_sub(0xf)) } else { (family, 0) };
    (high & 0xff) << 20
        | (model.wrapping_shr(4) & 0xf) << 16
        | (low & 0xf) << 8
        | (model & 0xf) << 4
        | (stepping & 0xf)
}

/// The signature of a processor as QEMU calls it, `EPYC-Milan-v2`.
#[must_use]
pub fn qemu_signature(name: &str) -> Option<u32> {
    let (model, version) = match name.rsplit_once("-v") {
        Some((model, version)) => (model, Some(version)),
        None => (name, None),
    };
    let (signature, versions) = match model {
        "EPYC" => (cpu_signature(23, 1, 2), 5),
        "EPYC-IBPB" if version.is_none() => (cpu_signature(23, 1, 2), 0),
        "EPYC-Rome" => (cpu_signature(23, 49, 0), 5),
        "EPYC-Milan" => (cpu_signature(25, 1, 1), 3),
        "EPYC-Genoa" => (cpu_signature(25, 17, 0), 2),
        "EPYC-Turin" => (cpu_signature(26, 0, 0), 1),
        _ => return None,
    };
    let known = version.is_none_or(|v| (1..=versions).any(|n: u32| n.to_string() == v));
    known.then_some(signature)
}

/// The launch digest, page by page.
struct Digest([u8; 48]);

impl Digest {
    fn page(&mut self, kind: u8, gpa: u64, contents: [u8; 48]) {
        let mut info = Vec::with_capacity(usize::from(PAGE_INFO_LEN));
        info.extend(self.0);
        info.extend(contents);
        info.extend(PAGE_INFO_LEN.to_le_bytes());
        // PAGE_TYPE, IMI_PAGE, permissions of VMPL 3 to 1, reserved.
        info.extend([kind, 0, 0, 0, 0, 0]);
        info.extend(gpa.to_le_bytes());
        self.0 = sha384(&info);
    }

    fn normal(&mut self, gpa: u64, bytes: &[u8]) {
        for (page, at) in bytes.chunks(PAGE).zip((gpa..).step_by(PAGE)) {
            self.page(NORMAL, at, sha384(page));
        }
    }

    fn alike(&mut self, kind: u8, gpa: u64, len: u64) -> Result<()> {
        let pages = len.checked_div(u64::try_from(PAGE).unwrap_or(1)).unwrap_or_default();
        if pages > PAGES_MAX {
            return Err(form("an OVMF firmware image", "a section is of more than 4 GiB"));
        }
        for (_, at) in (0..pages).zip((gpa..).step_by(PAGE)) {
            self.page(kind, at, [0; 48]);
        }
        Ok(())
    }
}

/// SHA-384 of the pages of a firmware alone: what providers publish where they keep the rest to themselves.
#[must_use]
pub fn firmware_digest(firmware: &Ovmf<'_>) -> Measurement {
    let mut digest = Digest([0; 48]);
    digest.normal(firmware.gpa(), firmware.bytes());
    Measurement::new(digest.0)
}

/// MEASUREMENT of a machine with this firmware.
///
/// # Errors
/// [`PredictError`].
pub fn launch_digest(firmware: &Ovmf<'_>, machine: &Machine) -> Result<Measurement> {
    check(firmware, machine)?;
    // 1
    let mut digest = Digest([0; 48]);
    digest.normal(firmware.gpa(), firmware.bytes());
    // 2
    let late = |s: &&SevMemory| machine.vmm == Vmm::Ec2 && s.section == SevSection::Cpuid;
    let first = firmware.sev().iter().filter(|s| !late(s));
    for section in first.chain(firmware.sev().iter().filter(late)) {
        self::section(&mut digest, firmware, machine, section)?;
    }
    // 3
    for n in 0..machine.vcpus {
        let eip = if n == 0 {
            RESET_EIP
        } else {
            firmware.reset_eip().ok_or(PredictError::Lacks("reset block of second processors"))?
        };
        let Machine { vmm, signature, features, .. } = *machine;
        let area = page(&Processor { vmm, eip, signature, features });
        digest.page(VMSA, VMSA_GPA, sha384(&area));
    }
    Ok(Measurement::new(digest.0))
}

fn check(firmware: &Ovmf<'_>, machine: &Machine) -> Result<()> {
    if !(1..=VCPUS_MAX).contains(&machine.vcpus) {
        let (expected, got) = ("1 to 4096", machine.vcpus.to_string());
        return Err(PredictError::Value { what: "number of processors", expected, got });
    }
    if firmware.sev().is_empty() {
        return Err(PredictError::Lacks("SEV metadata"));
    }
    let hashes = firmware.sev().iter().any(|s| s.section == SevSection::KernelHashes);
    if machine.kernel.is_some() && (firmware.hash_table().is_none() || !hashes) {
        return Err(PredictError::Lacks("place for the hashes of a kernel, so it measures none"));
    }
    Ok(())
}

fn section(
    digest: &mut Digest,
    firmware: &Ovmf<'_>,
    machine: &Machine,
    section: &SevMemory,
) -> Result<()> {
    let SevMemory { gpa, len, section } = *section;
    match section {
        SevSection::SecMemory if machine.vmm == Vmm::Gce => digest.alike(UNMEASURED, gpa, len),
        SevSection::SecMemory | SevSection::SvsmCaa => digest.alike(ZERO, gpa, len),
        SevSection::Secrets => digest.alike(SECRETS, gpa, len),
        SevSection::Cpuid => digest.alike(CPUID, gpa, len),
        SevSection::KernelHashes => match (&machine.kernel, firmware.hash_table()) {
            (Some(kernel), Some((at, room))) => {
                let page = hashes(kernel, gpa, len, u64::from(at), u64::from(room))?;
                digest.normal(gpa, &page);
                Ok(())
            }
            _ => digest.alike(ZERO, gpa, len),
        },
    }
}

/// The page with the table of hashes at its place.
fn hashes(kernel: &Kernel, gpa: u64, len: u64, at: u64, room: u64) -> Result<Vec<u8>> {
    let bad = || form("an OVMF firmware image", "its table of hashes lies outside its page");
    let table = kernel.table();
    let offset = at.checked_sub(gpa).and_then(size).ok_or_else(bad)?;
    let wanted = u64::try_from(table.len()).unwrap_or(u64::MAX);
    if len != u64::try_from(PAGE).unwrap_or(0) || room < wanted {
        return Err(bad());
    }
    let mut page = vec![0; PAGE];
    let end = offset.checked_add(table.len()).ok_or_else(bad)?;
    page.get_mut(offset..end).ok_or_else(bad)?.copy_from_slice(&table);
    Ok(page)
}

/// What an owner signs about a launch (AMD 56860, "ID block"), without the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdBlock {
    /// The launch digest.
    pub digest: Measurement,
    /// FAMILY_ID.
    pub family_id: [u8; 16],
    /// IMAGE_ID.
    pub image_id: [u8; 16],
    /// GUEST_SVN.
    pub guest_svn: u32,
    /// POLICY.
    pub policy: u64,
}

impl IdBlock {
    /// The 96 bytes that are signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.digest.as_bytes().to_vec();
        out.extend(self.family_id);
        out.extend(self.image_id);
        out.extend(1_u32.to_le_bytes());
        out.extend(self.guest_svn.to_le_bytes());
        out.extend(self.policy.to_le_bytes());
        out
    }
}

/// ID_KEY_DIGEST or AUTHOR_KEY_DIGEST of a P-384 key: SHA-384 of the key in the form of the firmware (AMD 56860, "ECDSA P-384 public key").
///
/// # Errors
/// [`PredictError::Form`], unless it is an uncompressed point.
pub fn key_digest(point: &[u8]) -> Result<Measurement> {
    const KEY_LEN: usize = 0x404;
    const FIELD: usize = 72;
    let bad = || form("a P-384 public key", "expected 97 bytes of an uncompressed point");
    let (Some(4), 97) = (point.first(), point.len()) else { return Err(bad()) };
    let mut key = vec![0; KEY_LEN];
    let mut put = |at: usize, bytes: Vec<u8>| {
        let to = key.get_mut(at..at.saturating_add(bytes.len())).ok_or_else(bad)?;
        to.copy_from_slice(&bytes);
        Ok(())
    };
    let reversed = |from: usize| {
        point
            .get(from..from.saturating_add(48))
            .map(|b| b.iter().rev().copied().collect::<Vec<_>>())
    };
    put(0, 2_u32.to_le_bytes().to_vec())?;
    put(4, reversed(1).ok_or_else(bad)?)?;
    put(4_usize.saturating_add(FIELD), reversed(49).ok_or_else(bad)?)?;
    Ok(Measurement::new(sha384(&key)))
}
