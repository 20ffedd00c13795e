//! Decision records: everything a decision rested on, content-addressed. `docs/formats/decision-record.md` is the page.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{
    ContentDigest, DomainRoot, HardwareEvidence, Kind, Nonce, RootDigest, StatementKey, Time,
};
use thiserror::Error;

/// Longest record.
pub const LEN_MAX: usize = 80 << 20;
const VERSION: u64 = 1;

/// Why bytes are no record.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("decision record: {0}; the file is damaged or of another version")]
pub struct RecordError(#[from] pub CborError);

/// One admission: what was shown, under which policy, when, and what followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRecord {
    /// When it was decided.
    pub at: Time,
    /// The domain.
    pub domain: DomainRoot,
    /// The policy's signed payload.
    pub policy: Vec<u8>,
    /// Hardware evidence, and when it was verified.
    pub hardware: HardwareEvidence,
    /// When the hardware evidence was verified: the monitor's lease began then.
    pub hardware_at: Time,
    /// The nonce it answered.
    pub nonce: Nonce,
    /// The monitor's key.
    pub statement_key: StatementKey,
    /// The monitor's statement.
    pub statement: Vec<u8>,
    /// The binder it is under, encoded.
    pub binder: Vec<u8>,
    /// The proof, encoded.
    pub proof: Vec<u8>,
    /// The role granted.
    pub role: String,
    /// Roles it may connect to.
    pub connect: Vec<String>,
    /// Ports it may take connections on.
    pub listen: Vec<u16>,
    /// Secrets it may be given, by name.
    pub secrets: Vec<String>,
}

fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

fn texts(t: &[String]) -> Value {
    Value::Array(t.iter().map(|t| Value::from(t.as_str())).collect())
}

fn read_texts(v: Vec<Value>, name: &'static str) -> Result<Vec<String>, CborError> {
    v.into_iter().map(|t| t.into_text().map_err(|_| CborError::Field(name))).collect()
}

impl DecisionRecord {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let endorsements = self.hardware.endorsements.iter().map(|e| bytes(e)).collect();
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, self.at.unix().into()),
            (3, bytes(self.domain.as_bytes())),
            (4, bytes(&self.policy)),
            (5, self.hardware.kind.as_str().into()),
            (6, bytes(&self.hardware.report)),
            (7, Value::Array(endorsements)),
            (8, self.hardware_at.unix().into()),
            (9, bytes(self.nonce.as_bytes())),
            (10, bytes(self.statement_key.as_bytes())),
            (11, bytes(&self.statement)),
            (12, bytes(&self.binder)),
            (13, bytes(&self.proof)),
            (14, self.role.as_str().into()),
            (15, texts(&self.connect)),
            (16, Value::Array(self.listen.iter().map(|p| Value::from(*p)).collect())),
            (17, texts(&self.secrets)),
        ]))
    }

    /// Its name: SHA-384 of the encoding, as the log has it.
    #[must_use]
    pub fn digest(&self) -> ContentDigest {
        ContentDigest::of(&self.encode())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(b: &[u8]) -> Result<Self, RecordError> {
        let mut f = Fields::decode(b, LEN_MAX)?;
        f.version(VERSION)?;
        let record = Self {
            at: Time::from_unix(f.int(2, "at")?),
            domain: f.named(3, "domain", DomainRoot::from_slice)?,
            policy: f.bytes(4, "policy")?,
            hardware: HardwareEvidence {
                kind: Kind::parse(&f.text(5, "kind")?).ok_or(CborError::Field("kind"))?,
                report: f.bytes(6, "report")?,
                endorsements: f
                    .array(7, "endorsements")?
                    .into_iter()
                    .map(|v| v.into_bytes().map_err(|_| CborError::Field("endorsements")))
                    .collect::<Result<_, _>>()?,
            },
            hardware_at: Time::from_unix(f.int(8, "hardware_at")?),
            nonce: f.named(9, "nonce", Nonce::from_slice)?,
            statement_key: f.named(10, "statement_key", StatementKey::from_slice)?,
            statement: f.bytes(11, "statement")?,
            binder: f.bytes(12, "binder")?,
            proof: f.bytes(13, "proof")?,
            role: f.text(14, "role")?,
            connect: read_texts(f.array(15, "connect")?, "connect")?,
            listen: read_ports(f.array(16, "listen")?)?,
            secrets: read_texts(f.array(17, "secrets")?, "secrets")?,
        };
        f.finish()?;
        Ok(record)
    }
}

