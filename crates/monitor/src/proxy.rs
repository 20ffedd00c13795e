//! A program's proxy: admission, ingress, egress and the program's sockets. It holds this program's TLS key and its
//! keyholder socket, and nothing else; it can speak for no other program and opens no file but the peers' addresses.

mod admit;
mod channels;
mod clock;
mod egress;
mod ingress;
mod local;
mod porter;
mod raw;
mod socket;
mod standing;
mod workload;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;

use channel::admission::Bundle;
use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use platform::program::{self, Surroundings};
use platform::{PlatformError, keyholder, message};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, watch};

use self::channels::Channels;
use self::clock::clock;
use crate::program::config::Peer;
use crate::{harden, sys};

/// Descriptors, by number: control, keyholder, porter, program socket, workload socket, then one listener per peer.
const CONTROL: i32 = 3;

/// First message to a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The domain's [`Bundle`]; empty for a program that needs no admission (the first authority).
    pub domain: Vec<u8>,
    /// The program terminates TLS itself: ingress passes its bytes through.
    pub self_tls: bool,
    /// Its ports.
    pub listen: Vec<u16>,
    /// Its peers, in the order of their sockets.
    pub connect: Vec<Peer>,
    /// Path of the peers' addresses.
    pub directory: String,
}

/// Why a proxy ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The kernel refused.
    #[error("proxy: {0}")]
    Io(#[from] std::io::Error),
    /// A socket of ours.
    #[error("proxy: {0}")]
    Platform(#[from] PlatformError),
    /// The start message.
    #[error("proxy: {0}")]
    Form(#[from] CborError),
}

/// What a proxy tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It takes connections for its program here.
    Listening {
        /// The program's port.
        port: u16,
        /// host:port of this proxy.
        address: String,
    },
    /// Its program was admitted.
    Admitted(String),
    /// It was not.
    Refused(String),
}

impl Start {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        cbor::map(vec![
            (1, Value::Bytes(self.domain.clone())),
            (2, self.self_tls.into()),
            (3, Value::Array(self.listen.iter().map(|p| Value::from(*p)).collect())),
            (4, Value::Array(self.connect.iter().map(Peer::encode).collect())),
            (5, self.directory.as_str().into()),
        ])
    }

    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let port = |v: Value| {
            v.into_integer()
                .ok()
                .and_then(|i| u16::try_from(i).ok())
                .ok_or(CborError::Field("listen"))
        };
        let start = Self {
            domain: f.bytes(1, "domain")?,
            self_tls: f.boolean(2, "self_tls")?,
            listen: f.array(3, "listen")?.into_iter().map(port).collect::<Result<_, _>>()?,
            connect: f
                .array(4, "connect")?
                .into_iter()
                .map(Peer::decode)
                .collect::<Result<_, _>>()?,
            directory: f.text(5, "directory")?,
        };
        f.finish()?;
        Ok(start)
    }
}

impl Status {
    /// From a message.
    #[must_use]
    pub fn decode(value: Value) -> Option<Self> {
        let mut f = Fields::from_value(value).ok()?;
        let text = f.text(2, "text").ok()?;
        let port = u16::try_from(f.uint(3, "port").ok()?).ok()?;
        Some(match f.uint(1, "status").ok()? {
            1 => Self::Listening { port, address: text },
            2 => Self::Admitted(text),
            3 => Self::Refused(text),
            _ => return None,
        })
    }

    fn encode(&self) -> Value {
        let (code, text, port) = match self {
            Self::Listening { port, address } => (1, address, *port),
            Self::Admitted(t) => (2, t, 0),
            Self::Refused(t) => (3, t, 0),
        };
        cbor::map(vec![(1, code.into()), (2, text.as_str().into()), (3, port.into())])
    }
}

/// Tells the supervisor.
#[derive(Clone)]
struct Reporter(Arc<OwnedFd>);

impl Reporter {
    fn say(&self, status: &Status) {
        let _ = message::send(self.0.as_fd(), &status.encode(), &[]);
    }
}

