//! The claims of a PSA token and their keys in each profile (RFC 9783 section 4, table 1 of section 4.6).

use serde::Deserialize;

use crate::bytes::RootDigest;
use crate::cose::anchor::Device;
use crate::cose::vendor::{Algorithm, Signed};

/// Longest token read. TF-M's largest buffer is 4 KiB.
pub const TOKEN_MAX: usize = 64 * 1024;
/// Most components in one token.
pub const COMPONENTS_MAX: usize = 64;

/// A spelling of the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Profile {
    /// RFC 9783.
    #[serde(rename = "tag:psacertified.org,2023:psa#tfm")]
    Tfm,
    /// The drafts before it.
    #[serde(rename = "http://arm.com/psa/2.0.0")]
    V2,
    /// Before that, with keys of the private range.
    #[serde(rename = "PSA_IOT_PROFILE_1")]
    Legacy,
}

impl Profile {
    /// Every profile this version reads.
    pub const ALL: [Self; 3] = [Self::Tfm, Self::V2, Self::Legacy];

    /// The profile claim's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tfm => "tag:psacertified.org,2023:psa#tfm",
            Self::V2 => "http://arm.com/psa/2.0.0",
            Self::Legacy => "PSA_IOT_PROFILE_1",
        }
    }

    pub(super) const fn keys(self) -> Keys {
        let v2 = Keys {
            profile: 265,
            client_id: 2394,
            lifecycle: 2395,
            implementation_id: 2396,
            boot_seed: 2397,
            certification_reference: 2398,
            components: 2399,
            nonce: 10,
            instance_id: 256,
            verification_service: 2400,
        };
        match self {
            Self::V2 => v2,
            Self::Tfm => Keys { boot_seed: 268, ..v2 },
            Self::Legacy => Keys {
                profile: -75000,
                client_id: -75001,
                lifecycle: -75002,
                implementation_id: -75003,
                boot_seed: -75004,
                certification_reference: -75005,
                components: -75006,
                nonce: -75008,
                instance_id: -75009,
                verification_service: -75010,
            },
        }
    }
}

/// Legacy only: says on purpose that there are no components.
pub(super) const NO_MEASUREMENTS: i32 = -75007;

/// Where a profile keeps each claim.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) profile: i32,
    pub(super) client_id: i32,
    pub(super) lifecycle: i32,
    pub(super) implementation_id: i32,
    pub(super) boot_seed: i32,
    pub(super) certification_reference: i32,
    pub(super) components: i32,
    pub(super) nonce: i32,
    pub(super) instance_id: i32,
    pub(super) verification_service: i32,
}

/// The security lifecycle: the state in the high byte, the implementation's own in the low one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle(u16);

/// What the high byte says. CCA platforms have the same states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifecycleState {
    /// Must not occur in a device.
    Unknown,
    /// In the factory.
    AssemblyAndTest,
    /// Keys are being put in.
    RotProvisioning,
    /// The only one in which a token means what it says.
    Secured,
    /// Something outside the root of trust can be debugged.
    NonRotDebug,
    /// The root of trust can be debugged.
    RecoverableRotDebug,
    /// At its end.
    Decommissioned,
}

impl Lifecycle {
    /// A lifecycle in one of the seven states.
    #[must_use]
    pub fn new(raw: i128) -> Option<Self> {
        let raw = u16::try_from(raw).ok()?;
        matches!(raw >> 8, 0x00 | 0x10 | 0x20 | 0x30 | 0x40 | 0x50 | 0x60).then_some(Self(raw))
    }

    /// As it stands.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Its state.
    #[must_use]
    pub const fn state(self) -> LifecycleState {
        match self.0 >> 8 {
            0x10 => LifecycleState::AssemblyAndTest,
            0x20 => LifecycleState::RotProvisioning,
            0x30 => LifecycleState::Secured,
            0x40 => LifecycleState::NonRotDebug,
            0x50 => LifecycleState::RecoverableRotDebug,
            0x60 => LifecycleState::Decommissioned,
            _ => LifecycleState::Unknown,
        }
    }

    /// True if a debugger could have looked inside.
    #[must_use]
    pub const fn is_debug(self) -> bool {
        matches!(self.state(), LifecycleState::NonRotDebug | LifecycleState::RecoverableRotDebug)
    }
}

impl LifecycleState {
    /// The state's name for PSA.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::AssemblyAndTest => "assembly-and-test",
            Self::RotProvisioning => "psa-rot-provisioning",
            Self::Secured => "secured",
            Self::NonRotDebug => "non-psa-rot-debug",
            Self::RecoverableRotDebug => "recoverable-psa-rot-debug",
            Self::Decommissioned => "decommissioned",
        }
    }

    /// The state's name for CCA.
    #[must_use]
    pub const fn as_cca_str(self) -> &'static str {
        match self {
            Self::RotProvisioning => "cca-platform-rot-provisioning",
            Self::NonRotDebug => "non-cca-platform-rot-debug",
            Self::RecoverableRotDebug => "recoverable-cca-platform-rot-debug",
            other => other.as_str(),
        }
    }
}

/// A measured component, with the token's own keys 1, 2, 4, 5, 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwComponent {
    /// Measurement type: the component's role.
    pub measurement_type: Option<String>,
    /// Measurement value: a digest of 32, 48 or 64 bytes.
    pub measurement_value: Vec<u8>,
    /// Version.
    pub version: Option<String>,
    /// Signer id: a digest of the key that signed it.
    pub signer_id: Vec<u8>,
    /// Measurement description: in practice the hash's name.
    pub measurement_description: Option<String>,
}

/// A token taken apart; untrusted until its signature holds.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// The signed object.
    pub signed: Signed<'a>,
    /// Its claims.
    pub claims: Claims,
}

/// What a token claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The profile, stated or (legacy only) implied by the keys.
    pub profile: Profile,
    /// The caller-bound field.
    pub nonce: Vec<u8>,
    /// Who asked for the token inside the device: negative in the non-secure world, positive in the secure one.
    pub client_id: i32,
    /// Make and one.
    pub device: Device,
    /// Lifecycle.
    pub lifecycle: Lifecycle,
    /// Differs between boots.
    pub boot_seed: Option<Vec<u8>>,
    /// PSA Certified's number for chip and root of trust.
    pub certification_reference: Option<String>,
    /// Measured components; empty only where a legacy token says so on purpose.
    pub components: Vec<SwComponent>,
    /// Where the maker verifies tokens: a hint nobody follows here.
    pub verification_service: Option<String>,
    /// Claims nobody knows. RFC 9783 forbids to fail for them; a profile may refuse them.
    pub unknown_claims: Vec<String>,
}

/// What only an authentic PSA token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Digest of the key that vouched.
    pub root: RootDigest,
    /// 18 for a signature, 17 for a MAC.
    pub tag: u64,
    /// How it was signed.
    pub algorithm: Algorithm,
    /// Its claims.
    pub claims: Claims,
}
