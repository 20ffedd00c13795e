//! Every way an SNP report is refused before its content counts.

use thiserror::Error;

use super::layout::SigningKey;
use crate::time::{Time, Window};
use crate::x509::X509Error;

/// Why a report is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnpRefusal {
    /// Not the length of a report.
    #[error(
        "SNP report of {got} bytes, expected {expected}; pass the raw report, without headers or padding"
    )]
    Length {
        /// Of every report.
        expected: usize,
        /// Of this one.
        got: usize,
    },
    /// A version that is not understood.
    #[error("SNP report VERSION {0}, understood are 2 to 5; use a casemate that knows it")]
    Version(u32),
    /// Another algorithm than ECDSA P-384 with SHA-384.
    #[error("SIGNATURE_ALGO {0}, expected 1 (ECDSA P-384 with SHA-384)")]
    Algorithm(u32),
    /// SIGNING_KEY is none or reserved.
    #[error(
        "KEY_INFO.SIGNING_KEY is {0}, expected 0 (VCEK) or 1 (VLEK); an unsigned report proves nothing"
    )]
    SigningKey(u32),
    /// Bytes beyond 384 bits in R or S.
    #[error("signature R or S has bytes above bit 384; the report was changed")]
    SignatureField,
    /// Reserved bytes that are not zero.
    #[error(
        "bytes {from:#x} to {to:#x} are reserved and not zero; the report is of a firmware this casemate does not know"
    )]
    Reserved {
        /// First.
        from: usize,
        /// One past the last.
        to: usize,
    },
    /// AUTHOR_KEY_EN and AUTHOR_KEY_DIGEST contradict each other.
    #[error("KEY_INFO.AUTHOR_KEY_EN is {enabled}, AUTHOR_KEY_DIGEST is {}; refuse this report", if *enabled { "zero" } else { "not zero" })]
    AuthorKey {
        /// The bit.
        enabled: bool,
    },
    /// A reserved bit of POLICY.
    #[error(
        "POLICY bit 17 must be one and the bits above 25 zero, got {0:#x}; the report is not of a known firmware"
    )]
    PolicyReserved(u64),
    /// CPUID names a product that is not understood, or contradicts the chain.
    #[error(
        "product: report is of {report}, certificate is under {chain}; they do not belong together"
    )]
    Product {
        /// From CPUID.
        report: String,
        /// From the chain.
        chain: String,
    },
    /// A certificate is missing.
    #[error(
        "no {0} certificate came along; fetch it from the vendor's key service and pass it as collateral"
    )]
    Missing(&'static str),
    /// More endorsements than any chain has.
    #[error("{0} endorsements, at most 32 are looked at; pass the chain of this report only")]
    TooMany(usize),
    /// The provider's name in a VLEK is malformed.
    #[error("CSP_ID of the VLEK is not an IA5String; refuse this certificate")]
    CspId,
    /// A certificate cannot be read.
    #[error("{name} certificate: {source}")]
    Certificate {
        /// Which.
        name: &'static str,
        /// Why.
        source: X509Error,
    },
    /// The chain ends in a root that is not pinned.
    #[error(
        "chain ends in root {0}, which is not pinned; it is a look-alike, or pass it with --root if you mean it"
    )]
    UntrustedRoot(String),
    /// A certificate's signature does not hold.
    #[error("{name} certificate is not signed by {issuer}")]
    ChainSignature {
        /// Which.
        name: &'static str,
        /// By whom it should be.
        issuer: &'static str,
    },
    /// A certificate is not in force.
    #[error(
        "{name} certificate is in force from {not_before} to {not_after}, not at {at}; fetch a current one, or pass the time of the evidence"
    )]
    Expired {
        /// Which.
        name: &'static str,
        /// From.
        not_before: Time,
        /// To.
        not_after: Time,
        /// The time asked about.
        at: Time,
    },
    /// AMD's revocation list is not AMD's.
    #[error("revocation list is not signed by {0}; fetch it again")]
    RevocationListSignature(String),
    /// It is not in force.
    #[error("revocation list is in force from {} to {}, not at {at}; fetch a current one", window.not_before, window.not_after)]
    RevocationListExpired {
        /// Its window.
        window: Window,
        /// The time asked about.
        at: Time,
    },
    /// It names a certificate of the chain.
    #[error("{0} certificate is revoked by AMD; machines under it prove nothing any more")]
    Revoked(&'static str),
    /// The signing certificate is of the other kind than the report says.
    #[error("report is signed by a {expected:?}, the certificate is no {expected:?} of it")]
    KeyKind {
        /// What the report says.
        expected: SigningKey,
    },
    /// A component of REPORTED_TCB differs from the certificate's.
    #[error(
        "REPORTED_TCB.{component} is {report}, the certificate says {certificate}; take the certificate of this TCB"
    )]
    Tcb {
        /// Which component.
        component: &'static str,
        /// In the report.
        report: u8,
        /// In the certificate.
        certificate: u8,
    },
    /// The certificate is another chip's.
    #[error("CHIP_ID is not the certificate's hwID; this certificate is another chip's")]
    ChipId,
    /// The report's signature does not hold.
    #[error("report signature does not verify; the report was changed or another key signed it")]
    ReportSignature,
    /// The TCB values contradict each other.
    #[error("{lower} exceeds {upper}: the firmware would have gone back; refuse this machine")]
    TcbOrder {
        /// Which must not be higher.
        lower: &'static str,
        /// Than which.
        upper: &'static str,
    },
    /// The extended certificate table is malformed.
    #[error("certificate table of {len} bytes: {why}; pass the auxblob as the kernel gave it")]
    Table {
        /// Of the table.
        len: usize,
        /// What is wrong.
        why: &'static str,
    },
}
