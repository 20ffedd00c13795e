//! Every way a manifest is refused.

use thiserror::Error;

use crate::cbor::members::MemberError;
use crate::cbor::vendor::VendorCborError;
use crate::cose::vendor::VendorCoseError;

/// Why bytes are no manifest, or not one that counts.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CorimError {
    /// Not CBOR as manifests use it.
    #[error("manifest: {0}")]
    Cbor(#[from] VendorCborError),
    /// A member is missing, malformed or unknown.
    #[error("manifest: {0}")]
    Member(#[from] MemberError),
    /// The signed object or its signature.
    #[error("signed manifest: {0}")]
    Cose(#[from] VendorCoseError),
    /// No unsigned manifest.
    #[error("expected an unsigned manifest under tag 501; a signed one needs its signer's key")]
    NoTag,
    /// Something is of another type or length.
    #[error("manifest: {0} is not {1}; write it as the draft says")]
    Form(&'static str, &'static str),
    /// None, or too many.
    #[error("manifest: {1} {0}, expected 1 to {2}")]
    Count(&'static str, usize, usize),
    /// One algorithm twice in one list of digests.
    #[error("manifest: two digests of one algorithm; which one counts cannot be said")]
    AlgorithmTwice,
    /// A mask of another length than its value.
    #[error("manifest: mask of {mask} bytes for a value of {value}; both must be equally long")]
    Mask {
        /// Length of the mask.
        mask: usize,
        /// Length of the value.
        value: usize,
    },
    /// A profile the caller does not know.
    #[error("manifest of profile {0:?}, whose rules are not known here; take one without profile")]
    Profile(String),
    /// Before or after its validity.
    #[error("manifest is not in force at this time; ask its author for a current one")]
    NotInForce,
    /// The signature's own validity.
    #[error("the manifest's signature is not in force at this time; ask its signer for a new one")]
    SignatureNotInForce,
    /// Signed as something else.
    #[error("expected signed content of type application/rim+cbor, got {0:?}")]
    ContentType(String),
    /// Meta and CWT claims differ, or neither is there.
    #[error("the signed header names {0}; expected one signer, in meta, CWT claims or both alike")]
    Signer(&'static str),
    /// What cannot be written.
    #[error("manifest: {0} cannot be written; leave it out knowingly or sign it elsewhere")]
    Unwritable(&'static str),
}
