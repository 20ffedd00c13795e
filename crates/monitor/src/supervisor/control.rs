//! The control socket: what the command line asks of a running monitor. SOCK_SEQPACKET, one request and one answer a
//! connection, only for the owner of the run directory and root.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use ciborium::Value;
use evidence::Measurement;
use evidence::cbor::{self, CborError, Fields};
use platform::{PlatformError, message};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

use super::Supervisor;
use crate::launcher::Launch;

/// Name of the socket in the run directory.
pub const SOCKET: &str = "control.sock";

/// Why a monitor cannot be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody listens.
    #[error("no monitor runs for this domain ({0}); start it with `casemate up`")]
    NotRunning(io::Error),
    /// The socket failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// A question.
#[derive(Clone, Debug)]
pub enum Request {
    /// Start a program; its standard streams come beside it. `proxy` is the domain's bundle for its proxy.
    Run {
        /// What to start.
        launch: Launch,
        /// What its proxy needs; none starts no proxy.
        proxy: Option<Vec<u8>>,
    },
    /// List programs.
    List,
    /// Wait for a program's end.
    Wait(String),
    /// Wait until a program is admitted or refused, or has ended.
    Admission(String),
    /// Send a signal.
    Signal {
        /// Which program.
        name: String,
        /// Which signal.
        signal: i32,
    },
    /// End everything.
    Shutdown,
}

/// A program as `casemate ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub measurement: Measurement,
    /// Pid of its init on the host.
    pub pid: i32,
    /// What limits it.
    pub limits: String,
    /// Exit status, once it has ended.
    pub status: Option<i32>,
    /// `none`, `starting`, `admitted: …` or `refused: …`.
    pub admission: String,
    /// Where its proxy listens.
    pub address: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Response {
    /// Programs, one or many.
    Programs(Vec<Program>),
    /// An exit status.
    Status(i32),
    /// Done.
    Done,
    /// No, because.
    Refused(String),
}

impl Request {
    fn encode(&self) -> Value {
        let named = |code: u64, name: &str| cbor::map(vec![(1, code.into()), (2, name.into())]);
        let optional = |b: Option<&[u8]>| b.map_or(Value::Null, |b| Value::Bytes(b.to_vec()));
        match self {
            Self::Run { launch, proxy } => cbor::map(vec![
                (1, 1.into()),
                (2, launch.name.as_str().into()),
                (3, Value::Bytes(launch.config.clone())),
                (4, optional(launch.expected.as_ref().map(|m| m.as_bytes().as_slice()))),
                (5, optional(proxy.as_deref())),
            ]),
            Self::List => cbor::map(vec![(1, 2.into())]),
            Self::Wait(name) => named(3, name),
            Self::Admission(name) => named(4, name),
            Self::Signal { name, signal } => {
                cbor::map(vec![(1, 5.into()), (2, name.as_str().into()), (3, (*signal).into())])
            }
            Self::Shutdown => cbor::map(vec![(1, 6.into())]),
        }
    }

    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let optional = |v: Value, name| match v {
            Value::Null => Ok(None),
            v => v.into_bytes().map(Some).map_err(|_| CborError::Field(name)),
        };
        let request = match f.uint(1, "request")? {
            1 => Self::Run {
                launch: Launch {
                    name: f.text(2, "name")?,
                    config: f.bytes(3, "config")?,
                    expected: optional(f.take(4, "expected")?, "expected")?
                        .map(|b| Measurement::from_slice(&b).ok_or(CborError::Field("expected")))
                        .transpose()?,
                },
                proxy: optional(f.take(5, "proxy")?, "proxy")?,
            },
            2 => Self::List,
            3 => Self::Wait(f.text(2, "name")?),
            4 => Self::Admission(f.text(2, "name")?),
            5 => Self::Signal {
                name: f.text(2, "name")?,
                signal: i32::try_from(f.int(3, "signal")?)
                    .map_err(|_| CborError::Field("signal"))?,
            },
            6 => Self::Shutdown,
            _ => return Err(CborError::Field("request")),
        };
        f.finish()?;
        Ok(request)
    }
}

impl Response {
    fn encode(&self) -> Value {
        match self {
            Self::Programs(programs) => {
                let programs = programs.iter().map(encode_program).collect();
                cbor::map(vec![(1, 1.into()), (2, Value::Array(programs))])
            }
            Self::Status(status) => cbor::map(vec![(1, 2.into()), (2, (*status).into())]),
            Self::Done => cbor::map(vec![(1, 3.into())]),
            Self::Refused(why) => cbor::map(vec![(1, 4.into()), (2, why.as_str().into())]),
        }
    }

    fn decode(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        Ok(match f.uint(1, "response")? {
            1 => Self::Programs(
                f.array(2, "programs")?
                    .into_iter()
                    .map(decode_program)
                    .collect::<Result<_, CborError>>()?,
            ),
            2 => Self::Status(
                i32::try_from(f.int(2, "status")?).map_err(|_| CborError::Field("status"))?,
            ),
            3 => Self::Done,
            4 => Self::Refused(f.text(2, "why")?),
            _ => return Err(CborError::Field("response")),
        })
    }
}

