//! A quote, verified: TPMS_ATTEST to its exact end, and the signature of a key somebody vouches for over the received bytes. Which values
//! the quoted registers have is beside the quote; whether its digest is of these is judged, not a question of authenticity.

use super::key::{AttestationKey, Vouched};
use super::layout::{KeyKind, Quote, Signature};
use super::parse::parse_quote;
use super::refusal::TpmRefusal;
use crate::authentic::{Authentic, Check};
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::time::Time;
use crate::x509::Scheme;

/// SHA-256 of the DER of roots that certify AKs: Google's EK/AK CA root, and the older root of its virtual TPMs.
pub const PINNED_ROOTS: [RootDigest; 2] = [
    RootDigest::pinned(b"594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2"),
    RootDigest::pinned(b"9bd5285f8fb18502a7947e621ffd470266f49fcd3b73e19a190f690ad32a7caf"),
];

/// What an authentic quote says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The quote.
    pub quote: Quote,
    /// Who vouches for its key.
    pub vouched: Vouched,
    /// RSA or a curve.
    pub kind: KeyKind,
    /// How it was signed.
    pub scheme: Scheme,
    /// The key was shown to be restricted and its TPM's own; none if nothing shows it.
    pub attributes: Option<bool>,
}

/// Authentic facts, if `key` signed the quote.
///
/// # Errors
/// [`TpmRefusal`], the first that applies.
pub fn verify(
    message: &[u8],
    signature: &Signature,
    key: &AttestationKey,
    at: Time,
) -> Result<Authentic<Facts>, TpmRefusal> {
    if !holds("tpm_key_time", key.window.contains(at)) {
        return Err(TpmRefusal::Time { window: key.window, at });
    }
    let quote = parse_quote(message)?;
    let fits = match key.kind {
        KeyKind::Rsa => matches!(
            signature.scheme,
            Scheme::RsaPkcs1Sha256
                | Scheme::RsaPkcs1Sha384
                | Scheme::RsaPkcs1Sha512
                | Scheme::RsaPssSha256
                | Scheme::RsaPssSha384
        ),
        KeyKind::P256 => {
            matches!(signature.scheme, Scheme::EcdsaP256Sha256 | Scheme::EcdsaP256Sha384)
        }
        KeyKind::P384 => {
            matches!(signature.scheme, Scheme::EcdsaP384Sha256 | Scheme::EcdsaP384Sha384)
        }
    };
    if !fits {
        return Err(TpmRefusal::Scheme);
    }
    let made = signature.scheme.verify(&key.key, message, &signature.bytes);
    if !holds("tpm_quote_signature", made) {
        return Err(TpmRefusal::Signature);
    }
    let by = match &key.vouched {
        Vouched::Certificate { root, .. } => format!("certificate under root {root}"),
        Vouched::Evidence(what) => format!("named by {what}"),
        Vouched::RelyingParty => "trusted by whoever asked".to_owned(),
    };
    let checks = vec![
        Check::passed("tpm_ak", by),
        Check::passed("tpm_quote_signature", format!("{:?} over TPMS_ATTEST", signature.scheme)),
    ];
    let facts = Facts {
        quote,
        vouched: key.vouched.clone(),
        kind: key.kind,
        scheme: signature.scheme,
        attributes: key.attributes,
    };
    Ok(Authentic::new(facts, at, key.window.not_after, checks))
}

impl Facts {
    /// The hash of the signature's scheme, of which the digest of PCRs is made, whatever their bank.
    #[must_use]
    pub const fn hash(&self) -> Option<crate::tcg::Bank> {
        match self.scheme {
            Scheme::RsaPkcs1Sha256
            | Scheme::RsaPssSha256
            | Scheme::EcdsaP256Sha256
            | Scheme::EcdsaP384Sha256 => Some(crate::tcg::Bank::Sha256),
            Scheme::RsaPkcs1Sha384
            | Scheme::RsaPssSha384
            | Scheme::EcdsaP256Sha384
            | Scheme::EcdsaP384Sha384 => Some(crate::tcg::Bank::Sha384),
            _ => None,
        }
    }
}
