//! Bytes to [`Authentic`] facts for Android key attestations.

use super::chain::verify_chain;
use super::layout::{EXTENSION, Facts};
use super::parse::parse;
use super::refusal::AndroidRefusal;
use super::status::StatusList;
use crate::authentic::{Authentic, Check};
use crate::bytes::RootDigest;
use crate::time::Time;

/// SHA-256 of the DER of Google's hardware attestation roots (android.googleapis.com/attestation/root and the Android
/// documentation): one RSA key in certificates that end in 2034, 2036 and 2042, and the ECDSA root of 2025.
pub const PINNED_ROOTS: [RootDigest; 4] = [
    RootDigest::pinned(b"1ef1a04b8ba58ab94589ac498c8982a783f24ea7307e0159a0c3a73b377d87cc"),
    RootDigest::pinned(b"ab6641178a36e179aa0c1cdddf9a16eb45fa20943e2b8cd7c7c05c26cf8b487a"),
    RootDigest::pinned(b"cedb1cb6dc896ae5ec797348bce9286753c2b38ee71ce0fbe34a9a1248800dfc"),
    RootDigest::pinned(b"6d9db4ce6c5c0b293166d08986e05774a8776ceb525d9e4329520de12ba4bcc0"),
];

/// Authentic facts, if the chain (DER, leaf first, root last) ends in one of `roots`. Without a status list the check for
/// revocation is reported as skipped.
///
/// 1. chain, usages, windows and status, 2. the leaf's extension.
///
/// # Errors
/// [`AndroidRefusal`], the first that applies.
pub fn verify(
    chain: &[Vec<u8>],
    roots: &[RootDigest],
    status: Option<&StatusList>,
    at: Time,
) -> Result<Authentic<Facts>, AndroidRefusal> {
    // 1
    let path = verify_chain(chain, roots, status, at)?;
    // 2
    let leaf = path.certificates.first().ok_or(AndroidRefusal::NoExtension)?;
    let description = parse(leaf.extension(EXTENSION).ok_or(AndroidRefusal::NoExtension)?)?;
    let revocation = match status {
        Some(_) => {
            Check::passed("revocation", "no certificate of the chain is on the status list given")
        }
        None => Check::skipped(
            "revocation",
            "no status list was given; fetch https://android.googleapis.com/attestation/status and pass it along",
        ),
    };
    let checks = vec![
        Check::passed(
            "chain",
            format!("{} certificates to root {}", path.certificates.len(), path.root),
        ),
        Check::passed("extension", "in the leaf and nowhere else"),
        revocation,
    ];
    let facts = Facts {
        root: path.root,
        key: leaf.spki().to_vec(),
        description,
        revocation_checked: status.is_some(),
        window: path.window,
    };
    Ok(Authentic::new(facts, at, path.window.not_after, checks))
}
