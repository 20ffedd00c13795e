//! The keyholder's protocol: what a launcher registers and what a program's proxy may ask.
//!
//! Which program asks is known by the socket it asks on, never by what it says. The keyholder builds binder and
//! statement itself from its own knowledge (domain, measurement); nothing in a request can name another program,
//! another domain or free-form data (I4).

use std::os::fd::{AsFd, OwnedFd};

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::statement::{Anchor, HostOs, LimitsBy, ProgramState};
use evidence::{
    Binder, BinderKind, ContentDigest, DomainRoot, End, Exporter, HardwareEvidence, Isolation,
    Kind, Measurement, Nonce, Session, Side, SpkiDigest, StatementKey,
};

use crate::seal::{OpenRefusal, Opened, PLAINTEXT_MAX, StoreId};
use crate::{Info, Platform, PlatformError, Refused, Secret, message};

/// What a program was granted that the keyholder has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grants {
    /// It terminates TLS itself: statements of kind `channel/program`, and none of kind `channel/monitor`.
    pub self_tls: bool,
}

/// The machine underneath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// The software platform, its machine in this directory.
    Software(String),
    /// A TPM, behind this device.
    Tpm(String),
}

impl Hardware {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Software(_) => Kind::Software,
            Self::Tpm(_) => Kind::Tpm,
        }
    }
}

/// First message on the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The machine.
    pub hardware: Hardware,
    /// The domain this monitor serves.
    pub domain: DomainRoot,
    /// SHA-384 of the monitor's executable.
    pub monitor: Measurement,
}

impl Start {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        let (Hardware::Software(path) | Hardware::Tpm(path)) = &self.hardware;
        cbor::map(vec![
            (1, 2.into()),
            (2, self.hardware.kind().as_str().into()),
            (3, path.as_str().into()),
            (4, Value::Bytes(self.domain.as_bytes().to_vec())),
            (5, Value::Bytes(self.monitor.as_bytes().to_vec())),
        ])
    }

    /// From a message.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        f.version(2)?;
        let (kind, path) = (f.text(2, "hardware")?, f.text(3, "path")?);
        let hardware = match Kind::parse(&kind) {
            Some(Kind::Software) => Hardware::Software(path),
            Some(Kind::Tpm) => Hardware::Tpm(path),
            _ => return Err(CborError::Field("hardware")),
        };
        let start = Self {
            hardware,
            domain: f.named(4, "domain", DomainRoot::from_slice)?,
            monitor: f.named(5, "monitor", Measurement::from_slice)?,
        };
        f.finish()?;
        Ok(start)
    }
}

/// On the control socket: from now on the socket beside this message speaks for that program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The program as the launcher measured and isolated it.
    pub program: ProgramState,
    /// What it was granted.
    pub grants: Grants,
}

/// On a program's socket.
#[derive(Debug)]
pub enum Request {
    /// Who am I.
    Info,
    /// Hardware evidence for the monitor's statement key, with a verifier's nonce.
    HardwareEvidence(Nonce),
    /// A statement for a connection. The speaker's own domain is filled in by the keyholder.
    State(Box<Binder>),
    /// A statement of what the program says in its own name.
    Claim {
        /// The relying party's nonce.
        nonce: Nonce,
        /// Digest of what is said.
        said: ContentDigest,
    },
    /// Seal.
    Seal {
        /// Store.
        store: StoreId,
        /// Version.
        version: u64,
        /// Content.
        plaintext: Secret<Vec<u8>>,
    },
    /// Open.
    Open {
        /// Store.
        store: StoreId,
        /// Lowest acceptable version.
        at_least: u64,
        /// The blob.
        blob: Vec<u8>,
    },
}

/// Answers.
#[derive(Debug)]
pub enum Reply {
    /// To [`Request::Info`].
    Info(Info),
    /// To [`Request::HardwareEvidence`].
    HardwareEvidence(HardwareEvidence),
    /// To [`Request::State`], [`Request::Claim`] and [`Request::Seal`]: the object.
    Bytes(Vec<u8>),
    /// To [`Request::Open`].
    Opened(Opened),
    /// The blob did not open; the text of the refusal.
    NotOpened(OpenRefusal),
    /// No.
    Refused(Refused),
}

fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

/// A program's state as a map, for messages of this protocol.
#[must_use]
pub fn encode_program(p: &ProgramState) -> Value {
    let open =
        p.open.iter().map(|(k, v)| (Value::from(k.as_str()), Value::from(v.as_str()))).collect();
    cbor::map(vec![
        (1, bytes(p.measurement.as_bytes())),
        (2, p.isolation.as_str().into()),
        (3, p.host.as_str().into()),
        (4, p.limits.as_str().into()),
        (5, p.anchor.as_str().into()),
        (6, Value::Map(open)),
    ])
}

