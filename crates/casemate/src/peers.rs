//! Meeting peers: a listener for those that may connect, and the way to those this program may connect to. With the grant
//! `self-tls` both ends of every channel prove, on that very connection, who they are; without it, the proxies do.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use channel::{Endpoint, Mode, PeerPolicy, StatementSource, VerifiedCredential};
use evidence::controls::holds;
use evidence::{Binder, BinderKind};
use platform::keyholder::{Reply, Request};
use platform::program::{Peer, ProgramReply, ProgramRequest};
use platform::{PlatformError, clock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc};
use trust::policy::Outsider;

use crate::channel::Permitted;
use crate::line::Line;
use crate::own::{Kept, Roles};
use crate::{Channel, Error};

/// Handshakes at once.
const HANDSHAKES_MAX: usize = 256;
/// Channels that wait to be accepted.
const WAITING_MAX: usize = 64;

/// The monitor signs for this program's own connections.
struct Statements {
    socket: PathBuf,
    /// Taken out while it is in use: a question that was given up leaves none behind with an answer in it.
    line: Mutex<Option<Line>>,
}

impl StatementSource for Statements {
    fn kind(&self) -> BinderKind {
        BinderKind::ChannelProgram
    }

    async fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        let request = ProgramRequest::Keyholder(Request::State(Box::new(binder.clone())));
        let failed = |e: Error| match e {
            Error::Platform(e) => e,
            other => PlatformError::Socket(std::io::Error::other(other)),
        };
        let mut place = self.line.lock().await;
        let mut line = match place.take() {
            Some(line) => line,
            None => Line::open(&self.socket).await.map_err(failed)?,
        };
        let reply = line.ask(&request).await.map_err(failed)?;
        *place = Some(line);
        match reply {
            ProgramReply::Keyholder(Reply::Bytes(statement)) => Ok(statement),
            _ => Err(failed(Error::unexpected())),
        }
    }
}

/// Both sides of this program's own channels.
#[derive(Clone)]
pub(crate) struct Ends {
    kept: Kept,
    statements: Arc<Statements>,
}

impl Ends {
    pub(crate) fn new(kept: Kept, socket: PathBuf) -> Self {
        Self { kept, statements: Arc::new(Statements { socket, line: Mutex::default() }) }
    }

    /// This program's newest credential, unless the authority has said no since.
    pub(crate) fn credential(&self) -> Result<VerifiedCredential, Error> {
        self.roles()?;
        let own = self.kept.standing.now().own.ok_or_else(Error::unexpected)?;
        Ok(own.credential().clone())
    }

    fn roles(&self) -> Result<Arc<Roles>, Error> {
        Ok(self.kept.permits.borrow().clone().map_err(PlatformError::NotAdmitted)?)
    }

    fn endpoint(&self, modes: Vec<Mode>, roles: Vec<String>, port: u16) -> Endpoint<Statements> {
        let kinds = vec![BinderKind::ChannelMonitor, BinderKind::ChannelProgram];
        Endpoint {
            standing: self.kept.standing.clone(),
            source: Arc::clone(&self.statements),
            policy: PeerPolicy { modes, roles, kinds, require_pq: true },
            port: Some(port),
            clock: clock::now,
        }
    }

    /// A channel to a peer that the policy names, whatever this program's configuration says.
    pub(crate) async fn connect(&self, peer: &Peer) -> Result<Channel, Error> {
        let role = peer.role.clone();
        if !holds("program_connect", self.roles()?.connect.contains(&role)) {
            return Err(Error::NotPermitted(role));
        }
        let (tcp, handle) = doubled(tcp(peer.address).await?)?;
        let stream = self
            .endpoint(vec![Mode::Bound], vec![role.clone()], peer.address.port())
            .connect(tcp)
            .await?;
        let permitted = Permitted::watch(handle, self.kept.permits.clone(), move |roles| {
            roles.connect.contains(&role)
        });
        Ok(Channel::attested(stream, permitted))
    }

