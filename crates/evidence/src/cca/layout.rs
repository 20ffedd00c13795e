//! The two halves of a CCA token and their claims (RMM specification A7.2.3.1 and A7.2.3.2).

use aws_lc_rs::digest;
use serde::Deserialize;

use crate::bytes::RootDigest;
use crate::cose::anchor::Device;
use crate::cose::vendor::{Algorithm, Signed};
use crate::psa::layout::{Lifecycle, SwComponent};

/// Longest token read. An RMM gives at most a few 4 KiB granules.
pub const TOKEN_MAX: usize = 64 * 1024;
/// Tag of the pair.
pub const TAG_CCA: u64 = 399;
/// Key of the platform token in the pair.
pub const PLATFORM: i32 = 44234;
/// Key of the realm token in the pair.
pub const REALM: i32 = 44241;

/// A spelling of the platform's claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum PlatformProfile {
    /// Since draft-ffm-rats-cca-token-00.
    #[serde(rename = "tag:arm.com,2023:cca_platform#1.0.0")]
    V1,
    /// Before it.
    #[serde(rename = "http://arm.com/CCA-SSD/1.0.0")]
    Legacy,
}

impl PlatformProfile {
    /// Every profile this version reads.
    pub const ALL: [Self; 2] = [Self::V1, Self::Legacy];

    /// The profile claim's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "tag:arm.com,2023:cca_platform#1.0.0",
            Self::Legacy => "http://arm.com/CCA-SSD/1.0.0",
        }
    }
}

/// A spelling of the realm's claims: it fixes the form of the realm's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum RealmProfile {
    /// The key is a COSE_Key.
    #[serde(rename = "tag:arm.com,2023:realm#1.0.0")]
    V1,
    /// No profile claim; the key is a raw point.
    #[serde(rename = "legacy")]
    Legacy,
}

impl RealmProfile {
    /// The profile claim's value; the legacy form has no such claim.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::V1 => Some("tag:arm.com,2023:realm#1.0.0"),
            Self::Legacy => None,
        }
    }

    /// The profile in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.as_str().unwrap_or("legacy (no profile claim)")
    }
}

/// A hash by the name the IANA registry of hash function text names gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum HashAlgorithm {
    /// SHA-256.
    #[serde(rename = "sha-256")]
    Sha256,
    /// SHA-384.
    #[serde(rename = "sha-384")]
    Sha384,
    /// SHA-512.
    #[serde(rename = "sha-512")]
    Sha512,
}

impl HashAlgorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Reads that name; weaker hashes have none here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.as_str() == text)
    }

    /// Bytes of a digest.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }
}

/// A token taken apart; untrusted until both signatures and the binding between them hold.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    /// The platform's signed object.
    pub platform_signed: Signed<'a>,
    /// The realm's signed object.
    pub realm_signed: Signed<'a>,
    /// The platform's claims.
    pub platform: PlatformClaims,
    /// The realm's claims.
    pub realm: RealmClaims,
}

/// What the platform claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformClaims {
    /// Its profile.
    pub profile: PlatformProfile,
    /// The hash of the realm's key: what ties the halves together.
    pub challenge: Vec<u8>,
    /// Make and one.
    pub device: Device,
    /// How it is configured, as the maker encodes it.
    pub config: Vec<u8>,
    /// Lifecycle.
    pub lifecycle: Lifecycle,
    /// Measured firmware.
    pub components: Vec<SwComponent>,
    /// Where the maker verifies tokens: a hint nobody follows here.
    pub verification_service: Option<String>,
    /// The hash of component measurements that name none.
    pub hash_algorithm: HashAlgorithm,
    /// Claims nobody knows.
    pub unknown_claims: Vec<String>,
}

/// What the realm manager claims about the realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmClaims {
    /// Its profile.
    pub profile: RealmProfile,
    /// The caller-bound field.
    pub challenge: [u8; 64],
    /// Chosen by whoever started the realm.
    pub personalization_value: [u8; 64],
    /// RIM: what was loaded.
    pub initial_measurement: Vec<u8>,
    /// REM: what the realm measured since.
    pub extensible_measurements: [Vec<u8>; 4],
    /// The hash of both.
    pub hash_algorithm: HashAlgorithm,
    /// The claim's bytes, of which the platform token holds the hash.
    pub public_key: Vec<u8>,
    /// The hash used for that.
    pub public_key_hash_algorithm: HashAlgorithm,
    /// Claims nobody knows.
    pub unknown_claims: Vec<String>,
}

/// What only an authentic CCA token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Digest of the key that vouched for the platform.
    pub root: RootDigest,
    /// How the platform token was signed.
    pub platform_algorithm: Algorithm,
    /// How the realm token was signed.
    pub realm_algorithm: Algorithm,
    /// The platform's claims.
    pub platform: PlatformClaims,
    /// The realm's claims.
    pub realm: RealmClaims,
}
