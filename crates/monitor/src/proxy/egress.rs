//! Egress: what a program sends to a peer's loopback address goes through an attested channel to that role, whoever
//! answers at the address the host names.

use std::sync::Arc;
use std::time::Duration;

use channel::handshake::{Endpoint, Mode, PeerPolicy};
use channel::tls;
use evidence::BinderKind;
use platform::keyholder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::admit::{Admitted, ChannelSource};
use super::{clock, ingress};
use crate::supervisor::Directory;

/// How long a connection of the program waits for its own admission and for the peer's address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one peer's address inside.
pub(super) async fn serve(
    role: String,
    listener: TcpListener,
    directory: String,
    keyholder: Arc<keyholder::Client>,
    standing: watch::Receiver<Option<Admitted>>,
) {
    loop {
        let Ok((inside, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (role, directory, keyholder, standing) =
            (role.clone(), directory.clone(), Arc::clone(&keyholder), standing.clone());
        tokio::spawn(async move { one(&role, inside, directory, keyholder, standing).await });
    }
}

async fn one(
    role: &str,
    mut inside: TcpStream,
    directory: String,
    keyholder: Arc<keyholder::Client>,
    mut standing: watch::Receiver<Option<Admitted>>,
) -> Option<()> {
    let waited = tokio::time::timeout(PATIENCE, standing.wait_for(Option::is_some))
        .await
        .ok()?
        .ok()?
        .clone();
    let admitted = waited?;
    // The policy decides whom this program may reach, not its configuration.
    if !admitted.admission.connect.iter().any(|r| r == role) {
        return None;
    }
    let directory = Directory::new(directory.into());
    let address = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(address) = directory.find(role) {
                return address;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let outside = TcpStream::connect(address.await.ok()?).await.ok()?;
    let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
    let config =
        tls::client(Arc::clone(&admitted.trust), Some(admitted.identity.clone()), tls::ALPN, clock)
            .ok()?;
    let endpoint = Endpoint {
        own: Some(admitted.own),
        trust: Arc::clone(&admitted.trust),
        source: Arc::new(ChannelSource(keyholder)),
        policy: PeerPolicy {
            mode: Mode::Bound,
            roles: vec![role.to_owned()],
            kinds: vec![BinderKind::ChannelMonitor, BinderKind::ChannelProgram],
        },
        epochs: admitted.epochs(),
        clock,
    };
    let stream = endpoint.connect(config, outside).await.ok()?;
    ingress::carry(stream, &mut inside, standing).await;
    Some(())
}