/// Reads [`encode_program`].
///
/// # Errors
/// [`CborError`].
pub fn decode_program(value: Value) -> Result<ProgramState, CborError> {
    let mut f = Fields::from_value(value)?;
    let measurement = f.named(1, "measurement", Measurement::from_slice)?;
    let isolation =
        Isolation::parse(&f.text(2, "isolation")?).ok_or(CborError::Field("isolation"))?;
    let host = HostOs::parse(&f.text(3, "host")?).ok_or(CborError::Field("host"))?;
    let limits = LimitsBy::parse(&f.text(4, "limits")?).ok_or(CborError::Field("limits"))?;
    let anchor = Anchor::parse(&f.text(5, "anchor")?).ok_or(CborError::Field("anchor"))?;
    let open = f
        .take(6, "open")?
        .into_map()
        .ok()
        .and_then(|m| {
            m.into_iter().map(|(k, v)| Some((k.into_text().ok()?, v.into_text().ok()?))).collect()
        })
        .ok_or(CborError::Field("open"))?;
    f.finish()?;
    Ok(ProgramState { measurement, isolation, host, limits, anchor, open })
}

impl Register {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        cbor::map(vec![
            (1, 1.into()),
            (2, encode_program(&self.program)),
            (3, self.grants.self_tls.into()),
        ])
    }

    /// From a message.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        f.version(1)?;
        let program = decode_program(f.take(2, "program")?)?;
        let grants = Grants { self_tls: f.boolean(3, "self_tls")? };
        f.finish()?;
        Ok(Self { program, grants })
    }
}

/// A binder's parts as a map. The domain of the speaking side travels as null: the keyholder knows it.
#[must_use]
pub fn encode_binder(b: &Binder) -> Value {
    let end = |e: &End| {
        Value::Array(vec![
            e.domain.map_or(Value::Null, |d| bytes(d.as_bytes())),
            e.spki.map_or(Value::Null, |s| bytes(s.as_bytes())),
            bytes(e.nonce.as_bytes()),
        ])
    };
    cbor::map(vec![
        (1, b.kind.as_str().into()),
        (2, b.side.as_str().into()),
        (3, end(&b.client)),
        (4, end(&b.server)),
        (5, bytes(b.session.exporter.as_bytes())),
        (6, b.session.cipher_suite.into()),
        (7, b.session.group.into()),
        (8, b.session.inner_protocol.as_str().into()),
        (9, bytes(b.claims.as_bytes())),
    ])
}

/// Reads [`encode_binder`].
///
/// # Errors
/// [`CborError`].
pub fn decode_binder(value: Value) -> Result<Binder, CborError> {
    let mut f = Fields::from_value(value)?;
    let kind = BinderKind::parse(&f.text(1, "kind")?).ok_or(CborError::Field("kind"))?;
    let side = Side::parse(&f.text(2, "side")?).ok_or(CborError::Field("side"))?;
    let client = decode_end(f.take(3, "client")?)?;
    let server = decode_end(f.take(4, "server")?)?;
    let exporter = f.named(5, "exporter", Exporter::from_slice)?;
    let code = |n: u64, name| u16::try_from(n).map_err(|_| CborError::Field(name));
    let cipher_suite = code(f.uint(6, "cipher_suite")?, "cipher_suite")?;
    let group = code(f.uint(7, "group")?, "group")?;
    let inner_protocol = f.text(8, "inner_protocol")?;
    let claims = f.named(9, "claims", ContentDigest::from_slice)?;
    f.finish()?;
    let session = Session { exporter, cipher_suite, group, inner_protocol };
    Ok(Binder { kind, side, client, server, session, claims })
}

fn decode_end(value: Value) -> Result<End, CborError> {
    let field = CborError::Field("end");
    let parts = value.into_array().map_err(|_| field)?;
    let Ok([domain, spki, nonce]) = <[Value; 3]>::try_from(parts) else { return Err(field) };
    let optional = |v: Value| match v {
        Value::Null => Ok(None),
        v => v.into_bytes().map(Some).map_err(|_| field),
    };
    Ok(End {
        domain: optional(domain)?.map(|b| DomainRoot::from_slice(&b).ok_or(field)).transpose()?,
        spki: optional(spki)?.map(|b| SpkiDigest::from_slice(&b).ok_or(field)).transpose()?,
        nonce: nonce.into_bytes().ok().and_then(|b| Nonce::from_slice(&b)).ok_or(field)?,
    })
}

