//! Owners' signatures: SSHSIG (PROTOCOL.sshsig of OpenSSH) over our objects, k of n distinct keys.
//!
//! A namespace per kind of object keeps a signature made for one from passing for another. Ed25519 and ECDSA P-256
//! keys, in files or in FIDO tokens, are verified here with the project's own crypto library; `ssh-keygen -Y sign` makes the same signatures.

mod token;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, UnparsedPublicKey};
use ciborium::Value;
use evidence::IssuerKey;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig};
use thiserror::Error;

/// Most signers of a domain.
pub const SIGNERS_MAX: usize = 32;
/// Longest signed object.
pub const SIGNED_MAX: usize = 4 << 20;
const VERSION: u64 = 1;

/// What an object is; each has its own SSHSIG namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// A policy version.
    Policy,
    /// An authority's endorsement.
    Endorsement,
    /// A revocation.
    Revocation,
    /// A role secret.
    Secret,
    /// A change of signers.
    Signers,
}

impl Namespace {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Policy, Self::Endorsement, Self::Revocation, Self::Secret, Self::Signers];

    /// Reads the SSHSIG namespace.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|n| n.as_str() == text)
    }

    /// The SSHSIG namespace.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "casemate-policy@v1",
            Self::Endorsement => "casemate-endorsement@v1",
            Self::Revocation => "casemate-revocation@v1",
            Self::Secret => "casemate-secret@v1",
            Self::Signers => "casemate-signers@v1",
        }
    }
}

/// The raw Ed25519 key of a line in OpenSSH's form: how a domain file names whoever makes claims.
///
/// # Errors
/// [`SigningError::Key`].
pub fn issuer_key(line: &str) -> Result<IssuerKey, SigningError> {
    let bad = || SigningError::Key(line.chars().take(60).collect());
    let key = PublicKey::from_openssh(line.trim()).map_err(|_| bad())?;
    match key.key_data() {
        KeyData::Ed25519(key) => Ok(IssuerKey::new(key.0)),
        _ => Err(bad()),
    }
}

/// Who must sign: k of these keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    need: usize,
    revoke: usize,
    keys: Vec<String>,
}

/// Why signers or signatures are refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningError {
    /// Too few are needed, or more than there are.
    #[error("sign.need is {need} of {keys} keys, expected more than half and at most all")]
    Need {
        /// k.
        need: usize,
        /// n.
        keys: usize,
    },
    /// Revoking is never harder than signing, and never nobody's.
    #[error("sign.revoke is {revoke}, expected at least 1 and at most the {need} that sign")]
    Revoke {
        /// How many revoke.
        revoke: usize,
        /// k.
        need: usize,
    },
    /// Signed by owners who no longer sign, after they were followed.
    #[error(
        "signed for {0} by owners who no longer sign for this domain; have those sign who do now"
    )]
    Retired(&'static str),
    /// One key twice.
    #[error("signer key {0} stands twice; signers are distinct keys of distinct holders")]
    Duplicate(String),
    /// No SSH public key, or of a kind not verified here.
    #[error(
        "signer key {0:?} is no Ed25519 or ECDSA P-256 public key, in a file or a FIDO token; make one with ssh-keygen -t ed25519"
    )]
    Key(String),
    /// The object is malformed.
    #[error("signed object: {0}")]
    Form(#[from] CborError),
    /// Too few of the signers signed.
    #[error(
        "signed by {got} of the domain's keys for {namespace}, {need} are needed; have more owners sign"
    )]
    TooFew {
        /// Distinct known keys with good signatures.
        got: usize,
        /// k.
        need: usize,
        /// What was signed for.
        namespace: &'static str,
    },
    /// The private key cannot be used.
    #[error("signing key: {0}")]
    PrivateKey(&'static str),
}

fn canonical(line: &str) -> Result<String, SigningError> {
    let bad = || SigningError::Key(line.chars().take(60).collect());
    let mut key = PublicKey::from_openssh(line.trim()).map_err(|_| bad())?;
    let known = matches!(
        key.key_data(),
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_)
    ) || matches!(key.key_data(), KeyData::Ecdsa(k) if k.curve() == ssh_key::EcdsaCurve::NistP256);
    if !known {
        return Err(bad());
    }
    key.set_comment("");
    key.to_openssh().map_err(|_| bad())
}

/// A public key in the form signers are compared in: without comment.
///
/// # Errors
/// [`SigningError::Key`].
pub fn public_key(line: &str) -> Result<String, SigningError> {
    canonical(line)
}

/// A key's fingerprint as `ssh-keygen -l` prints it.
#[must_use]
pub fn fingerprint(key: &str) -> String {
    PublicKey::from_openssh(key).map_or_else(
        |_| "no SSH public key".to_owned(),
        |k| k.fingerprint(HashAlg::Sha256).to_string(),
    )
}

