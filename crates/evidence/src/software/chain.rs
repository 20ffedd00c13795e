//! From a pinned software root to a machine's report key.

use super::layout::{ENDORSEMENT_LABEL, Endorsement, LEN_MAX};
use super::parse::parse_endorsement;
use super::refusal::SoftwareRefusal;
use crate::bytes::{RootDigest, StatementKey, sha256};
use crate::controls::holds;
use crate::cose::Sign1;
use crate::time::Time;

/// The digest by which a policy pins a software root key.
#[must_use]
pub fn root_digest(root: &StatementKey) -> RootDigest {
    RootDigest::new(sha256(root.as_bytes()))
}

/// The endorsement, if the root key that came along is pinned, signed it, and it is in force at `at`.
///
/// # Errors
/// [`SoftwareRefusal::UntrustedRoot`], [`SoftwareRefusal::Expired`] or a malformed object.
pub(super) fn verify_endorsement(
    bytes: &[u8],
    root: &[u8],
    roots: &[RootDigest],
    at: Time,
) -> Result<(RootDigest, Endorsement), SoftwareRefusal> {
    let root = StatementKey::from_slice(root).ok_or(SoftwareRefusal::UntrustedRoot)?;
    let digest = root_digest(&root);
    if !holds("software_root", roots.contains(&digest)) {
        return Err(SoftwareRefusal::UntrustedRoot);
    }
    let signed = Sign1::parse(bytes, LEN_MAX)?;
    let payload = signed.verify(&root, ENDORSEMENT_LABEL).map_err(SoftwareRefusal::Endorsement)?;
    let endorsement = parse_endorsement(payload)?;
    if !holds("software_endorsement_window", endorsement.window.contains(at)) {
        return Err(SoftwareRefusal::Expired { window: endorsement.window, at });
    }
    Ok((digest, endorsement))
}
