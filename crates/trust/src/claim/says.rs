//! What a claim says: the verbs of the language, their arguments and their reading in English.
//!
//! Names are of fixed forms and compared byte for byte; free text (an operator, a place) is shown and never compared with
//! anything but itself. An unknown verb or a field too many is refused.

use core::fmt;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{ContentDigest, IssuerKey, MachineId, Measurement, Time};

use super::scope::{NAME_LEN_MAX, Scope, Topic};
use crate::names::RoleName;

/// Longest free text of a claim.
pub const TEXT_LEN_MAX: usize = 128;
/// Highest level of an endorsement of a platform.
pub const LEVEL_MAX: u64 = 3;
/// Longest chain a policy or a delegate may allow.
pub const DEPTH_MAX: u64 = 8;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// This measurement is trusted as this role.
    Program {
        /// The role.
        role: RoleName,
        /// The measurement.
        measurement: Measurement,
    },
    /// This measurement is this version of a product.
    Release {
        /// The product, in the form of a role's name.
        product: RoleName,
        /// Its version: one number that only grows.
        version: u64,
        /// The measurement.
        measurement: Measurement,
    },
    /// This measurement was built from this source.
    Build {
        /// Where the source is.
        source: Source,
        /// Which state of it: a commit.
        revision: String,
        /// The measurement.
        measurement: Measurement,
    },
    /// As this role, `to` takes the place of `from`.
    Upgrade {
        /// The role.
        role: RoleName,
        /// Trusted so far.
        from: Measurement,
        /// Trusted from now on.
        to: Measurement,
    },
    /// This machine stands there.
    Place(Standing),
    /// Another key may speak about a topic too.
    Delegate {
        /// Whose key.
        to: IssuerKey,
        /// About what.
        topic: Topic,
        /// For which names.
        scope: Scope,
        /// How often it may be passed on again.
        depth: u64,
    },
    /// Another key speaks for this one: what it says, the issuer says.
    Speaks {
        /// The other key.
        key: IssuerKey,
    },
    /// The issuer takes back what it said.
    Withdraw {
        /// Digest of its claim.
        claim: ContentDigest,
    },
    /// This measurement is not trusted as this role, whoever says otherwise.
    Distrust {
        /// The role.
        role: RoleName,
        /// The measurement.
        measurement: Measurement,
    },
}

/// Where a machine stands, who operates it, and how whoever says so knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The machine: its exact id, never a part of it.
    pub machine: MachineId,
    /// The country.
    pub country: Country,
    /// A finer place, for people.
    pub site: String,
    /// Who operates the machine.
    pub operator: String,
    /// How it is known.
    pub basis: Basis,
    /// How surely: 1 to 3.
    pub level: u64,
    /// When it was seen.
    pub observed: Time,
}

/// An ISO 3166-1 alpha-2 code: two capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let code = <[u8; 2]>::try_from(text.as_bytes()).ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where source code is: a URI without query or fragment, compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(String);

impl Source {
    /// Reads one: `scheme:` and printable ASCII that needs no quoting.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let plain = |b: u8| b.is_ascii_graphic() && !b"*,\"'`\\?#<>".contains(&b);
        let scheme_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'+';
        let sound = !scheme.is_empty()
            && scheme.bytes().all(scheme_byte)
            && !rest.is_empty()
            && rest.bytes().all(plain)
            && text.len() <= NAME_LEN_MAX;
        sound.then(|| Self(text.to_owned()))
    }

    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How somebody knows where a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// Somebody went there.
    AuditorVisit,
    /// Whoever runs it says so.
    OperatorAssertion,
    /// A key ceremony at its console.
    ConsoleCeremony,
    /// A satellite receiver in its TPM.
    GnssTpm,
    /// Round trips on the network.
    NetworkTiming,
    /// Another verifier's word.
    OtherVerifier,
}