fn encode_program(p: &Program) -> Value {
    cbor::map(vec![
        (1, p.name.as_str().into()),
        (2, Value::Bytes(p.measurement.as_bytes().to_vec())),
        (3, p.pid.into()),
        (4, p.limits.as_str().into()),
        (5, p.status.map_or(Value::Null, Value::from)),
        (6, p.admission.as_str().into()),
        (7, p.address.as_deref().map_or(Value::Null, Value::from)),
    ])
}

fn decode_program(value: Value) -> Result<Program, CborError> {
    let mut f = Fields::from_value(value)?;
    let small = |v: Value| {
        v.into_integer().ok().and_then(|i| i32::try_from(i).ok()).ok_or(CborError::Field("number"))
    };
    Ok(Program {
        name: f.text(1, "name")?,
        measurement: f.named(2, "measurement", Measurement::from_slice)?,
        pid: small(f.take(3, "pid")?)?,
        limits: f.text(4, "limits")?,
        status: match f.take(5, "status")? {
            Value::Null => None,
            v => Some(small(v)?),
        },
        admission: f.text(6, "admission")?,
        address: f.take(7, "address")?.into_text().ok(),
    })
}

/// The command line's end.
#[derive(Debug)]
pub struct Client(OwnedFd);

impl Client {
    /// Connects to the monitor whose run directory this is.
    ///
    /// # Errors
    /// [`ControlError::NotRunning`].
    pub fn connect(run: &Path) -> Result<Self, ControlError> {
        let connected = || -> io::Result<OwnedFd> {
            let socket = rustix::net::socket_with(
                AddressFamily::UNIX,
                SocketType::SEQPACKET,
                SocketFlags::CLOEXEC,
                None,
            )?;
            let address = SocketAddrUnix::new(run.join(SOCKET))?;
            rustix::net::connect(&socket, &address)?;
            Ok(socket)
        };
        connected().map(Self).map_err(ControlError::NotRunning)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn ask(self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Response, ControlError> {
        let (reply, _) = message::call(&self.0, &request.encode(), fds)?;
        match Response::decode(reply).map_err(PlatformError::from)? {
            Response::Refused(why) => Err(ControlError::Refused(why)),
            response => Ok(response),
        }
    }
}

/// Opens the socket, with no time in which others could connect: the run directory is its owner's alone.
///
/// # Errors
/// What the system said, for instance that a monitor runs already.
pub fn listen(run: &Path) -> io::Result<OwnedFd> {
    let path = run.join(SOCKET);
    if Client::connect(run).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "a monitor runs for this domain already",
        ));
    }
    let _ = std::fs::remove_file(&path);
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

/// Answers until a shutdown is asked for or the launcher ends.
pub fn serve(supervisor: &Arc<Supervisor>, listener: &OwnedFd) {
    while let Ok(connection) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
        if supervisor.lock().stopping {
            return;
        }
        let this = Arc::clone(supervisor);
        let owner = rustix::net::sockopt::socket_peercred(&connection)
            .is_ok_and(|c| c.uid.is_root() || c.uid == rustix::process::geteuid());
        if !owner {
            continue;
        }
        std::thread::spawn(move || {
            let Ok(Some((item, fds))) = message::receive(&connection) else { return };
            let response = match Request::decode(item) {
                Ok(request) => answer(&this, request, fds),
                Err(e) => Response::Refused(e.to_string()),
            };
            let ends = matches!(response, Response::Done) && this.lock().stopping;
            let _ = message::send(&connection, &response.encode(), &[]);
            if ends {
                std::process::exit(0);
            }
        });
    }
}

fn answer(supervisor: &Arc<Supervisor>, request: Request, fds: Vec<OwnedFd>) -> Response {
    let gone = || Response::Refused("no such program; `casemate ps` lists them".to_owned());
    match request {
        Request::Run { launch, proxy } => {
            let Ok(stdio) = <[OwnedFd; 3]>::try_from(fds) else {
                return Response::Refused("three standard streams are needed".to_owned());
            };
            match supervisor.run(launch, stdio, proxy.as_deref()) {
                Ok(program) => Response::Programs(vec![program]),
                Err(why) => Response::Refused(why),
            }
        }
        Request::List => Response::Programs(supervisor.list()),
        Request::Wait(name) => {
            supervisor.wait(&name, |p| p.status).map_or_else(gone, Response::Status)
        }
        Request::Admission(name) => {
            let settled =
                |p: &Program| (p.admission != "starting" || p.status.is_some()).then(|| p.clone());
            supervisor.wait(&name, settled).map_or_else(gone, |p| Response::Programs(vec![p]))
        }
        Request::Signal { name, signal } => {
            supervisor.signal(&name, signal);
            Response::Done
        }
        Request::Shutdown => {
            supervisor.shutdown();
            Response::Done
        }
    }
}

/// Borrows the three standard streams of this process, for [`Request::Run`].
#[must_use]
pub fn own_stdio<'a>(
    stdin: &'a impl AsFd,
    stdout: &'a impl AsFd,
    stderr: &'a impl AsFd,
) -> [BorrowedFd<'a>; 3] {
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
}
