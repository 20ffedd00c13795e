//! Every way a CCA token is refused before its content counts.

use thiserror::Error;

use crate::cbor::members::MemberError;
use crate::cbor::vendor::VendorCborError;
use crate::cose::anchor::AnchorError;
use crate::cose::key::KeyError;
use crate::cose::vendor::VendorCoseError;

/// Why a token is not authentic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CcaRefusal {
    /// Not the pair of tokens.
    #[error(
        "not a CCA token: expected tag 399 over a map of two tokens; pass what the realm got from the RMM"
    )]
    NoPair,
    /// Not CBOR as these tokens use it.
    #[error("CCA token: {0}")]
    Cbor(#[from] VendorCborError),
    /// A claim is missing or malformed.
    #[error("CCA token: {0}")]
    Member(#[from] MemberError),
    /// A half is not a signed object.
    #[error("{half} token: {source}")]
    Cose {
        /// Which half.
        half: &'static str,
        /// Why.
        source: VendorCoseError,
    },
    /// A half is not tagged as signed.
    #[error("{0} token without tag 18 (COSE_Sign1); pass it as the platform gave it")]
    Untagged(&'static str),
    /// A profile never seen.
    #[error("{half} profile {got:?} is not understood; use a casemate that knows it")]
    Profile {
        /// Which half.
        half: &'static str,
        /// What it says.
        got: String,
    },
    /// The platform token is not signed by an anchor.
    #[error("platform token: {0}")]
    PlatformSignature(#[from] AnchorError),
    /// The key may not speak for this platform.
    #[error(
        "the key that signed is not provisioned for platform {0}; its token was moved, or the anchor is stated wrongly"
    )]
    Device(String),
    /// The realm's key cannot be read.
    #[error("realm public key: {0}")]
    RealmKey(#[from] KeyError),
    /// The realm token is not signed by the key it names.
    #[error("realm token: {0}")]
    RealmSignature(VendorCoseError),
    /// The halves do not belong together.
    #[error(
        "platform challenge is {got}, the {algorithm} hash of the realm public key is {expected}; a realm token was spliced to another platform's token"
    )]
    Binding {
        /// By the name in the realm token.
        algorithm: &'static str,
        /// What it should be.
        expected: String,
        /// What the platform token says.
        got: String,
    },
}
