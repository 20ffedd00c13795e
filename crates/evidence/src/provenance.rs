//! Build provenance: what a build service signed about a program. in-toto Statement v1 with SLSA provenance v1 in a DSSE v1
//! envelope. `docs/formats/provenance.md` is its page.
//!
//! Refused: signatures of anybody the caller did not name, and everything else than the one builder, build type, parameters, source
//! and subject that were asked for. Nothing is believed because the statement says so: what is not demanded is not read.

mod dsse;
mod statement;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey};
use thiserror::Error;

use crate::bytes::Measurement;
use crate::controls::holds;
use crate::json::JsonError;

/// No envelope is longer: build services list their dependencies in it.
pub const LEN_MAX: usize = 1024 * 1024;
/// Most signatures of an envelope; each costs a check against each key.
pub const SIGNATURES_MAX: usize = 8;
/// Most keys tried.
pub const KEYS_MAX: usize = 8;
/// Most subjects of a statement.
pub const SUBJECTS_MAX: usize = 1024;
/// Most dependencies of a build.
pub const DEPENDENCIES_MAX: usize = 4096;
/// What the envelope must say its payload is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The one version of statements that is read.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The one predicate that is read.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// A build service's public key. Its kind fixes the algorithm; an envelope never chooses it.
#[derive(Clone, Debug)]
pub struct BuilderKey {
    spki: Vec<u8>,
    key: ParsedPublicKey,
}

impl BuilderKey {
    /// A SubjectPublicKeyInfo in DER: a point of P-256 (SHA-256, signatures in DER), uncompressed, or Ed25519.
    ///
    /// # Errors
    /// [`ProvenanceRefusal::Key`].
    pub fn from_spki(der: &[u8]) -> Result<Self, ProvenanceRefusal> {
        let key = if let Some(point) = der.strip_prefix(P256_HEAD) {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
        } else if let Some(point) = der.strip_prefix(ED25519_HEAD) {
            ParsedPublicKey::new(&ED25519, point)
        } else {
            return Err(ProvenanceRefusal::Key);
        };
        let key = key.map_err(|_| ProvenanceRefusal::Key)?;
        Ok(Self { spki: der.to_vec(), key })
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for BuilderKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

/// What a build must be. Every field is needed; none means "any".
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Keys the builder signs with. One of them must have signed, and nobody else.
    pub keys: Vec<BuilderKey>,
    /// `runDetails.builder.id`, byte for byte.
    pub builder: String,
    /// `buildDefinition.buildType`, byte for byte: it says what the parameters mean.
    pub build_type: String,
    /// Where in `externalParameters` the source stands: a JSON pointer (RFC 6901), such as `/workflow/repository`.
    pub source_at: String,
    /// What must stand there, byte for byte.
    pub source: String,
    /// Other members that `externalParameters` may have, whatever they say.
    pub parameters: Vec<String>,
    /// The program, by SHA-384.
    pub subject: Measurement,
}

/// A build that met a [`Demand`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Build {
    /// What was built.
    pub subject: Measurement,
    /// From where.
    pub source: String,
    /// The commit: 40 or 64 hexadecimal digits.
    pub revision: String,
}

/// Why a build is not taken for what was demanded.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProvenanceRefusal {
    /// Another kind of key.
    #[error("provenance: expected a P-256 (uncompressed) or Ed25519 public key; export it as SPKI")]
    Key,
    /// No key, or more than are tried.
    #[error("provenance: {0} keys, expected 1 to {KEYS_MAX}; name those of this builder")]
    Keys(usize),
    /// Not JSON of ours.
    #[error("provenance: {0}")]
    Json(#[from] JsonError),
    /// Missing, of another type, or too large.
    #[error("provenance: `{0}` is missing or malformed; ask the build service for SLSA v1")]
    Field(&'static str),
    /// The envelope carries something else.
    #[error("provenance: payloadType {0:?}, expected {PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// A signature by nobody who was named.
    #[error("provenance: signature {0} is by none of the builder's keys or over other bytes")]
    Signature(usize),
    /// One key signs twice.
    #[error("provenance: signature {0} is by a key that signed already; one is enough")]
    Twice(usize),
    /// Not the statement that is read.
    #[error("provenance: statement {0:?}, expected {STATEMENT_TYPE:?}")]
    StatementType(String),
    /// Not the predicate that is read.
    #[error("provenance: predicate {0:?}, expected {PREDICATE_TYPE:?}")]
    PredicateType(String),
    /// About something else.
    #[error("provenance: no subject has the SHA-384 {0}; it is about another build")]
    Subject(Measurement),
    /// Built by somebody else.
    #[error("provenance: builder {got:?}, expected {expected:?}")]
    Builder {
        /// What was demanded.
        expected: String,
        /// What it says.
        got: String,
    },
    /// Built in another way.
    #[error("provenance: build type {got:?}, expected {expected:?}")]
    BuildType {
        /// What was demanded.
        expected: String,
        /// What it says.
        got: String,
    },
    /// Told something nobody expected.
    #[error(
        "provenance: external parameter {0:?} was not expected; name it if it may say anything"
    )]
    Parameter(String),
    /// Built from something else.
    #[error("provenance: source {got:?}, expected {expected:?}")]
    Source {
        /// What was demanded.
        expected: String,
        /// What it says.
        got: String,
    },
    /// Which state of the source is not said, or said twice.
    #[error("provenance: {0} resolved dependencies are the source, expected 1 with a gitCommit")]
    Revision(usize),
}

/// The build, if it is what was demanded.
///
/// 1. the form of the envelope, 2. every signature, over exactly the bytes, 3. the statement's types, 4. its subject, 5. who
///    built it, 6. how, 7. from what.
///
/// # Errors
/// [`ProvenanceRefusal`].
pub fn verify_provenance(envelope: &[u8], demand: &Demand) -> Result<Build, ProvenanceRefusal> {
    // 1
    if !(1..=KEYS_MAX).contains(&demand.keys.len()) {
        return Err(ProvenanceRefusal::Keys(demand.keys.len()));
    }
    let envelope = dsse::Envelope::parse(envelope)?;
    // 2
    let payload = envelope.verify(&demand.keys)?;
    // 3
    let statement = statement::Statement::parse(payload)?;
    // 4
    if !holds("provenance_subject", statement.is_about(&demand.subject)?) {
        return Err(ProvenanceRefusal::Subject(demand.subject));
    }
    // 5, 6, 7
    let revision = statement.built(demand)?;
    Ok(Build { subject: demand.subject, source: demand.source.clone(), revision })
}

/// A P-256 SubjectPublicKeyInfo up to its point (RFC 5480).
const P256_HEAD: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same of Ed25519 (RFC 8410).
const ED25519_HEAD: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
