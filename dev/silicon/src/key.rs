//! Keys of every kind vendors certify with, and signatures by the schemes a verifier may name.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA384, RsaEncoding,
};
use evidence::x509::Scheme;

use crate::der::{element, integer, null, oid, sequence};

/// A private key. Elliptic ones are kept as PKCS #8, because the library ties a key to one form of signature.
pub enum Key {
    Rsa(Box<RsaKeyPair>),
    P256(Vec<u8>),
    P384(Vec<u8>),
}

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    made.as_ref().to_vec()
}

fn pair(algorithm: &'static EcdsaSigningAlgorithm, pkcs8: &[u8]) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap()
}

impl Key {
    /// An RSA key of 2048 bits, the fewest a verifier takes.
    #[must_use]
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    #[must_use]
    pub fn p256() -> Self {
        Self::P256(elliptic(&ECDSA_P256_SHA256_ASN1_SIGNING))
    }

    #[must_use]
    pub fn p384() -> Self {
        Self::P384(elliptic(&ECDSA_P384_SHA384_ASN1_SIGNING))
    }

    /// The scheme its signatures are made by unless a test asks for another.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Rsa(_) => Scheme::RsaPssSha384,
            Self::P256(_) => Scheme::EcdsaP256Sha256,
            Self::P384(_) => Scheme::EcdsaP384Sha384,
        }
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::P256(key) => point(&pair(&ECDSA_P256_SHA256_ASN1_SIGNING, key)),
            Self::P384(key) => point(&pair(&ECDSA_P384_SHA384_ASN1_SIGNING, key)),
        }
    }

    /// A signature by this scheme.
    ///
    /// # Panics
    /// If the scheme is of another kind of key.
    #[must_use]
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Vec<u8> {
        let rsa: &'static dyn RsaEncoding = match scheme {
            Scheme::RsaPssSha384 => &RSA_PSS_SHA384,
            Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
            Scheme::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
            _ => &RSA_PKCS1_SHA512,
        };
        let random = SystemRandom::new();
        match (self, scheme) {
            (
                Self::Rsa(key),
                Scheme::RsaPssSha384
                | Scheme::RsaPkcs1Sha256
                | Scheme::RsaPkcs1Sha384
                | Scheme::RsaPkcs1Sha512,
            ) => {
                let mut out = vec![0; key.public_modulus_len()];
                key.sign(rsa, &random, message, &mut out).unwrap();
                out
            }
            (Self::P256(key), Scheme::EcdsaP256Sha256) => {
                let key = pair(&ECDSA_P256_SHA256_ASN1_SIGNING, key);
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            (Self::P384(key), Scheme::EcdsaP384Sha384) => {
                let key = pair(&ECDSA_P384_SHA384_ASN1_SIGNING, key);
                key.sign(&random, message).unwrap().as_ref().to_vec()
            }
            _ => unreachable!("{scheme:?} is no scheme of this key"),
        }
    }

    /// R and S of an ECDSA P-256 signature with SHA-256, 32 big-endian bytes each.
    ///
    /// # Panics
    /// If the key is of another kind.
    #[must_use]
    pub fn sign_p256_fixed(&self, message: &[u8]) -> Vec<u8> {
        let Self::P256(key) = self else { unreachable!("not a P-256 key") };
        let key = pair(&ECDSA_P256_SHA256_FIXED_SIGNING, key);
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// X and Y of a P-256 key.
    ///
    /// # Panics
    /// If the key is of another kind.
    #[must_use]
    pub fn point(&self) -> Vec<u8> {
        let Self::P256(key) = self else { unreachable!("not a P-256 key") };
        pair(&ECDSA_P256_SHA256_FIXED_SIGNING, key).public_key().as_ref()[1..].to_vec()
    }

    /// R and S of an ECDSA P-384 signature with SHA-384, 48 big-endian bytes each.
    ///
    /// # Panics
    /// If the key is of another kind.
    #[must_use]
    pub fn sign_p384_fixed(&self, message: &[u8]) -> Vec<u8> {
        let Self::P384(key) = self else { unreachable!("not a P-384 key") };
        let key = pair(&ECDSA_P384_SHA384_FIXED_SIGNING, key);
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

fn point(key: &EcdsaKeyPair) -> Vec<u8> {
    key.public_key().as_der().unwrap().as_ref().to_vec()
}

/// AlgorithmIdentifier of a scheme, parameters as vendors write them.
#[must_use]
pub fn algorithm(scheme: Scheme) -> Vec<u8> {
    let name = oid(&scheme.oid().to_string());
    match scheme {
        Scheme::RsaPssSha384 => {
            let sha384 = sequence(&[oid("2.16.840.1.101.3.4.2.2"), null()]);
            let mgf1 = sequence(&[oid("1.2.840.113549.1.1.8"), sha384.clone()]);
            let parameters =
                [element(0xa0, &sha384), element(0xa1, &mgf1), element(0xa2, &integer(&[48]))];
            sequence(&[name, sequence(&parameters)])
        }
        Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512 => {
            sequence(&[name, null()])
        }
        _ => sequence(&[name]),
    }
}
