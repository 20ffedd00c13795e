//! OCSP responses (RFC 6960 section 4.2) as stored collateral: who signed one, when it holds, what it says of a certificate.
//!
//! A response without nextUpdate holds for ever and is refused; so is one that was signed by anybody but the certificate's
//! issuer, or a responder that the issuer, or an authority above it, certified for this purpose. A nonce is for whoever
//! asked: [`Ocsp::nonce`] hands it out to be compared with the one sent.

use core::fmt;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384};
use der::asn1::{Any, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use der::{Choice, Decode, Encode, Sequence, Tag, Tagged};
use thiserror::Error;
use x509_cert::certificate::Raw;
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::{Certificate, Scheme, signed_part};
use crate::controls::holds;
use crate::time::{Time, Window};

/// Responses are a few KiB.
pub const LEN_MAX: usize = 64 * 1024;
/// Certificates looked at in one response.
const CERTIFICATES_MAX: usize = 8;
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// Why a response says nothing.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OcspError {
    /// Longer than the limit.
    #[error("OCSP response of {0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// Not DER of a basic response.
    #[error(
        "not a DER OCSP response of the basic kind; ask the responder again and store its answer as it is"
    )]
    Form,
    /// The responder answered with an error.
    #[error("the OCSP responder answered {0}, expected 0 (successful); ask it again")]
    Unsuccessful(u8),
    /// Two answers about one certificate.
    #[error(
        "OCSP response has two answers about {0:?}; ask the responder about each certificate once"
    )]
    Twice(String),
    /// It does not say when the next one comes.
    #[error("OCSP response without nextUpdate would hold for ever; ask a responder that states it")]
    NoEnd,
    /// Signed by somebody else.
    #[error(
        "OCSP response about {0:?} is not signed by its issuer nor by a responder certified for that; it was changed or is another authority's"
    )]
    Signature(String),
    /// Not in force.
    #[error("OCSP response holds from {} to {}, not at {at}; ask for a current one", window.not_before, window.not_after)]
    Window {
        /// From thisUpdate to nextUpdate.
        window: Window,
        /// The time asked for.
        at: Time,
    },
}

/// What the issuer says of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked for the time being: certificateHold. It may become good again.
    Hold {
        /// Since when.
        since: Time,
    },
    /// Revoked for good.
    Revoked {
        /// Since when.
        since: Time,
        /// CRLReason (RFC 5280 section 5.3.1), where stated.
        reason: Option<u8>,
    },
    /// The responder does not know the certificate.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Hold { since } => write!(f, "on hold since {since}"),
            Self::Revoked { since, reason: None } => write!(f, "revoked since {since}"),
            Self::Revoked { since, reason: Some(n) } => {
                write!(f, "revoked since {since}, reason {n}")
            }
            Self::Unknown => f.write_str("unknown to its issuer"),
        }
    }
}

/// A status that was checked, and until when it may be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is said.
    pub status: Status,
    /// From thisUpdate to nextUpdate, within the responder's certificate.
    pub window: Window,
}

/// A response as it stands; it counts only through [`Ocsp::answer`].
#[derive(Clone, Debug)]
pub struct Ocsp {
    tbs: Vec<u8>,
    signature: Vec<u8>,
    algorithm: ObjectIdentifier,
    certificates: Vec<Certificate>,
    singles: Vec<Single>,
    nonce: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Single {
    id: CertId,
    status: Status,
    window: Window,
}

impl Ocsp {
    /// Takes one apart.
    ///
    /// # Errors
    /// [`OcspError::TooLong`], [`OcspError::Form`], [`OcspError::Unsuccessful`], [`OcspError::NoEnd`].
    pub fn parse(der: &[u8]) -> Result<Self, OcspError> {
        if der.len() > LEN_MAX {
            return Err(OcspError::TooLong(der.len()));
        }
        let form = |_| OcspError::Form;
        let outer = OcspResponse::from_der(der).map_err(form)?;
        let status = enumerated(&outer.status)?;
        if status != 0 {
            return Err(OcspError::Unsuccessful(status));
        }
        let inner = outer.bytes.filter(|b| b.kind == BASIC).ok_or(OcspError::Form)?;
        let basic = BasicResponse::from_der(inner.response.as_bytes()).map_err(form)?;
        let certificates = basic.certificates.unwrap_or_default();
        if certificates.len() > CERTIFICATES_MAX {
            return Err(OcspError::Form);
        }
        let certificate = |any: Any| {
            let der = any.to_der().map_err(form)?;
            Certificate::parse(&der).map_err(|_| OcspError::Form)
        };
        let mut extensions = basic.data.extensions.into_iter().flatten();
        Ok(Self {
            tbs: signed_part(inner.response.as_bytes()).ok_or(OcspError::Form)?.to_vec(),
            signature: basic.signature.as_bytes().ok_or(OcspError::Form)?.to_vec(),
            algorithm: basic.algorithm.oid,
            certificates: certificates.into_iter().map(certificate).collect::<Result<_, _>>()?,
            singles: basic.data.responses.into_iter().map(single).collect::<Result<_, _>>()?,
            nonce: extensions
                .find(|e| e.extn_id == NONCE)
                .map(|e| OctetString::from_der(e.extn_value.as_bytes()).map_err(form))
                .transpose()?
                .map(|n| n.as_bytes().to_vec()),
        })
    }