    async fn accept(&self, tcp: TcpStream, port: u16) -> Result<Channel, Error> {
        let (tcp, handle) = doubled(tcp)?;
        let (clients, anonymous) = (self.roles()?.clients.clone(), Outsider::Anonymous.as_client());
        let mut modes = vec![Mode::Bound];
        modes.extend(clients.iter().any(|c| c == anonymous).then_some(Mode::OneSided));
        let stream = self.endpoint(modes, clients, port).accept(tcp).await?;
        let role =
            stream.peer().map_or_else(|| anonymous.to_owned(), |p| p.credential().role.to_string());
        let permitted = Permitted::watch(handle, self.kept.permits.clone(), move |roles| {
            roles.clients.contains(&role)
        });
        Ok(Channel::attested(stream, permitted))
    }
}

/// The stream and a second handle of it.
fn doubled(tcp: TcpStream) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    let tcp = tcp.into_std()?;
    let handle = tcp.try_clone()?;
    Ok((TcpStream::from_std(tcp)?, handle))
}

/// A connection to an address inside that leads to a peer.
pub(crate) async fn tcp(address: SocketAddrV4) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The peer called `name`: a role, or role and port.
pub(crate) fn find<'a>(peers: &'a [Peer], name: &str) -> Result<&'a Peer, Error> {
    let (role, port) = match name.split_once(':') {
        Some((role, port)) => (role, Some(port)),
        None => (name, None),
    };
    let fits = |p: &&Peer| p.role == role && port.is_none_or(|n| p.address.port().to_string() == n);
    match peers.iter().filter(fits).collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        [] => Err(Error::NoPeer {
            role: name.to_owned(),
            known: peers.iter().map(|p| format!("{}:{}", p.role, p.address.port())).collect(),
        }),
        ref several => Err(Error::WhichPort {
            role: role.to_owned(),
            ports: several.iter().map(|p| p.address.port()).collect(),
        }),
    }
}

/// Takes channels from the peers that may connect.
#[derive(Debug)]
pub struct Listener(mpsc::Receiver<Channel>);

impl Listener {
    /// Opens `port` inside; with `ends`, TLS ends here.
    pub(crate) async fn open(port: u16, ends: Option<Ends>) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let (to, channels) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            tokio::select! {
                () = to.closed() => {}
                () = serve(&listener, port, ends, &to) => {}
            }
        });
        Ok(Self(channels))
    }

    /// The next channel. A peer that is refused, or stalls, holds up nobody; that it was is logged.
    ///
    /// # Errors
    /// [`Error::Io`], if the runtime is ending.
    pub async fn accept(&mut self) -> Result<Channel, Error> {
        let next = self.0.recv().await;
        next.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected).into())
    }
}

async fn serve(listener: &TcpListener, port: u16, ends: Option<Ends>, to: &mpsc::Sender<Channel>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (ends, to) = (ends.clone(), to.clone());
        tokio::spawn(async move {
            let _ = tcp.set_nodelay(true);
            let channel = match ends {
                None => Ok(Channel::plain(tcp)),
                Some(ends) => ends.accept(tcp, port).await,
            };
            match channel {
                Ok(channel) => drop(to.send(channel).await),
                Err(why) => tracing::warn!("refused a peer: {why}"),
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(role: &str, port: u16) -> Peer {
        Peer {
            role: role.to_owned(),
            address: SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, 1), port),
        }
    }

    #[test]
    fn a_peer_is_found_by_role_and_where_that_is_not_one_by_port() {
        let peers = [peer("db", 1), peer("web", 80), peer("web", 443)];
        let found = |name| find(&peers, name).map(|p| p.address.port());
        assert_eq!(found("db").unwrap(), 1);
        assert_eq!(found("web:443").unwrap(), 443);
        let refused = |name| found(name).unwrap_err().to_string();
        assert!(refused("web").contains("[80, 443]") && refused("web").contains("\"web:80\""));
        assert!(refused("cache").contains("--to cache"));
        for name in ["web:1", "web:", "", ":", "db:01", "web:80:80"] {
            assert!(matches!(found(name), Err(Error::NoPeer { .. })), "{name}");
        }
    }
}
