//! From the pinned AWS root to the key that signed a document (attestation_process.md section 3.2.3): the leaf, then the
//! bundle reversed; every link ECDSA P-384 with SHA-384; authorities, path lengths and key usages as stated in extensions.

use super::layout::Document;
use super::refusal::NitroRefusal;
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::time::Time;
use crate::x509::path::{PATH_MAX, Path, PathError, verify_path};
use crate::x509::usage::verify_usages;
use crate::x509::{Certificate, Scheme, Usage};

/// 1. read all, 2. links, root and windows, 3. what every
/// certificate must state of itself, 4. what the leaf must.
pub(super) fn verify_chain(
    document: &Document<'_>,
    roots: &[RootDigest],
    at: Time,
) -> Result<Path, NitroRefusal> {
    // 1
    let length = document.cabundle.len().saturating_add(1);
    if length > PATH_MAX {
        return Err(NitroRefusal::Path(PathError::TooLong(length)));
    }
    let parse = |name: &'static str, der: &[u8]| {
        Certificate::parse(der).map_err(|source| NitroRefusal::Certificate { name, source })
    };
    let mut certificates = vec![parse("certificate", document.certificate)?];
    for der in document.cabundle.iter().rev() {
        certificates.push(parse("cabundle", der)?);
    }
    // 2
    let path = verify_path(certificates, roots, &[Scheme::EcdsaP384Sha384], at);
    let path = path.map_err(|e| match e {
        PathError::Window { .. } => NitroRefusal::Expired(e),
        other => NitroRefusal::Path(other),
    })?;
    // 3
    verify_usages(&path)?;
    // 4
    let leaf = path.certificates.first().ok_or(NitroRefusal::Leaf)?;
    let signs = leaf.has_usage(Usage::DigitalSignature);
    if !holds("nitro_leaf_usage", signs && !leaf.is_ca() && leaf.path_len().is_none()) {
        return Err(NitroRefusal::Leaf);
    }
    Ok(path)
}

/// The region in the name of the authority that the root issued: `ID.REGION.aws.nitro-enclaves`.
pub(super) fn region(path: &Path) -> String {
    let regional = path.certificates.iter().rev().nth(1).map_or("", Certificate::subject_cn);
    let region =
        regional.strip_suffix(".aws.nitro-enclaves").and_then(|t| t.split('.').next_back());
    region.unwrap_or_default().to_owned()
}
