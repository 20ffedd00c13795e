//! Every way an attestation result is refused.

use thiserror::Error;

use super::vector::Tier;
use crate::json::JsonError;
use crate::time::Time;

/// Why a result is not taken.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EarRefusal {
    /// Not JSON of ours.
    #[error("attestation result: {0}")]
    Json(#[from] JsonError),
    /// A mandatory claim is missing or malformed.
    #[error(
        "attestation result: {0} is missing or not of its form; the verifier writes another format"
    )]
    Claim(&'static str),
    /// A profile that is not understood.
    #[error(
        "attestation result of profile {0:?}, which is not understood; understood are the drafts 03 and 04 of 2026 and the profiles of 2023 and 2024"
    )]
    Profile(String),
    /// Times with fractions.
    #[error("attestation result: {0} is not a whole number of seconds")]
    Time(&'static str),
    /// A status better than what supports it.
    #[error("attestation result: status {stated} stands above claims that are {worst}; refuse this verifier", stated = stated.as_str(), worst = worst.as_str())]
    Status {
        /// What it says.
        stated: Tier,
        /// What its claims say.
        worst: Tier,
    },
    /// Not a signed token.
    #[error("attestation result: not a compact JWS; pass the token as the verifier gave it")]
    Token,
    /// Another algorithm than the key's.
    #[error("attestation result: alg is {0:?}, expected the one of the pinned key; refuse it")]
    Algorithm(String),
    /// No pinned key made it.
    #[error(
        "attestation result: none of the pinned verifier keys signed it; pin the right one, or refuse it"
    )]
    Signature,
    /// It is from the future.
    #[error("attestation result: issued {issued}, which is after {at}; one of the clocks is wrong")]
    Future {
        /// When it says it was made.
        issued: Time,
        /// The time asked about.
        at: Time,
    },
    /// It has ended.
    #[error("attestation result: ended {ended}, it is {at}; ask the verifier again")]
    Ended {
        /// When.
        ended: Time,
        /// The time asked about.
        at: Time,
    },
    /// It never ends, where an end is demanded.
    #[error(
        "attestation result: states no end, and one is demanded; refuse it or take a shorter age"
    )]
    NoEnd,
    /// It answers somebody else.
    #[error("attestation result: does not answer the nonce that was sent; an old one was replayed")]
    Nonce,
    /// It is about another key.
    #[error(
        "attestation result: the attested key is not the one in use; it is somebody else's result"
    )]
    Key,
}
