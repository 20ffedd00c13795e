//! The launcher: measures programs and starts them isolated. Privileged where it must be, without network or keys.
//!
//! It is started in the host's namespaces, makes its own (user as an ordinary user, mount, network, ipc), mounts
//! memory that nobody else can write as the store of images, and then serves one socket. One thread: it forks.

mod start;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{Kind, Measurement};
use platform::{PlatformError, message};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions};
use thiserror::Error;

use crate::program::config::Peer;
use crate::program::manifest::PeerAddress;
use crate::program::{Config, Store};
use crate::sandbox::{limits::Limits, root};
use crate::{harden, sys};

/// Descriptor of the control socket.
const CONTROL: i32 = 3;

/// Why a launcher cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LauncherError {
    /// The kernel refused.
    #[error("launcher: {what}: {source}; `casemate doctor` says what this kernel lacks")]
    System {
        /// Doing what.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The control socket.
    #[error("launcher: {0}")]
    Platform(#[from] PlatformError),
}

/// First message: where programs' state directories are. The keyholder's control socket comes beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Directory that holds a directory of state per program.
    pub state: String,
    /// Kind of the machine underneath: statements say how far isolation holds on it.
    pub kind: Kind,
}

/// A program to start. Standard streams come beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its name on this machine.
    pub name: String,
    /// Its `config.json`.
    pub config: Vec<u8>,
    /// What it must measure, where that is known.
    pub expected: Option<Measurement>,
}

/// What a started program is. Its sockets come beside it: keyholder, porter, program socket, workload socket, then
/// one listening socket per peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Its measurement.
    pub measurement: Measurement,
    /// Pid of its init.
    pub pid: i32,
    /// Which mechanism limits it.
    pub limits: String,
    /// It terminates TLS itself.
    pub self_tls: bool,
    /// Ports it listens on.
    pub listen: Vec<u16>,
    /// Peers, in the order of their listening sockets.
    pub connect: Vec<Peer>,
}

/// What comes from the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program runs.
    Launched(Launched),
    /// It does not, because.
    Failed(String),
    /// A program ended with this status.
    Exited {
        /// Which.
        name: String,
        /// 0 to 255, as shells have it.
        status: i32,
    },
    /// The launcher is ready.
    Ready,
}

/// What goes to the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start a program.
    Launch(Launch),
    /// Send it a signal.
    Signal {
        /// Which program.
        name: String,
        /// Which signal.
        signal: i32,
    },
}

impl Start {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        cbor::map(vec![(1, self.state.as_str().into()), (2, self.kind.as_str().into())])
    }

    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let kind = Kind::parse(&f.text(2, "kind")?).ok_or(CborError::Field("kind"))?;
        let start = Self { state: f.text(1, "state")?, kind };
        f.finish()?;
        Ok(start)
    }
}

impl Order {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        match self {
            Self::Launch(l) => cbor::map(vec![
                (1, 1.into()),
                (2, l.name.as_str().into()),
                (3, Value::Bytes(l.config.clone())),
                (4, l.expected.map_or(Value::Null, |m| Value::Bytes(m.as_bytes().to_vec()))),
            ]),
            Self::Signal { name, signal } => {
                cbor::map(vec![(1, 2.into()), (2, name.as_str().into()), (3, (*signal).into())])
            }
        }
    }

    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let order = match f.uint(1, "order")? {
            1 => Self::Launch(Launch {
                name: f.text(2, "name")?,
                config: f.bytes(3, "config")?,
                expected: match f.take(4, "expected")? {
                    Value::Null => None,
                    v => Some(
                        v.into_bytes()
                            .ok()
                            .and_then(|b| Measurement::from_slice(&b))
                            .ok_or(CborError::Field("expected"))?,
                    ),
                },
            }),
            2 => Self::Signal {
                name: f.text(2, "name")?,
                signal: i32::try_from(f.int(3, "signal")?)
                    .map_err(|_| CborError::Field("signal"))?,
            },
            _ => return Err(CborError::Field("order")),
        };
        f.finish()?;
        Ok(order)
    }
}

impl Event {
    /// As a message.
    #[must_use]
    pub fn encode(&self) -> Value {
        match self {
            Self::Launched(l) => cbor::map(vec![
                (1, 1.into()),
                (2, Value::Bytes(l.measurement.as_bytes().to_vec())),
                (3, l.pid.into()),
                (4, l.limits.as_str().into()),
                (5, l.self_tls.into()),
                (6, Value::Array(l.listen.iter().map(|p| Value::from(*p)).collect())),
                (7, Value::Array(l.connect.iter().map(Peer::encode).collect())),
            ]),
            Self::Failed(why) => cbor::map(vec![(1, 2.into()), (2, why.as_str().into())]),
            Self::Exited { name, status } => {
                cbor::map(vec![(1, 3.into()), (2, name.as_str().into()), (3, (*status).into())])
            }
            Self::Ready => cbor::map(vec![(1, 4.into())]),
        }
    }

