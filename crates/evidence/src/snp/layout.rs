//! The report's fields (AMD 56860 table 22), byte for byte, and what its bits mean.

use core::fmt;

use serde::Deserialize;

use crate::time::Window;

/// Length of a report.
pub const REPORT_LEN: usize = 0x4a0;
/// Bytes covered by the signature.
pub const SIGNED_LEN: usize = 0x2a0;
/// POLICY bit: the guest may be debugged.
pub const POLICY_DEBUG: u32 = 19;

/// A product family: it fixes the chain and the layout of TCB_VERSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004 (Genoa, Bergamo, Siena).
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// AMD's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }
}

/// Which key signed a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningKey {
    /// Versioned chip endorsement key: this chip at this TCB.
    Vcek,
    /// Versioned loaded endorsement key: a cloud provider's, at this TCB.
    Vlek,
}

impl SigningKey {
    /// AMD's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        }
    }
}

/// TCB_VERSION taken apart. Compared component by component, never as one integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcb {
    /// Firmware of the first mutable code (Turin only).
    #[serde(default)]
    pub fmc: Option<u8>,
    /// Boot loader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode patch level.
    pub microcode: u8,
}

impl Tcb {
    /// The eight bytes, in the layout of the product.
    #[must_use]
    pub const fn decode(raw: [u8; 8], product: Product) -> Self {
        let [a, b, c, d, _, _, g, h] = raw;
        match product {
            Product::Turin => Self { fmc: Some(a), bootloader: b, tee: c, snp: d, microcode: h },
            Product::Milan | Product::Genoa => {
                Self { fmc: None, bootloader: a, tee: b, snp: g, microcode: h }
            }
        }
    }

    /// True if every component is at least the floor's.
    #[must_use]
    pub fn at_least(&self, floor: &Self) -> bool {
        self.fmc >= floor.fmc
            && self.bootloader >= floor.bootloader
            && self.tee >= floor.tee
            && self.snp >= floor.snp
            && self.microcode >= floor.microcode
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "FMC {fmc}, ")?;
        }
        let Self { bootloader, tee, snp, microcode, .. } = self;
        write!(f, "bootloader {bootloader}, TEE {tee}, SNP {snp}, microcode {microcode}")
    }
}

/// A report's fields as they stand; untrusted until its signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// VERSION.
    pub version: u32,
    /// GUEST_SVN.
    pub guest_svn: u32,
    /// POLICY.
    pub policy: u64,
    /// FAMILY_ID.
    pub family_id: [u8; 16],
    /// IMAGE_ID.
    pub image_id: [u8; 16],
    /// VMPL.
    pub vmpl: u32,
    /// SIGNATURE_ALGO.
    pub signature_algo: u32,
    /// CURRENT_TCB.
    pub current_tcb: [u8; 8],
    /// PLATFORM_INFO.
    pub platform_info: u64,
    /// KEY_INFO: AUTHOR_KEY_EN bit 0, MASK_CHIP_KEY bit 1, SIGNING_KEY bits 2 to 4.
    pub key_info: u32,
    /// REPORT_DATA.
    pub report_data: [u8; 64],
    /// MEASUREMENT.
    pub measurement: [u8; 48],
    /// HOST_DATA.
    pub host_data: [u8; 32],
    /// ID_KEY_DIGEST.
    pub id_key_digest: [u8; 48],
    /// AUTHOR_KEY_DIGEST.
    pub author_key_digest: [u8; 48],
    /// REPORT_ID.
    pub report_id: [u8; 32],
    /// REPORT_ID_MA.
    pub report_id_ma: [u8; 32],
    /// REPORTED_TCB.
    pub reported_tcb: [u8; 8],
    /// CPUID family, model, stepping; from version 3.
    pub cpuid: Option<[u8; 3]>,
    /// CHIP_ID.
    pub chip_id: [u8; 64],
    /// COMMITTED_TCB.
    pub committed_tcb: [u8; 8],
    /// CURRENT firmware: major, minor, build.
    pub current_version: [u8; 3],
    /// COMMITTED firmware: major, minor, build.
    pub committed_version: [u8; 3],
    /// LAUNCH_TCB.
    pub launch_tcb: [u8; 8],
    /// LAUNCH_MIT_VECTOR; from version 5.
    pub launch_mit_vector: Option<u64>,
    /// CURRENT_MIT_VECTOR; from version 5.
    pub current_mit_vector: Option<u64>,
    /// The signature's R and S, little-endian as they stand.
    pub signature: ([u8; 72], [u8; 72]),
}

/// What only an authentic SNP report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The report.
    pub report: Report,
    /// The product family.
    pub product: Product,
    /// Which kind of key signed.
    pub signing_key: SigningKey,
    /// CURRENT_TCB.
    pub current_tcb: Tcb,
    /// REPORTED_TCB.
    pub reported_tcb: Tcb,
    /// COMMITTED_TCB.
    pub committed_tcb: Tcb,
    /// LAUNCH_TCB.
    pub launch_tcb: Tcb,
    /// CSP_ID of the VLEK.
    pub csp_id: Option<String>,
    /// From thisUpdate to nextUpdate of the revocation list that was checked, if one came along.
    pub revocation_list: Option<Window>,
}

impl Facts {
    /// One bit of POLICY.
    #[must_use]
    pub const fn policy_bit(&self, bit: u32) -> bool {
        self.report.policy.wrapping_shr(bit) & 1 == 1
    }

    /// One bit of PLATFORM_INFO.
    #[must_use]
    pub const fn platform_bit(&self, bit: u32) -> bool {
        self.report.platform_info.wrapping_shr(bit) & 1 == 1
    }
}
