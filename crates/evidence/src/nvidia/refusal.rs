//! Every way a report, and every way a manifest, is refused before its content counts.

use thiserror::Error;

use super::layout::{FieldId, REPORT_MAX};
use crate::bytes::Nonce;
use crate::x509::X509Error;
use crate::x509::path::PathError;

/// Why a report is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NvidiaRefusal {
    /// Longer than the limit.
    #[error("report of {0} bytes, at most {REPORT_MAX} are read; pass the report alone")]
    TooLong(usize),
    /// Ends too early, or a length points outside.
    #[error(
        "{part} ends early: {len} bytes left are too few; pass the whole report, request first, as bytes"
    )]
    Short {
        /// Where.
        part: &'static str,
        /// What was left.
        len: usize,
    },
    /// Another message, version or flags.
    #[error(
        "{part} begins {}, expected {} (SPDM 1.1, all measurements, signed); this is another message or version",
        hex::encode(got),
        hex::encode(expected)
    )]
    Message {
        /// Which of the two.
        part: &'static str,
        /// Header of a report.
        expected: [u8; 4],
        /// Header found.
        got: [u8; 4],
    },
    /// A measurement block of another form.
    #[error("measurement block {index}: {why}; the report is of a form not understood")]
    Record {
        /// Its number.
        index: u8,
        /// What is wrong.
        why: &'static str,
    },
    /// The opaque data contradict themselves.
    #[error("opaque field {id} {why}; the report is of a form not understood")]
    Opaque {
        /// Which field.
        id: FieldId,
        /// What is wrong.
        why: &'static str,
    },
    /// A layout of opaque data that is not understood.
    #[error(
        "opaque data of profile {profile}, version {major}.{minor}, understood are profile 0 to version 2; use a casemate that knows it"
    )]
    OpaqueVersion {
        /// Profile.
        profile: u16,
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// Something other than zeros follows.
    #[error("{0} bytes follow the signature and are not all zero; pass the report alone")]
    Trailing(usize),
    /// No certificate came along.
    #[error(
        "no certificates came along; pass the device's chain (five certificates, leaf first) as an endorsement"
    )]
    NoChain,
    /// More than is looked at.
    #[error("{got} {what}, at most {most} are looked at; pass those of this device alone")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many came.
        got: usize,
        /// How many may come.
        most: usize,
    },
    /// A certificate cannot be read.
    #[error("certificate {number} of the chain: {source}")]
    Certificate {
        /// From 1.
        number: usize,
        /// Why.
        source: X509Error,
    },
    /// The chain does not lead to a pinned root.
    #[error("{0}")]
    Path(#[from] PathError),
    /// The report's signature does not hold.
    #[error(
        "report signature does not verify with the key of {0:?}; the report was changed, or the chain is another device's or lacks its leaf"
    )]
    ReportSignature(String),
    /// The firmware named in the report is not the certificate's.
    #[error(
        "FWID is {report}, the leaf certificate says {certificate}; report and chain are not of one device and firmware"
    )]
    Fwid {
        /// In the report.
        report: String,
        /// In the certificate.
        certificate: String,
    },
    /// The answer to another question.
    #[error(
        "nonce_mismatch: the report answers nonce {got}, asked was {expected}; it is a replay, ask the device again"
    )]
    Nonce {
        /// What the relying party had asked.
        expected: Nonce,
        /// What the report answers.
        got: Nonce,
    },
}

/// Why a manifest is not authentic, or not understood.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RimRefusal {
    /// Longer than the limit.
    #[error("RIM of {0} bytes, at most {most} are read", most = super::xml::LEN_MAX)]
    TooLong(usize),
    /// More nesting, attributes, namespaces or nodes than any manifest has.
    #[error("RIM exceeds a limit: {0}; no manifest of NVIDIA's needs that much")]
    Limit(&'static str),
    /// Not well-formed, or not UTF-8.
    #[error("RIM is no well-formed XML: {0}; fetch it again and store it as it is")]
    Form(String),
    /// A document type: entities and defaults could change what is read.
    #[error(
        "RIM has a document type declaration; manifests have none, this one was made to mislead"
    )]
    Dtd,
    /// Comments and processing instructions split values in some readers.
    #[error("RIM has a {0}; manifests have none, this one was made to mislead")]
    Markup(&'static str),
    /// Not exactly one signature in the one place for it.
    #[error(
        "RIM has {0} signatures at its end, expected exactly one; this one was made to mislead"
    )]
    Signatures(usize),
    /// The signature is of another form than the fixed one.
    #[error("RIM signature: {0}; manifests are signed in one fixed way and this is another")]
    SignatureForm(&'static str),
    /// A signer's certificate cannot be read.
    #[error("RIM signer certificate {number}: {source}")]
    Certificate {
        /// From 1.
        number: usize,
        /// Why.
        source: X509Error,
    },
    /// The signer's chain does not lead to a pinned root.
    #[error("RIM signer: {0}")]
    Path(#[from] PathError),
    /// The signature over the references does not hold.
    #[error(
        "RIM signature does not verify with the key of {0:?}; the manifest was changed, fetch it again"
    )]
    Signature(String),
    /// The document is not the one that was signed.
    #[error("RIM digest is not the one that was signed; the manifest was changed, fetch it again")]
    Digest,
    /// The content is of another form.
    #[error("RIM {element}: {why}; the manifest is of a form not understood")]
    Content {
        /// Where.
        element: String,
        /// What is wrong.
        why: &'static str,
    },
}