impl Request {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        match self {
            Self::Info => cbor::map(vec![(1, 1.into())]),
            Self::HardwareEvidence(nonce) => {
                cbor::map(vec![(1, 2.into()), (2, bytes(nonce.as_bytes()))])
            }
            Self::State(binder) => cbor::map(vec![(1, 3.into()), (2, encode_binder(binder))]),
            Self::Claim { nonce, said } => cbor::map(vec![
                (1, 4.into()),
                (2, bytes(nonce.as_bytes())),
                (3, bytes(said.as_bytes())),
            ]),
            Self::Seal { store, version, plaintext } => cbor::map(vec![
                (1, 5.into()),
                (2, store.as_str().into()),
                (3, (*version).into()),
                (4, bytes(plaintext.expose())),
            ]),
            Self::Open { store, at_least, blob } => cbor::map(vec![
                (1, 6.into()),
                (2, store.as_str().into()),
                (3, (*at_least).into()),
                (4, bytes(blob)),
            ]),
        }
    }

    /// From a message.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let store =
            |f: &mut Fields| StoreId::new(&f.text(2, "store")?).ok_or(CborError::Field("store"));
        let request = match f.uint(1, "request")? {
            1 => Self::Info,
            2 => Self::HardwareEvidence(f.named(2, "nonce", Nonce::from_slice)?),
            3 => Self::State(Box::new(decode_binder(f.take(2, "binder")?)?)),
            4 => Self::Claim {
                nonce: f.named(2, "nonce", Nonce::from_slice)?,
                said: f.named(3, "said", ContentDigest::from_slice)?,
            },
            5 => {
                let (store, version) = (store(&mut f)?, f.uint(3, "version")?);
                let plaintext = Secret::new(f.bytes(4, "plaintext")?);
                if plaintext.expose().len() > PLAINTEXT_MAX {
                    return Err(CborError::Field("plaintext"));
                }
                Self::Seal { store, version, plaintext }
            }
            6 => Self::Open {
                store: store(&mut f)?,
                at_least: f.uint(3, "at_least")?,
                blob: f.bytes(4, "blob")?,
            },
            _ => return Err(CborError::Field("request")),
        };
        f.finish()?;
        Ok(request)
    }
}

impl Reply {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        match self {
            Self::Info(i) => cbor::map(vec![
                (1, 1.into()),
                (2, bytes(i.domain.as_bytes())),
                (3, bytes(i.statement_key.as_bytes())),
                (4, encode_program(&i.program)),
            ]),
            Self::HardwareEvidence(e) => cbor::map(vec![
                (1, 2.into()),
                (2, e.kind.as_str().into()),
                (3, bytes(&e.report)),
                (4, Value::Array(e.endorsements.iter().map(|b| bytes(b)).collect())),
            ]),
            Self::Bytes(b) => cbor::map(vec![(1, 3.into()), (2, bytes(b))]),
            Self::Opened(o) => cbor::map(vec![
                (1, 4.into()),
                (2, o.version.into()),
                (3, o.anchor.as_str().into()),
                (4, bytes(o.plaintext.expose())),
            ]),
            Self::NotOpened(refusal) => {
                cbor::map(vec![(1, 5.into()), (2, encode_refusal(refusal))])
            }
            Self::Refused(r) => cbor::map(vec![(1, 6.into()), (2, r.code().into())]),
        }
    }

    /// From a message.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let reply = match f.uint(1, "reply")? {
            1 => Self::Info(Info {
                domain: f.named(2, "domain", DomainRoot::from_slice)?,
                statement_key: f.named(3, "statement_key", StatementKey::from_slice)?,
                program: decode_program(f.take(4, "program")?)?,
            }),
            2 => Self::HardwareEvidence(HardwareEvidence {
                kind: Kind::parse(&f.text(2, "kind")?).ok_or(CborError::Field("kind"))?,
                report: f.bytes(3, "report")?,
                endorsements: f
                    .array(4, "endorsements")?
                    .into_iter()
                    .map(|v| v.into_bytes().map_err(|_| CborError::Field("endorsements")))
                    .collect::<Result<_, _>>()?,
            }),
            3 => Self::Bytes(f.bytes(2, "bytes")?),
            4 => Self::Opened(Opened {
                version: f.uint(2, "version")?,
                anchor: Anchor::parse(&f.text(3, "anchor")?).ok_or(CborError::Field("anchor"))?,
                plaintext: Secret::new(f.bytes(4, "plaintext")?),
            }),
            5 => Self::NotOpened(decode_refusal(f.take(2, "refusal")?)?),
            6 => Self::Refused(
                Refused::from_code(f.uint(2, "code")?).ok_or(CborError::Field("code"))?,
            ),
            _ => return Err(CborError::Field("reply")),
        };
        f.finish()?;
        Ok(reply)
    }
}

