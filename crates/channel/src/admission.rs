//! Admission: how a program's proxy (or a program itself) gets a credential from an authority. `docs/formats/admission.md`
//! is the page; this file has the messages, [`client`] the asking side.

pub mod client;
mod log_seen;

pub use log_seen::{LogProof, LogRefusal, LogSeen};

use std::sync::Arc;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{ContentDigest, HardwareEvidence, Kind, Nonce, SpkiDigest, StatementKey};
use platform::Secret;
use trust::signing::Signed;

/// Role of authorities; no policy can name it for another program.
pub const AUTHORITY_ROLE: &str = "casemate-authority";
/// Longest body either way.
pub const BODY_MAX: usize = 256 * 1024;
const VERSION: u64 = 1;

fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

fn optional(v: Value, name: &'static str) -> Result<Option<Vec<u8>>, CborError> {
    match v {
        Value::Null => Ok(None),
        v => v.into_bytes().map(Some).map_err(|_| CborError::Field(name)),
    }
}

fn optional_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

fn read_optional_text(v: Value, name: &'static str) -> Result<Option<String>, CborError> {
    match v {
        Value::Null => Ok(None),
        v => v.into_text().map(Some).map_err(|_| CborError::Field(name)),
    }
}

/// What a client trusts and where it asks: everything a proxy needs to know of its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The genesis, whose hash is the domain root.
    pub genesis: Vec<u8>,
    /// The owners' endorsement of the authority.
    pub endorsement: Vec<u8>,
    /// The authority's CA certificate, DER.
    pub ca: Vec<u8>,
    /// host:port of the authority.
    pub authority: String,
    /// The role to ask for, where the policy trusts the program in several: a request narrows, it never chooses.
    pub role: Option<String>,
}

impl Bundle {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(&self.genesis)),
            (3, bytes(&self.endorsement)),
            (4, bytes(&self.ca)),
            (5, self.authority.as_str().into()),
            (6, optional_text(self.role.as_deref())),
        ]))
    }

    /// Reads it; what it is worth, the pinned domain root says.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let bundle = Self {
            genesis: f.bytes(2, "genesis")?,
            endorsement: f.bytes(3, "endorsement")?,
            ca: f.bytes(4, "ca")?,
            authority: f.text(5, "authority")?,
            role: read_optional_text(f.take(6, "role")?, "role")?,
        };
        f.finish()?;
        Ok(bundle)
    }
}

/// `POST /v1/admission/challenge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeRequest {
    /// The client's nonce.
    pub nonce: Nonce,
    /// The key to be certified.
    pub leaf: SpkiDigest,
    /// The monitor's key.
    pub statement_key: StatementKey,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The authority's nonce: lives in this connection and dies with it.
    pub nonce: Nonce,
    /// The authority's statement, bound to this connection.
    pub statement: Vec<u8>,
    /// Fresh hardware evidence is wanted.
    pub hardware_needed: bool,
}

/// `POST /v1/admission`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionRequest {
    /// The key to be certified, DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Its role, where the client narrows.
    pub narrow: Option<String>,
    /// A separate, exportable key for the Workload API is asked for (good for credential mode only).
    pub exportable: bool,
    /// Hardware evidence, where it was wanted.
    pub hardware: Option<HardwareEvidence>,
    /// The monitor's statement under the admission binder.
    pub statement: Vec<u8>,
    /// The key's signature (ECDSA P-256, DER) over the binder's encoding.
    pub proof_of_possession: Vec<u8>,
    /// Entries of the log the client has seen, from which it wants proof that nothing before was changed.
    pub log_seen: u64,
}

/// A role secret by its name.
pub type ReleasedSecret = (String, Arc<Secret<Vec<u8>>>);

/// Its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// Leaf certificate, DER.
    pub certificate: Vec<u8>,
    /// The role.
    pub role: String,
    /// Roles it may connect to.
    pub connect: Vec<String>,
    /// Roles that may connect to it.
    pub clients: Vec<String>,
    /// Version of the policy.
    pub policy: u64,
    /// Number of the newest revocation.
    pub revocation: u64,
    /// The entry in the log.
    pub log_index: u64,
    /// Digest of the decision record.
    pub decision: ContentDigest,
    /// Secrets, by name.
    pub secrets: Vec<ReleasedSecret>,
    /// Proof that it stands in the log.
    pub log: LogProof,
}

/// A no: reasons for the one who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In words.
    pub reasons: Vec<String>,
}

/// `GET /v1/epochs?after=N`: signed revocations after number N.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Version of the policy in force.
    pub policy: u64,
    /// Revocations, oldest first.
    pub revocations: Vec<Signed>,
}

impl AdmissionRequest {
    /// Digest of what is asked, for the binder: nothing of the request can be exchanged.
    #[must_use]
    pub fn claims(&self) -> ContentDigest {
        ContentDigest::of(&cbor::encode(&Value::Array(vec![
            bytes(&self.spki),
            optional_text(self.narrow.as_deref()),
            self.exportable.into(),
            hardware_value(self.hardware.as_ref()),
        ])))
    }

    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(&self.spki)),
            (3, optional_text(self.narrow.as_deref())),
            (4, self.exportable.into()),
            (5, hardware_value(self.hardware.as_ref())),
            (6, bytes(&self.statement)),
            (7, bytes(&self.proof_of_possession)),
            (8, self.log_seen.into()),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let request = Self {
            spki: f.bytes(2, "spki")?,
            narrow: read_optional_text(f.take(3, "narrow")?, "narrow")?,
            exportable: f.boolean(4, "exportable")?,
            hardware: read_hardware(f.take(5, "hardware")?)?,
            statement: f.bytes(6, "statement")?,
            proof_of_possession: f.bytes(7, "proof_of_possession")?,
            log_seen: f.uint(8, "log_seen")?,
        };
        f.finish()?;
        Ok(request)
    }
}

