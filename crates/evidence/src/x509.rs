//! As much of X.509 (RFC 5280) as vendors' endorsement keys use. Certificates are taken apart by `x509-cert`; signatures
//! are checked over the received bytes of the to-be-signed part, found by the outer DER lengths, never re-encoded.

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, UnparsedPublicKey};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use thiserror::Error;

use crate::time::{Time, Window};

/// Vendors' certificates are below 4 KiB.
pub const LEN_MAX: usize = 16 * 1024;
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

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
    /// Without a common name.
    #[error("the subject has no common name")]
    Subject,
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
    subject: Vec<u8>,
    issuer: Vec<u8>,
    subject_cn: String,
    window: Window,
    extensions: Vec<(String, Vec<u8>)>,
}

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
        let secs = |t: &x509_cert::time::Time| {
            Time::from_unix(i64::try_from(t.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
        };
        let spki = tbs.subject_public_key_info();
        let extensions = tbs.extensions().into_iter().flatten();
        Ok(Self {
            der: der.to_vec(),
            tbs: tbs_bytes(der).ok_or(X509Error::Form)?.to_vec(),
            signature: cert.signature().as_bytes().ok_or(X509Error::Form)?.to_vec(),
            spki: spki.to_der().map_err(form)?,
            key: spki.subject_public_key.as_bytes().ok_or(X509Error::Form)?.to_vec(),
            algorithm: cert.signature_algorithm().oid,
            subject: tbs.subject().to_der().map_err(form)?,
            issuer: tbs.issuer().to_der().map_err(form)?,
            subject_cn: common_name(tbs.subject()).ok_or(X509Error::Subject)?,
            window: Window {
                not_before: secs(&tbs.validity().not_before),
                not_after: secs(&tbs.validity().not_after),
            },
            extensions: extensions
                .map(|e| (e.extn_id.to_string(), e.extn_value.as_bytes().to_vec()))
                .collect(),
        })
    }

    /// The whole certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's common name.
    #[must_use]
    pub fn subject_cn(&self) -> &str {
        &self.subject_cn
    }

    /// When it is in force.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The public key's bits: for an elliptic curve, the point.
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
        self.extensions.iter().find(|(name, _)| name == oid).map(|(_, content)| content.as_slice())
    }

    /// True if `issuer` is named as the issuer and its RSA key made the signature (RSASSA-PSS with SHA-384).
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        self.algorithm == RSASSA_PSS
            && self.issuer == issuer.subject
            && UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, &issuer.key)
                .verify(&self.tbs, &self.signature)
                .is_ok()
    }
}

fn common_name(name: &x509_cert::name::Name) -> Option<String> {
    let attribute = name.iter().find(|a| a.oid == COMMON_NAME)?;
    core::str::from_utf8(attribute.value.value()).ok().map(str::to_owned)
}

/// The to-be-signed part as received: the first element of the outer sequence.
fn tbs_bytes(der: &[u8]) -> Option<&[u8]> {
    let (_, content) = element(der)?;
    let (len, _) = element(content)?;
    content.get(..len)
}

/// Length of a DER element with its header, and its content.
fn element(der: &[u8]) -> Option<(usize, &[u8])> {
    let (header, len) = match *der.get(1..)? {
        [n, ..] if n < 0x80 => (2, usize::from(n)),
        [0x81, n, ..] => (3, usize::from(n)),
        [0x82, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
        _ => return None,
    };
    let end = len.checked_add(header)?;
    Some((end, der.get(header..end)?))
}
