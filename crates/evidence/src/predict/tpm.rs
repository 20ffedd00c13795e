//! The registers a TPM will hold after OVMF has booted a kernel directly (TCG PC Client Platform Firmware Profile; QEMU `-kernel`).
//!
//! Everything that is executed is computed from its file. One thing is not: OVMF runs its first volume in place, and what that
//! volume has noted in its own variables by the time it is measured depends on the build and on the machine's memory. Its
//! digest, and the version string beside it, are taken from the log of a boot that is trusted for this alone; every other
//! volume in that log must be one of the firmware file. Registers of settings (1) are not predicted.

use std::collections::BTreeMap;

use super::volume::{self, Volume};
use super::{PredictError, Result, array, form, slice, u16_le, u32_le, u64_le};
use crate::bytes::{Measurement, sha256};
use crate::tcg::{self, Bank};
use crate::tpm::machine::{self, Values};

/// EV_S_CRTM_VERSION.
const CRTM_VERSION: u32 = 8;
/// EV_EFI_PLATFORM_FIRMWARE_BLOB.
const FIRMWARE_BLOB: u32 = 0x8000_0008;
/// EV_SEPARATOR.
const SEPARATOR: u32 = 4;
/// EFI_GLOBAL_VARIABLE, and EFI_IMAGE_SECURITY_DATABASE_GUID.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
const IMAGE_SECURITY: [u8; 16] = [
    0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f,
];
/// What QEMU keeps free below the top of memory for its ACPI tables.
const ACPI_RESERVED: u64 = 0x2_8000;
/// A q35 machine with as much memory has all but 2 GiB of it above 4 GiB.
const SPLIT_FROM: u64 = 0xb000_0000;
const LOW_OF_SPLIT: u64 = 2 << 30;
/// Longest kernel, RAM disk.
const IMAGE_MAX: usize = 1 << 30;

/// What decides the registers.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// The firmware's code, as it is mapped (`OVMF_CODE.fd`).
    pub firmware: &'a [u8],
    /// The event log of a boot of that firmware with as much memory.
    pub log: &'a [u8],
    /// The kernel, as a file.
    pub kernel: &'a [u8],
    /// The RAM disk.
    pub initrd: &'a [u8],
    /// The command line.
    pub cmdline: &'a str,
    /// Bytes of memory.
    pub memory: u64,
}

/// The registers, of the SHA-256 bank, that are predicted: 0, 2 to 7 and 9.
///
/// # Errors
/// [`PredictError`].
pub fn registers(boot: &Boot<'_>) -> Result<Values> {
    let separator = sha256(&[0; 4]);
    let action = |text: &str| sha256(text.as_bytes());
    let variable = |guid: [u8; 16], name: &str, data: &[u8]| sha256(&variable(guid, name, data));
    let mut zero = firmware_events(boot)?;
    zero.push(separator);
    let kernel = loaded(boot)?;
    let all: [(u32, Vec<[u8; 32]>); 8] = [
        (0, zero),
        (2, vec![separator]),
        (3, vec![separator]),
        (
            4,
            vec![
                authenticode(&kernel)?,
                action("Calling EFI Application from Boot Option"),
                separator,
            ],
        ),
        (
            5,
            vec![
                separator,
                action("Exit Boot Services Invocation"),
                action("Exit Boot Services Returned with Success"),
            ],
        ),
        (6, vec![separator]),
        // No secure boot: none of its variables is set.
        (
            7,
            vec![
                variable(GLOBAL, "SecureBoot", &[0]),
                variable(GLOBAL, "PK", &[]),
                variable(GLOBAL, "KEK", &[]),
                variable(IMAGE_SECURITY, "db", &[]),
                variable(IMAGE_SECURITY, "dbx", &[]),
                separator,
            ],
        ),
        (9, vec![load_options(boot.cmdline), sha256(boot.initrd)]),
    ];
    Ok(all.into_iter().map(|(n, events)| (n, extended(&events))).collect())
}

/// The measurement of the machine those registers are of.
///
/// # Errors
/// [`PredictError`].
pub fn measurement(registers: &BTreeMap<u32, [u8; 32]>) -> Result<Measurement> {
    machine::measurement(registers).ok_or(form("registers", "one that is measured is missing"))
}

