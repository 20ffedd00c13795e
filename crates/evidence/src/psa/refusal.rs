//! Every way a PSA token is refused before its content counts.

use thiserror::Error;

use crate::cbor::members::MemberError;
use crate::cbor::vendor::VendorCborError;
use crate::cose::anchor::AnchorError;
use crate::cose::vendor::VendorCoseError;

/// Why a token is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PsaRefusal {
    /// Not a signed object.
    #[error("PSA token: {0}")]
    Cose(#[from] VendorCoseError),
    /// Neither tag 18 nor tag 17: it could be read as signed or as MACed.
    #[error(
        "PSA token without a tag, expected 18 (COSE_Sign1) or 17 (COSE_Mac0); pass it as the device gave it"
    )]
    Untagged,
    /// The payload is no map of claims.
    #[error("PSA claims: {0}")]
    Claims(#[from] VendorCborError),
    /// A claim is missing or malformed.
    #[error("PSA claims: {0}")]
    Member(#[from] MemberError),
    /// A profile never seen.
    #[error("PSA profile {0:?} is not understood; use a casemate that knows it")]
    Profile(String),
    /// No profile, and not the keys of the one that may go unnamed.
    #[error("PSA claims name no profile; nobody can say what they mean")]
    NoProfile,
    /// Components, or the statement that there are none: exactly one of them.
    #[error(
        "PSA claims must hold software components, or (legacy) say that there are none, and not both"
    )]
    Measurements,
    /// Not signed by an anchor.
    #[error("PSA token: {0}")]
    Signature(#[from] AnchorError),
    /// The key may not speak for this device.
    #[error(
        "the key that signed is not provisioned for device {0}; its token was moved, or the anchor is stated wrongly"
    )]
    Device(String),
}
