//! Ingress: peers reach the program only through an attested channel that its policy permits; or, for a program that
//! terminates TLS itself, as raw bytes.

use std::sync::Arc;
use std::time::Duration;

use channel::handshake::{AttestedStream, Endpoint, Mode, PeerPolicy};
use channel::tls;
use evidence::BinderKind;
use platform::keyholder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::admit::{Admitted, ChannelSource};
use super::clock;
use super::porter::Porter;

/// Connections at once, per port.
const CONNECTIONS_MAX: usize = 1024;

/// The next connection; an error of one never ends the service.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let _ = tcp.set_nodelay(true);
                return tcp;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Raw bytes to and from a program that terminates TLS itself.
pub(super) async fn pass_through(listener: TcpListener, port: u16, porter: Arc<Porter>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
    listener: TcpListener,
    port: u16,
    porter: Arc<Porter>,
    keyholder: Arc<keyholder::Client>,
    standing: watch::Receiver<Option<Admitted>>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let outside = next(&listener).await;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (porter, keyholder, standing) =
            (Arc::clone(&porter), Arc::clone(&keyholder), standing.clone());
        tokio::spawn(async move {
            let _ = one(outside, port, &porter, keyholder, standing).await;
            drop(place);
        });
    }
}

async fn one(
    outside: TcpStream,
    port: u16,
    porter: &Porter,
    keyholder: Arc<keyholder::Client>,
    standing: watch::Receiver<Option<Admitted>>,
) -> Option<()> {
    let admitted = standing.borrow().clone()?;
    let config =
        tls::server(Some(Arc::clone(&admitted.trust)), admitted.identity.clone(), tls::ALPN, clock)
            .ok()?;
    let endpoint = Endpoint {
        own: Some(admitted.own),
        trust: Arc::clone(&admitted.trust),
        source: Arc::new(ChannelSource(keyholder)),
        policy: PeerPolicy {
            mode: Mode::Bound,
            roles: admitted.admission.clients.clone(),
            kinds: vec![BinderKind::ChannelMonitor, BinderKind::ChannelProgram],
        },
        epochs: admitted.epochs(),
        clock,
    };
    let stream = endpoint.accept(config, outside).await.ok()?;
    let mut inside = porter.connect(port).await.ok()?;
    carry(stream, &mut inside, standing).await;
    Some(())
}

/// Copies both ways until one side ends, the peer's credential ends, or the peer is revoked (I6).
pub(super) async fn carry<T>(
    mut stream: AttestedStream<T>,
    inside: &mut TcpStream,
    mut standing: watch::Receiver<Option<Admitted>>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let peer = stream.peer().clone();
    let now = standing.borrow().clone();
    if now.is_none_or(|a| a.revoked(peer.credential())) {
        return;
    }
    let left =
        u64::try_from(peer.window().not_after.unix().saturating_sub(clock().unix())).unwrap_or(0);
    let revoked = async {
        loop {
            if standing.changed().await.is_err() {
                return;
            }
            let gone = standing
                .borrow()
                .as_ref()
                .is_none_or(|a| a.revoked(peer.credential()) || !a.permits(peer.credential()));
            if gone {
                return;
            }
        }
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional_with_sizes(&mut stream.stream, inside, 64 * 1024, 64 * 1024) => {}
        () = tokio::time::sleep(Duration::from_secs(left)) => {}
        () = revoked => {}
    }
}
