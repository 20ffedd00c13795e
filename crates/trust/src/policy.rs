//! A domain's policy: what the domain file says, normalised, numbered and chained. `docs/formats/policy.md` is its page.
//!
//! [`PolicyInForce`] is the only form decisions take: k of n owners signed it, it belongs to the pinned domain, and
//! it follows the version before.

pub mod issuers;

use std::collections::HashMap;

use ciborium::Value;
use evidence::appraise::Machines;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::statement::HostOs;
use evidence::{ContentDigest, DomainRoot, Isolation, Kind, MachineId, Measurement, RootDigest};
use thiserror::Error;

pub use issuers::{Endorsed, Issuer, Place, PlaceBy};

use crate::claim::Source;
use crate::genesis::Genesis;
use crate::names::{DomainName, RoleName};
use crate::signing::{Namespace, Signed, SigningError};

/// Longest policy: a million measurements fit.
pub const LEN_MAX: usize = 64 << 20;
const VERSION: u64 = 3;
/// Versions that are read: the first had no outsiders, the second no issuers and no places but by name.
const READ: [u64; 3] = [1, 2, VERSION];

/// What one kind of hardware must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The kind.
    pub kind: Kind,
    /// The shipped profile that states its knobs; empty for the software platform, which has none.
    pub profile: String,
    /// Roots taken besides those the profile pins.
    pub roots: Vec<RootDigest>,
    /// Machines.
    pub machines: Machines,
    /// Machine images, or on the software platform monitors.
    pub images: Vec<Measurement>,
    /// Isolation values taken.
    pub isolation: Vec<Isolation>,
    /// Host states taken.
    pub host: Vec<HostOs>,
}

/// Who may be a program's client without being a program: its server is attested to them, they are not to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outsider {
    /// Whoever can reach it.
    Anonymous,
}

impl Outsider {
    /// As domain files and policies spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text == Self::Anonymous.as_str()).then_some(Self::Anonymous)
    }

    /// Among the roles that are a program's clients: no role can be called so.
    #[must_use]
    pub const fn as_client(self) -> &'static str {
        match self {
            Self::Anonymous => "@anonymous",
        }
    }
}

/// A role and what it takes to be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The role.
    pub role: RoleName,
    /// Measurements trusted for it.
    pub measurements: Vec<Measurement>,
    /// Kinds of hardware it may run on.
    pub on: Vec<Kind>,
    /// Places it may run in; none stated means the policy does not ask.
    pub places: Vec<String>,
    /// Ports it may take connections on.
    pub listen: Vec<u16>,
    /// Roles it may connect to.
    pub connect: Vec<RoleName>,
    /// Secrets it may be given.
    pub secrets: Vec<String>,
    /// Who besides programs may connect to it; nobody, where it is not stated.
    pub outsiders: Vec<Outsider>,
    /// Products of which a release is trusted for it, from a version on.
    pub releases: Vec<(RoleName, u64)>,
    /// Sources from which a build is trusted for it.
    pub builds: Vec<Source>,
}

/// A policy's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The domain's name.
    pub domain: DomainName,
    /// The domain.
    pub root: DomainRoot,
    /// From 1, without gaps.
    pub version: u64,
    /// Digest of the version before; none for the first.
    pub previous: Option<ContentDigest>,
    /// Kinds of hardware, each once.
    pub hardware: Vec<Hardware>,
    /// Programs, by role.
    pub programs: Vec<Program>,
    /// Whose claims count, and for what.
    pub issuers: Vec<Issuer>,
    /// Places.
    pub places: Vec<Place>,
}

/// A policy that k of n owners put in force.
#[derive(Clone, Debug)]
pub struct PolicyInForce {
    policy: Policy,
    digest: ContentDigest,
    signed: Signed,
    permissions: std::sync::Arc<crate::permission::Permissions>,
    /// Which of its programs a measurement is trusted as: a million of them are not looked through at every decision.
    measured: std::sync::Arc<HashMap<Measurement, Vec<usize>>>,
}

/// Why a policy is not in force.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not signed by enough owners.
    #[error("policy: {0}")]
    Signing(#[from] SigningError),
    /// Malformed.
    #[error("policy: {0}")]
    Form(#[from] CborError),
    /// Of another domain.
    #[error("policy of domain {got}, expected {expected}")]
    Domain {
        /// Ours.
        expected: DomainRoot,
        /// The policy's.
        got: DomainRoot,
    },
    /// Not newer.
    #[error("policy version {got}, expected {expected}; an older policy is never taken again")]
    Version {
        /// The next one.
        expected: u64,
        /// This one's.
        got: u64,
    },
    /// Another policy with the number of one that is known.
    #[error(
        "two policies of version {version}: {known} and {other}; the owners signed both, keep them as evidence and ask"
    )]
    Equivocation {
        /// The number.
        version: u64,
        /// The one known.
        known: ContentDigest,
        /// The other one.
        other: ContentDigest,
    },
    /// Does not follow the one before.
    #[error(
        "policy version {version} does not follow the version before it; sign it on top of {expected}"
    )]
    Chain {
        /// Its number.
        version: u64,
        /// Digest of the one before.
        expected: ContentDigest,
    },
    /// Its permissions do not make sense.
    #[error("policy: {0}")]
    Permissions(#[from] crate::permission::PermissionError),
}