    /// From a message.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let number = |n: i64, name| i32::try_from(n).map_err(|_| CborError::Field(name));
        let event = match f.uint(1, "event")? {
            1 => Self::Launched(Launched {
                measurement: f.named(2, "measurement", Measurement::from_slice)?,
                pid: number(f.int(3, "pid")?, "pid")?,
                limits: f.text(4, "limits")?,
                self_tls: f.boolean(5, "self_tls")?,
                listen: f
                    .array(6, "listen")?
                    .into_iter()
                    .map(|v| {
                        v.into_integer()
                            .ok()
                            .and_then(|i| u16::try_from(i).ok())
                            .ok_or(CborError::Field("listen"))
                    })
                    .collect::<Result<_, _>>()?,
                connect: f
                    .array(7, "connect")?
                    .into_iter()
                    .map(Peer::decode)
                    .collect::<Result<_, _>>()?,
            }),
            2 => Self::Failed(f.text(2, "why")?),
            3 => Self::Exited {
                name: f.text(2, "name")?,
                status: number(f.int(3, "status")?, "status")?,
            },
            4 => Self::Ready,
            _ => return Err(CborError::Field("event")),
        };
        f.finish()?;
        Ok(event)
    }
}

struct Running {
    pid: Pid,
    _limits: Limits,
}

struct Launcher {
    keyholder: OwnedFd,
    state: PathBuf,
    kind: Kind,
    store: Store,
    running: BTreeMap<String, Running>,
}

/// The process: serves until the control socket closes, then every program dies with it.
///
/// # Errors
/// [`LauncherError`].
pub fn run() -> Result<(), LauncherError> {
    let system = |what| move |source| LauncherError::System { what, source };
    let control = sys::inherited(CONTROL).map_err(system("control socket"))?;
    let (item, fds) =
        message::receive(&control)?.ok_or(PlatformError::from(CborError::Field("start")))?;
    let start = Start::decode(item).map_err(PlatformError::from)?;
    let keyholder =
        fds.into_iter().next().ok_or(PlatformError::from(CborError::Field("keyholder")))?;
    start::own_namespaces().map_err(system("namespaces"))?;
    harden::harden().map_err(system("hardening"))?;
    sys::adopt_orphans().map_err(system("adopting orphans"))?;
    root::mount_store().map_err(system("mounting the store of images"))?;
    crate::sandbox::seccomp::program_filters()
        .map_err(system("compiling the system-call filter"))?;
    let children = sys::signal_fd(&[libc::SIGCHLD]).map_err(system("signals"))?;
    let mut launcher = Launcher {
        keyholder,
        state: start.state.into(),
        kind: start.kind,
        store: Store::new(root::STORE.into()),
        running: BTreeMap::new(),
    };
    message::send(&control, &Event::Ready.encode(), &[])?;
    loop {
        let (orders, ended) = {
            let mut fds =
                [PollFd::new(&control, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let [orders, ended] = fds;
            (!orders.revents().is_empty(), !ended.revents().is_empty())
        };
        if ended {
            launcher.reap(&control, &children)?;
        }
        if orders {
            let Some((item, fds)) = message::receive(&control)? else { return Ok(()) };
            launcher.obey(&control, item, fds)?;
        }
    }
}

impl Launcher {
    fn obey(
        &mut self,
        control: &OwnedFd,
        item: Value,
        fds: Vec<OwnedFd>,
    ) -> Result<(), PlatformError> {
        match Order::decode(item)? {
            Order::Launch(launch) => {
                let (event, fds) = match self.launch(&launch, fds) {
                    Ok((launched, fds)) => (Event::Launched(launched), fds),
                    Err(why) => (Event::Failed(why), Vec::new()),
                };
                let fds = fds.iter().map(AsFd::as_fd).collect::<Vec<_>>();
                message::send(control, &event.encode(), &fds)
            }
            Order::Signal { name, signal } => {
                if let (Some(running), Some(signal)) =
                    (self.running.get(&name), Signal::from_named_raw(signal))
                {
                    let _ = rustix::process::kill_process(running.pid, signal);
                }
                Ok(())
            }
        }
    }

    fn launch(
        &mut self,
        launch: &Launch,
        fds: Vec<OwnedFd>,
    ) -> Result<(Launched, Vec<OwnedFd>), String> {
        if self.running.contains_key(&launch.name) {
            return Err(format!("{} runs already; stop it first", launch.name));
        }
        let stdio = <[OwnedFd; 3]>::try_from(fds)
            .map_err(|_| "three standard streams are needed".to_owned())?;
        let config = Config::parse(&launch.config).map_err(|e| e.to_string())?;
        let image = self.store.load(&config, launch.expected).map_err(|e| e.to_string())?;
        let limits = Limits::prepare(&launch.name, config.memory_max, config.processes_max);
        let started = start::start(&start::Program {
            name: &launch.name,
            config: &config,
            image: &image,
            limits: &limits,
            state: &self.state,
            kind: self.kind,
            keyholder: &self.keyholder,
            stdio,
        })?;
        let launched = Launched {
            measurement: image.measurement,
            pid: started.pid.as_raw_nonzero().get(),
            limits: limits.by.as_str().to_owned(),
            self_tls: config.self_tls,
            listen: image.manifest.listen.clone(),
            connect: image.manifest.connect.iter().map(PeerAddress::peer).collect(),
        };
        self.running.insert(launch.name.clone(), Running { pid: started.pid, _limits: limits });
        Ok((launched, started.sockets))
    }

    fn reap(&mut self, control: &OwnedFd, children: &OwnedFd) -> Result<(), PlatformError> {
        let mut info = [0_u8; 128];
        while rustix::io::read(children, &mut info).is_ok() {}
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let name = self.running.iter().find(|(_, r)| r.pid == pid).map(|(n, _)| n.clone());
            let Some(name) = name else { continue };
            self.running.remove(&name);
            let by_signal = status.terminating_signal().map(|s| s.saturating_add(128));
            let status = status.exit_status().or(by_signal).unwrap_or(255);
            message::send(control, &Event::Exited { name, status }.encode(), &[])?;
        }
        Ok(())
    }
}
