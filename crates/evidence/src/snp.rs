//! AMD SEV-SNP attestation reports.

use crate::authentic::Check;

/// What only an SNP report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {}

/// Knobs of a profile that only SNP has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {}

/// SHA-256 of the DER of the root certificates that are pinned.
pub const PINNED_ROOTS: [crate::RootDigest; 0] = [];

/// Judges what only SNP has.
#[must_use]
pub fn appraise(_facts: &Facts, _knobs: &Knobs) -> Vec<Check> {
    vec![Check::failed("snp", "not verified by this version")]
}
