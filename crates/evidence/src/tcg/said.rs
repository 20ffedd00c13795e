//! What events say (PC Client Platform Firmware Profile section 10; UEFI 2.10 for variables; GRUB for its own lines), for people. A
//! text is `bound` only where the measured digest is of that very text: everything else is whatever the log's writer liked, even in a
//! log that replays. An event's kind is measured nowhere, so [`Log::secure_boot`] looks at digests alone.

use super::{Bank, Event, Log};

/// Longest text shown; events hold up to megabytes.
const SHOWN_MAX: usize = 512;
/// EV_SEPARATOR.
const SEPARATOR: u32 = 4;
/// EV_IPL: what a boot loader measures.
const IPL: u32 = 0x0d;
/// What GRUB puts before a text whose digest it measures without that and without the NUL behind.
const GRUB: [&[u8]; 2] = [b"kernel_cmdline: ", b"grub_cmd: "];
/// EFI_GLOBAL_VARIABLE.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// The register of GRUB's lines.
const LOADER: u32 = 8;
/// The register of secure boot.
const POLICY: u32 = 7;

/// What one event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// EV_… name of its kind.
    pub kind: &'static str,
    /// Its text, cut to 512 characters.
    pub text: String,
    /// Every digest that can be recomputed is of that text.
    pub bound: bool,
}

const fn kind(number: u32) -> &'static str {
    match number {
        0x01 => "EV_POST_CODE",
        0x03 => "EV_NO_ACTION",
        SEPARATOR => "EV_SEPARATOR",
        0x05 => "EV_ACTION",
        0x06 => "EV_EVENT_TAG",
        0x07 => "EV_S_CRTM_CONTENTS",
        0x08 => "EV_S_CRTM_VERSION",
        0x0a => "EV_PLATFORM_CONFIG_FLAGS",
        0x0b => "EV_TABLE_OF_DEVICES",
        IPL => "EV_IPL",
        0x11 => "EV_NONHOST_INFO",
        0x8000_0001 => "EV_EFI_VARIABLE_DRIVER_CONFIG",
        0x8000_0002 => "EV_EFI_VARIABLE_BOOT",
        0x8000_0003 => "EV_EFI_BOOT_SERVICES_APPLICATION",
        0x8000_0004 => "EV_EFI_BOOT_SERVICES_DRIVER",
        0x8000_0005 => "EV_EFI_RUNTIME_SERVICES_DRIVER",
        0x8000_0006 => "EV_EFI_GPT_EVENT",
        0x8000_0007 => "EV_EFI_ACTION",
        0x8000_0008 => "EV_EFI_PLATFORM_FIRMWARE_BLOB",
        0x8000_0009 => "EV_EFI_HANDOFF_TABLES",
        0x8000_000a => "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
        0x8000_000b => "EV_EFI_HANDOFF_TABLES2",
        0x8000_000c => "EV_EFI_VARIABLE_BOOT2",
        0x8000_0010 => "EV_EFI_HCRTM_EVENT",
        0x8000_00e0 => "EV_EFI_VARIABLE_AUTHORITY",
        0x8000_00e1 => "EV_EFI_SPDM_FIRMWARE_BLOB",
        0x8000_00e2 => "EV_EFI_SPDM_FIRMWARE_CONFIG",
        _ => "unknown kind",
    }
}

/// UEFI_VARIABLE_DATA: its name and content, if that is all there is.
fn variable(data: &[u8]) -> Option<(String, &[u8])> {
    let rest = data.get(GLOBAL.len()..)?;
    let (units, rest) = rest.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let bytes = usize::try_from(u64::from_le_bytes(*units)).ok()?.checked_mul(2)?;
    let (name, content) = rest.split_at_checked(bytes)?;
    let whole = usize::try_from(u64::from_le_bytes(*len)).ok()? == content.len();
    Some((wide(name)?, content)).filter(|_| whole)
}

