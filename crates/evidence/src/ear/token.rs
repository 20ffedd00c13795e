//! Results signed as a JSON Web Token (RFC 7515, RFC 7519): believed only by a pinned verifier's key, for the nonce that was
//! sent and the key that is in use.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::refusal::EarRefusal;
use super::{Ear, LEN_MAX, parse};
use crate::authentic::{Authentic, Check};
use crate::controls::holds;
use crate::json;
use crate::time::Time;

/// A verifier's key, pinned by the relying party with its algorithm: none is taken from a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultKey {
    /// ECDSA on P-256 with SHA-256: an uncompressed point.
    Es256(Vec<u8>),
    /// ECDSA on P-384 with SHA-384: an uncompressed point.
    Es384(Vec<u8>),
    /// Ed25519: 32 bytes.
    EdDsa(Vec<u8>),
}

impl ResultKey {
    /// A public key as a JSON Web Key (RFC 7517); private parts and other kinds are refused.
    #[must_use]
    pub fn from_jwk(bytes: &[u8]) -> Option<Self> {
        let jwk = json::parse(bytes, 16 * 1024).ok()?;
        let text = |name: &str| jwk.get(name)?.as_str();
        let part = |name: &str, len: usize| {
            BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok().filter(|b| b.len() == len)
        };
        let point = |len| Some([&[4][..], &part("x", len)?, &part("y", len)?].concat());
        if jwk.get("d").is_some() {
            return None;
        }
        match (text("kty")?, text("crv")?) {
            ("EC", "P-256") => point(32).map(Self::Es256),
            ("EC", "P-384") => point(48).map(Self::Es384),
            ("OKP", "Ed25519") => part("x", 32).map(Self::EdDsa),
            _ => None,
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(k) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, k).verify(message, signature)
            }
            Self::Es384(k) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, k).verify(message, signature)
            }
            Self::EdDsa(k) => UnparsedPublicKey::new(&ED25519, k).verify(message, signature),
        }
        .is_ok()
    }
}

/// What a relying party demands. Every field is a decision.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The nonce it sent to the verifier, as text; none only where freshness comes from elsewhere.
    pub nonce: Option<String>,
    /// The key in use, DER SubjectPublicKeyInfo, that some part must attest.
    pub key: Option<Vec<u8>>,
    /// Whether a result without an end is taken.
    pub must_end: bool,
}

/// The result, if one of the pinned `keys` signed it and it is what was `expected`.
///
/// 1. the token's form, 2. its algorithm and signature over the received bytes, 3. claims, 4. times, 5. nonce, 6. attested key.
///
/// # Errors
/// [`EarRefusal`].
pub fn verify(
    token: &[u8],
    keys: &[ResultKey],
    expected: &Expected,
    at: Time,
) -> Result<Authentic<Ear>, EarRefusal> {
    // 1
    if token.len() > LEN_MAX {
        return Err(EarRefusal::Token);
    }
    let token = core::str::from_utf8(token).map_err(|_| EarRefusal::Token)?.trim_end();
    let parts = token.split('.').collect::<Vec<_>>();
    let [header, payload, signature] = parts.as_slice() else { return Err(EarRefusal::Token) };
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| EarRefusal::Token);
    let (head, claims, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
    let head = json::parse(&head, 16 * 1024)?;
    let algorithm = head.get("alg").and_then(Value::as_str).unwrap_or_default();
    if head.get("crit").is_some() {
        return Err(EarRefusal::Claim("crit"));
    }
    // 2
    let signed = header.len().saturating_add(1).saturating_add(payload.len());
    let signed = token.as_bytes().get(..signed).ok_or(EarRefusal::Token)?;
    let fitting = keys.iter().filter(|k| k.algorithm() == algorithm).collect::<Vec<_>>();
    if fitting.is_empty() {
        return Err(EarRefusal::Algorithm(algorithm.to_owned()));
    }
    if !holds("ear_signature", fitting.iter().any(|k| k.verifies(signed, &signature))) {
        return Err(EarRefusal::Signature);
    }
    // 3
    let ear = parse(&claims)?;
    // 4
    if !holds("ear_future", ear.issued <= at) {
        return Err(EarRefusal::Future { issued: ear.issued, at });
    }
    match ear.expires {
        Some(ended) if !holds("ear_ended", at <= ended) => {
            return Err(EarRefusal::Ended { ended, at });
        }
        None if !holds("ear_no_end", !expected.must_end) => return Err(EarRefusal::NoEnd),
        _ => {}
    }
    // 5
    let nonces = || ear.nonces.iter().chain(ear.submods.iter().flat_map(|(_, a)| &a.nonces));
    if let Some(sent) = &expected.nonce
        && !holds("ear_nonce", nonces().any(|n| n == sent))
    {
        return Err(EarRefusal::Nonce);
    }
    // 6
    if let Some(key) = &expected.key
        && !holds("ear_key", ear.submods.iter().any(|(_, a)| a.key.as_ref() == Some(key)))
    {
        return Err(EarRefusal::Key);
    }
    let ends = ear.expires.unwrap_or(Time::MAX);
    let checks = vec![Check::passed("result_signature", format!("{algorithm} by a pinned key"))];
    Ok(Authentic::new(ear, at, ends, checks))
}
