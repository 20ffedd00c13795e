//! Self-made vendors' objects under self-made keys: what a signature covers can then be anything, so that the checks behind
//! the signature are reached. CBOR is put together by hand, because what is tested is often not what an encoder would write.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use evidence::cose::anchor::{Anchor, AnchorKey};
use evidence::cose::key::{Curve, EcKey};
use evidence::profile::Stated;

pub type Bytes = Vec<u8>;

fn head(major: u8, n: usize) -> Bytes {
    let major = major << 5;
    match n {
        0..=23 => vec![major | n as u8],
        24..=255 => vec![major | 24, n as u8],
        256..=0xffff => [&[major | 25][..], &(n as u16).to_be_bytes()].concat(),
        _ => [&[major | 27][..], &(n as u64).to_be_bytes()].concat(),
    }
}

pub fn int(n: i64) -> Bytes {
    if n >= 0 { head(0, n as usize) } else { head(1, (-1 - n) as usize) }
}

pub fn bytes(b: &[u8]) -> Bytes {
    [head(2, b.len()), b.to_vec()].concat()
}

pub fn text(t: &str) -> Bytes {
    [head(3, t.len()), t.as_bytes().to_vec()].concat()
}

pub fn array(items: &[Bytes]) -> Bytes {
    [head(4, items.len()), items.concat()].concat()
}

pub fn map(pairs: &[(Bytes, Bytes)]) -> Bytes {
    let inside = pairs.iter().flat_map(|(k, v)| [&k[..], v].concat()).collect::<Bytes>();
    [head(5, pairs.len()), inside].concat()
}

pub fn tag(n: usize, item: Bytes) -> Bytes {
    [head(6, n), item].concat()
}

pub const NULL: &[u8] = &[0xf6];

/// A set of members that a test may change before it is written.
#[derive(Clone)]
pub struct Claims(pub Vec<(Bytes, Bytes)>);

impl Claims {
    pub fn set(&self, key: impl Into<Name>, value: Bytes) -> Self {
        let key = key.into().0;
        let mut all = self.clone();
        match all.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => all.0.push((key, value)),
        }
        all
    }

    pub fn without(&self, key: impl Into<Name>) -> Self {
        let key = key.into().0;
        Self(self.0.iter().filter(|(k, _)| *k != key).cloned().collect())
    }

    /// The member a second time.
    pub fn twice(&self, key: impl Into<Name>) -> Self {
        let key = key.into().0;
        let member = self.0.iter().find(|(k, _)| *k == key).cloned().unwrap();
        let mut all = self.clone();
        all.0.push(member);
        all
    }

    pub fn write(&self) -> Bytes {
        map(&self.0)
    }
}

pub struct Name(Bytes);

impl From<i64> for Name {
    fn from(n: i64) -> Self {
        Self(int(n))
    }
}

impl From<&str> for Name {
    fn from(t: &str) -> Self {
        Self(text(t))
    }
}

/// A key that signs tokens.
pub struct Signer {
    curve: Curve,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub fn new(curve: Curve) -> Self {
        Self { curve, pair: EcdsaKeyPair::generate(signing(curve)).unwrap() }
    }

    pub fn from_pkcs8(curve: Curve, der: &[u8]) -> Self {
        Self { curve, pair: EcdsaKeyPair::from_pkcs8(signing(curve), der).unwrap() }
    }

    pub fn point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub fn key(&self) -> EcKey {
        EcKey::from_point(self.point()).unwrap()
    }

    pub fn anchor(&self) -> Anchor {
        Anchor { key: AnchorKey::Ec(self.key()), devices: Stated::Unconstrained }
    }

    pub fn algorithm(&self) -> i64 {
        match self.curve {
            Curve::P256 => -7,
            Curve::P384 => -35,
            Curve::P521 => -36,
        }
    }

    /// COSE_Key of its public part.
    pub fn cose_key(&self) -> Bytes {
        let number = match self.curve {
            Curve::P256 => 1,
            Curve::P384 => 2,
            Curve::P521 => 3,
        };
        let (x, y) = self.point()[1..].split_at((self.point().len() - 1) / 2);
        map(&[(int(1), int(2)), (int(-1), int(number)), (int(-2), bytes(x)), (int(-3), bytes(y))])
    }

    pub fn sign(&self, message: &[u8]) -> Bytes {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// The four parts with any header, untagged.
    pub fn sign1(&self, protected: &[u8], payload: &[u8]) -> Bytes {
        let signature = self.sign(&structure("Signature1", protected, payload));
        array(&[bytes(protected), map(&[]), bytes(payload), bytes(&signature)])
    }

    /// A tagged COSE_Sign1 with its own algorithm.
    pub fn tagged(&self, payload: &[u8]) -> Bytes {
        tag(18, self.sign1(&header(self.algorithm()), payload))
    }
}

fn signing(curve: Curve) -> &'static aws_lc_rs::signature::EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

/// {1: algorithm}.
pub fn header(algorithm: i64) -> Bytes {
    map(&[(int(1), int(algorithm))])
}

/// Sig_structure or MAC_structure.
pub fn structure(context: &str, protected: &[u8], payload: &[u8]) -> Bytes {
    array(&[text(context), bytes(protected), bytes(b""), bytes(payload)])
}

/// A tagged COSE_Mac0.
pub fn mac0(secret: &[u8], algorithm: i64, payload: &[u8]) -> Bytes {
    let hash = match algorithm {
        5 => hmac::HMAC_SHA256,
        6 => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    let protected = header(algorithm);
    let key = hmac::Key::new(hash, secret);
    let made = hmac::sign(&key, &structure("MAC0", &protected, payload));
    tag(17, array(&[bytes(&protected), map(&[]), bytes(payload), bytes(made.as_ref())]))
}
