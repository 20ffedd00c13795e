//! Keys that make vendors' tokens: elliptic curve keys as a SubjectPublicKeyInfo (RFC 5480), SEC 1 point or COSE_Key
//! (RFC 9052 section 7), and the shared secrets of MACs.
//!
//! The curve fixes the algorithm: P-256 is ES256, P-384 ES384, P-521 ES512. Refused: points that are not on their curve,
//! compressed points, other curves, unknown members. A secret is never printed and is zeroed.

use core::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use aws_lc_rs::{constant_time, hmac};
use thiserror::Error;
use zeroize::Zeroizing;

use super::vendor::Algorithm;
use crate::bytes::sha256;
use crate::cbor::vendor::{self, Lengths, Rules};

/// No file with one key is larger.
pub const LEN_MAX: usize = 16 * 1024;
/// Shortest shared secret taken, in bytes: a MAC is no stronger than its key.
const SECRET_MIN: usize = 32;

/// Why bytes are no key that may vouch.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Longer than the limit.
    #[error("a key of {0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// None of the forms.
    #[error("no key in a form known here; pass a JWK, a PEM or DER public key, or a certificate")]
    Form,
    /// A JWK that is malformed, or has members nobody knows.
    #[error("not a JWK of an EC or oct key with exactly the members RFC 7517 and 7518 give it")]
    Jwk,
    /// The private part came along.
    #[error(
        "this JWK holds the private key; pass its public part and replace the key if it was not yours"
    )]
    Private,
    /// Another curve, or a key that is no EC key.
    #[error("not an EC key on P-256, P-384 or P-521, as an uncompressed point")]
    Curve,
    /// Not a point of the curve.
    #[error("the point is not on {0}; the key is damaged")]
    NotOnCurve(&'static str),
    /// Too short to be secret.
    #[error("a shared secret of {0} bytes, at least {SECRET_MIN} expected")]
    ShortSecret(usize),
}

/// A curve, and with it everything else of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// With SHA-256.
    P256,
    /// With SHA-384.
    P384,
    /// With SHA-512.
    P521,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// NIST's and JOSE's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of a coordinate.
    const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// COSE's number (RFC 9053 section 7.1).
    const fn cose(self) -> i128 {
        match self {
            Self::P256 => 1,
            Self::P384 => 2,
            Self::P521 => 3,
        }
    }

    /// A SubjectPublicKeyInfo up to its point (RFC 5480 section 2).
    const fn spki_head(self) -> &'static [u8] {
        match self {
            Self::P256 => b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
            Self::P384 => b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
            Self::P521 => b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00",
        }
    }

    const fn library(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// An elliptic curve key whose point is on its curve.
#[derive(Clone)]
pub struct EcKey {
    curve: Curve,
    point: Vec<u8>,
    parsed: ParsedPublicKey,
}

impl EcKey {
    fn new(curve: Curve, point: Vec<u8>) -> Result<Self, KeyError> {
        let parsed = ParsedPublicKey::new(curve.library(), &point[..])
            .map_err(|_| KeyError::NotOnCurve(curve.as_str()))?;
        Ok(Self { curve, point, parsed })
    }

    /// An uncompressed SEC 1 point; its length says the curve.
    ///
    /// # Errors
    /// [`KeyError::Curve`], [`KeyError::NotOnCurve`].
    pub fn from_point(point: &[u8]) -> Result<Self, KeyError> {
        let len = |c: &Curve| c.coordinate_len().saturating_mul(2).saturating_add(1);
        let curve = Curve::ALL.into_iter().find(|c| len(c) == point.len());
        let uncompressed = point.first() == Some(&4);
        Self::new(curve.filter(|_| uncompressed).ok_or(KeyError::Curve)?, point.to_vec())
    }

    /// DER of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError::Curve`], [`KeyError::NotOnCurve`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let read = |c: Curve| der.strip_prefix(c.spki_head()).map(|point| (c, point));
        let (curve, point) = Curve::ALL.into_iter().find_map(read).ok_or(KeyError::Curve)?;
        let key = Self::from_point(point)?;
        if key.curve == curve { Ok(key) } else { Err(KeyError::Curve) }
    }

    /// A COSE_Key of an EC2 key with exactly the members kty, crv, x, y.
    ///
    /// # Errors
    /// [`KeyError::Form`], [`KeyError::Curve`], [`KeyError::NotOnCurve`].
    pub fn from_cose_key(bytes: &[u8]) -> Result<Self, KeyError> {
        let rules = Rules { len_max: LEN_MAX, lengths: Lengths::Definite };
        let item = vendor::decode(bytes, &rules).map_err(|_| KeyError::Form)?;
        let mut members = item.members().ok_or(KeyError::Form)?;
        let kty = members.must(1, "kty", "2 (EC2)", |i| i.int().filter(|n| *n == 2));
        let number = members.must(-1, "crv", "a curve", |i| i.int());
        let x = members.must(-2, "x", "bytes", |i| i.bytes());
        let y = members.must(-3, "y", "bytes", |i| i.bytes());
        let (Ok(_), Ok(number), Ok(x), Ok(y), Ok(())) = (kty, number, x, y, members.finish())
        else {
            return Err(KeyError::Form);
        };
        let curve = Curve::ALL.into_iter().find(|c| c.cose() == number).ok_or(KeyError::Curve)?;
        Self::from_coordinates(curve, x, y)
    }

    /// An affine point, each coordinate of its full length.
    ///
    /// # Errors
    /// [`KeyError::Curve`], [`KeyError::NotOnCurve`].
    pub fn from_coordinates(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let len = curve.coordinate_len();
        if x.len() != len || y.len() != len {
            return Err(KeyError::Curve);
        }
        Self::new(curve, [&[4], x, y].concat())
    }

    /// Its curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// The uncompressed point.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        [self.curve.spki_head(), &self.point].concat()
    }

    /// True if it made `signature` (r and s, each of the length of a coordinate) over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for EcKey {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl Eq for EcKey {}

impl fmt::Debug for EcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcKey({} {})", self.curve.as_str(), hex::encode(&self.point))
    }
}

/// A secret shared with the device that makes MACs with it. Whoever holds it can make tokens himself.
#[derive(Clone)]
pub struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    /// A secret of at least 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::ShortSecret`].
    pub fn new(secret: Vec<u8>) -> Result<Self, KeyError> {
        let secret = Zeroizing::new(secret);
        if secret.len() < SECRET_MIN {
            Err(KeyError::ShortSecret(secret.len()))
        } else {
            Ok(Self(secret))
        }
    }

    /// What stands for it in results: a digest under a label, which tells nothing of the secret.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[b"casemate mac key\0", &sha256(&self.0)[..]].concat())
    }

    /// True if `tag` is the whole HMAC of that algorithm over `message`.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], tag: &[u8]) -> bool {
        let hash = match algorithm {
            Algorithm::Hmac256 => hmac::HMAC_SHA256,
            Algorithm::Hmac384 => hmac::HMAC_SHA384,
            Algorithm::Hmac512 => hmac::HMAC_SHA512,
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => return false,
        };
        let made = hmac::sign(&hmac::Key::new(hash, &self.0), message);
        constant_time::verify_slices_are_equal(made.as_ref(), tag).is_ok()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}