fn list<T>(items: &[T], write: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(write).collect())
}

fn read_list<T>(
    items: Vec<Value>,
    name: &'static str,
    read: impl Fn(Value) -> Option<T>,
) -> Result<Vec<T>, CborError> {
    items.into_iter().map(|v| read(v).ok_or(CborError::Field(name))).collect()
}

fn text(v: Value) -> Option<String> {
    v.into_text().ok()
}

fn bytes<T>(read: impl Fn(&[u8]) -> Option<T>) -> impl Fn(Value) -> Option<T> {
    move |v| read(&v.into_bytes().ok()?)
}

impl Hardware {
    fn encode(&self) -> Value {
        let machines = match &self.machines {
            Machines::AnyGenuine => Value::from("any-genuine"),
            Machines::Only(ids) => list(ids, |m| Value::Bytes(m.as_bytes().to_vec())),
        };
        cbor::map(vec![
            (1, self.kind.as_str().into()),
            (2, self.profile.as_str().into()),
            (3, list(&self.roots, |r| Value::Bytes(r.as_bytes().to_vec()))),
            (4, machines),
            (5, list(&self.images, |m| Value::Bytes(m.as_bytes().to_vec()))),
            (6, list(&self.isolation, |i| i.as_str().into())),
            (7, list(&self.host, |h| h.as_str().into())),
        ])
    }

    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let hardware = Self {
            kind: Kind::parse(&f.text(1, "kind")?).ok_or(CborError::Field("kind"))?,
            profile: f.text(2, "profile")?,
            roots: read_list(f.array(3, "roots")?, "roots", bytes(RootDigest::from_slice))?,
            machines: match f.take(4, "machines")? {
                Value::Text(t) if t == "any-genuine" => Machines::AnyGenuine,
                Value::Array(ids) => {
                    Machines::Only(read_list(ids, "machines", bytes(MachineId::new))?)
                }
                _ => return Err(CborError::Field("machines")),
            },
            images: read_list(f.array(5, "images")?, "images", bytes(Measurement::from_slice))?,
            isolation: read_list(f.array(6, "isolation")?, "isolation", |v| {
                Isolation::parse(&text(v)?)
            })?,
            host: read_list(f.array(7, "host")?, "host", |v| HostOs::parse(&text(v)?))?,
        };
        f.finish()?;
        Ok(hardware)
    }
}

impl Program {
    fn encode(&self) -> Value {
        cbor::map(vec![
            (1, self.role.as_str().into()),
            (2, list(&self.measurements, |m| Value::Bytes(m.as_bytes().to_vec()))),
            (3, list(&self.on, |k| k.as_str().into())),
            (4, list(&self.places, |p| p.as_str().into())),
            (5, list(&self.listen, |p| (*p).into())),
            (6, list(&self.connect, |r| r.as_str().into())),
            (7, list(&self.secrets, |s| s.as_str().into())),
            (8, list(&self.outsiders, |o| o.as_str().into())),
            (9, list(&self.releases, |(p, v)| Value::Array(vec![p.as_str().into(), (*v).into()]))),
            (10, list(&self.builds, |s| s.as_str().into())),
        ])
    }

    fn decode(value: Value, version: u64) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let program = Self {
            role: RoleName::new(&f.text(1, "role")?).ok_or(CborError::Field("role"))?,
            measurements: read_list(
                f.array(2, "measurements")?,
                "measurements",
                bytes(Measurement::from_slice),
            )?,
            on: read_list(f.array(3, "on")?, "on", |v| Kind::parse(&text(v)?))?,
            places: read_list(f.array(4, "places")?, "places", text)?,
            listen: read_list(f.array(5, "listen")?, "listen", |v| {
                u16::try_from(v.into_integer().ok()?).ok()
            })?,
            connect: read_list(f.array(6, "connect")?, "connect", |v| RoleName::new(&text(v)?))?,
            secrets: read_list(f.array(7, "secrets")?, "secrets", text)?,
            outsiders: match version {
                1 => Vec::new(),
                _ => read_list(f.array(8, "outsiders")?, "outsiders", |v| {
                    Outsider::parse(&text(v)?)
                })?,
            },
            releases: match version {
                1 | 2 => Vec::new(),
                _ => read_list(f.array(9, "releases")?, "releases", |v| {
                    let [product, from] = <[Value; 2]>::try_from(v.into_array().ok()?).ok()?;
                    let from = u64::try_from(from.into_integer().ok()?).ok()?;
                    Some((RoleName::new(&text(product)?)?, from))
                })?,
            },
            builds: match version {
                1 | 2 => Vec::new(),
                _ => read_list(f.array(10, "builds")?, "builds", |v| Source::new(&text(v)?))?,
            },
        };
        f.finish()?;
        Ok(program)
    }
}