/// The process: until its program's init or its supervisor goes away.
///
/// # Errors
/// [`ProxyError`].
pub fn run() -> Result<(), ProxyError> {
    // Not tied to its parent's death: the supervisor starts proxies on threads that end. Its socket is the tie.
    harden::harden_detached()?;
    let control = sys::inherited(CONTROL)?;
    let (start, _) = message::receive(&control)?.ok_or(CborError::Field("start"))?;
    let start = Start::decode(start)?;
    let keyholder = Arc::new(keyholder::Client::new(sys::inherited(4)?));
    let porter = Arc::new(porter::Porter::new(sys::inherited(5)?));
    let program = StdUnixListener::from(sys::inherited(6)?);
    let workload = StdUnixListener::from(sys::inherited(7)?);
    let egress = start
        .connect
        .iter()
        .zip(8..)
        .map(|(peer, fd)| Ok((peer.clone(), std::net::TcpListener::from(sys::inherited(fd)?))))
        .collect::<std::io::Result<Vec<_>>>()?;
    sys::drop_capabilities()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    crate::sandbox::seccomp::apply_proxy()?;
    let control = Arc::new(control);
    let supervisor = Arc::clone(&control);
    std::thread::spawn(move || {
        while matches!(message::receive(supervisor.as_fd()), Ok(Some(_))) {}
        std::process::exit(0);
    });
    let reporter = Reporter(control);
    runtime.block_on(live(start, keyholder, porter, program, workload, egress, reporter))
}

/// What the program is told of its place. The addresses are those of the sockets inside that init opened.
fn surroundings(start: &Start, egress: &[(Peer, std::net::TcpListener)]) -> Surroundings {
    let peers = egress.iter().filter_map(|(peer, listener)| match listener.local_addr().ok()? {
        SocketAddr::V4(address) => Some(program::Peer { role: peer.role.clone(), address }),
        SocketAddr::V6(_) => None,
    });
    Surroundings {
        self_tls: start.self_tls,
        listen: start.listen.clone(),
        peers: peers.collect(),
        domain: start.domain.clone(),
    }
}

async fn live(
    start: Start,
    keyholder: Arc<keyholder::Client>,
    porter: Arc<porter::Porter>,
    program: StdUnixListener,
    workload: StdUnixListener,
    egress: Vec<(Peer, std::net::TcpListener)>,
    reporter: Reporter,
) -> Result<(), ProxyError> {
    program.set_nonblocking(true)?;
    workload.set_nonblocking(true)?;
    let program = UnixListener::from_std(program)?;
    let bundle = if start.domain.is_empty() { None } else { Some(Bundle::decode(&start.domain)?) };
    let (admitted, watch) = watch::channel(None);
    let renew = Arc::new(Notify::new());
    let channels = Channels::new(Arc::clone(&keyholder), watch.clone(), Arc::clone(&renew));
    let (own, standing) = if start.self_tls {
        let (own, standing) = standing::OwnKey::new();
        (Some(own), standing)
    } else {
        (None, standing::of_proxy(watch))
    };
    let clerk = socket::Clerk {
        keyholder: Arc::clone(&keyholder),
        bundle: bundle.clone(),
        surroundings: surroundings(&start, &egress),
        standing: standing.clone(),
        own,
        pace: socket::Pace::default(),
        seen: tokio::sync::Mutex::default(),
        reporter: reporter.clone(),
    };
    tokio::spawn(socket::serve(program, clerk));
    let workload = UnixListener::from_std(workload)?;
    tokio::spawn(workload::serve(workload, Arc::clone(&keyholder), bundle.clone()));
    for port in &start.listen {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        if start.self_tls {
            tokio::spawn(ingress::pass_through(listener, *port, Arc::clone(&porter)));
        } else {
            let (places, porter) = (ingress::places(), Arc::clone(&porter));
            if let Some(local) = local::listen(&address) {
                let (places, porter) = (Arc::clone(&places), Arc::clone(&porter));
                tokio::spawn(ingress::attested(local, places, *port, porter, channels.clone()));
            }
            tokio::spawn(ingress::attested(listener, places, *port, porter, channels.clone()));
        }
        reporter.say(&Status::Listening { port: *port, address: address.to_string() });
    }
    for (peer, listener) in egress {
        listener.set_nonblocking(true)?;
        let (listener, directory) = (TcpListener::from_std(listener)?, start.directory.clone());
        if start.self_tls {
            tokio::spawn(raw::serve(peer, listener, directory, standing.clone()));
        } else {
            tokio::spawn(egress::serve(peer, listener, directory, channels.clone()));
        }
    }
    match bundle {
        Some(bundle) if !start.self_tls => {
            admit::keep(bundle, keyholder, admitted, reporter, renew).await;
        }
        _ => std::future::pending::<()>().await,
    }
    Ok(())
}