impl Basis {
    /// Every value.
    pub const ALL: [Self; 6] = [
        Self::AuditorVisit,
        Self::OperatorAssertion,
        Self::ConsoleCeremony,
        Self::GnssTpm,
        Self::NetworkTiming,
        Self::OtherVerifier,
    ];

    /// The spelling in policies and claims.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuditorVisit => "auditor-visit",
            Self::OperatorAssertion => "operator-assertion",
            Self::ConsoleCeremony => "console-ceremony",
            Self::GnssTpm => "gnss-tpm",
            Self::NetworkTiming => "network-timing",
            Self::OtherVerifier => "other-verifier",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|b| b.as_str() == text)
    }
}

/// True for text that can be shown to anybody: no control or invisible characters, not empty, not long.
#[must_use]
pub fn is_plain_text(text: &str) -> bool {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    (1..=TEXT_LEN_MAX).contains(&text.len()) && !text.chars().any(hidden) && text.trim() == text
}

/// True for a revision: letters, digits, `.`, `-`, `_`.
fn is_revision(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    (1..=TEXT_LEN_MAX).contains(&text.len()) && text.bytes().all(plain)
}

fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

fn checked(
    f: &mut Fields,
    key: i64,
    name: &'static str,
    good: fn(&str) -> bool,
) -> Result<String, CborError> {
    Some(f.text(key, name)?).filter(|t| good(t)).ok_or(CborError::Field(name))
}

fn within(
    f: &mut Fields,
    key: i64,
    name: &'static str,
    least: u64,
    most: u64,
) -> Result<u64, CborError> {
    Some(f.uint(key, name)?).filter(|n| (least..=most).contains(n)).ok_or(CborError::Field(name))
}