impl Policy {
    /// Deterministic CBOR: what owners sign in [`Namespace::Policy`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, self.domain.as_str().into()),
            (3, Value::Bytes(self.root.as_bytes().to_vec())),
            (4, self.version.into()),
            (5, self.previous.map_or(Value::Null, |p| Value::Bytes(p.as_bytes().to_vec()))),
            (6, list(&self.hardware, Hardware::encode)),
            (7, list(&self.programs, Program::encode)),
            (8, list(&self.issuers, Issuer::encode)),
            (9, list(&self.places, Place::encode)),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, LEN_MAX)?;
        let format = f.uint(1, "version")?;
        if !READ.contains(&format) {
            return Err(CborError::Version(format));
        }
        let domain = DomainName::new(&f.text(2, "domain")?).ok_or(CborError::Field("domain"))?;
        let root = f.named(3, "root", DomainRoot::from_slice)?;
        let version = f.uint(4, "policy version")?;
        let previous = match f.take(5, "previous")? {
            Value::Null => None,
            v => Some(
                v.into_bytes()
                    .ok()
                    .and_then(|b| ContentDigest::from_slice(&b))
                    .ok_or(CborError::Field("previous"))?,
            ),
        };
        let hardware =
            f.array(6, "hardware")?.into_iter().map(Hardware::decode).collect::<Result<_, _>>()?;
        let programs = f
            .array(7, "programs")?
            .into_iter()
            .map(|p| Program::decode(p, format))
            .collect::<Result<_, _>>()?;
        let (mut issuers, mut places) = (Vec::new(), Vec::new());
        if format == VERSION {
            let all = f.array(8, "issuers")?.into_iter();
            issuers = all.map(Issuer::decode).collect::<Result<_, _>>()?;
            let all = f.array(9, "places")?.into_iter();
            places = all.map(Place::decode).collect::<Result<_, _>>()?;
        }
        f.finish()?;
        Ok(Self { domain, root, version, previous, hardware, programs, issuers, places })
    }
}

impl PolicyInForce {
    /// The policy, if enough owners of `genesis` signed it and it follows `before`.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn verify(
        signed: &Signed,
        genesis: &Genesis,
        before: Option<&Self>,
    ) -> Result<Self, PolicyError> {
        let digest = ContentDigest::of(&signed.payload);
        let read = |b: &[u8]| Ok::<_, PolicyError>(Policy::decode(b)?);
        let policy = genesis.signed(signed, Namespace::Policy, read, |p, period| {
            period.covers_policy(p.version, digest)
        })?;
        let root = genesis.root();
        if !holds("policy_domain", policy.root == root && policy.domain == genesis.domain) {
            return Err(PolicyError::Domain { expected: root, got: policy.root });
        }
        if let Some(before) = before {
            let (known, version) = (before.digest, policy.version);
            let forked = version == before.policy.version && digest != known;
            if !holds("policy_equivocation", !forked) {
                return Err(PolicyError::Equivocation { version, known, other: digest });
            }
            let expected = before.policy.version.saturating_add(1);
            if !holds("policy_version", version == expected) {
                return Err(PolicyError::Version { expected, got: version });
            }
            if !holds("policy_chain", policy.previous == Some(known)) {
                return Err(PolicyError::Chain { version, expected: known });
            }
        }
        let permissions = std::sync::Arc::new(crate::permission::Permissions::compile(&policy)?);
        let mut measured = HashMap::<_, Vec<usize>>::new();
        for (n, program) in policy.programs.iter().enumerate() {
            program.measurements.iter().for_each(|m| measured.entry(*m).or_default().push(n));
        }
        let measured = std::sync::Arc::new(measured);
        Ok(Self { policy, digest, signed: signed.clone(), permissions, measured })
    }

    /// The content.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The programs that list this measurement.
    pub fn measured_as(&self, measurement: &Measurement) -> impl Iterator<Item = &Program> {
        let places = self.measured.get(measurement).into_iter().flatten();
        places.filter_map(|n| self.policy.programs.get(*n))
    }

    /// SHA-384 of the signed bytes.
    #[must_use]
    pub const fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// The signed object.
    #[must_use]
    pub const fn signed(&self) -> &Signed {
        &self.signed
    }

    /// Its permissions.
    #[must_use]
    pub fn permissions(&self) -> &crate::permission::Permissions {
        &self.permissions
    }
}
