//! A program's proxy. Stub.
use ciborium::Value;
use evidence::cbor::{self, Fields};

/// First message to a proxy.
#[derive(Clone, Debug)]
pub struct Start {
    /// The domain's bundle.
    pub domain: Vec<u8>,
    /// The program terminates TLS itself.
    pub self_tls: bool,
    /// Its ports.
    pub listen: Vec<u16>,
    /// Its peers, in the order of their sockets.
    pub connect: Vec<String>,
    /// Path of the peers' addresses.
    pub directory: String,
}

impl Start {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        cbor::map(vec![
            (1, Value::Bytes(self.domain.clone())),
            (2, self.self_tls.into()),
            (3, Value::Array(self.listen.iter().map(|p| Value::from(*p)).collect())),
            (4, Value::Array(self.connect.iter().map(|p| Value::from(p.as_str())).collect())),
            (5, self.directory.as_str().into()),
        ])
    }
}

/// What a proxy tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It takes connections for its program here.
    Listening {
        /// host:port.
        address: String,
    },
    /// Its program was admitted.
    Admitted(String),
    /// It was not.
    Refused(String),
}

impl Status {
    /// From a message.
    #[must_use]
    pub fn decode(value: Value) -> Option<Self> {
        let mut f = Fields::from_value(value).ok()?;
        let text = f.text(2, "text").ok()?;
        Some(match f.uint(1, "status").ok()? {
            1 => Self::Listening { address: text },
            2 => Self::Admitted(text),
            3 => Self::Refused(text),
            _ => return None,
        })
    }

    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        let (code, text) = match self {
            Self::Listening { address } => (1, address),
            Self::Admitted(t) => (2, t),
            Self::Refused(t) => (3, t),
        };
        cbor::map(vec![(1, code.into()), (2, text.as_str().into())])
    }
}
