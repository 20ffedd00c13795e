//! Monitor statements: what a monitor's keyholder signs about one of its programs, and nothing else.
//!
//! A statement never carries free-form data: it names a kind, the domain, the measurement of the
//! program whose socket asked, how that program is isolated, and the digest of a binder (or of a
//! [`ProgramClaim`](crate::binder::ProgramClaim)) that the verifier computes itself. `docs/formats/statement.md` is its page.

use ciborium::Value;
use thiserror::Error;

use crate::binder::BinderKind;
use crate::bytes::{BinderDigest, DomainRoot, Measurement, StatementKey};
use crate::cbor::{self, CborError, Fields};
use crate::controls::holds;
use crate::cose::{self, CoseError, Sign1};
use crate::hardware::Isolation;

/// Label under which statements are signed (the COSE external AAD).
pub const LABEL: &str = "casemate/statement/v1";
/// A statement with 32 declared-open values of full length stays below this.
pub const LEN_MAX: usize = 64 * 1024;
/// Most declared-open values a program can have.
pub const OPEN_MAX: usize = 32;
const VERSION: u64 = 1;

/// What a statement speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A connection, under a binder of that kind.
    Binder(BinderKind),
    /// Something the program says in its own name; never accepted on a channel.
    ProgramClaim,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Binder(kind) => kind.as_str(),
            Self::ProgramClaim => "program-claim",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "program-claim" {
            Some(Self::ProgramClaim)
        } else {
            BinderKind::parse(text).map(Self::Binder)
        }
    }
}

/// Whether the operating system around the monitor is fixed by measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostOs {
    /// Whoever runs the machine can change it.
    Mutable,
    /// The hardware evidence under the statement covers it.
    Measured,
}

/// What limits the program's memory and processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitsBy {
    /// Control groups, version 1.
    CgroupV1,
    /// Control groups, version 2.
    CgroupV2,
    /// Resource limits of the process, per process and not in sum.
    Rlimit,
}

/// What keeps an old sealed blob from passing for the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// Nothing: a restored disk is not noticed.
    Unprotected,
    /// A TPM's monotonic index.
    Tpm,
}

macro_rules! spelled {
    ($name:ident { $($variant:ident = $text:literal),+ }) => {
        impl $name {
            /// The spelling in statements and policies.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads that spelling.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
spelled!(HostOs { Mutable = "mutable", Measured = "measured" });
spelled!(LimitsBy { CgroupV1 = "cgroup-v1", CgroupV2 = "cgroup-v2", Rlimit = "rlimit" });
spelled!(Anchor { Unprotected = "unprotected", Tpm = "tpm" });

/// What a monitor says about a program, whatever the occasion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramState {
    /// Measurement of the program.
    pub measurement: Measurement,
    /// How far its isolation holds.
    pub isolation: Isolation,
    /// The operating system around the monitor.
    pub host: HostOs,
    /// What limits its memory and processes.
    pub limits: LimitsBy,
    /// What anchors its sealed state.
    pub anchor: Anchor,
    /// Declared-open values: names are measured, values are the host's word. Sorted by name.
    pub open: Vec<(String, String)>,
}

/// A statement. Only [`verify`] makes one from bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it speaks about.
    pub purpose: Purpose,
    /// The domain the monitor serves.
    pub domain: DomainRoot,
    /// The program.
    pub program: ProgramState,
    /// Digest of the binder or program claim.
    pub binder: BinderDigest,
}

/// Why a statement is refused.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementRefusal {
    /// Not a signed object of ours, or signed by another key.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The payload is not a statement of the version understood.
    #[error("statement payload: {0}")]
    Payload(#[from] CborError),
    /// Made for another purpose.
    #[error(
        "statement is for {got}, expected {expected}; ask the monitor for one of the right kind"
    )]
    Purpose {
        /// What the verifier wants.
        expected: &'static str,
        /// What it was given.
        got: &'static str,
    },
    /// Made under another domain.
    #[error("statement of domain {got}, expected {expected}; the monitor serves another domain")]
    Domain {
        /// The verifier's domain.
        expected: DomainRoot,
        /// The statement's.
        got: DomainRoot,
    },
    /// Bound to another connection, key, nonce, side or claims set.
    #[error(
        "statement is bound to something else than this connection (binder {got}, expected {expected}); it was replayed, relayed or reflected"
    )]
    Binder {
        /// Computed by the verifier.
        expected: BinderDigest,
        /// Found in the statement.
        got: BinderDigest,
    },
}

