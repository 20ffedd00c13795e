//! Records at rest (I8): encrypted by HPKE to the audit key the owners stated when they endorsed the authority, which itself cannot read them again. A record's name is the digest of
//! its plaintext, and what the log binds; it is the associated data, so that no two records change places.
//! `docs/formats/decision-record.md` is the page.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::{AuditKey, ContentDigest};
use platform::Secret;
use thiserror::Error;

use super::hpke::{self, KeyPair};

const INFO: &[u8] = b"casemate record 1";
const VERSION: u64 = 1;
/// First word of the file with an audit key.
const FILE: &str = "casemate-audit-key-1";

/// Why a record cannot be read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealedRecordError {
    /// Not a sealed record.
    #[error("record {name}: {why}; the file is damaged or of another version")]
    Form {
        /// Its name.
        name: String,
        /// What is wrong.
        why: CborError,
    },
    /// It does not open.
    #[error(
        "record {0} does not open: it was changed, has another's name, or is encrypted to another audit key"
    )]
    Closed(String),
    /// What opened is not what the log names.
    #[error("record {0} is not the one the log names; it was changed")]
    Other(String),
    /// The library failed.
    #[error("record cannot be encrypted; nothing is decided without a record")]
    Seal,
}

/// An owner's audit key: whoever holds it reads every decision record of the domain.
#[derive(Debug)]
pub struct AuditSecret(KeyPair);

impl AuditSecret {
    /// A key from random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(KeyPair::new(bytes))
    }

    /// What goes into its file.
    #[must_use]
    pub fn to_file(&self) -> Secret<String> {
        Secret::new(format!("{FILE} {}\n", hex::encode(self.0.bytes().expose())))
    }

    /// Reads that.
    #[must_use]
    pub fn from_file(text: &str) -> Option<Self> {
        let hex = text.trim_end().strip_prefix(FILE)?.strip_prefix(' ')?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex, &mut bytes).ok()?;
        Some(Self::new(bytes))
    }

    /// The public part, which owners endorse.
    ///
    /// # Errors
    /// [`SealedRecordError::Seal`].
    pub fn public(&self) -> Result<AuditKey, SealedRecordError> {
        self.0.public().map(AuditKey::new).ok_or(SealedRecordError::Seal)
    }
}

/// A record under its name.
///
/// # Errors
/// [`SealedRecordError::Seal`].
pub fn seal(key: &AuditKey, record: &[u8]) -> Result<(ContentDigest, Vec<u8>), SealedRecordError> {
    let name = ContentDigest::of(record);
    let sealed = hpke::seal(key.as_bytes(), INFO, name.as_bytes(), record);
    let (key, sealed) = sealed.ok_or(SealedRecordError::Seal)?;
    Ok((name, encode(key, sealed)))
}

fn encode(encapsulated: Vec<u8>, sealed: Vec<u8>) -> Vec<u8> {
    let (key, sealed) = (Value::Bytes(encapsulated), Value::Bytes(sealed));
    cbor::encode(&cbor::map(vec![(1, VERSION.into()), (2, key), (3, sealed)]))
}

/// The record of that name.
///
/// # Errors
/// [`SealedRecordError`].
pub fn open(
    secret: &AuditSecret,
    name: &ContentDigest,
    bytes: &[u8],
) -> Result<Vec<u8>, SealedRecordError> {
    let read = || {
        let mut f = Fields::decode(bytes, checker::record::LEN_MAX)?;
        f.version(VERSION)?;
        let parts = (f.bytes(2, "encapsulated key")?, f.bytes(3, "record")?);
        f.finish()?;
        Ok(parts)
    };
    let (encapsulated, sealed) =
        read().map_err(|why| SealedRecordError::Form { name: name.to_string(), why })?;
    let opened = secret.0.open(INFO, name.as_bytes(), encapsulated, &sealed);
    let record = opened.ok_or_else(|| SealedRecordError::Closed(name.to_string()))?;
    if !holds("record_name", ContentDigest::of(&record) == *name) {
        return Err(SealedRecordError::Other(name.to_string()));
    }
    Ok(record)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use evidence::controls::without;

    fn key(n: u8) -> AuditSecret {
        AuditSecret::new([n; 32])
    }

    #[test]
    fn a_record_opens_with_the_audit_key_alone_and_says_nothing_to_others() {
        let record = b"role=payments measurement=414141".to_vec();
        let (name, sealed) = seal(&key(1).public().unwrap(), &record).unwrap();
        assert_eq!(open(&key(1), &name, &sealed), Ok(record));
        assert!(matches!(open(&key(2), &name, &sealed), Err(SealedRecordError::Closed(_))));
        assert!(!String::from_utf8_lossy(&sealed).contains("payments"));
        let again = seal(&key(1).public().unwrap(), b"role=payments measurement=414141").unwrap();
        assert_eq!(again.0, name);
        assert_ne!(again.1, sealed, "the same record twice looks the same on the disk");
    }

    #[test]
    fn every_changed_byte_and_every_truncation_is_refused() {
        let (name, sealed) = seal(&key(1).public().unwrap(), b"record").unwrap();
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(open(&key(1), &name, &bad).is_err(), "byte {at}");
            assert!(open(&key(1), &name, &sealed[..at]).is_err(), "cut at {at}");
        }
        assert!(open(&key(1), &name, &[sealed.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn a_record_under_anothers_name_is_refused() {
        let public = key(1).public().unwrap();
        let (name, _) = seal(&public, b"one").unwrap();
        let (_, other) = seal(&public, b"another").unwrap();
        assert!(matches!(open(&key(1), &name, &other), Err(SealedRecordError::Closed(_))));
        // Encrypted under that name by somebody who has the public key, as everybody may: the digest tells.
        let (encapsulated, forged) =
            hpke::seal(public.as_bytes(), INFO, name.as_bytes(), b"another").unwrap();
        let forged = encode(encapsulated, forged);
        assert!(matches!(open(&key(1), &name, &forged), Err(SealedRecordError::Other(_))));
        assert_eq!(
            without("record_name", || open(&key(1), &name, &forged)),
            Ok(b"another".to_vec())
        );
    }

    #[test]
    fn a_key_file_is_read_whole_or_not_at_all() {
        let file = key(7).to_file();
        let read = AuditSecret::from_file(file.expose()).unwrap();
        assert_eq!(read.public().unwrap(), key(7).public().unwrap());
        for bad in
            ["", "casemate-audit-key-1", "casemate-audit-key-1 00", "casemate-audit-key-2 00"]
        {
            assert!(AuditSecret::from_file(bad).is_none(), "{bad}");
        }
    }
}
