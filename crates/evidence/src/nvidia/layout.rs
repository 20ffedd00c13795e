//! The two SPDM messages of a report (DSP0274 1.1 tables 39 to 43), NVIDIA's opaque data, and what their fields mean.

use super::refusal::RimRefusal;
use super::revocation::Revocation;
use super::rim::{Firmware, Rim};
use super::verify::Asked;
use crate::bytes::{Nonce, RootDigest, SpkiDigest};

/// Largest report: a full measurement record and opaque data stay far below; drivers hand out buffers of 8 KiB.
pub const REPORT_MAX: usize = 32 * 1024;
/// GET_MEASUREMENTS with a nonce and a slot.
pub const REQUEST_LEN: usize = 37;
/// ECDSA P-384: r, then s.
pub const SIGNATURE_LEN: usize = 96;
/// What the status fields say for on.
pub const ENABLED: u8 = 0xaa;
/// What the status fields say for off.
pub const DISABLED: u8 = 0x55;

/// Number of an opaque field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

impl FieldId {
    /// Version of the driver, text.
    pub const DRIVER_VERSION: Self = Self(3);
    /// Version of the VBIOS (GPU: eight bytes, little-endian) or of the switch's BIOS (text).
    pub const VBIOS_VERSION: Self = Self(6);
    /// Whether the video decoder is fused on.
    pub const NVDEC0_STATUS: Self = Self(11);
    /// How often each index was measured, 32 bits each.
    pub const MSRSCNT: Self = Self(12);
    /// The board.
    pub const BOARD_ID: Self = Self(14);
    /// Chip SKU, text.
    pub const CHIP_SKU: Self = Self(15);
    /// Project, text.
    pub const PROJECT: Self = Self(17);
    /// Project SKU, text.
    pub const PROJECT_SKU: Self = Self(18);
    /// Digest of the first mutable firmware, as in the leaf's DICE extension.
    pub const FWID: Self = Self(20);
    /// Protected PCIe mode, on or off.
    pub const PROTECTED_PCIE_STATUS: Self = Self(21);
    /// A switch's own identifier; in a GPU's report, those of the switches it is linked to. Eight bytes each.
    pub const SWITCH_PDI: Self = Self(22);
    /// Identifiers of the GPUs linked to a switch, eight bytes each.
    pub const GPU_PDIS: Self = Self(26);
    /// Version of this table of fields, where the data has no header.
    pub const OPAQUE_DATA_VERSION: Self = Self(34);
    /// The chip, text, in the spelling of manifests; Blackwell states it.
    pub const CHIP_INFO: Self = Self(35);
    /// Passthrough mode: 2 is protected PCIe.
    pub const FEATURE_FLAG: Self = Self(36);

    /// NVIDIA's name. 26 and 36 go by number: the tools that published these names did not know them.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "CERT_ISSUER_NAME",
            2 => "CERT_AUTHORITY_KEY_IDENTIFIER",
            3 => "DRIVER_VERSION",
            4 => "GPU_INFO",
            5 => "SKU",
            6 => "VBIOS_VERSION",
            7 => "MANUFACTURER_ID",
            8 => "TAMPER_DETECTION",
            9 => "SMC",
            10 => "VPR",
            11 => "NVDEC0_STATUS",
            12 => "MSRSCNT",
            13 => "CPRINFO",
            14 => "BOARD_ID",
            15 => "CHIP_SKU",
            16 => "CHIP_SKU_MOD",
            17 => "PROJECT",
            18 => "PROJECT_SKU",
            19 => "PROJECT_SKU_MOD",
            20 => "FWID",
            21 => "PROTECTED_PCIE_STATUS",
            22 => "SWITCH_PDI",
            23 => "FLOORSWEPT_PORTS",
            24 => "POSITION_ID",
            25 => "LOCK_SWITCH_STATUS",
            32 => "GPU_LINK_CONN",
            33 => "SYS_ENABLE_STATUS",
            34 => "OPAQUE_DATA_VERSION",
            35 => "CHIP_INFO",
            _ => return None,
        })
    }

    /// True if NVIDIA has published what it is.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.name().is_some() || [Self::GPU_PDIS, Self::FEATURE_FLAG].contains(&self)
    }
}