/// What a verifier knows before it looks at a statement.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The one purpose acceptable here.
    pub purpose: Purpose,
    /// The domain.
    pub domain: DomainRoot,
    /// Computed by the verifier from its own connection.
    pub binder: BinderDigest,
}

impl Statement {
    /// The payload to be signed (with [`cose::to_be_signed`] under [`LABEL`]).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let p = &self.program;
        let open = p
            .open
            .iter()
            .map(|(k, v)| (Value::from(k.as_str()), Value::from(v.as_str())))
            .collect();
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, self.purpose.as_str().into()),
            (3, Value::Bytes(self.domain.as_bytes().to_vec())),
            (4, Value::Bytes(p.measurement.as_bytes().to_vec())),
            (5, Value::Bytes(self.binder.as_bytes().to_vec())),
            (6, p.isolation.as_str().into()),
            (7, p.host.as_str().into()),
            (8, p.limits.as_str().into()),
            (9, p.anchor.as_str().into()),
            (10, Value::Map(open)),
        ]))
    }

    fn decode(payload: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(payload, LEN_MAX)?;
        f.version(VERSION)?;
        let purpose = Purpose::parse(&f.text(2, "purpose")?).ok_or(CborError::Field("purpose"))?;
        let domain = f.named(3, "domain", DomainRoot::from_slice)?;
        let measurement = f.named(4, "measurement", Measurement::from_slice)?;
        let binder = f.named(5, "binder", BinderDigest::from_slice)?;
        let isolation =
            Isolation::parse(&f.text(6, "isolation")?).ok_or(CborError::Field("isolation"))?;
        let host = HostOs::parse(&f.text(7, "host")?).ok_or(CborError::Field("host"))?;
        let limits = LimitsBy::parse(&f.text(8, "limits")?).ok_or(CborError::Field("limits"))?;
        let anchor = Anchor::parse(&f.text(9, "anchor")?).ok_or(CborError::Field("anchor"))?;
        let open = f.take(10, "open")?.into_map().map_err(|_| CborError::Field("open"))?;
        if open.len() > OPEN_MAX {
            return Err(CborError::Field("open"));
        }
        let open = open
            .into_iter()
            .map(|(k, v)| Some((k.into_text().ok()?, v.into_text().ok()?)))
            .collect::<Option<Vec<_>>>()
            .ok_or(CborError::Field("open"))?;
        f.finish()?;
        let program = ProgramState { measurement, isolation, host, limits, anchor, open };
        Ok(Self { purpose, domain, program, binder })
    }
}

/// A statement that `key` signed for exactly what was expected.
///
/// 1. the COSE form, 2. the signature over the received bytes, 3. the payload, 4. purpose, 5. domain, 6. binder.
///
/// # Errors
/// [`StatementRefusal`], the first that applies.
pub fn verify(
    bytes: &[u8],
    key: &StatementKey,
    expected: &Expected,
) -> Result<Statement, StatementRefusal> {
    // 1, 2
    let signed = Sign1::parse(bytes, LEN_MAX)?;
    let payload = signed.verify(key, LABEL)?;
    // 3
    let statement = Statement::decode(payload)?;
    // 4
    if !holds("statement_purpose", statement.purpose == expected.purpose) {
        return Err(StatementRefusal::Purpose {
            expected: expected.purpose.as_str(),
            got: statement.purpose.as_str(),
        });
    }
    // 5
    if !holds("statement_domain", statement.domain == expected.domain) {
        return Err(StatementRefusal::Domain { expected: expected.domain, got: statement.domain });
    }
    // 6
    if !holds("statement_binder", statement.binder == expected.binder) {
        return Err(StatementRefusal::Binder { expected: expected.binder, got: statement.binder });
    }
    Ok(statement)
}

/// Puts a statement and the Ed25519 signature over [`cose::to_be_signed`] of it together.
#[must_use]
pub fn assemble(statement: &Statement, signature: Vec<u8>) -> Vec<u8> {
    cose::assemble(statement.encode(), signature)
}