fn hardware_value(hardware: Option<&HardwareEvidence>) -> Value {
    hardware.map_or(Value::Null, |h| {
        let endorsements = h.endorsements.iter().map(|e| bytes(e)).collect();
        Value::Array(vec![h.kind.as_str().into(), bytes(&h.report), Value::Array(endorsements)])
    })
}

fn read_hardware(value: Value) -> Result<Option<HardwareEvidence>, CborError> {
    let field = CborError::Field("hardware");
    if value.is_null() {
        return Ok(None);
    }
    let parts = value.into_array().map_err(|_| field)?;
    let Ok([kind, report, endorsements]) = <[Value; 3]>::try_from(parts) else { return Err(field) };
    let endorsements = endorsements.into_array().map_err(|_| field)?;
    Ok(Some(HardwareEvidence {
        kind: kind.into_text().ok().and_then(|t| Kind::parse(&t)).ok_or(field)?,
        report: report.into_bytes().map_err(|_| field)?,
        endorsements: endorsements
            .into_iter()
            .map(|e| e.into_bytes().map_err(|_| field))
            .collect::<Result<_, _>>()?,
    }))
}

impl ChallengeRequest {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let leaf = bytes(self.leaf.as_bytes());
        let key = bytes(self.statement_key.as_bytes());
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(self.nonce.as_bytes())),
            (3, leaf),
            (4, key),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let request = Self {
            nonce: f.named(2, "nonce", Nonce::from_slice)?,
            leaf: f.named(3, "leaf", SpkiDigest::from_slice)?,
            statement_key: f.named(4, "statement_key", StatementKey::from_slice)?,
        };
        f.finish()?;
        Ok(request)
    }
}

impl Challenge {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(self.nonce.as_bytes())),
            (3, bytes(&self.statement)),
            (4, self.hardware_needed.into()),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let challenge = Self {
            nonce: f.named(2, "nonce", Nonce::from_slice)?,
            statement: f.bytes(3, "statement")?,
            hardware_needed: f.boolean(4, "hardware_needed")?,
        };
        f.finish()?;
        Ok(challenge)
    }
}

impl Admission {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let texts =
            |t: &[String]| Value::Array(t.iter().map(|t| Value::from(t.as_str())).collect());
        let secrets = self
            .secrets
            .iter()
            .map(|(n, v)| (Value::from(n.as_str()), bytes(v.expose())))
            .collect();
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, bytes(&self.certificate)),
            (3, self.role.as_str().into()),
            (4, texts(&self.connect)),
            (5, texts(&self.clients)),
            (6, self.policy.into()),
            (7, self.revocation.into()),
            (8, self.log_index.into()),
            (9, bytes(self.decision.as_bytes())),
            (10, Value::Map(secrets)),
            (11, self.log.value()),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("roles"));
        let admission = Self {
            certificate: f.bytes(2, "certificate")?,
            role: f.text(3, "role")?,
            connect: f.array(4, "connect")?.into_iter().map(text).collect::<Result<_, _>>()?,
            clients: f.array(5, "clients")?.into_iter().map(text).collect::<Result<_, _>>()?,
            policy: f.uint(6, "policy")?,
            revocation: f.uint(7, "revocation")?,
            log_index: f.uint(8, "log_index")?,
            decision: f.named(9, "decision", ContentDigest::from_slice)?,
            secrets: f
                .take(10, "secrets")?
                .into_map()
                .ok()
                .and_then(|m| {
                    m.into_iter()
                        .map(|(k, v)| {
                            let value = Secret::new(v.into_bytes().ok()?);
                            Some((k.into_text().ok()?, Arc::new(value)))
                        })
                        .collect()
                })
                .ok_or(CborError::Field("secrets"))?,
            log: LogProof::read(f.take(11, "log")?)?,
        };
        f.finish()?;
        Ok(admission)
    }
}

impl Refused {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let reasons = self.reasons.iter().map(|r| Value::from(r.as_str())).collect();
        cbor::encode(&cbor::map(vec![(1, VERSION.into()), (2, Value::Array(reasons))]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let text = |v: Value| v.into_text().map_err(|_| CborError::Field("reasons"));
        Ok(Self {
            reasons: f.array(2, "reasons")?.into_iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}

impl News {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let revocations = self.revocations.iter().map(|s| bytes(&s.encode())).collect();
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, self.policy.into()),
            (3, Value::Array(revocations)),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(b, BODY_MAX)?;
        f.version(VERSION)?;
        let signed = |v: Value| {
            let b = optional(v, "revocation")?.ok_or(CborError::Field("revocation"))?;
            Signed::decode(&b).map_err(|_| CborError::Field("revocation"))
        };
        let news = Self {
            policy: f.uint(2, "policy")?,
            revocations: f
                .array(3, "revocations")?
                .into_iter()
                .map(signed)
                .collect::<Result<_, _>>()?,
        };
        f.finish()?;
        Ok(news)
    }
}