impl core::fmt::Display for FieldId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// One opaque field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which.
    pub id: FieldId,
    /// Type of the value; only data with a header has it.
    pub value_type: Option<u16>,
    /// The bytes.
    pub data: Vec<u8>,
}

/// The opaque data: NVIDIA's facts about the device beside the measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// Major and minor version of the header, where the data begins with one.
    pub header: Option<(u8, u8)>,
    /// In the order of the report; no number twice.
    pub fields: Vec<Field>,
}

impl Opaque {
    /// A field's bytes.
    #[must_use]
    pub fn get(&self, id: FieldId) -> Option<&[u8]> {
        self.fields.iter().find(|f| f.id == id).map(|f| &f.data[..])
    }

    /// A field that is text: printable ASCII, ended by zero bytes.
    #[must_use]
    pub fn text(&self, id: FieldId) -> Option<&str> {
        let text = core::str::from_utf8(self.get(id)?).ok()?.trim_end_matches('\0');
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then_some(text)
    }

    /// A field of one byte.
    #[must_use]
    pub fn byte(&self, id: FieldId) -> Option<u8> {
        match self.get(id)? {
            [b] => Some(*b),
            _ => None,
        }
    }

    /// A field of two bytes, little-endian.
    #[must_use]
    pub fn u16(&self, id: FieldId) -> Option<u16> {
        self.get(id)?.try_into().ok().map(u16::from_le_bytes)
    }

    /// How often each index was measured.
    #[must_use]
    pub fn counts(&self) -> Option<Vec<u32>> {
        let (words, rest) = self.get(FieldId::MSRSCNT)?.as_chunks();
        rest.is_empty().then(|| words.iter().map(|w| u32::from_le_bytes(*w)).collect())
    }

    /// Version of the table of fields: the header's, or that of its own field; zero where there is neither.
    #[must_use]
    pub fn version(&self) -> Option<u16> {
        match self.header {
            Some((major, _)) => Some(major.into()),
            None if self.get(FieldId::OPAQUE_DATA_VERSION).is_none() => Some(0),
            None => self.u16(FieldId::OPAQUE_DATA_VERSION),
        }
    }

    /// The VBIOS or BIOS version as manifests write it, `96.00.5E.00.01`. A switch says it so; a GPU has a little-endian
    /// number whose lower four bytes are the first four groups, and the byte above is the fifth.
    #[must_use]
    pub fn vbios(&self) -> Option<String> {
        let raw = self.get(FieldId::VBIOS_VERSION)?;
        if let &[d, c, b, a, e, 0, 0, 0] = raw {
            return Some(format!("{a:02X}.{b:02X}.{c:02X}.{d:02X}.{e:02X}"));
        }
        self.text(FieldId::VBIOS_VERSION).filter(|t| is_vbios(t)).map(str::to_owned)
    }
}

/// True for five groups of two hex digits: the form of VBIOS versions, which no driver version has.
pub(super) fn is_vbios(text: &str) -> bool {
    let group = |g: &str| g.len() == 2 && g.bytes().all(|b| b.is_ascii_hexdigit());
    text.split('.').count() == 5 && text.split('.').all(group)
}

/// One DMTF measurement: a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// From 1; index i of a manifest is block i + 1.
    pub index: u8,
    /// What was measured (DSP0274 table 43): 0 ROM, 1 firmware, 2 hardware and 3 firmware configuration.
    pub value_type: u8,
    /// The block's content as received: type, size, value.
    pub content: Vec<u8>,
    /// The digest.
    pub value: Vec<u8>,
}

/// A report's fields as they stand; untrusted until its signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The requester's nonce.
    pub nonce: Nonce,
    /// Certificate slot asked for.
    pub slot: u8,
    /// The device's own nonce.
    pub responder_nonce: Nonce,
    /// Ascending by index.
    pub blocks: Vec<Block>,
    /// Opaque data.
    pub opaque: Opaque,
    /// r, then s, big-endian.
    pub signature: [u8; SIGNATURE_LEN],
    /// How many bytes the signature covers, from the first.
    pub signed_len: usize,
    /// Zero bytes after the signature.
    pub trailing: usize,
}

