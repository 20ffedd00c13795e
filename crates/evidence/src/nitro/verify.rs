//! Bytes to [`Authentic`] facts for AWS attestation documents.

use super::chain::{region, verify_chain};
use super::layout::{Document, DocumentKind, Facts, PROTECTED};
use super::parse::parse;
use super::refusal::NitroRefusal;
use crate::authentic::{Authentic, Check};
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::cose::key::{Curve, EcKey, KeyError};
use crate::cose::vendor::Signed;
use crate::knob::judge;
use crate::time::{Time, Window};
use crate::tpm::{AttestationKey, KeyKind};
use crate::x509::path::Path;

/// SHA-256 of the DER of the AWS Nitro Enclaves Root G1 (AWS "Verifying the root of trust").
pub const PINNED_ROOTS: [RootDigest; 1] =
    [RootDigest::pinned(b"641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")];

/// Authentic facts, if a certificate under one of `roots` signed the document and it is of that kind.
///
/// 1. form, 2. the one algorithm, 3. chain, usages and windows, 4. the document's signature over the received bytes, 5. its
/// kind.
///
/// # Errors
/// [`NitroRefusal`], the first that applies.
pub fn verify(
    bytes: &[u8],
    kind: DocumentKind,
    roots: &[RootDigest],
    at: Time,
) -> Result<Authentic<Facts>, NitroRefusal> {
    // 1
    let document = parse(bytes)?;
    // 2
    if !holds("nitro_algorithm", document.signed.protected == PROTECTED) {
        return Err(NitroRefusal::Algorithm { got: algorithm(&document.signed) });
    }
    // 3
    let path = verify_chain(&document, roots, at)?;
    // 4
    let leaf = path.certificates.first().map_or(&[][..], |c| c.spki());
    let key = EcKey::from_spki(leaf).map_err(NitroRefusal::Key)?;
    if key.curve() != Curve::P384 {
        return Err(NitroRefusal::Key(KeyError::Curve));
    }
    document.signed.verify_by(&key).map_err(|_| NitroRefusal::Signature)?;
    // 5
    if !holds("nitro_kind", document.kind == kind) {
        return Err(NitroRefusal::Kind { expected: kind.name(), got: document.kind.name() });
    }
    let facts = facts(&document, path, at);
    let checks = vec![
        Check::passed(
            "chain",
            format!("{} certificates to root {}", facts.chain.len(), facts.root),
        ),
        Check::passed("document_signature", "ES384 over header and payload as received"),
        Check::not_applicable(
            "revocation",
            "AWS has verifiers leave revocation lists out; a leaf holds for three hours",
        ),
    ];
    let holds_until = facts.window.not_after;
    Ok(Authentic::new(facts, at, holds_until, checks))
}

fn facts(document: &Document<'_>, path: Path, at: Time) -> Facts {
    let owned = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
    let made = i64::try_from(document.timestamp_ms.div_euclid(1000)).unwrap_or(i64::MAX);
    Facts {
        kind: document.kind,
        root: path.root,
        tagged: document.signed.tag.is_some(),
        module_id: document.module_id.to_owned(),
        timestamp_ms: document.timestamp_ms,
        age_secs: at.unix().saturating_sub(made),
        region: region(&path),
        pcrs: document.pcrs.iter().map(|(n, v)| (*n, v.to_vec())).collect(),
        public_key: owned(document.public_key),
        user_data: owned(document.user_data),
        nonce: owned(document.nonce),
        window: path.window,
        chain: path.certificates,
    }
}

/// The header as it stands, with its algorithm's name where it has one.
fn algorithm(signed: &Signed<'_>) -> String {
    let bytes = hex::encode(signed.protected);
    match signed.algorithm() {
        Ok(named) => format!("{bytes} ({}, {})", named.cose(), named.as_str()),
        Err(_) => bytes,
    }
}

/// The key a NitroTPM's document names (`public_key`: a point on P-256), by which a quote beside it may be signed.
#[must_use]
pub fn attestation_key(document: &Authentic<Facts>) -> Option<AttestationKey> {
    let point = document.facts().public_key.as_ref().filter(|k| k.len() == 65)?.clone();
    let window = Window { not_before: document.verified_at(), not_after: document.holds_until() };
    Some(AttestationKey::named(point, KeyKind::P256, "the document", window))
}

/// Whether a quote beside a document answers what the document answers: both are of one moment.
#[must_use]
pub fn quote_nonce(document: &Facts, extra_data: &[u8]) -> Check {
    judge(
        "nitrotpm_quote_nonce",
        document.nonce.as_deref() == Some(extra_data),
        format!("extraData of the quote is {}", hex::encode(extra_data)),
        "the document's nonce is another; ask for both at once",
    )
}
