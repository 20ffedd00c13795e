//! Every way an SNP report is refused before its content counts.

use thiserror::Error;

use super::layout::SigningKey;
use crate::time::Time;
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
    #[error("SNP report VERSION {0}, understood are 2, 3 and 5; use a casemate that knows it")]
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
    #[error("certificate table: an entry points outside the {0} bytes given")]
    Table(usize),
}
