//! The extension's fields (KeyDescription) and what its numbers mean.

use serde::Deserialize;

use crate::bytes::RootDigest;
use crate::time::Window;

/// The extension, dotted.
pub const EXTENSION: &str = "1.3.6.1.4.1.11129.2.1.17";
/// The extension's identifier as it stands in a certificate, DER.
pub const EXTENSION_DER: &[u8] = b"\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x01\x11";
/// Longest extension read; application ids make them long.
pub const EXTENSION_MAX: usize = 8 * 1024;
/// Versions of the schema: Keymaster 2 to 4.1, KeyMint 1 to 4.
pub const VERSIONS: [u32; 8] = [1, 2, 3, 4, 100, 200, 300, 400];

/// Tags of an AuthorizationList that some version of the schema has.
pub(super) const KNOWN_TAGS: [u32; 47] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 200, 202, 203, 301, 302, 303, 305, 400, 401, 402, 405, 500, 503,
    504, 505, 506, 507, 508, 509, 600, 601, 700, 701, 702, 703, 704, 705, 706, 709, 710, 711, 712,
    713, 714, 715, 716, 717, 718,
];
/// The same, newer ones.
pub(super) const KNOWN_TAGS_KEYMINT: [u32; 4] = [719, 720, 723, 724];

/// Where a key, or the software that attested it, lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SecurityLevel {
    /// In Android itself: proves nothing.
    Software,
    /// In a trusted execution environment of the main processor.
    TrustedEnvironment,
    /// In a chip of its own.
    StrongBox,
}

impl SecurityLevel {
    /// Android's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Software => "Software",
            Self::TrustedEnvironment => "TrustedEnvironment",
            Self::StrongBox => "StrongBox",
        }
    }
}

/// What the boot loader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum BootState {
    /// Signed by the maker, all the way.
    Verified,
    /// Signed by a key the user put in.
    SelfSigned,
    /// Not checked: the boot loader is unlocked.
    Unverified,
    /// Checked, and the check failed.
    Failed,
}

impl BootState {
    /// Android's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "Verified",
            Self::SelfSigned => "SelfSigned",
            Self::Unverified => "Unverified",
            Self::Failed => "Failed",
        }
    }
}

/// rootOfTrust: what was booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootOfTrust {
    /// The key that verified the system.
    pub verified_boot_key: Vec<u8>,
    /// Whether the boot loader takes only what verifies.
    pub device_locked: bool,
    /// What it found.
    pub verified_boot_state: BootState,
    /// Digest of everything it verified; from version 3.
    pub verified_boot_hash: Option<Vec<u8>>,
}

/// As much of an AuthorizationList as is judged or shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorizations {
    /// Where the key came from: 0 generated inside.
    pub origin: Option<u32>,
    /// What was booted.
    pub root_of_trust: Option<RootOfTrust>,
    /// Android version, e.g. 130000.
    pub os_version: Option<u32>,
    /// Patch level of the system, e.g. 202311.
    pub os_patch_level: Option<u32>,
    /// Patch level of the maker's part, e.g. 20231105.
    pub vendor_patch_level: Option<u32>,
    /// Patch level of the kernel, e.g. 20231105.
    pub boot_patch_level: Option<u32>,
    /// Which application asked, DER as it stands; Android's word, not the hardware's.
    pub application_id: Option<Vec<u8>>,
}

/// The extension taken apart; untrusted until the chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// attestationVersion.
    pub attestation_version: u32,
    /// attestationSecurityLevel.
    pub attestation_security_level: SecurityLevel,
    /// keymasterVersion or keyMintVersion.
    pub keymaster_version: u32,
    /// keymasterSecurityLevel or keyMintSecurityLevel.
    pub keymaster_security_level: SecurityLevel,
    /// attestationChallenge: the caller-bound field.
    pub challenge: Vec<u8>,
    /// uniqueId.
    pub unique_id: Vec<u8>,
    /// softwareEnforced: Android's word.
    pub software: Authorizations,
    /// teeEnforced or hardwareEnforced: the secure hardware's word.
    pub hardware: Authorizations,
}

/// What only an authentic chain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The pinned root its chain ended in.
    pub root: RootDigest,
    /// The attested key, SubjectPublicKeyInfo.
    pub key: Vec<u8>,
    /// The extension.
    pub description: KeyDescription,
    /// True if a status list was at hand and names no certificate of the chain.
    pub revocation_checked: bool,
    /// Where all certificates of the chain hold.
    pub window: Window,
}
