//! Fixed-size values with names: a digest of one kind never passes for a digest of another.

use core::fmt;

use aws_lc_rs::digest;

macro_rules! named_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Takes the bytes as they are.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Exactly this many bytes, or nothing: no padding, no truncation.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Reads lower-case hex of exactly this length.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return None;
                }
                let mut out = [0; $len];
                hex::decode_to_slice(text, &mut out).ok()?;
                Some(Self(out))
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// True if every byte is zero; such a value never identifies anything.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                self.0.iter().all(|b| *b == 0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(self.0))
            }
        }
    };
}

named_bytes!(
    /// SHA-384 over everything that affects a program's behaviour, or what a platform measured at launch.
    Measurement, 48);
named_bytes!(
    /// SHA-256 of a domain's genesis: pinned by monitors, carried in HOST_DATA and in every statement.
    DomainRoot, 32);
named_bytes!(
    /// 32 random bytes chosen by the side that wants to be convinced.
    Nonce, 32);
named_bytes!(
    /// SHA-256 of a DER SubjectPublicKeyInfo, algorithm included.
    SpkiDigest, 32);
named_bytes!(
    /// The 64 caller-bound bytes of a hardware report (REPORT_DATA).
    ReportData, 64);
named_bytes!(
    /// A raw Ed25519 public key under which a monitor makes statements.
    StatementKey, 32);
named_bytes!(
    /// A raw Ed25519 public key under which somebody a policy names makes claims.
    IssuerKey, 32);
named_bytes!(
    /// SHA-384 of a content-addressed object: a claims set, a policy, a proof, a decision record.
    ContentDigest, 48);
named_bytes!(
    /// SHA-384 of a binder.
    BinderDigest, 48);
named_bytes!(
    /// SHA-256 of a DER certificate or raw key that a verifier pins as a root.
    RootDigest, 32);
named_bytes!(
    /// An X25519 public key to which decision records are encrypted.
    AuditKey, 32);
named_bytes!(
    /// An X25519 public key of an authority, to which owners encrypt role secrets.
    SecretsKey, 32);
named_bytes!(
    /// 32 bytes of a TLS exporter, taken by whoever holds this value from its own live connection.
    Exporter, 32);

impl ContentDigest {
    /// SHA-384 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha384(bytes))
    }
}

impl SpkiDigest {
    /// SHA-256 of a DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_der(spki: &[u8]) -> Self {
        Self(sha256(spki))
    }
}

/// SHA-384.
#[must_use]
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    let mut out = [0; 48];
    out.copy_from_slice(digest::digest(&digest::SHA384, bytes).as_ref());
    out
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

impl RootDigest {
    /// A pinned digest written in hex in the source; anything but lower-case hex digits does not compile.
    ///
    /// # Panics
    /// Only at run time with other digits: use it for constants.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::panic,
        reason = "evaluated by the compiler over constants"
    )]
    pub const fn pinned(hex: &[u8; 64]) -> Self {
        const fn value(c: u8) -> u8 {
            match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                _ => panic!("not a lower-case hex digit"),
            }
        }
        let mut out = [0; 32];
        let mut i = 0;
        while i < 32 {
            out[i] = value(hex[2 * i]) << 4 | value(hex[2 * i + 1]);
            i += 1;
        }
        Self(out)
    }
}
