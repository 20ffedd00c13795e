//! Ingress: peers reach the program only through an attested channel that its policy permits; or, for a program that
//! terminates TLS itself, as raw bytes.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use channel::Mode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use trust::policy::Outsider;

use super::channels::Channels;
use super::porter::Porter;

/// Connections at once, per port.
const CONNECTIONS_MAX: usize = 1024;

/// Where connections come in.
pub(super) trait Door: Send + 'static {
    /// A connection.
    type Outside: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Outside>> + Send;
}

impl Door for TcpListener {
    type Outside = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (tcp, _) = Self::accept(self).await?;
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }
}

impl Door for UnixListener {
    type Outside = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(Self::accept(self).await?.0)
    }
}

/// The next connection; an error of one never ends the service.
async fn next<D: Door>(door: &D) -> D::Outside {
    loop {
        match door.accept().await {
            Ok(outside) => return outside,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Places for the connections of one port.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CONNECTIONS_MAX))
}

/// Raw bytes to and from a program that terminates TLS itself.
pub(super) async fn pass_through(listener: TcpListener, port: u16, porter: Arc<Porter>) {
    let places = places();
    loop {
        let mut outside = next(&listener).await;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let porter = Arc::clone(&porter);
        tokio::spawn(async move {
            if let Ok(mut inside) = porter.connect(port).await {
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            }
            drop(place);
        });
    }
}

/// Attested channels from the peers that policy permits.
pub(super) async fn attested(
    door: impl Door,
    places: Arc<Semaphore>,
    port: u16,
    porter: Arc<Porter>,
    channels: Channels,
) {
    loop {
        let outside = next(&door).await;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (porter, channels) = (Arc::clone(&porter), channels.clone());
        tokio::spawn(async move {
            let _ = one(outside, port, &porter, channels).await;
            drop(place);
        });
    }
}

async fn one(
    outside: impl AsyncRead + AsyncWrite + Unpin + Send,
    port: u16,
    porter: &Porter,
    channels: Channels,
) -> Option<()> {
    let clients = channels.admission_now()?.clients.clone();
    let anonymous = Outsider::Anonymous.as_client();
    let mut modes = vec![Mode::Bound];
    if clients.iter().any(|c| c == anonymous) {
        modes.push(Mode::OneSided);
    }
    let endpoint = channels.endpoint(modes, clients, port)?;
    let stream = endpoint.accept(outside).await.ok()?;
    let peer =
        stream.peer().map_or_else(|| anonymous.to_owned(), |p| p.credential().role.to_string());
    let inside = porter.connect(port).await.ok()?;
    channels.carry(stream, inside, |a| a.clients.contains(&peer)).await;
    Some(())
}
