//! Trust anchors for vendors' tokens as people hold them in files: a JWK (RFC 7517, 7518), a public key or a certificate in
//! PEM or DER. Which device a key may speak for is stated with it, or written out as unconstrained.
//!
//! Refused: private keys, members nobody knows, keys meant for something else than verifying.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::key::{Curve, EcKey, KeyError, LEN_MAX, MacKey};
use super::vendor::{Algorithm, Signed, VendorCoseError};
use crate::authentic::Check;
use crate::bytes::{RootDigest, sha256};
use crate::profile::Stated;
use crate::x509::Certificate;

/// Most anchors tried for one token: each costs a signature check.
pub const ANCHORS_MAX: usize = 16;

/// The device a token names: its make and the one of that make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Implementation id.
    pub implementation_id: [u8; 32],
    /// Instance id (a UEID of type RAND).
    pub instance_id: [u8; 33],
}

/// A key and the devices it may speak for.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// The key.
    pub key: AnchorKey,
    /// Devices whose tokens it may have signed.
    pub devices: Stated<Vec<Device>>,
}

impl Anchor {
    /// True if it may speak for that device.
    pub(crate) fn speaks_for(&self, device: &Device) -> bool {
        self.devices.value().is_none_or(|devices| devices.contains(device))
    }

    /// What was stated about its devices.
    pub(crate) fn device_check(&self) -> Check {
        let name = "anchor_device";
        match self.devices {
            Stated::Unconstrained => Check::not_applicable(
                name,
                "the anchor is taken for whatever device the token names",
            ),
            Stated::Value(_) => Check::passed(name, "the anchor is provisioned for this device"),
        }
    }
}

/// Why no anchor vouches for a token.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnchorError {
    /// There is none.
    #[error(
        "no trust anchor; pass the attestation key of the device or platform (JWK, public key or certificate) with --root"
    )]
    NoAnchor,
    /// More than are tried.
    #[error("{0} trust anchors, at most {ANCHORS_MAX} are tried; pass those of this device")]
    TooMany(usize),
    /// None of them signed it.
    #[error("{0}")]
    Cose(VendorCoseError),
}

/// The anchor that signed. Of several refusals the most telling one is given: by a key that fits and did not sign.
pub(crate) fn signer<'a>(
    signed: &Signed<'_>,
    anchors: &'a [Anchor],
) -> Result<(&'a Anchor, Algorithm), AnchorError> {
    if anchors.len() > ANCHORS_MAX {
        return Err(AnchorError::TooMany(anchors.len()));
    }
    let mut refusal = AnchorError::NoAnchor;
    for anchor in anchors {
        match signed.verify(&anchor.key) {
            Ok(algorithm) => return Ok((anchor, algorithm)),
            Err(VendorCoseError::KeyMismatch { .. }) if matches!(refusal, AnchorError::Cose(_)) => {
            }
            Err(e) => refusal = AnchorError::Cose(e),
        }
    }
    Err(refusal)
}

/// A key that vouches for tokens.
#[derive(Clone, Debug)]
pub enum AnchorKey {
    /// A public key.
    Ec(EcKey),
    /// A shared secret.
    Mac(MacKey),
}

impl AnchorKey {
    /// Reads a file: JWK, PEM or DER public key, or a certificate, of which only the key counts.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > LEN_MAX {
            return Err(KeyError::TooLong(bytes.len()));
        }
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            return jwk(bytes);
        }
        let pem = |label: &str| {
            let text = core::str::from_utf8(bytes).ok()?;
            let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
            let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
            BASE64_STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
        };
        if let Some(der) = pem("PUBLIC KEY") {
            return EcKey::from_spki(&der).map(Self::Ec);
        }
        let certificate = pem("CERTIFICATE").unwrap_or_else(|| bytes.to_vec());
        if let Ok(certificate) = Certificate::parse(&certificate) {
            return EcKey::from_spki(certificate.spki()).map(Self::Ec);
        }
        match EcKey::from_spki(bytes) {
            Err(KeyError::Curve) => Err(KeyError::Form),
            other => other.map(Self::Ec),
        }
    }

    /// What results name it by: SHA-256 of a public key's SubjectPublicKeyInfo, or a digest of a secret.
    #[must_use]
    pub fn digest(&self) -> RootDigest {
        RootDigest::new(match self {
            Self::Ec(key) => sha256(&key.spki()),
            Self::Mac(key) => key.digest(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<IgnoredAny>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
}

fn jwk(bytes: &[u8]) -> Result<AnchorKey, KeyError> {
    let jwk: Jwk = serde_json::from_slice(bytes).map_err(|_| KeyError::Jwk)?;
    if jwk.d.is_some() {
        return Err(KeyError::Private);
    }
    let for_verifying = jwk.usage.as_deref().is_none_or(|u| u == "sig")
        && jwk.key_ops.iter().flatten().all(|op| op == "verify")
        && jwk.kid.as_deref().is_none_or(|kid| !kid.is_empty());
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Jwk);
    let key = match (jwk.kty.as_str(), &jwk.crv, &jwk.x, &jwk.y, &jwk.k) {
        ("EC", Some(crv), Some(x), Some(y), None) => {
            let curve =
                Curve::ALL.into_iter().find(|c| c.as_str() == crv).ok_or(KeyError::Curve)?;
            AnchorKey::Ec(EcKey::from_coordinates(curve, &decode(x)?, &decode(y)?)?)
        }
        ("oct", None, None, None, Some(k)) => AnchorKey::Mac(MacKey::new(decode(k)?)?),
        _ => return Err(KeyError::Jwk),
    };
    let named = jwk.alg.as_deref().is_none_or(|alg| match &key {
        AnchorKey::Ec(key) => alg == Algorithm::of_curve(key.curve()).as_str(),
        AnchorKey::Mac(_) => matches!(alg, "HS256" | "HS384" | "HS512"),
    });
    if for_verifying && named { Ok(key) } else { Err(KeyError::Jwk) }
}