impl Signers {
    /// k of n distinct keys, k more than half.
    ///
    /// # Errors
    /// [`SigningError::Need`], [`SigningError::Duplicate`], [`SigningError::Key`].
    pub fn new(need: usize, keys: &[String]) -> Result<Self, SigningError> {
        let mut keys = keys.iter().map(|k| canonical(k)).collect::<Result<Vec<_>, _>>()?;
        keys.sort();
        if let Some((twice, _)) = keys.iter().zip(keys.iter().skip(1)).find(|(a, b)| a == b) {
            return Err(SigningError::Duplicate(twice.clone()));
        }
        let n = keys.len();
        if need > n || need.saturating_mul(2) <= n || n > SIGNERS_MAX {
            return Err(SigningError::Need { need, keys: n });
        }
        Ok(Self { need, revoke: need, keys })
    }

    /// The same, of whom fewer are enough to revoke: in an emergency one takes away what only k can give.
    ///
    /// # Errors
    /// [`SigningError::Revoke`].
    pub fn with_revoke(mut self, revoke: usize) -> Result<Self, SigningError> {
        if revoke == 0 || revoke > self.need {
            return Err(SigningError::Revoke { revoke, need: self.need });
        }
        self.revoke = revoke;
        Ok(self)
    }

    /// How many revoke.
    #[must_use]
    pub const fn revoke(&self) -> usize {
        self.revoke
    }

    /// How many sign an object of that kind. A revocation only removes.
    #[must_use]
    pub fn needed(&self, namespace: Namespace) -> usize {
        if holds("revoke_only", namespace == Namespace::Revocation) {
            self.revoke
        } else {
            self.need
        }
    }

    /// k.
    #[must_use]
    pub const fn need(&self) -> usize {
        self.need
    }

    /// The keys in OpenSSH form, sorted, without comments.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }
}

/// An object and the signatures over it, not yet looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The exact bytes that were signed.
    pub payload: Vec<u8>,
    /// SSHSIG, PEM armoured.
    pub signatures: Vec<String>,
}

impl Signed {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, Value::Bytes(self.payload.clone())),
            (3, Value::Array(self.signatures.iter().map(|s| Value::from(s.as_str())).collect())),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`SigningError::Form`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SigningError> {
        let mut f = Fields::decode(bytes, SIGNED_MAX)?;
        f.version(VERSION)?;
        let payload = f.bytes(2, "payload")?;
        let signatures = f.array(3, "signatures")?;
        f.finish()?;
        if signatures.len() > SIGNERS_MAX {
            return Err(CborError::Field("signatures").into());
        }
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("signatures"));
        Ok(Self {
            payload,
            signatures: signatures.into_iter().map(text).collect::<Result<_, _>>()?,
        })
    }

    /// The payload, if at least k distinct keys of `signers` signed it for `namespace`.
    ///
    /// # Errors
    /// [`SigningError::TooFew`].
    pub fn verify(&self, signers: &Signers, namespace: Namespace) -> Result<&[u8], SigningError> {
        let (got, need) = (self.signed_by(signers, namespace).len(), signers.needed(namespace));
        if !holds("signers", got >= need) {
            return Err(SigningError::TooFew { got, need, namespace: namespace.as_str() });
        }
        Ok(&self.payload)
    }

    /// Who of `signers` signed it for `namespace`, each once.
    #[must_use]
    pub fn signed_by(&self, signers: &Signers, namespace: Namespace) -> Vec<String> {
        let good = self.signatures.iter().filter_map(|pem| signer(pem, namespace, &self.payload));
        let mut good = good.filter(|key| signers.keys.contains(key)).collect::<Vec<_>>();
        good.sort();
        good.dedup();
        good
    }
}

/// The key that made a good signature over `payload` for `namespace`.
pub(crate) fn signer(pem: &str, namespace: Namespace, payload: &[u8]) -> Option<String> {
    let sig = SshSig::from_pem(pem).ok()?;
    if !holds("sshsig_namespace", sig.namespace() == namespace.as_str()) {
        return None;
    }
    let signed = SshSig::signed_data(sig.namespace(), sig.hash_alg(), payload).ok()?;
    let signature = sig.signature_bytes();
    let good = match sig.public_key() {
        KeyData::Ed25519(key) => ed25519(&key.0, &signed, signature),
        KeyData::Ecdsa(key) if key.curve() == ssh_key::EcdsaCurve::NistP256 => {
            p256(key.as_sec1_bytes(), &signed, signature)
        }
        KeyData::SkEd25519(key) => token::ed25519(key, &signed, signature),
        KeyData::SkEcdsaSha2NistP256(key) => token::p256(key, &signed, signature),
        _ => false,
    };
    if !holds("sshsig_signature", good) {
        return None;
    }
    PublicKey::new(sig.public_key().clone(), "").to_openssh().ok()
}

