//! Leaf keys of programs that terminate TLS themselves.

use platform::Secret;
use rcgen::{KeyPair, PublicKeyData, SigningKey};

/// A P-256 key made in this process.
pub struct LeafKey {
    key: KeyPair,
    spki: Vec<u8>,
}

impl LeafKey {
    /// A fresh key; none if the generator failed.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).ok()?;
        let spki = key.subject_public_key_info();
        Some(Self { key, spki })
    }

    /// DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// ECDSA with SHA-256, DER.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.key.sign(message).ok()
    }

    /// The private key, PKCS#8 DER: for the program's own TLS library.
    #[must_use]
    pub fn pkcs8(&self) -> Vec<u8> {
        Secret::new(self.key.serialize_der()).expose().clone()
    }
}
