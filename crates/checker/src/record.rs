//! Decision records: everything a decision rested on, content-addressed. `docs/formats/decision-record.md` is the page.

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{
    ContentDigest, DomainRoot, HardwareEvidence, Kind, Nonce, RootDigest, StatementKey, Time,
};
use thiserror::Error;

/// Longest record.
pub const LEN_MAX: usize = 80 << 20;
const VERSION: u64 = 2;

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
    /// The claims the proof rests on, as they came.
    pub claims: Vec<Vec<u8>>,
    /// How many revocations of the domain were known.
    pub revocation: u64,
    /// Last second of what was granted.
    pub not_after: Time,
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
            (18, Value::Array(self.claims.iter().map(|c| bytes(c)).collect())),
            (19, self.revocation.into()),
            (20, self.not_after.unix().into()),
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
            claims: f
                .array(18, "claims")?
                .into_iter()
                .map(|v| v.into_bytes().map_err(|_| CborError::Field("claims")))
                .collect::<Result<_, _>>()?,
            revocation: f.uint(19, "revocation")?,
            not_after: Time::from_unix(f.int(20, "not_after")?),
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
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) places: Vec<Place>,
}

/// Somebody whose claims count: its key and until when in the spelling of proofs, scopes as `*` or names with commas.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    pub(crate) key: String,
    pub(crate) holder: String,
    pub(crate) may: Vec<(String, String)>,
    pub(crate) depth: u64,
    pub(crate) until: i64,
}

/// A place: the words of its leaf in a proof, after its name.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// The leaf's name, and its arguments.
    pub(crate) leaf: Vec<String>,
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
    pub(crate) releases: Vec<(String, u64)>,
    pub(crate) builds: Vec<String>,
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
        // The second format says besides who may connect without being a program, nothing a decision rests on; the third
        // whose claims count.
        let format = match f.uint(1, "version")? {
            known @ 1..=3 => known,
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
                releases: if format < 3 { Vec::new() } else { releases(p.array(9, "releases")?)? },
                builds: if format < 3 {
                    Vec::new()
                } else {
                    read_texts(p.array(10, "builds")?, "builds")?
                },
            });
            if format > 1 {
                read_texts(p.array(8, "outsiders")?, "outsiders")?;
            }
            p.finish()?;
        }
        let (mut issuers, mut places) = (Vec::new(), Vec::new());
        if format == 3 {
            let all = f.array(8, "issuers")?.into_iter();
            issuers = all.map(Issuer::read).collect::<Result<_, _>>()?;
            let all = f.array(9, "places")?.into_iter();
            places = all.map(Place::read).collect::<Result<_, _>>()?;
        }
        f.finish()?;
        Ok(Self { root, hardware, programs, issuers, places })
    }
}

fn releases(items: Vec<Value>) -> Result<Vec<(String, u64)>, CborError> {
    let release = |v: Value| {
        let [product, from] = <[Value; 2]>::try_from(v.into_array().ok()?).ok()?;
        Some((product.into_text().ok()?, u64::try_from(from.into_integer().ok()?).ok()?))
    };
    items.into_iter().map(|v| release(v).ok_or(CborError::Field("releases"))).collect()
}

/// A scope as proofs spell it.
pub(crate) fn scope(value: Value) -> Option<String> {
    match value {
        Value::Text(t) if t == "*" => Some(t),
        Value::Array(names) => {
            let names = names.into_iter().map(|n| n.into_text().ok());
            let names = names.collect::<Option<Vec<_>>>()?;
            let sound = |n: &String| !n.is_empty() && n != "*" && !n.contains(',');
            (!names.is_empty() && names.iter().all(sound)).then(|| names.join(","))
        }
        _ => None,
    }
}

impl Issuer {
    fn read(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        f.text(1, "issuer")?;
        let may = |v: Value| {
            let [topic, names] = <[Value; 2]>::try_from(v.into_array().ok()?).ok()?;
            Some((topic.into_text().ok()?, scope(names)?))
        };
        let issuer = Self {
            key: hex::encode(f.bytes(2, "key")?),
            holder: f.text(3, "holder")?,
            may: f
                .array(4, "may")?
                .into_iter()
                .map(|v| may(v).ok_or(CborError::Field("may")))
                .collect::<Result<_, _>>()?,
            depth: f.uint(5, "depth")?,
            until: f.int(6, "until")?,
        };
        f.finish()?;
        Ok(issuer)
    }
}

impl Place {
    fn read(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let name = f.text(1, "place")?;
        let leaf = match f.take_opt(2) {
            Some(region) => {
                let region = region.into_text().map_err(|_| CborError::Field("aws-vlek"))?;
                vec!["policy-place-region".to_owned(), region]
            }
            None => {
                let mut e = Fields::from_value(f.take(3, "endorsed")?)?;
                let countries = read_texts(e.array(1, "countries")?, "countries")?.join(",");
                let (need, level) = (e.uint(2, "need")?, e.uint(3, "level")?);
                let basis = read_texts(e.array(4, "basis")?, "basis")?.join(",");
                let age = e.int(5, "age")?;
                e.finish()?;
                let words = [countries, need.to_string(), level.to_string(), basis];
                let head = ["policy-place".to_owned()].into_iter();
                head.chain(words).chain([age.to_string()]).collect()
            }
        };
        f.finish()?;
        Ok(Self { name, leaf })
    }
}
