//! Every way an Android key attestation is refused before its content counts.

use thiserror::Error;

use super::layout::EXTENSION_MAX;
use crate::x509::X509Error;
use crate::x509::path::PathError;
use crate::x509::usage::UsageError;

/// Why a chain is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AndroidRefusal {
    /// A certificate cannot be read.
    #[error("certificate {number} of the chain: {source}")]
    Certificate {
        /// Counted from the leaf, which is 1.
        number: usize,
        /// Why.
        source: X509Error,
    },
    /// The chain does not lead to a pinned root.
    #[error(
        "{0}; the root must be one of Google's hardware attestation roots, and the chain in order, leaf first"
    )]
    Path(PathError),
    /// A certificate does not state what its place in the chain needs.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// The extension is not in the leaf.
    #[error(
        "the leaf has no key attestation extension; ask for a key with setAttestationChallenge"
    )]
    NoExtension,
    /// The extension stands in an issuer.
    #[error(
        "{0:?} issued a certificate and has a key attestation extension itself; an attested key extended this chain, only one extension may be in it"
    )]
    ExtensionInIssuer(String),
    /// The extension is too long.
    #[error("key attestation extension of {0} bytes, at most {EXTENSION_MAX} allowed")]
    ExtensionLength(usize),
    /// A field is missing or malformed.
    #[error(
        "key attestation extension: {0} is missing or not DER of its type; the device's attestation is malformed"
    )]
    Field(&'static str),
    /// A version never seen.
    #[error("attestationVersion {0} is not understood; use a casemate that knows it")]
    Version(u32),
    /// A tag no version has.
    #[error("unknown authorization tag {0}; use a casemate that knows it")]
    Tag(u32),
    /// A tag that occurs twice.
    #[error("authorization tag {0} occurs twice; which one counts cannot be said")]
    TagTwice(u32),
    /// Google's list names a certificate of the chain.
    #[error(
        "certificate with serial number {serial} is {status} on the status list; its key is known outside its device: refuse this device"
    )]
    Revoked {
        /// As the list spells it.
        serial: String,
        /// The list's word.
        status: String,
    },
    /// The list is none.
    #[error(
        "not a status list as android.googleapis.com/attestation/status serves it; fetch it again"
    )]
    StatusForm,
}
