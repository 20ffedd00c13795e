//! Vendors' COSE_Sign1 and COSE_Mac0 (RFC 9052 sections 4.2 and 6.2): the signature is checked over the protected bytes and
//! the payload bytes as received.
//!
//! No algorithm is read and followed: the key fixes it, and the header must name the same. Refused: detached payloads,
//! critical headers (none is understood), headers nobody knows, algorithms outside the signed header.

use thiserror::Error;

use super::anchor::AnchorKey;
use super::key::{Curve, EcKey};
use crate::cbor::head;
use crate::cbor::members::Members;
use crate::cbor::vendor::{self, Item, Lengths, Rules, VendorCborError};
use crate::controls::holds;

/// Tag of a COSE_Sign1.
pub const TAG_SIGN1: u64 = 18;
/// Tag of a COSE_Mac0.
pub const TAG_MAC0: u64 = 17;

/// Why bytes are no signed object, or not signed by that key.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VendorCoseError {
    /// Not CBOR as vendors use it.
    #[error("{0}")]
    Cbor(#[from] VendorCborError),
    /// Not four parts of the right types.
    #[error("{0}; this is not a COSE_Sign1 or COSE_Mac0")]
    Form(&'static str),
    /// The protected header names no algorithm.
    #[error("the signed header names no algorithm; nobody can say how it was signed")]
    NoAlgorithm,
    /// A header that cannot be ignored, or stands where it is not signed.
    #[error("COSE header {0} is not understood; use a casemate that knows it")]
    Header(String),
    /// An algorithm none of these vendors uses.
    #[error(
        "COSE algorithm {0} is not accepted; taken are ES256 (-7), ES384 (-35), ES512 (-36) and HMAC (5, 6, 7)"
    )]
    Algorithm(i128),
    /// The algorithm is not the key's.
    #[error(
        "signed header says {header}, the trust anchor is a key for {key}; pass the right anchor"
    )]
    KeyMismatch {
        /// What the header says.
        header: &'static str,
        /// What the key is for.
        key: &'static str,
    },
    /// The signature or MAC does not hold.
    #[error("signature does not verify; the evidence was changed or another key signed it")]
    Signature,
}

/// How an object was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA P-256 with SHA-256.
    Es256,
    /// ECDSA P-384 with SHA-384.
    Es384,
    /// ECDSA P-521 with SHA-512.
    Es512,
    /// HMAC with SHA-256.
    Hmac256,
    /// HMAC with SHA-384.
    Hmac384,
    /// HMAC with SHA-512.
    Hmac512,
}

impl Algorithm {
    const ALL: [Self; 6] =
        [Self::Es256, Self::Es384, Self::Es512, Self::Hmac256, Self::Hmac384, Self::Hmac512];

    /// COSE's number (RFC 9053).
    #[must_use]
    pub const fn cose(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Es512 => -36,
            Self::Hmac256 => 5,
            Self::Hmac384 => 6,
            Self::Hmac512 => 7,
        }
    }

    /// COSE's and JOSE's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Hmac256 => "HMAC 256/256",
            Self::Hmac384 => "HMAC 384/384",
            Self::Hmac512 => "HMAC 512/512",
        }
    }

    /// What a key on that curve signs with.
    #[must_use]
    pub const fn of_curve(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::Es256,
            Curve::P384 => Self::Es384,
            Curve::P521 => Self::Es512,
        }
    }

    /// True for a MAC, which whoever can check it can make.
    #[must_use]
    pub const fn is_mac(self) -> bool {
        matches!(self, Self::Hmac256 | Self::Hmac384 | Self::Hmac512)
    }
}

/// A COSE_Sign1 or COSE_Mac0 taken apart, its signature not yet looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// Its tag, where it has one.
    pub tag: Option<u64>,
    /// The signed header, as received.
    pub protected: &'a [u8],
    /// The payload, as received.
    pub payload: &'a [u8],
    /// The signature or MAC.
    pub signature: &'a [u8],
    /// True if the header that nobody signed is empty.
    pub unprotected_empty: bool,
}