/// UTF-16 without NULs at its end.
fn wide(bytes: &[u8]) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    let units = units.iter().map(|u| u16::from_le_bytes(*u)).collect::<Vec<_>>();
    let text = String::from_utf16(&units).ok()?;
    Some(text.trim_end_matches('\0').to_owned()).filter(|t| is_text(t))
}

fn narrow(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    Some(text.to_owned()).filter(|t| is_text(t))
}

/// Text a terminal may be shown: nothing that moves its cursor.
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t'))
}

/// What is measured of a boot loader's line.
fn line(event: &Event<'_>) -> Option<Vec<u8>> {
    let behind =
        GRUB.iter().find_map(|p| event.data.strip_prefix(*p)).filter(|_| event.kind == IPL)?;
    Some(behind.strip_suffix(b"\0").unwrap_or(behind).to_vec())
}

impl Event<'_> {
    /// What it says.
    #[must_use]
    pub fn said(&self) -> Said {
        let text = match (self.kind, variable(self.data)) {
            (0x8000_0001 | 0x8000_0002 | 0x8000_000c | 0x8000_00e0, Some((name, content))) => {
                match content {
                    [] => format!("{name}: empty"),
                    [byte] => format!("{name}: {byte}"),
                    many => format!("{name}: {} bytes", many.len()),
                }
            }
            (SEPARATOR, _) if self.data == [0; 4] => "no error".to_owned(),
            _ => narrow(self.data)
                .or_else(|| wide(self.data))
                .unwrap_or_else(|| format!("{} bytes", self.data.len())),
        };
        let measured = line(self);
        let measured = measured.as_deref().unwrap_or(self.data);
        let mut known =
            self.digests.iter().filter_map(|(b, d)| Some((b.hash(measured)?, *d))).peekable();
        let bound = known.peek().is_some() && known.all(|(hash, digest)| hash == digest);
        Said { kind: kind(self.kind), text: text.chars().take(SHOWN_MAX).collect(), bound }
    }

    /// The kernel's command line, if GRUB measured it (into PCR 8) and the digest is of it.
    #[must_use]
    pub fn command_line(&self) -> Option<String> {
        let said = self.said();
        let [mark, _] = GRUB;
        let text = self.data.strip_prefix(mark).and_then(narrow);
        text.filter(|_| said.bound && self.kind == IPL && self.register == LOADER)
    }
}

/// UEFI_VARIABLE_DATA of SecureBoot with that content.
fn secure_boot_is(content: &[u8]) -> Vec<u8> {
    let name = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let len = u64::try_from(content.len()).unwrap_or(u64::MAX).to_le_bytes();
    [&GLOBAL[..], &10_u64.to_le_bytes(), &len, &name, content].concat()
}

impl Log<'_> {
    /// Whether firmware booted with secure boot on, by PCR 7's digests before its first separator; none if they do not show it. It counts
    /// where PCR 7 of that bank is vouched for. Kinds and texts are not looked at: whoever holds a log can rewrite them and still have it
    /// replay, and what the running machine extends stands behind the separator.
    #[must_use]
    pub fn secure_boot(&self, bank: Bank) -> Option<bool> {
        let of = |bytes: &[u8]| bank.hash(bytes);
        let (end, on) = (of(&[0; 4])?, of(&secure_boot_is(&[1]))?);
        let off = [of(&secure_boot_is(&[0]))?, of(&secure_boot_is(&[]))?];
        let extended =
            self.events.iter().filter(|e| e.register == POLICY && e.kind != super::NO_ACTION);
        let before = extended.map(|e| e.digest(bank)).collect::<Option<Vec<_>>>()?;
        let cut = before.iter().position(|d| *d == end)?;
        let mut states = before.iter().take(cut).filter_map(|d| match *d {
            d if d == on => Some(true),
            d if off.iter().any(|o| o == d) => Some(false),
            _ => None,
        });
        let first = states.next()?;
        states.all(|s| s == first).then_some(first)
    }
}
