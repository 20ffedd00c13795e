//! What the certificates of a path must state of themselves beyond its links (RFC 5280 sections 4.2 and 6.1.4): no critical
//! extension that nobody understands, and in every issuer the usage that lets its key sign certificates.

use thiserror::Error;

use super::path::Path;
use super::{BASIC_CONSTRAINTS, Certificate, KEY_USAGE, Usage};
use crate::controls::holds;

/// Extensions that are understood, so that they may be critical.
const UNDERSTOOD: [&str; 2] = [BASIC_CONSTRAINTS, KEY_USAGE];

/// Why a certificate was not issued for its place in a path.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// An extension that must be understood is not.
    #[error(
        "{subject:?} has the critical extension {oid}, which is not understood; use a casemate that knows it"
    )]
    CriticalExtension {
        /// Subject of the certificate.
        subject: String,
        /// Dotted.
        oid: String,
    },
    /// An issuer that does not say that it is one.
    #[error(
        "{0:?} issued a certificate and does not state that its key may; it was not issued for that place"
    )]
    Issuer(String),
}

/// Holds if every certificate of the path states what its place needs.
///
/// # Errors
/// [`UsageError`].
pub fn verify_usages(path: &Path) -> Result<(), UsageError> {
    let subject = |c: &Certificate| c.subject_text().to_owned();
    for c in &path.certificates {
        let strange = c.extensions().find(|(oid, critical)| *critical && !UNDERSTOOD.contains(oid));
        if let Some((oid, _)) = strange
            && !holds("x509_critical_extension", false)
        {
            return Err(UsageError::CriticalExtension { subject: subject(c), oid: oid.to_owned() });
        }
    }
    for issuer in path.certificates.iter().skip(1) {
        if !holds("x509_issuer_usage", issuer.has_usage(Usage::CertificateSign)) {
            return Err(UsageError::Issuer(subject(issuer)));
        }
    }
    Ok(())
}
