//! Every way an AWS attestation document is refused before its content counts.

use thiserror::Error;

use crate::cbor::members::MemberError;
use crate::cbor::vendor::VendorCborError;
use crate::cose::key::KeyError;
use crate::cose::vendor::VendorCoseError;
use crate::x509::X509Error;
use crate::x509::path::PathError;
use crate::x509::usage::UsageError;

/// Why a document is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NitroRefusal {
    /// Not a signed object.
    #[error("attestation document: {0}")]
    Cose(#[from] VendorCoseError),
    /// A MAC's tag, or something in the header nobody signs.
    #[error(
        "attestation document with another tag than 18 or with an unsigned header; AWS writes neither"
    )]
    Header,
    /// Another algorithm than ES384, or anything else in the signed header.
    #[error(
        "signed header is {got}, expected exactly {{1: -35}} (ES384); the document was changed or is not of AWS"
    )]
    Algorithm {
        /// The algorithm it names, or its bytes.
        got: String,
    },
    /// Not r and s of P-384.
    #[error("signature of {0} bytes, expected 96; the document was changed")]
    SignatureLength(usize),
    /// The payload is no CBOR of AWS's.
    #[error("attestation document: {0}")]
    Payload(#[from] VendorCborError),
    /// A member is missing, malformed or unknown.
    #[error("attestation document: {0}")]
    Member(#[from] MemberError),
    /// Registers of both kinds.
    #[error("attestation document with both pcrs and nitrotpm_pcrs; it cannot be of both kinds")]
    TwoKinds,
    /// The other kind of document.
    #[error(
        "document of a {got}, expected one of a {expected}; the kinds never pass for each other"
    )]
    Kind {
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        got: &'static str,
    },
    /// A certificate cannot be read.
    #[error("{name}: {source}")]
    Certificate {
        /// Which.
        name: &'static str,
        /// Why.
        source: X509Error,
    },
    /// The chain does not lead to a pinned root, or is not in force.
    #[error(
        "{0}; documents hold for three hours: ask for a fresh one, or pass the time of this one with --at"
    )]
    Expired(PathError),
    /// The chain does not lead to a pinned root.
    #[error("{0}")]
    Path(PathError),
    /// A certificate does not state what its place in the chain needs.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// The leaf is an authority, or its key is not for signing.
    #[error(
        "the document's certificate is an authority, or does not state that its key may sign documents; it was not issued for a document"
    )]
    Leaf,
    /// The signer's key is no P-384 key.
    #[error("signer's certificate: {0}")]
    Key(KeyError),
    /// The document is not signed by its certificate.
    #[error(
        "document signature does not verify; the document was changed or another key signed it"
    )]
    Signature,
}
