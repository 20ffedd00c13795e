//! Every way a PSA token is refused before its content counts.

use thiserror::Error;

use super::layout::ANCHORS_MAX;
use crate::cbor::members::MemberError;
use crate::cbor::vendor::VendorCborError;
use crate::cose::vendor::VendorCoseError;

/// Why a token is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PsaRefusal {
    /// Not signed as these tokens are, or not by the anchor.
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
    /// Nobody vouches for any device.
    #[error(
        "no trust anchor; pass the device's attestation key (JWK, public key or certificate) with --root"
    )]
    NoAnchor,
    /// More anchors than are tried.
    #[error("{0} trust anchors, at most {ANCHORS_MAX} are tried; pass those of this device")]
    TooManyAnchors(usize),
    /// The key may not speak for this device.
    #[error(
        "the key that signed is not provisioned for device {0}; its token was moved, or the anchor is stated wrongly"
    )]
    Device(String),
}