impl<'a> Signed<'a> {
    /// Takes the four parts apart.
    ///
    /// # Errors
    /// [`VendorCoseError::Cbor`], [`VendorCoseError::Form`], [`VendorCoseError::Header`].
    pub fn parse(bytes: &'a [u8], len_max: usize) -> Result<Self, VendorCoseError> {
        let form = VendorCoseError::Form;
        let (tag, item) = match vendor::decode(bytes, &rules(len_max))? {
            Item::Tag(tag @ (TAG_SIGN1 | TAG_MAC0), inner) => (Some(tag), *inner),
            Item::Tag(..) => return Err(form("its tag is neither 18 nor 17")),
            other => (None, other),
        };
        let parts = item.array().ok_or(form("not an array"))?;
        let parts = <[Item<'a>; 4]>::try_from(parts).map_err(|_| form("not an array of four"))?;
        let [protected, unprotected, payload, signature] = parts;
        let unprotected = unprotected.members().ok_or(form("the unsigned header is not a map"))?;
        let unprotected_empty = unprotected.rest().is_empty();
        // Key id; whatever else nobody signed could not be relied on, and is not waved through.
        known(unprotected, &[4])?;
        Ok(Self {
            tag,
            protected: protected.bytes().ok_or(form("the signed header is not bytes"))?,
            payload: payload.bytes().ok_or(form("the payload is not bytes, or is detached"))?,
            signature: signature.bytes().ok_or(form("the signature is not bytes"))?,
            unprotected_empty,
        })
    }

    /// The algorithm the signed header names.
    ///
    /// # Errors
    /// [`VendorCoseError::NoAlgorithm`], [`VendorCoseError::Algorithm`], [`VendorCoseError::Header`].
    pub fn algorithm(&self) -> Result<Algorithm, VendorCoseError> {
        let form = VendorCoseError::Form("the signed header is not a map");
        let item = vendor::decode(self.protected, &rules(HEADER_MAX))?;
        let mut header = item.members().ok_or(form)?;
        let number = header.may(1, "alg", "an integer", |i| i.int());
        // Content type, key id, type: signed, and about nothing that is decided here.
        known(header, &[3, 4, 16])?;
        let number = number.ok().flatten().ok_or(VendorCoseError::NoAlgorithm)?;
        let found = Algorithm::ALL.into_iter().find(|a| i128::from(a.cose()) == number);
        let algorithm = found.ok_or(VendorCoseError::Algorithm(number))?;
        if algorithm.is_mac() != (self.tag == Some(TAG_MAC0)) {
            return Err(VendorCoseError::Form("its tag and its algorithm contradict each other"));
        }
        Ok(algorithm)
    }

    /// Holds if `key` signed it, with the algorithm of the key's curve.
    ///
    /// # Errors
    /// [`VendorCoseError::Signature`].
    pub fn verify_by(&self, key: &EcKey) -> Result<(), VendorCoseError> {
        let made = key.verify(&self.to_be_signed(), self.signature);
        if holds("vendor_cose_signature", made) { Ok(()) } else { Err(VendorCoseError::Signature) }
    }

    /// Holds if the header names the anchor's algorithm and the anchor made the signature or MAC.
    ///
    /// # Errors
    /// [`VendorCoseError::KeyMismatch`], [`VendorCoseError::Signature`] and those of [`Self::algorithm`].
    pub fn verify(&self, anchor: &AnchorKey) -> Result<Algorithm, VendorCoseError> {
        let header = self.algorithm()?;
        let key = match anchor {
            AnchorKey::Ec(key) => Algorithm::of_curve(key.curve()).as_str(),
            AnchorKey::Mac(_) => "HMAC",
        };
        let same = match anchor {
            AnchorKey::Ec(key) => header == Algorithm::of_curve(key.curve()),
            AnchorKey::Mac(_) => header.is_mac(),
        };
        if !holds("vendor_cose_algorithm", same) {
            return Err(VendorCoseError::KeyMismatch { header: header.as_str(), key });
        }
        match anchor {
            AnchorKey::Ec(key) => self.verify_by(key)?,
            AnchorKey::Mac(key) => {
                let made = key.verify(header, &self.to_be_signed(), self.signature);
                if !holds("vendor_cose_mac", made) {
                    return Err(VendorCoseError::Signature);
                }
            }
        }
        Ok(header)
    }

    /// Sig_structure or MAC_structure with empty external data, over the received bytes.
    fn to_be_signed(&self) -> Vec<u8> {
        let context: &[u8] =
            if self.tag == Some(TAG_MAC0) { b"\x84\x64MAC0" } else { b"\x84\x6aSignature1" };
        let mut out = context.to_vec();
        for part in [self.protected, b"", self.payload] {
            head(2, u64::try_from(part.len()).unwrap_or(u64::MAX), &mut out);
            out.extend(part);
        }
        out
    }
}

/// No vendor's header is longer.
const HEADER_MAX: usize = 256;

const fn rules(len_max: usize) -> Rules {
    Rules { len_max, lengths: Lengths::Definite }
}

/// Refuses labels outside `labels`; those are taken whatever they hold.
fn known(mut header: Members<'_>, labels: &[i32]) -> Result<(), VendorCoseError> {
    for label in labels {
        // Present or not, of whatever type: nothing is decided by it.
        let _ignored = header.may(*label, "header", "anything", Some);
    }
    header.rest().into_iter().next().map_or(Ok(()), |label| Err(VendorCoseError::Header(label)))
}