/// As much of a policy as re-checking needs, read from its signed bytes by the checker's own reading.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) root: DomainRoot,
    /// Kind of hardware, its profile, images in hex, machines in hex (none: any genuine), isolation and host values.
    pub(crate) hardware: Vec<Hardware>,
    pub(crate) programs: Vec<Program>,
}

#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    pub(crate) kind: String,
    pub(crate) roots: Vec<RootDigest>,
    pub(crate) profile: String,
    pub(crate) images: Vec<String>,
    pub(crate) machines: Option<Vec<String>>,
    pub(crate) isolation: Vec<String>,
    pub(crate) host: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) role: String,
    pub(crate) measurements: Vec<String>,
    pub(crate) on: Vec<String>,
    pub(crate) places: Vec<String>,
    pub(crate) listen: Vec<u16>,
    pub(crate) connect: Vec<String>,
    pub(crate) secrets: Vec<String>,
}

fn hexes(v: Vec<Value>, name: &'static str) -> Result<Vec<String>, CborError> {
    v.into_iter()
        .map(|b| b.into_bytes().map(hex::encode).map_err(|_| CborError::Field(name)))
        .collect()
}

fn read_ports(v: Vec<Value>) -> Result<Vec<u16>, CborError> {
    let port = |v: Value| v.into_integer().ok().and_then(|i| u16::try_from(i).ok());
    v.into_iter().map(|v| port(v).ok_or(CborError::Field("listen"))).collect()
}

impl Policy {
    /// Every field is read or refused: a policy that says more than this reader knows is not judged by the rest of it.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(payload, LEN_MAX)?;
        // The second format says besides who may connect without being a program: nothing a decision rests on.
        let format = match f.uint(1, "version")? {
            known @ (1 | 2) => known,
            other => return Err(CborError::Version(other)),
        };
        for (key, name) in [(2, "domain"), (4, "policy version"), (5, "previous")] {
            f.take(key, name)?;
        }
        let root = f.named(3, "root", DomainRoot::from_slice)?;
        let (mut hardware, mut programs) = (Vec::new(), Vec::new());
        for item in f.array(6, "hardware")? {
            let mut h = Fields::from_value(item)?;
            let kind = h.text(1, "kind")?;
            let roots = hexes(h.array(3, "roots")?, "roots")?;
            hardware.push(Hardware {
                kind,
                roots: roots.iter().filter_map(|r| RootDigest::from_hex(r)).collect(),
                profile: h.text(2, "profile")?,
                machines: match h.take(4, "machines")? {
                    Value::Array(ids) => Some(hexes(ids, "machines")?),
                    Value::Text(t) if t == "any-genuine" => None,
                    _ => return Err(CborError::Field("machines")),
                },
                images: hexes(h.array(5, "images")?, "images")?,
                isolation: read_texts(h.array(6, "isolation")?, "isolation")?,
                host: read_texts(h.array(7, "host")?, "host")?,
            });
            h.finish()?;
        }
        for item in f.array(7, "programs")? {
            let mut p = Fields::from_value(item)?;
            programs.push(Program {
                role: p.text(1, "role")?,
                measurements: hexes(p.array(2, "measurements")?, "measurements")?,
                on: read_texts(p.array(3, "on")?, "on")?,
                places: read_texts(p.array(4, "places")?, "places")?,
                listen: read_ports(p.array(5, "listen")?)?,
                connect: read_texts(p.array(6, "connect")?, "connect")?,
                secrets: read_texts(p.array(7, "secrets")?, "secrets")?,
            });
            if format == 2 {
                read_texts(p.array(8, "outsiders")?, "outsiders")?;
            }
            p.finish()?;
        }
        f.finish()?;
        Ok(Self { root, hardware, programs })
    }
}
