//! Every way a quote or its collateral is refused before its content counts.

use thiserror::Error;

use crate::time::{Time, Window};
use crate::x509::X509Error;

/// Why a quote, or collateral, is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DcapRefusal {
    /// Longer than anything of its kind.
    #[error("{what} of {got} bytes, at most {most} are read; this is something else")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The limit.
        most: usize,
    },
    /// It ends too early.
    #[error("{what}: {needed} more bytes expected, {got} are left; the quote was cut")]
    Short {
        /// What.
        what: &'static str,
        /// How many the next field needs.
        needed: usize,
        /// How many there are.
        got: usize,
    },
    /// Something is left inside a part whose length was stated.
    #[error(
        "{what}: {bytes} bytes are left behind its last field; the lengths inside the quote contradict each other"
    )]
    Excess {
        /// What.
        what: &'static str,
        /// How many.
        bytes: usize,
    },
    /// A version that is not understood.
    #[error("quote VERSION {0}, understood are 3, 4 and 5; use a casemate that knows it")]
    Version(u16),
    /// Another key than one on P-256.
    #[error("ATT_KEY_TYPE {0}, expected 2 (ECDSA P-256)")]
    KeyType(u16),
    /// A kind of machine that this version of the quote does not know.
    #[error(
        "TEE_TYPE {tee:#x} in a quote of version {version}, expected 0 (SGX) or, from version 4, 0x81 (TDX)"
    )]
    TeeType {
        /// Of the quote.
        version: u16,
        /// What it says.
        tee: usize,
    },
    /// A quote of the other kind.
    #[error("the quote is not one of {expected}; its TEE_TYPE says the other kind")]
    OtherTee {
        /// What was expected.
        expected: &'static str,
    },
    /// A body that is not understood.
    #[error(
        "body type {number} in a {tee} quote, understood are 1 (enclave), 2 (TD 1.0) and 3 (TD 1.5); use a casemate that knows it"
    )]
    BodyType {
        /// What the header says.
        tee: &'static str,
        /// What the descriptor says.
        number: u16,
    },
    /// A body of another length than its type has.
    #[error("body of {got} bytes, its type has {expected}")]
    BodyLength {
        /// Of this type.
        expected: usize,
        /// What the descriptor says.
        got: usize,
    },
    /// Certification data that is not understood.
    #[error("certification data type {got}, expected {expected}")]
    CertificationType {
        /// What may stand there.
        expected: &'static str,
        /// What does.
        got: u16,
    },
    /// The PCK certificate is missing.
    #[error(
        "no PCK certificate in the quote (certification data type {0}); fetch the platform's PCK certificate chain from its provisioning service and pass it along"
    )]
    NoPck(u16),
    /// There is nothing to judge the quote by.
    #[error(
        "no collateral; fetch TCB info, QE identity and revocation lists for this quote and pass them with --collateral"
    )]
    NoCollateral,
    /// Not PEM.
    #[error(
        "{0} is not PEM certificates one after the other; take it as the service or quote gave it"
    )]
    Pem(&'static str),
    /// Not hex.
    #[error("{0} is not hex; take the collateral as the service gave it")]
    Hex(&'static str),
    /// A certificate cannot be read.
    #[error("{name} certificate: {source}")]
    Certificate {
        /// Which.
        name: &'static str,
        /// Why.
        source: X509Error,
    },
    /// A revocation list cannot be read.
    #[error("{name}: {source}")]
    Crl {
        /// Which.
        name: &'static str,
        /// Why.
        source: X509Error,
    },
    /// A chain is not as long as this hierarchy makes it.
    #[error("{what} of {got} certificates, expected {expected}, leaf first and root last")]
    ChainLength {
        /// Which.
        what: &'static str,
        /// As many.
        expected: usize,
        /// There are.
        got: usize,
    },
    /// A chain ends in another root than a pinned one.
    #[error(
        "untrusted root: {what} ends in {root}, which is not pinned whatever its name; it is of another vendor or of test machines, or pass it with --root if you mean it"
    )]
    UntrustedRoot {
        /// Which chain.
        what: &'static str,
        /// Its end.
        root: String,
    },
    /// A certificate's signature does not hold.
    #[error("{name} certificate is not signed by {issuer}")]
    ChainSignature {
        /// Which.
        name: &'static str,
        /// By whom it should be.
        issuer: &'static str,
    },
    /// A genuine certificate in a place that is not its own.
    #[error(
        "{subject:?} stands where {name} belongs; certificates of one hierarchy do not replace each other"
    )]
    Role {
        /// What should be there.
        name: &'static str,
        /// What is.
        subject: String,
    },
    /// An extension that must be understood and is not.
    #[error(
        "{name} has the critical extension {oid}, which is not understood; use a casemate that knows it"
    )]
    CriticalExtension {
        /// Of what.
        name: &'static str,
        /// Which.
        oid: String,
    },
    /// A revocation list's signature does not hold.
    #[error("{name} is not signed by {issuer}; fetch it again")]
    CrlSignature {
        /// Which.
        name: &'static str,
        /// By whom it should be.
        issuer: &'static str,
    },
    /// A certificate was revoked.
    #[error(
        "{name} certificate {serial} is revoked; its key is known to others, take another machine"
    )]
    Revoked {
        /// Which.
        name: &'static str,
        /// Its serial number, hex.
        serial: String,
    },
    /// Not in force.
    #[error("{what} is in force from {} to {}, not at {at}; {}", window.not_before, window.not_after, window_advice(*window, *at))]
    Window {
        /// What.
        what: &'static str,
        /// When it is.
        window: Window,
        /// The time asked about.
        at: Time,
    },
    /// The PCK certificate does not describe its platform.
    #[error("PCK certificate: its SGX extension is missing or malformed")]
    PckExtension,
    /// The signature over a part of the collateral does not hold.
    #[error(
        "{0} signature does not verify over its text; fetch it again and keep its bytes as they come"
    )]
    JsonSignature(&'static str),
    /// A signed or received JSON text is malformed.
    #[error("{what}: {why}")]
    Json {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A version that is not understood.
    #[error("{what} of version {version} is not understood; use a casemate that knows it")]
    JsonVersion {
        /// Which.
        what: &'static str,
        /// Its version.
        version: u8,
    },
    /// The quoting enclave's report was not signed by the PCK.
    #[error(
        "QE report signature does not verify under the PCK certificate; the quote was changed or spliced"
    )]
    QeReportSignature,
    /// The quoting enclave does not vouch for the attestation key.
    #[error(
        "QE report data is not the digest of attestation key and QE authentication data; the key was exchanged"
    )]
    QeReportData,
    /// The quote was not signed by the attestation key.
    #[error("quote signature does not verify; the quote was changed or another key signed it")]
    QuoteSignature,
    /// Another maker's quoting enclave.
    #[error("QE_VENDOR_ID {0} is not Intel's")]
    Vendor(String),
    /// The quoting enclave is not Intel's.
    #[error(
        "{field} of the quoting enclave is not as Intel's QE identity says; any enclave's key would sign anything"
    )]
    QeIdentity {
        /// What differs.
        field: &'static str,
    },
}

fn window_advice(window: Window, at: Time) -> &'static str {
    if at < window.not_before {
        "not yet valid: take collateral of that time, or check the clock"
    } else {
        "collateral expired: fetch it anew, or pass the time the evidence was made at"
    }
}
