//! HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM): to the owners' audit key, and to the
//! authority's own key for role secrets.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use platform::Secret;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

/// The private half of an X25519 key.
#[derive(Debug)]
pub(super) struct KeyPair(Secret<[u8; 32]>);

impl KeyPair {
    pub(super) const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    pub(super) const fn bytes(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    /// The public half.
    pub(super) fn public(&self) -> Option<[u8; 32]> {
        let key = PrivateKey::from_private_key(&X25519, self.0.expose()).ok()?;
        key.compute_public_key().ok()?.as_ref().try_into().ok()
    }

    /// What was sealed to it under `info` and `aad`.
    pub(super) fn open(
        &self,
        info: &[u8],
        aad: &[u8],
        encapsulated: Vec<u8>,
        ciphertext: &[u8],
    ) -> Option<Vec<u8>> {
        let key = HpkePrivateKey::from(self.0.expose().to_vec());
        SUITE.open(&EncapsulatedSecret(encapsulated), info, aad, ciphertext, &key).ok()
    }
}

/// Encapsulated key and ciphertext.
pub(super) fn seal(
    to: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
) -> Option<(Vec<u8>, Vec<u8>)> {
    let (key, sealed) = SUITE.seal(info, aad, plain, &HpkePublicKey(to.to_vec())).ok()?;
    Some((key.0, sealed))
}