impl Says {
    /// The verb, as claims and proofs spell it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Program { .. } => "program",
            Self::Release { .. } => "release",
            Self::Build { .. } => "build",
            Self::Upgrade { .. } => "upgrade",
            Self::Place(_) => "place",
            Self::Delegate { .. } => "delegate",
            Self::Speaks { .. } => "speaks",
            Self::Withdraw { .. } => "withdraw",
            Self::Distrust { .. } => "distrust",
        }
    }

    /// True for what is so whoever asks, and may be said to every domain at once.
    #[must_use]
    pub const fn is_of_the_world(&self) -> bool {
        matches!(
            self,
            Self::Release { .. } | Self::Build { .. } | Self::Place(_) | Self::Withdraw { .. }
        )
    }

    pub(crate) fn encode(&self) -> Value {
        let mut map = vec![(1, Value::from(self.verb()))];
        map.extend(match self {
            Self::Program { role, measurement } | Self::Distrust { role, measurement } => {
                vec![(2, role.as_str().into()), (3, bytes(measurement.as_bytes()))]
            }
            Self::Release { product, version, measurement } => vec![
                (2, product.as_str().into()),
                (3, bytes(measurement.as_bytes())),
                (4, (*version).into()),
            ],
            Self::Build { source, revision, measurement } => vec![
                (2, source.as_str().into()),
                (3, bytes(measurement.as_bytes())),
                (4, revision.as_str().into()),
            ],
            Self::Upgrade { role, from, to } => vec![
                (2, role.as_str().into()),
                (3, bytes(to.as_bytes())),
                (4, bytes(from.as_bytes())),
            ],
            Self::Place(s) => vec![
                (2, bytes(s.machine.as_bytes())),
                (3, s.country.as_str().into()),
                (4, s.site.as_str().into()),
                (5, s.operator.as_str().into()),
                (6, s.basis.as_str().into()),
                (7, s.level.into()),
                (8, s.observed.unix().into()),
            ],
            Self::Delegate { to, topic, scope, depth } => vec![
                (2, bytes(to.as_bytes())),
                (3, topic.as_str().into()),
                (4, scope.encode()),
                (5, (*depth).into()),
            ],
            Self::Speaks { key } => vec![(2, bytes(key.as_bytes()))],
            Self::Withdraw { claim } => vec![(2, bytes(claim.as_bytes()))],
        });
        cbor::map(map)
    }

    pub(crate) fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let verb = f.text(1, "verb")?;
        let role =
            |f: &mut Fields, name| RoleName::new(&f.text(2, name)?).ok_or(CborError::Field(name));
        let measured = |f: &mut Fields| f.named(3, "measurement", Measurement::from_slice);
        let says = match verb.as_str() {
            "program" => {
                Self::Program { role: role(&mut f, "role")?, measurement: measured(&mut f)? }
            }
            "distrust" => {
                Self::Distrust { role: role(&mut f, "role")?, measurement: measured(&mut f)? }
            }
            "release" => Self::Release {
                product: role(&mut f, "product")?,
                version: f.uint(4, "version")?,
                measurement: measured(&mut f)?,
            },
            "build" => Self::Build {
                source: Source::new(&f.text(2, "source")?).ok_or(CborError::Field("source"))?,
                revision: checked(&mut f, 4, "revision", is_revision)?,
                measurement: measured(&mut f)?,
            },
            "upgrade" => Self::Upgrade {
                role: role(&mut f, "role")?,
                to: measured(&mut f)?,
                from: f.named(4, "from", Measurement::from_slice)?,
            },
            "place" => Self::Place(Standing {
                machine: f.named(2, "machine", MachineId::new)?,
                country: Country::new(&f.text(3, "country")?).ok_or(CborError::Field("country"))?,
                site: checked(&mut f, 4, "site", is_plain_text)?,
                operator: checked(&mut f, 5, "operator", is_plain_text)?,
                basis: Basis::parse(&f.text(6, "basis")?).ok_or(CborError::Field("basis"))?,
                level: within(&mut f, 7, "level", 1, LEVEL_MAX)?,
                observed: Time::from_unix(f.int(8, "observed")?),
            }),
            "delegate" => Self::Delegate {
                to: f.named(2, "to", IssuerKey::from_slice)?,
                topic: Topic::parse(&f.text(3, "topic")?).ok_or(CborError::Field("topic"))?,
                scope: Scope::decode(f.take(4, "scope")?).ok_or(CborError::Field("scope"))?,
                depth: within(&mut f, 5, "depth", 0, DEPTH_MAX)?,
            },
            "speaks" => Self::Speaks { key: f.named(2, "key", IssuerKey::from_slice)? },
            "withdraw" => Self::Withdraw { claim: f.named(2, "claim", ContentDigest::from_slice)? },
            _ => return Err(CborError::Field("verb")),
        };
        f.finish()?;
        Ok(says)
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { role, measurement } => {
                write!(f, "program {measurement} is trusted as {role}")
            }
            Self::Release { product, version, measurement } => {
                write!(f, "program {measurement} is {product} version {version}")
            }
            Self::Build { source, revision, measurement } => {
                write!(f, "program {measurement} was built from {source} at {revision}")
            }
            Self::Upgrade { role, from, to } => {
                write!(f, "as {role}, program {to} takes the place of {from}")
            }
            Self::Place(s) => write!(
                f,
                "machine {} stands in {} ({}), operated by {}; known by {}, level {}, seen {}",
                s.machine,
                s.country,
                s.site,
                s.operator,
                s.basis.as_str(),
                s.level,
                s.observed
            ),
            Self::Delegate { to, topic, scope, depth } => {
                write!(f, "key {to} may speak about {} ({scope})", topic.as_str())?;
                match depth {
                    0 => f.write_str(", and not pass it on"),
                    n => write!(f, ", and pass it on {n} times"),
                }
            }
            Self::Speaks { key } => write!(f, "key {key} speaks for me"),
            Self::Withdraw { claim } => write!(f, "I take back claim {claim}"),
            Self::Distrust { role, measurement } => {
                write!(f, "program {measurement} is not trusted as {role} any more")
            }
        }
    }
}