impl Report {
    /// The measured value a manifest's index stands for.
    #[must_use]
    pub fn measured(&self, index: u16) -> Option<&Block> {
        self.blocks.iter().find(|b| index.checked_add(1) == Some(b.index.into()))
    }
}

/// GPU or switch: they are measured against different manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GPU: driver and VBIOS.
    Gpu,
    /// An NVSwitch: BIOS.
    Switch,
}

/// Which device, as its leaf certificate names it (DSP0274 section 10.6.1, `manufacturer:product:serial`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The product in NVIDIA's spelling there, e.g. `GH100` or `LS_10`.
    pub product: String,
    /// The serial number, hex.
    pub serial: String,
}

impl Device {
    /// NVSwitches are the only products whose name begins with LS.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.product.starts_with("LS") { Kind::Switch } else { Kind::Gpu }
    }
}

/// What only an authentic report says, with what came of the collateral beside it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The report.
    pub report: Report,
    /// What the relying party had asked for; a nonce that is stated here is the report's.
    pub asked: Asked,
    /// The device, where its certificate names it.
    pub device: Option<Device>,
    /// The pinned root its chain ended in.
    pub root: RootDigest,
    /// Subjects of the chain, leaf first.
    pub chain: Vec<String>,
    /// The key of the boot ROM, which NVIDIA certified and which signed the leaf: what tells two devices apart. A leaf
    /// changes with the firmware, and whoever holds one boot ROM's key can write any serial number into leaves.
    pub identity: SpkiDigest,
    /// What came of each manifest, in the order given.
    pub rims: Vec<Result<Rim, RimRefusal>>,
    /// What is said about the certificates of the chain and of the manifests' signers.
    pub revocation: Revocation,
}

impl Facts {
    /// GPU or switch; what is unnamed is held to the stricter rules of a GPU.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.device.as_ref().map_or(Kind::Gpu, Device::kind)
    }

    /// The chip in the spelling of manifests: what the report states, else what the leaf certificate does. A certificate
    /// may name a family only (`GB20X` for `GB202`).
    #[must_use]
    pub fn chip(&self) -> Option<&str> {
        let certified = self.device.as_ref().map(|d| d.product.as_str());
        match (self.report.opaque.text(FieldId::CHIP_INFO), certified) {
            (Some(stated), _) => Some(stated),
            (None, Some("LS_10")) => Some("LS10"),
            (None, certified) => certified,
        }
    }

    /// Names under which NVIDIA's manifest service has the manifests of this report, where they can be told.
    #[must_use]
    pub fn rim_ids(&self) -> Vec<(Firmware, String)> {
        let o = &self.report.opaque;
        let vbios = o.vbios().map(|v| v.replace('.', "").to_uppercase());
        let mut ids = Vec::new();
        if self.kind() == Kind::Switch {
            let id = vbios.map(|v| format!("NV_SWITCH_BIOS_5612_0002_890_{v}"));
            ids.extend(id.map(|id| (Firmware::Vbios, id)));
            return ids;
        }
        if let (Some(chip), Some(version)) = (self.chip(), o.text(FieldId::DRIVER_VERSION)) {
            let prefix = if chip == "GH100" { "NV_GPU_DRIVER" } else { "NV_GPU_CC_DRIVER" };
            ids.push((Firmware::Driver, format!("{prefix}_{chip}_{version}")));
        }
        let skus = [FieldId::PROJECT, FieldId::PROJECT_SKU, FieldId::CHIP_SKU].map(|f| o.text(f));
        if let ([Some(project), Some(sku), Some(chip)], Some(v)) = (skus, vbios) {
            ids.push((Firmware::Vbios, format!("NV_GPU_VBIOS_{project}_{sku}_{chip}_{v}")));
        }
        ids
    }
}
