//! From a pinned Google root to the attested key: links by ECDSA and RSA mixed, authorities as their extensions state,
//! windows (the leaf's, 1970 to 2106, by design), and the status list where one is at hand.

use super::layout::EXTENSION;
use super::refusal::AndroidRefusal;
use super::status::StatusList;
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::time::Time;
use crate::x509::path::{PATH_MAX, Path, PathError, verify_path};
use crate::x509::usage::verify_usages;
use crate::x509::{Certificate, Scheme};

/// What Google and the makers sign with.
const SCHEMES: [Scheme; 4] = [
    Scheme::RsaPkcs1Sha256,
    Scheme::EcdsaP256Sha256,
    Scheme::EcdsaP384Sha256,
    Scheme::EcdsaP384Sha384,
];

/// 1. read all, 2. links, root and windows, 3. what every certificate must state of itself, 4. the attestation extension in the leaf and
/// nowhere else, 5. the status list.
pub(super) fn verify_chain(
    chain: &[Vec<u8>],
    roots: &[RootDigest],
    status: Option<&StatusList>,
    at: Time,
) -> Result<Path, AndroidRefusal> {
    // 1
    if chain.len() > PATH_MAX {
        return Err(AndroidRefusal::Path(PathError::TooLong(chain.len())));
    }
    let parse = |(number, der): (usize, &Vec<u8>)| {
        let number = number.saturating_add(1);
        Certificate::parse(der).map_err(|source| AndroidRefusal::Certificate { number, source })
    };
    let certificates = chain.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    // 2
    let path = verify_path(certificates, roots, &SCHEMES, at).map_err(AndroidRefusal::Path)?;
    // 3
    verify_usages(&path)?;
    // 4
    let (leaf, issuers) = path.certificates.split_first().ok_or(AndroidRefusal::NoExtension)?;
    for issuer in issuers {
        let own = issuer.extension(EXTENSION).is_some();
        if !holds("android_extension_in_issuer", !own) {
            return Err(AndroidRefusal::ExtensionInIssuer(issuer.subject_text().to_owned()));
        }
    }
    if leaf.extension(EXTENSION).is_none() {
        return Err(AndroidRefusal::NoExtension);
    }
    // 5
    if let Some(list) = status {
        for c in &path.certificates {
            if let Some((serial, status)) = list.find(c)
                && !holds("android_revoked", false)
            {
                return Err(AndroidRefusal::Revoked { serial, status });
            }
        }
    }
    Ok(path)
}
