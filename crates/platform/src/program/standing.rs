//! What a program's monitor tells it about its place: what it was given at its start, how it stands with the authority,
//! and what was revoked since. Each object carries its version; `docs/formats/program-socket.md` is the page.

use std::net::{Ipv4Addr, SocketAddrV4};

use ciborium::Value;
use evidence::Time;
use evidence::cbor::{CborError, Fields, map};

const VERSION: u64 = 1;
/// Most names, ports or objects in one list of a reply.
const LIST_MAX: usize = 1024;

/// What a program was given, fixed at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// TLS ends in the program.
    pub self_tls: bool,
    /// Ports on which peers reach it.
    pub listen: Vec<u16>,
    /// Where it reaches peers.
    pub peers: Vec<Peer>,
    /// The domain's bundle (`channel::admission::Bundle`); empty for a program of no domain.
    pub domain: Vec<u8>,
}

/// A role and the address inside the program's own network that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The role.
    pub role: String,
    /// The address.
    pub address: SocketAddrV4,
}

/// How a program stands with its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its newest certificate, DER.
    pub certificate: Vec<u8>,
    /// Roles it may connect to.
    pub connect: Vec<String>,
    /// Roles that may connect to it.
    pub clients: Vec<String>,
    /// Version of the policy.
    pub policy: u64,
    /// The authority's time, as the monitor has it.
    pub time: Time,
}

/// What happened since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Version of the newest policy; if it is newer than a program's admission, the program asks for another.
    pub policy: u64,
    /// Signed revocations, oldest first; there may be more.
    pub revocations: Vec<Vec<u8>>,
    /// The authority's time, as the monitor has it.
    pub time: Time,
}

fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

fn texts(all: &[String]) -> Value {
    Value::Array(all.iter().map(|t| Value::from(t.as_str())).collect())
}

fn list<T>(
    f: &mut Fields,
    key: i64,
    name: &'static str,
    read: impl Fn(Value) -> Option<T>,
) -> Result<Vec<T>, CborError> {
    let all = f.array(key, name)?;
    if all.len() > LIST_MAX {
        return Err(CborError::Field(name));
    }
    all.into_iter().map(|v| read(v).ok_or(CborError::Field(name))).collect()
}

fn port(value: &Value) -> Option<u16> {
    u16::try_from(value.as_integer()?).ok()
}

impl Peer {
    fn encode(&self) -> Value {
        let address = bytes(&self.address.ip().octets());
        Value::Array(vec![self.role.as_str().into(), address, self.address.port().into()])
    }

    fn decode(value: Value) -> Option<Self> {
        let [role, ip, number] = <[Value; 3]>::try_from(value.into_array().ok()?).ok()?;
        let ip = <[u8; 4]>::try_from(ip.into_bytes().ok()?).ok()?;
        let address = SocketAddrV4::new(Ipv4Addr::from(ip), port(&number)?);
        Some(Self { role: role.into_text().ok()?, address })
    }
}

impl Surroundings {
    pub(super) fn encode(&self, code: u64) -> Value {
        map(vec![
            (1, code.into()),
            (2, VERSION.into()),
            (3, self.self_tls.into()),
            (4, Value::Array(self.listen.iter().map(|p| Value::from(*p)).collect())),
            (5, Value::Array(self.peers.iter().map(Peer::encode).collect())),
            (6, bytes(&self.domain)),
        ])
    }

    pub(super) fn decode(f: &mut Fields) -> Result<Self, CborError> {
        version(f)?;
        Ok(Self {
            self_tls: f.boolean(3, "self_tls")?,
            listen: list(f, 4, "listen", |v| port(&v))?,
            peers: list(f, 5, "peers", Peer::decode)?,
            domain: f.bytes(6, "domain")?,
        })
    }
}

impl Standing {
    pub(super) fn encode(&self, code: u64) -> Value {
        map(vec![
            (1, code.into()),
            (2, VERSION.into()),
            (3, bytes(&self.certificate)),
            (4, texts(&self.connect)),
            (5, texts(&self.clients)),
            (6, self.policy.into()),
            (7, self.time.unix().into()),
        ])
    }

    pub(super) fn decode(f: &mut Fields) -> Result<Self, CborError> {
        version(f)?;
        let text = |v: Value| v.into_text().ok();
        Ok(Self {
            certificate: f.bytes(3, "certificate")?,
            connect: list(f, 4, "connect", text)?,
            clients: list(f, 5, "clients", text)?,
            policy: f.uint(6, "policy")?,
            time: Time::from_unix(f.int(7, "time")?),
        })
    }
}

impl News {
    pub(super) fn encode(&self, code: u64) -> Value {
        map(vec![
            (1, code.into()),
            (2, VERSION.into()),
            (3, self.policy.into()),
            (4, Value::Array(self.revocations.iter().map(|r| bytes(r)).collect())),
            (5, self.time.unix().into()),
        ])
    }

    pub(super) fn decode(f: &mut Fields) -> Result<Self, CborError> {
        version(f)?;
        Ok(Self {
            policy: f.uint(3, "policy")?,
            revocations: list(f, 4, "revocations", |v| v.into_bytes().ok())?,
            time: Time::from_unix(f.int(5, "time")?),
        })
    }
}

fn version(f: &mut Fields) -> Result<(), CborError> {
    match f.uint(2, "version")? {
        VERSION => Ok(()),
        other => Err(CborError::Version(other)),
    }
}