/// An [`OpenRefusal`] as an array: its number, then what it compares.
pub(crate) fn encode_refusal(refusal: &OpenRefusal) -> Value {
    Value::Array(match refusal {
        OpenRefusal::Form(_) => vec![1.into()],
        OpenRefusal::WrongPlatform => vec![2.into()],
        OpenRefusal::WrongDomain { expected, got } => {
            vec![3.into(), bytes(expected.as_bytes()), bytes(got.as_bytes())]
        }
        OpenRefusal::WrongProgram { expected, got } => {
            vec![4.into(), bytes(expected.as_bytes()), bytes(got.as_bytes())]
        }
        OpenRefusal::WrongStore { expected, got } => {
            vec![5.into(), expected.as_str().into(), got.as_str().into()]
        }
        OpenRefusal::Older { expected, got } => vec![6.into(), (*expected).into(), (*got).into()],
        OpenRefusal::Changed => vec![7.into()],
    })
}

pub(crate) fn decode_refusal(value: Value) -> Result<OpenRefusal, CborError> {
    let field = CborError::Field("refusal");
    let mut parts = value.into_array().map_err(|_| field)?.into_iter();
    let mut next = || parts.next().ok_or(field);
    let number = |v: Value| v.into_integer().ok().and_then(|i| u64::try_from(i).ok()).ok_or(field);
    let blob = |v: Value| v.into_bytes().map_err(|_| field);
    let text = |v: Value| v.into_text().map_err(|_| field);
    let domain = |v: Value| DomainRoot::from_slice(&blob(v)?).ok_or(field);
    let program = |v: Value| Measurement::from_slice(&blob(v)?).ok_or(field);
    let refusal = match number(next()?)? {
        1 => OpenRefusal::Form(CborError::Malformed),
        2 => OpenRefusal::WrongPlatform,
        3 => OpenRefusal::WrongDomain { expected: domain(next()?)?, got: domain(next()?)? },
        4 => OpenRefusal::WrongProgram { expected: program(next()?)?, got: program(next()?)? },
        5 => OpenRefusal::WrongStore { expected: text(next()?)?, got: text(next()?)? },
        6 => OpenRefusal::Older { expected: number(next()?)?, got: number(next()?)? },
        7 => OpenRefusal::Changed,
        _ => return Err(field),
    };
    parts.next().map_or(Ok(refusal), |_| Err(field))
}

/// The proxy's end of its program's keyholder socket.
#[derive(Debug)]
pub struct Client(OwnedFd);

impl Client {
    /// Takes the inherited socket.
    #[must_use]
    pub const fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Asks and waits; the keyholder answers within microseconds.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn ask(&self, request: &Request) -> Result<Reply, PlatformError> {
        let (reply, _) = message::call(self.0.as_fd(), &request.encode(), &[])?;
        match Reply::decode(reply)? {
            Reply::Refused(why) => Err(PlatformError::Refused(why)),
            Reply::NotOpened(why) => Err(PlatformError::Open(why)),
            reply => Ok(reply),
        }
    }

    fn ask_bytes(&self, request: &Request) -> Result<Vec<u8>, PlatformError> {
        match self.ask(request)? {
            Reply::Bytes(b) => Ok(b),
            _ => Err(CborError::Field("reply").into()),
        }
    }

    /// Hardware evidence over the monitor's statement key and `nonce`.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        match self.ask(&Request::HardwareEvidence(nonce))? {
            Reply::HardwareEvidence(e) => Ok(e),
            _ => Err(CborError::Field("reply").into()),
        }
    }

    /// A statement for a connection.
    ///
    /// # Errors
    /// [`PlatformError`].
    pub fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        self.ask_bytes(&Request::State(Box::new(binder.clone())))
    }
}

impl Platform for Client {
    fn info(&mut self) -> Result<Info, PlatformError> {
        match self.ask(&Request::Info)? {
            Reply::Info(i) => Ok(i),
            _ => Err(CborError::Field("reply").into()),
        }
    }

    fn seal(
        &mut self,
        store: &StoreId,
        version: u64,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, PlatformError> {
        let plaintext = Secret::new(plaintext.to_vec());
        self.ask_bytes(&Request::Seal { store: store.clone(), version, plaintext })
    }

    fn open(
        &mut self,
        store: &StoreId,
        at_least: u64,
        blob: &[u8],
    ) -> Result<Opened, PlatformError> {
        let request = Request::Open { store: store.clone(), at_least, blob: blob.to_vec() };
        match self.ask(&request)? {
            Reply::Opened(o) => Ok(o),
            _ => Err(CborError::Field("reply").into()),
        }
    }

    fn attest(&mut self, nonce: Nonce, said: ContentDigest) -> Result<Vec<u8>, PlatformError> {
        self.ask_bytes(&Request::Claim { nonce, said })
    }
}
