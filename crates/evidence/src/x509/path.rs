//! From a leaf to a pinned root (RFC 5280 section 6, as far as vendors' hierarchies go): every link's name and signature,
//! CA flags, path lengths, windows. A root counts by its exact bytes, never by its name.

use thiserror::Error;

use super::{Certificate, Scheme};
use crate::bytes::{RootDigest, sha256};
use crate::controls::holds;
use crate::time::{Time, Window};

/// Vendors use at most five certificates; a longer path is refused before any of its signatures is looked at.
pub const PATH_MAX: usize = 8;

/// Why a path does not lead to a pinned root.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// The root is not pinned.
    #[error(
        "untrusted root {0}; the chain does not end in a pinned certificate, add one with --root if you trust it"
    )]
    UntrustedRoot(String),
    /// The path is longer than any vendor's.
    #[error("a chain of {0} certificates, at most {PATH_MAX} allowed")]
    TooLong(usize),
    /// Nothing in the chain issued this one.
    #[error("chain: no certificate of the issuer of {0:?} came along; an intermediate is missing")]
    MissingIssuer(String),
    /// A link does not hold.
    #[error("chain: the signature over {subject:?} is not by {issuer:?}")]
    Signature {
        /// Subject of the certificate.
        subject: String,
        /// Subject of the one that should have signed it.
        issuer: String,
    },
    /// An issuer that may not issue.
    #[error(
        "chain: {0:?} issued a certificate and is no certification authority, or its path length forbids it"
    )]
    NotCa(String),
    /// Outside its window.
    #[error("{subject:?} holds from {} to {}, not at {at}", window.not_before, window.not_after)]
    Window {
        /// Subject of the certificate.
        subject: String,
        /// Its window.
        window: Window,
        /// The time asked for.
        at: Time,
    },
}

/// A path whose links all hold.
#[derive(Clone, Debug)]
pub struct Path {
    /// Leaf first, root last.
    pub certificates: Vec<Certificate>,
    /// SHA-256 of the root.
    pub root: RootDigest,
    /// Where all windows overlap.
    pub window: Window,
}

/// Verifies a path given in order, leaf first and root last.
///
/// 1. length, 2. the root is pinned and signed itself, 3. each link by name and signature, 4. each issuer may issue,
/// 5. every window holds at `at`.
///
/// # Errors
/// [`PathError`].
pub fn verify_path(
    certificates: Vec<Certificate>,
    roots: &[RootDigest],
    schemes: &[Scheme],
    at: Time,
) -> Result<Path, PathError> {
    // 1
    let Some(root) = certificates.last() else {
        return Err(PathError::MissingIssuer("the evidence".to_owned()));
    };
    if certificates.len() > PATH_MAX {
        return Err(PathError::TooLong(certificates.len()));
    }
    // 2
    let digest = RootDigest::new(sha256(root.der()));
    if !holds("path_pinned_root", roots.contains(&digest)) {
        return Err(PathError::UntrustedRoot(format!("{:?} ({digest})", root.subject_text())));
    }
    // 3, 4
    let name = |c: &Certificate| c.subject_text().to_owned();
    let issuers = certificates.iter().skip(1).chain([root]);
    for (depth, (c, issuer)) in certificates.iter().zip(issuers).enumerate() {
        if !holds("path_signature", c.is_signed_by(issuer, schemes)) {
            return Err(PathError::Signature { subject: name(c), issuer: name(issuer) });
        }
        // `depth` authorities stand between this issuer and the leaf.
        let room = issuer.path_len().is_none_or(|max| depth <= usize::from(max));
        let last = core::ptr::eq(c, root);
        if !last && !holds("path_ca", issuer.is_ca() && room) {
            return Err(PathError::NotCa(name(issuer)));
        }
    }
    // 5
    let mut window = Window { not_before: Time::MIN, not_after: Time::MAX };
    for c in &certificates {
        if !holds("path_window", c.window().contains(at)) {
            return Err(PathError::Window { subject: name(c), window: c.window(), at });
        }
        window.not_before = window.not_before.max(c.window().not_before);
        window.not_after = window.not_after.min(c.window().not_after);
    }
    Ok(Path { certificates, root: digest, window })
}

/// Orders what came along into a path: from `leaf` upwards by issuer and key, to a self-issued or pinned certificate.
///
/// # Errors
/// [`PathError::MissingIssuer`] and [`PathError::TooLong`].
pub fn order_path(
    leaf: Certificate,
    others: &[Certificate],
    schemes: &[Scheme],
) -> Result<Vec<Certificate>, PathError> {
    let mut path = vec![leaf];
    loop {
        let Some(top) = path.last() else { return Ok(path) };
        if top.subject() == top.issuer() {
            return Ok(path);
        }
        if path.len() >= PATH_MAX {
            return Err(PathError::TooLong(path.len()));
        }
        let named = others.iter().filter(|o| o.subject() == top.issuer()).collect::<Vec<_>>();
        // Vendors reuse names with other keys: then the signature picks. If none fits, the first one shows what is wrong;
        // every link is verified later in any case.
        let signer = match named.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|o| top.is_signed_by(o, schemes)).or(several.first()),
        };
        let Some(next) = signer else {
            return Err(PathError::MissingIssuer(top.subject_text().to_owned()));
        };
        let next = (*next).clone();
        path.push(next);
    }
}