fn ed25519(key: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(signed, signature).is_ok()
}

fn p256(point: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    fixed_p256(signature).is_some_and(|fixed| key.verify(signed, &fixed).is_ok())
}

/// SSH writes an ECDSA signature as two mpints; the library wants two fields of 32 bytes.
fn fixed_p256(mut ssh: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    for _ in 0..2 {
        let (len, rest) = ssh.split_first_chunk::<4>()?;
        let (number, rest) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        out.extend(std::iter::repeat_n(0, 32_usize.checked_sub(number.len())?));
        out.extend(number);
        ssh = rest;
    }
    ssh.is_empty().then_some(out)
}

/// An owner's private key held by us: an unencrypted Ed25519 key, as a development domain has one.
pub struct SigningKey {
    seed: [u8; 32],
    public: [u8; 32],
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.seed.fill(0);
        std::hint::black_box(&self.seed);
    }
}

impl SigningKey {
    /// A key from 32 random bytes.
    ///
    /// # Errors
    /// [`SigningError::PrivateKey`].
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, SigningError> {
        use aws_lc_rs::signature::KeyPair;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_| SigningError::PrivateKey("not a seed"))?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| SigningError::PrivateKey("not a seed"))?;
        Ok(Self { seed, public })
    }

    /// Reads an unencrypted OpenSSH Ed25519 private key.
    ///
    /// # Errors
    /// [`SigningError::PrivateKey`].
    pub fn from_openssh(pem: &str) -> Result<Self, SigningError> {
        let key = PrivateKey::from_openssh(pem)
            .map_err(|_| SigningError::PrivateKey("not an OpenSSH private key"))?;
        match key.key_data() {
            KeypairData::Ed25519(pair) => Self::from_seed(pair.private.to_bytes()),
            KeypairData::Encrypted(_) => Err(SigningError::PrivateKey(
                "it is encrypted; sign with `ssh-keygen -Y sign` and pass the signature",
            )),
            _ => Err(SigningError::PrivateKey(
                "not Ed25519; sign with `ssh-keygen -Y sign` and pass the signature",
            )),
        }
    }

    /// The private key in OpenSSH form.
    ///
    /// # Errors
    /// [`SigningError::PrivateKey`].
    pub fn to_openssh(&self, comment: &str) -> Result<String, SigningError> {
        let pair = Ed25519Keypair {
            public: Ed25519PublicKey(self.public),
            private: Ed25519PrivateKey::from_bytes(&self.seed),
        };
        PrivateKey::new(KeypairData::Ed25519(pair), comment)
            .and_then(|k| k.to_openssh(LineEnding::LF))
            .map(|pem| pem.to_string())
            .map_err(|_| SigningError::PrivateKey("cannot be written"))
    }

    /// The public key in OpenSSH form.
    ///
    /// # Errors
    /// [`SigningError::PrivateKey`].
    pub fn public_openssh(&self) -> Result<String, SigningError> {
        PublicKey::new(KeyData::Ed25519(Ed25519PublicKey(self.public)), "")
            .to_openssh()
            .map_err(|_| SigningError::PrivateKey("cannot be written"))
    }

    /// The public key, as claims name their issuer.
    #[must_use]
    pub const fn issuer(&self) -> IssuerKey {
        IssuerKey::new(self.public)
    }

    /// Signs bytes that already say what they are (`cose::to_be_signed`).
    ///
    /// # Errors
    /// [`SigningError::PrivateKey`].
    pub(crate) fn sign_raw(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, SigningError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed)
            .map_err(|_| SigningError::PrivateKey("cannot sign"))?;
        Ok(pair.sign(to_be_signed).as_ref().to_vec())
    }

    /// Signs `payload` for `namespace`.
    ///
    /// # Errors
    /// [`SigningError::PrivateKey`].
    pub fn sign(&self, namespace: Namespace, payload: &[u8]) -> Result<String, SigningError> {
        let failed = || SigningError::PrivateKey("cannot sign");
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed).map_err(|_| failed())?;
        let signed = SshSig::signed_data(namespace.as_str(), HashAlg::Sha512, payload)
            .map_err(|_| failed())?;
        let signature = Signature::new(Algorithm::Ed25519, pair.sign(&signed).as_ref())
            .map_err(|_| failed())?;
        let public = KeyData::Ed25519(Ed25519PublicKey(self.public));
        SshSig::new(public, namespace.as_str(), HashAlg::Sha512, signature)
            .and_then(|s| s.to_pem(LineEnding::LF))
            .map_err(|_| failed())
    }
}

#[cfg(test)]
mod tests;
