//! As much of X.509 (RFC 5280) as vendors' endorsement keys use. Certificates are taken apart by `x509-cert`; signatures
//! are checked over the received bytes of the to-be-signed part, found by the outer DER lengths, never re-encoded.
//! No algorithm is read from a certificate and followed: the caller says which schemes its vendor uses.

pub mod crl;
pub mod ocsp;
pub mod path;
pub mod usage;

use std::sync::OnceLock;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use thiserror::Error;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::name::Name;

use crate::controls::holds;
use crate::time::{Time, Window};

/// Vendors' certificates are below 8 KiB.
pub const LEN_MAX: usize = 16 * 1024;
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const KEY_USAGE: &str = "2.5.29.15";

/// Why bytes are no certificate of ours.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum X509Error {
    /// Longer than the limit.
    #[error("{0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// Not DER of a certificate.
    #[error("not a DER certificate; convert PEM to DER, or fetch it again")]
    Form,
    /// Not DER of a revocation list.
    #[error("not a DER certificate revocation list; fetch it again")]
    CrlForm,
}

/// A signature scheme with everything fixed: key type, hash, padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes, 2048 to 8192 bits.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes, 2048 to 8192 bits.
    RsaPssSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384, 2048 to 8192 bits.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512, 2048 to 8192 bits.
    RsaPkcs1Sha512,
    /// ECDSA on P-256 with SHA-256, signature in DER.
    EcdsaP256Sha256,
    /// ECDSA on P-256 with SHA-384, signature in DER.
    EcdsaP256Sha384,
    /// ECDSA on P-384 with SHA-256, signature in DER.
    EcdsaP384Sha256,
    /// ECDSA on P-384 with SHA-384, signature in DER.
    EcdsaP384Sha384,
}

impl Scheme {
    /// The dotted identifier certificates carry for it.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::RsaPssSha256 | Self::RsaPssSha384 => "1.2.840.113549.1.1.10",
            Self::RsaPkcs1Sha256 => "1.2.840.113549.1.1.11",
            Self::RsaPkcs1Sha384 => "1.2.840.113549.1.1.12",
            Self::RsaPkcs1Sha512 => "1.2.840.113549.1.1.13",
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha256 => "1.2.840.10045.4.3.2",
            Self::EcdsaP256Sha384 | Self::EcdsaP384Sha384 => "1.2.840.10045.4.3.3",
        })
    }

    fn library(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
            Self::EcdsaP384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        }
    }

    /// True if `key` (the bits of a SubjectPublicKeyInfo: a point, or an RSAPublicKey) made `signature` over `message`.
    #[must_use]
    pub fn verify(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.library(), key).verify(message, signature).is_ok()
    }
}

/// What a certificate's key may be for (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Signing what is neither a certificate nor a revocation list.
    DigitalSignature,
    /// Signing certificates.
    CertificateSign,
}

