//! Every way a TPM's quote is refused before its content counts.

use thiserror::Error;

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
    /// The key does not have the attributes of an attestation key.
    #[error("attestation key is not {0}; whoever can use it freely signs what no TPM measured")]
    Attributes(&'static str),
}
