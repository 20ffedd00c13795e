//! Every way a TPM's quote is refused before its content counts.

use thiserror::Error;

use crate::bytes::{DomainRoot, RootDigest};
use crate::cbor::CborError;
use crate::time::{Time, Window};
use crate::x509::X509Error;
use crate::x509::path::PathError;

/// Why a quote is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TpmRefusal {
    /// Longer than anything of its kind.
    #[error("{what} of {got} bytes, at most {} are read", super::layout::LEN_MAX)]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length.
        got: usize,
    },
    /// It ends too early, or does not end where it says.
    #[error("{0} is cut, or has bytes behind its last field; take it as the TPM gave it")]
    Form(&'static str),
    /// Nobody vouches for the key at that time.
    #[error("the key is vouched for from {} to {}, not at {at}; verify all parts for one time", window.not_before, window.not_after)]
    Time {
        /// When somebody does.
        window: Window,
        /// When it was asked for.
        at: Time,
    },
    /// Not made by a TPM about itself.
    #[error(
        "magic is {0:#010x}, expected TPM_GENERATED_VALUE (0xff544347); a restricted key signs what begins so only if the TPM made it"
    )]
    Magic(u32),
    /// Another attestation than a quote.
    #[error("type is {0:#06x}, expected TPM_ST_ATTEST_QUOTE (0x8018)")]
    Type(u16),
    /// A field that is not understood.
    #[error("{what} is {got:#06x}, which is not understood; use a casemate that knows it")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// What it says.
        got: u32,
    },
    /// A signature made by a scheme that does not fit the key.
    #[error("signature scheme does not fit the attestation key's kind")]
    Scheme,
    /// The key did not sign it.
    #[error(
        "quote signature does not verify under the attestation key; the quote was changed, or another TPM made it"
    )]
    Signature,
    /// Nobody vouches for the key.
    #[error(
        "no AK certificate, and nothing else vouches for the attestation key; a bare key proves nothing, pass its certificate with --endorsement or, if you trust this very key, the key with --root"
    )]
    NoKey,
    /// The certificate cannot be read.
    #[error("AK certificate: {0}")]
    Certificate(#[from] X509Error),
    /// Its path does not hold.
    #[error("AK certificate: {0}")]
    Path(#[from] PathError),
    /// The certificate is not one of an attestation key.
    #[error("AK certificate: {0}")]
    Usage(&'static str),
    /// The key beside the certificate is another one.
    #[error("the public area beside the AK certificate is of another key")]
    OtherKey,
    /// A machine's report that is not of its form.
    #[error("machine report: {0}")]
    Report(CborError),
    /// A key that nobody vouches for and no policy names.
    #[error(
        "attestation key {0} has no certificate and is not named; if you know it is this machine's, name it under `root` of [hardware.tpm]"
    )]
    UnnamedKey(RootDigest),
    /// Another set of registers than a machine's report has.
    #[error(
        "the quote is not over PCRs 0 to 9 and 15 of the SHA-256 bank alone; ask the monitor for its evidence"
    )]
    Selection,
    /// The values beside the quote are others.
    #[error("the values beside the quote are not the quoted ones")]
    Values,
    /// The monitor serves another domain, or somebody else extended its register.
    #[error(
        "PCR 15 does not hold domain root {0} and nothing else: the monitor serves another domain, or somebody extended the register before or after it"
    )]
    Domain(DomainRoot),
    /// extraData of another length.
    #[error("extraData of {0} bytes, expected 32: the quote was not made for a monitor")]
    Extra(usize),
    /// The key does not have the attributes of an attestation key.
    #[error("attestation key is not {0}; whoever can use it freely signs what no TPM measured")]
    Attributes(&'static str),
}