/// A certificate as it stands; trusted only once somebody checked who signed it.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Vec<u8>,
    signature: Vec<u8>,
    spki: Vec<u8>,
    key: Vec<u8>,
    algorithm: ObjectIdentifier,
    serial: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    subject_text: OnceLock<String>,
    issuer_text: OnceLock<String>,
    subject_cn: String,
    window: Window,
    extensions: Vec<(String, bool, Vec<u8>)>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl Certificate {
    /// Takes one apart.
    ///
    /// # Errors
    /// [`X509Error`].
    pub fn parse(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > LEN_MAX {
            return Err(X509Error::TooLong(der.len()));
        }
        let form = |_| X509Error::Form;
        let cert =
            x509_cert::certificate::CertificateInner::<x509_cert::certificate::Raw>::from_der(der)
                .map_err(form)?;
        let tbs = cert.tbs_certificate();
        let spki = tbs.subject_public_key_info();
        // RFC 5280 section 4.1.1.2: what nobody signed must repeat what was signed; section 4.2: no extension twice.
        let repeated = cert.signature_algorithm() == tbs.signature();
        if !holds("x509_algorithm_repeated", repeated)
            || !holds("x509_extension_twice", !twice(tbs.extensions()))
        {
            return Err(X509Error::Form);
        }
        let extensions = tbs.extensions().into_iter().flatten();
        Ok(Self {
            der: der.to_vec(),
            tbs: signed_part(der).ok_or(X509Error::Form)?.to_vec(),
            signature: cert.signature().as_bytes().ok_or(X509Error::Form)?.to_vec(),
            spki: spki.to_der().map_err(form)?,
            key: spki.subject_public_key.as_bytes().ok_or(X509Error::Form)?.to_vec(),
            algorithm: cert.signature_algorithm().oid,
            serial: tbs.serial_number().as_bytes().to_vec(),
            subject: tbs.subject().to_der().map_err(form)?,
            issuer: tbs.issuer().to_der().map_err(form)?,
            subject_text: OnceLock::new(),
            issuer_text: OnceLock::new(),
            subject_cn: common_name(tbs.subject()).unwrap_or_default(),
            window: Window {
                not_before: time(&tbs.validity().not_before),
                not_after: time(&tbs.validity().not_after),
            },
            extensions: extensions
                .map(|e| (e.extn_id.to_string(), e.critical, e.extn_value.as_bytes().to_vec()))
                .collect(),
        })
    }

    /// The whole certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's common name; empty if it has none.
    #[must_use]
    pub fn subject_cn(&self) -> &str {
        &self.subject_cn
    }

    /// The subject as RFC 4514 writes it; for people.
    #[must_use]
    pub fn subject_text(&self) -> &str {
        self.subject_text.get_or_init(|| text(&self.subject))
    }

    /// The issuer as RFC 4514 writes it; for people.
    #[must_use]
    pub fn issuer_text(&self) -> &str {
        self.issuer_text.get_or_init(|| text(&self.issuer))
    }

    /// The subject, DER: what an issuer's name is compared with.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The issuer, DER.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The serial number's bytes as they stand (big-endian; some vendors use zero).
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// When it is in force.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The public key's bits: for an elliptic curve, the point; for RSA, an RSAPublicKey.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// An extension's content by the dotted name of its identifier.
    #[must_use]
    pub fn extension(&self, oid: &str) -> Option<&[u8]> {
        self.extensions.iter().find(|(name, _, _)| name == oid).map(|(_, _, content)| &content[..])
    }

    /// The dotted names of its extensions with their critical marks.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, bool)> {
        self.extensions.iter().map(|(name, critical, _)| (name.as_str(), *critical))
    }

    /// True if its basic constraints say it may issue certificates and its key usage (where stated) allows that.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        let basic = self.extension(BASIC_CONSTRAINTS);
        let basic = basic.and_then(|der| BasicConstraints::from_der(der).ok());
        let usage = self.extension(KEY_USAGE).map(KeyUsage::from_der);
        basic.is_some_and(|b| b.ca)
            && usage.is_none_or(|u| u.is_ok_and(|u| u.0.contains(KeyUsages::KeyCertSign)))
    }

    /// True if it states key usages and that one is among them.
    #[must_use]
    pub fn has_usage(&self, usage: Usage) -> bool {
        let usages = self.extension(KEY_USAGE).and_then(|der| KeyUsage::from_der(der).ok());
        usages.is_some_and(|u| {
            u.0.contains(match usage {
                Usage::DigitalSignature => KeyUsages::DigitalSignature,
                Usage::CertificateSign => KeyUsages::KeyCertSign,
            })
        })
    }

    /// How many certificates may stand between it and a leaf, where it says so.
    #[must_use]
    pub fn path_len(&self) -> Option<u8> {
        let der = self.extension(BASIC_CONSTRAINTS)?;
        BasicConstraints::from_der(der).ok()?.path_len_constraint
    }

    /// True if `issuer` is named as the issuer and its key made the signature, by one of `schemes`.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self, schemes: &[Scheme]) -> bool {
        self.issuer == issuer.subject
            && schemes
                .iter()
                .filter(|s| s.oid() == self.algorithm)
                .any(|s| s.verify(&issuer.key, &self.tbs, &self.signature))
    }
}

/// A name in words, made when somebody reads it: it costs more than taking the rest of a certificate apart.
fn text(name: &[u8]) -> String {
    Name::from_der(name).map(|n| n.to_string()).unwrap_or_default()
}

fn twice(extensions: Option<&Extensions>) -> bool {
    let mut all = extensions.into_iter().flatten().map(|e| e.extn_id).collect::<Vec<_>>();
    all.sort_unstable();
    all.iter().zip(all.iter().skip(1)).any(|(a, b)| a == b)
}

fn common_name(name: &Name) -> Option<String> {
    let attribute = name.iter().find(|a| a.oid == COMMON_NAME)?;
    core::str::from_utf8(attribute.value.value()).ok().map(str::to_owned)
}

fn time(t: &x509_cert::time::Time) -> Time {
    Time::from_unix(i64::try_from(t.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

/// The to-be-signed part as received: the first element of the outer sequence.
fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let (_, content) = element(der)?;
    let (len, _) = element(content)?;
    content.get(..len)
}

/// Length of a DER element with its header, and its content.
pub(crate) fn element(der: &[u8]) -> Option<(usize, &[u8])> {
    let (header, len) = match *der.get(1..)? {
        [n, ..] if n < 0x80 => (2, usize::from(n)),
        [0x81, n, ..] => (3, usize::from(n)),
        [0x82, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
        [0x83, a, b, c, ..] => {
            (5, usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX))
        }
        _ => return None,
    };
    let end = len.checked_add(header)?;
    Some((end, der.get(header..end)?))
}
