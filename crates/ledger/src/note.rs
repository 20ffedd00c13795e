//! Checkpoints as signed notes (C2SP signed-note, tlog-checkpoint): origin, size, root, and an Ed25519 signature.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::controls::holds;
use platform::Secret;
use thiserror::Error;

use crate::tree::Hash;

const ED25519_NOTE: u8 = 1;
/// A checkpoint with 16 signatures stays below this.
pub const LEN_MAX: usize = 16 * 1024;

/// Why a checkpoint is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a signed note of this form.
    #[error("checkpoint is no signed note: {0}")]
    Form(&'static str),
    /// Another log.
    #[error("checkpoint is of log {got:?}, expected {expected:?}")]
    Origin {
        /// The log pinned.
        expected: String,
        /// The checkpoint's.
        got: String,
    },
    /// The log's key did not sign it.
    #[error("checkpoint is not signed by the log's key; it was changed, or another log made it")]
    Signature,
    /// The text of a verifier key is malformed.
    #[error("log key is not name+id+key as signed notes write it")]
    Key,
}

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// A log's public key, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

/// A log's signing key.
pub struct Signer {
    name: String,
    seed: Secret<[u8; 32]>,
    key: [u8; 32],
}

fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let hashed = evidence::bytes::sha256(&[name.as_bytes(), b"\n", &[ED25519_NOTE], key].concat());
    let [a, b, c, d, ..] = hashed;
    [a, b, c, d]
}

impl Signer {
    /// A key from its seed; `name` is the log's origin.
    #[must_use]
    pub fn new(name: &str, seed: Secret<[u8; 32]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).ok()?;
        let key = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { name: name.to_owned(), seed, key })
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), key: self.key }
    }

    /// Signs a checkpoint.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> Option<String> {
        let body = format!(
            "{}\n{}\n{}\n",
            self.name,
            checkpoint.size,
            BASE64_STANDARD.encode(checkpoint.root)
        );
        let pair = Ed25519KeyPair::from_seed_unchecked(self.seed.expose()).ok()?;
        let signed =
            [key_id(&self.name, &self.key).as_slice(), pair.sign(body.as_bytes()).as_ref()]
                .concat();
        Some(format!("{body}\n\u{2014} {} {}\n", self.name, BASE64_STANDARD.encode(signed)))
    }
}

impl Verifier {
    /// Reads `name+id+key`.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.rsplitn(3, '+');
        // The key is base64, which may hold a plus sign itself: the id before it is eight hex digits.
        let whole = || -> Option<Self> {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let key = BASE64_STANDARD.decode(key).ok()?;
            let key: [u8; 32] = key.strip_prefix(&[ED25519_NOTE])?.try_into().ok()?;
            (hex::encode(key_id(name, &key)) == id).then(|| Self { name: name.to_owned(), key })
        };
        parts.next().and_then(|_| whole()).ok_or(NoteError::Key)
    }

    /// Writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = [[ED25519_NOTE].as_slice(), &self.key].concat();
        format!(
            "{}+{}+{}",
            self.name,
            hex::encode(key_id(&self.name, &self.key)),
            BASE64_STANDARD.encode(key)
        )
    }

    /// The log's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checkpoint, if this key signed it. Signatures of unknown keys are passed over, a bad one of this key is not.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn verify(&self, note: &str) -> Result<Checkpoint, NoteError> {
        if note.len() > LEN_MAX {
            return Err(NoteError::Form("too long"));
        }
        let (body, signatures) = note.split_once("\n\n").ok_or(NoteError::Form("no signatures"))?;
        let signed = format!("{body}\n");
        let id = key_id(&self.name, &self.key);
        let mut good = false;
        for line in signatures.lines() {
            let mut words =
                line.strip_prefix("\u{2014} ").ok_or(NoteError::Form("signature line"))?.split(' ');
            let (name, blob) =
                (words.next(), words.next().and_then(|b| BASE64_STANDARD.decode(b).ok()));
            let blob =
                blob.filter(|_| words.next().is_none()).ok_or(NoteError::Form("signature"))?;
            if name == Some(self.name.as_str()) && blob.starts_with(&id) {
                let made = UnparsedPublicKey::new(&ED25519, &self.key)
                    .verify(signed.as_bytes(), blob.get(4..).unwrap_or_default());
                if !holds("checkpoint_signature", made.is_ok()) {
                    return Err(NoteError::Signature);
                }
                good = true;
            }
        }
        if !holds("checkpoint_signed", good) {
            return Err(NoteError::Signature);
        }
        let [origin, size, root] = body.lines().collect::<Vec<_>>()[..] else {
            return Err(NoteError::Form("lines"));
        };
        if !holds("checkpoint_origin", origin == self.name) {
            return Err(NoteError::Origin { expected: self.name.clone(), got: origin.to_owned() });
        }
        let number = size
            .parse::<u64>()
            .ok()
            .filter(|n| n.to_string() == size)
            .ok_or(NoteError::Form("size"))?;
        let root = BASE64_STANDARD
            .decode(root)
            .ok()
            .and_then(|r| r.try_into().ok())
            .ok_or(NoteError::Form("root"))?;
        Ok(Checkpoint { size: number, root })
    }
}

#[cfg(test)]
mod tests;