    /// The nonce it answers (RFC 9654), where it has one; whoever sent a nonce compares it.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// What it says of `certificate`, which the first of `authorities` issued; nothing if it is about others.
    /// `authorities` is a verified path from there upwards.
    ///
    /// 1. find the certificate, 2. who signed, 3. the window.
    ///
    /// # Errors
    /// [`OcspError::Twice`], [`OcspError::Signature`], [`OcspError::Window`].
    pub fn answer(
        &self,
        certificate: &Certificate,
        authorities: &[Certificate],
        schemes: &[Scheme],
        at: Time,
    ) -> Result<Option<Answer>, OcspError> {
        // 1
        let Some(issuer) = authorities.first() else { return Ok(None) };
        let mut named = self.singles.iter().filter(|s| s.id.names(certificate, issuer));
        let Some(single) = named.next() else { return Ok(None) };
        if !holds("ocsp_once", named.next().is_none()) {
            return Err(OcspError::Twice(certificate.subject_text().to_owned()));
        }
        // 2
        let signer = self.signer(issuer, authorities, schemes, at);
        if !holds("ocsp_signature", signer.is_some()) {
            return Err(OcspError::Signature(certificate.subject_text().to_owned()));
        }
        // 3
        let window = signer.map_or(single.window, |w| w.intersect(&single.window));
        if !holds("ocsp_window", window.contains(at)) {
            return Err(OcspError::Window { window, at });
        }
        Ok(Some(Answer { status: single.status, window }))
    }

    /// The window of the certificate that signed, if it may.
    fn signer(
        &self,
        issuer: &Certificate,
        authorities: &[Certificate],
        schemes: &[Scheme],
        at: Time,
    ) -> Option<Window> {
        let made = |key: &[u8]| {
            let mut named = schemes.iter().filter(|s| s.oid() == self.algorithm);
            named.any(|s| s.verify(key, &self.tbs, &self.signature))
        };
        let delegated = |c: &&Certificate| {
            let certified = authorities.iter().any(|a| c.is_signed_by(a, schemes));
            let in_force = c.window().contains(at);
            holds("ocsp_responder", may_sign(c) && certified && in_force) && made(c.key())
        };
        if made(issuer.key()) {
            return Some(issuer.window());
        }
        self.certificates.iter().find(delegated).map(Certificate::window)
    }
}

/// True if a responder's certificate says that it is one.
fn may_sign(certificate: &Certificate) -> bool {
    let usages = certificate.extension(EXTENDED_KEY_USAGE);
    let usages = usages.and_then(|der| Vec::<ObjectIdentifier>::from_der(der).ok());
    usages.is_some_and(|list| list.contains(&OCSP_SIGNING))
}

fn single(s: SingleResponse) -> Result<Single, OcspError> {
    const HOLD: u8 = 6;
    let time = |t: &GeneralizedTime| {
        Time::from_unix(i64::try_from(t.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    };
    let status = match s.status {
        CertStatus::Good(_) => Status::Good,
        CertStatus::Unknown(_) => Status::Unknown,
        CertStatus::Revoked(RevokedInfo { at, reason }) => {
            match reason.as_ref().map(enumerated).transpose()? {
                Some(HOLD) => Status::Hold { since: time(&at) },
                reason => Status::Revoked { since: time(&at), reason },
            }
        }
    };
    let not_after = time(&s.next_update.ok_or(OcspError::NoEnd)?);
    Ok(Single { id: s.id, status, window: Window { not_before: time(&s.this_update), not_after } })
}

#[derive(Clone, Debug, Sequence)]
struct OcspResponse {
    status: Any,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    bytes: Option<ResponseBytes>,
}

#[derive(Clone, Debug, Sequence)]
struct ResponseBytes {
    kind: ObjectIdentifier,
    response: OctetString,
}

#[derive(Clone, Debug, Sequence)]
struct BasicResponse {
    data: ResponseData,
    algorithm: AlgorithmIdentifierOwned,
    signature: der::asn1::BitString,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    certificates: Option<Vec<Any>>,
}

/// The version is not read: DER omits the only one there is, and another one is not of this form.
#[derive(Clone, Debug, Sequence)]
struct ResponseData {
    responder: Any,
    produced_at: GeneralizedTime,
    responses: Vec<SingleResponse>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Clone, Debug, Sequence)]
struct SingleResponse {
    id: CertId,
    status: CertStatus,
    this_update: GeneralizedTime,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Clone, Debug, Choice)]
enum CertStatus {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    Good(Null),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Revoked(RevokedInfo),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT")]
    Unknown(Null),
}

#[derive(Clone, Debug, Sequence)]
struct RevokedInfo {
    at: GeneralizedTime,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    reason: Option<Any>,
}

/// The number of an ENUMERATED; those in use fit one byte.
fn enumerated(any: &Any) -> Result<u8, OcspError> {
    match (any.tag(), any.value()) {
        (Tag::Enumerated, [n]) => Ok(*n),
        _ => Err(OcspError::Form),
    }
}

#[derive(Clone, Debug, Sequence)]
struct CertId {
    hash: AlgorithmIdentifierOwned,
    issuer_name: OctetString,
    issuer_key: OctetString,
    serial: SerialNumber<Raw>,
}

impl CertId {
    /// True if it names this certificate of this issuer. SHA-1 is allowed here: the hash finds, it protects nothing.
    fn names(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let algorithm = match self.hash.oid.to_string().as_str() {
            "1.3.14.3.2.26" => &SHA1_FOR_LEGACY_USE_ONLY,
            "2.16.840.1.101.3.4.2.1" => &SHA256,
            "2.16.840.1.101.3.4.2.2" => &SHA384,
            _ => return false,
        };
        let is = |hash: &OctetString, of: &[u8]| {
            digest::digest(algorithm, of).as_ref() == hash.as_bytes()
        };
        certificate.serial() == self.serial.as_bytes()
            && is(&self.issuer_name, issuer.subject())
            && is(&self.issuer_key, issuer.key())
    }
}