fn extended(events: &[[u8; 32]]) -> [u8; 32] {
    events.iter().fold([0; 32], |before, event| sha256(&[before, *event].concat()))
}

/// UEFI_VARIABLE_DATA.
fn variable(guid: [u8; 16], name: &str, data: &[u8]) -> Vec<u8> {
    let name = name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let len = |n: usize| u64::try_from(n).unwrap_or(u64::MAX).to_le_bytes();
    let characters = name.len().checked_div(2).unwrap_or_default();
    [&guid[..], &len(characters), &len(data.len()), &name, data].concat()
}

/// What the kernel's EFI stub measures of its command line: UTF-16 with its end, as OVMF hands it over.
fn load_options(cmdline: &str) -> [u8; 32] {
    let text = format!("{cmdline} initrd=initrd\0");
    sha256(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
}

/// What firmware measures of itself into register 0.
fn firmware_events(boot: &Boot<'_>) -> Result<Vec<[u8; 32]>> {
    const WHAT: &str = "a boot log of this firmware";
    let volumes = volume::packed(boot.firmware)?;
    let log = tcg::read(boot.log).map_err(|_| form(WHAT, "it cannot be read"))?;
    let own = |e: &&tcg::Event<'_>| e.register == 0 && e.kind != tcg::NO_ACTION;
    let mut left = volumes.iter().collect::<Vec<&Volume>>();
    let (mut events, mut in_place) = (Vec::new(), 0_u32);
    for event in log.events.iter().filter(own) {
        let digest = event.digest(Bank::Sha256).and_then(|d| <[u8; 32]>::try_from(d).ok());
        let digest = digest.ok_or(form(WHAT, "it has no SHA-256 digests"))?;
        match event.kind {
            SEPARATOR => break,
            CRTM_VERSION if events.is_empty() => {}
            FIRMWARE_BLOB => {
                // EFI_PLATFORM_FIRMWARE_BLOB: where, and how long.
                let len = u64_le(event.data, 8).ok_or(form(WHAT, "a blob says no length"))?;
                let packed = left.iter().position(|v| v.digest == digest);
                let worked_on = || left.iter().position(|v| v.len == len);
                let place = match packed {
                    Some(place) => place,
                    None if in_place == 0 => {
                        in_place = 1;
                        worked_on().ok_or(form(WHAT, "it measured a volume this firmware lacks"))?
                    }
                    None => return Err(form(WHAT, "it measured a volume this firmware lacks")),
                };
                left.remove(place);
            }
            _ => return Err(form(WHAT, "register 0 has an event that no OVMF makes")),
        }
        events.push(digest);
    }
    if !left.is_empty() {
        return Err(form(WHAT, "a volume of this firmware was not measured"));
    }
    Ok(events)
}

/// The kernel as the firmware gets it: QEMU fills in fields of the setup header for boot loaders, and EFI boots those bytes
/// (Linux boot protocol; `x86_load_linux` of QEMU up to 7.2 and later ones that have not changed it).
fn loaded(boot: &Boot<'_>) -> Result<Vec<u8>> {
    const WHAT: &str = "a Linux kernel of boot protocol 2.12 or later";
    for (what, bytes) in [("kernel", boot.kernel), ("initrd", boot.initrd)] {
        let got = bytes.len();
        if got > IMAGE_MAX {
            return Err(PredictError::TooLong { what, got, max: IMAGE_MAX });
        }
    }
    let mut kernel = boot.kernel.to_vec();
    if slice(&kernel, 0x202, 4) != Some(b"HdrS") {
        return Err(form(WHAT, "its setup header is missing"));
    }
    let version = u16_le(&kernel, 0x206).unwrap_or_default();
    let flags = u16_le(&kernel, 0x236).unwrap_or_default();
    if version < 0x20c {
        return Err(form(WHAT, "its boot protocol is older"));
    }
    // XLF_CAN_BE_LOADED_ABOVE_4G: the RAM disk may lie anywhere below 4 GiB.
    let highest =
        if flags & 2 == 2 { u32::MAX } else { u32_le(&kernel, 0x22c).unwrap_or_default() };
    let low = if boot.memory < SPLIT_FROM { boot.memory } else { LOW_OF_SPLIT };
    let below = low.checked_sub(ACPI_RESERVED).ok_or_else(|| PredictError::Value {
        what: "memory",
        expected: "more than the firmware's tables need",
        got: boot.memory.to_string(),
    })?;
    let top = u64::from(highest).min(below.saturating_sub(1));
    let len = u64::try_from(boot.initrd.len()).unwrap_or(u64::MAX);
    let room = top.checked_sub(len).ok_or_else(|| PredictError::Value {
        what: "memory",
        expected: "room for the RAM disk",
        got: boot.memory.to_string(),
    })?;
    let address = u32::try_from(room & !0xfff).unwrap_or(u32::MAX);
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let mut put = |at: usize, bytes: &[u8]| {
        let range = at..at.saturating_add(bytes.len());
        if let Some(place) = kernel.get_mut(range) {
            place.copy_from_slice(bytes);
        }
    };
    let heap = boot.kernel.get(0x211).copied().unwrap_or_default();
    // type_of_loader, loadflags with CAN_USE_HEAP, heap_end_ptr, ramdisk_image and its size, cmd_line_ptr.
    put(0x210, &[0xb0]);
    put(0x211, &[heap | 0x80]);
    put(0x224, &0xfe00_u16.to_le_bytes());
    if !boot.initrd.is_empty() {
        put(0x218, &address.to_le_bytes());
        put(0x21c, &len.to_le_bytes());
    }
    put(0x228, &0x2_0000_u32.to_le_bytes());
    Ok(kernel)
}

/// The digest of an image as UEFI takes it (Windows Authenticode Portable Executable Signature Format): all of it but its checksum, the
/// place of its certificates, and those.
///
/// # Errors
/// [`PredictError::Form`].
pub fn authenticode(image: &[u8]) -> Result<[u8; 32]> {
    digested(image)
        .map(|bytes| sha256(&bytes))
        .ok_or(form("a PE image", "its headers contradict it"))
}

fn digested(image: &[u8]) -> Option<Vec<u8>> {
    let u32_at = |at: usize| super::size(u32_le(image, at)?.into());
    let header = u32_at(0x3c)?;
    if array::<4>(image, header)? != *b"PE\0\0" {
        return None;
    }
    let sections = u16_le(image, header.checked_add(6)?)?;
    let optional = header.checked_add(24)?;
    let optional_len = usize::from(u16_le(image, header.checked_add(20)?)?);
    // PE32+ has its directories sixteen bytes further on.
    let directories = match u16_le(image, optional)? {
        0x10b => optional.checked_add(96)?,
        0x20b => optional.checked_add(112)?,
        _ => return None,
    };
    let checksum = optional.checked_add(64)?;
    let headers_len = u32_at(optional.checked_add(60)?)?;
    let count = u32_le(image, directories.checked_sub(4)?)?;
    let mut out = image.get(..checksum)?.to_vec();
    let after = checksum.checked_add(4)?;
    let mut certificates = 0_usize;
    if count > 4 {
        // The fifth directory: where certificates are.
        let entry = directories.checked_add(32)?;
        out.extend(image.get(after..entry)?);
        out.extend(image.get(entry.checked_add(8)?..headers_len)?);
        certificates = u32_at(entry.checked_add(4)?)?;
    } else {
        out.extend(image.get(after..headers_len)?);
    }
    let table = optional.checked_add(optional_len)?;
    let mut parts = Vec::new();
    for n in 0..usize::from(sections) {
        let at = table.checked_add(n.checked_mul(40)?)?;
        let (len, from) = (u32_at(at.checked_add(16)?)?, u32_at(at.checked_add(20)?)?);
        if len != 0 {
            parts.push((from, len));
        }
    }
    parts.sort_unstable();
    let mut end = headers_len;
    for (from, len) in parts {
        // Overlapping sections would be counted twice, and make a small image a long one.
        if from < end {
            return None;
        }
        out.extend(slice(image, from, len)?);
        end = from.checked_add(len)?;
    }
    out.extend(image.get(end..image.len().checked_sub(certificates)?)?);
    Some(out)
}
