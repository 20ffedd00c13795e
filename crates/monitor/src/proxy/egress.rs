//! Egress: what a program sends to a peer's loopback address goes through an attested channel to that role, whoever
//! answers at the address the host names.

use std::time::Duration;

use channel::Mode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::channels::Channels;
use super::local;
use crate::program::config::Peer;
use crate::supervisor::Directory;

/// How long a connection of the program waits for its own admission and for the peer's address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one peer's address inside.
pub(super) async fn serve(
    peer: Peer,
    listener: TcpListener,
    directory: String,
    channels: Channels,
) {
    loop {
        let Ok((inside, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (peer, directory, channels) = (peer.clone(), directory.clone(), channels.clone());
        tokio::spawn(async move { one(peer, inside, directory, channels).await });
    }
}

async fn one(
    Peer { role, port }: Peer,
    inside: TcpStream,
    directory: String,
    channels: Channels,
) -> Option<()> {
    let admission = tokio::time::timeout(PATIENCE, channels.admission()).await.ok()??;
    // The policy decides whom this program may reach, not its configuration.
    if !admission.connect.contains(&role) {
        return None;
    }
    let directory = Directory::new(directory.into());
    let address = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(address) = directory.find(&role, port) {
                return address;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let address = address.await.ok()?;
    if let Some(outside) = local::connect(&address).await {
        return meet(role, port, inside, outside, channels).await;
    }
    let outside = TcpStream::connect(address).await.ok()?;
    let _ = outside.set_nodelay(true);
    meet(role, port, inside, outside, channels).await
}

async fn meet(
    role: String,
    port: u16,
    inside: TcpStream,
    outside: impl AsyncRead + AsyncWrite + Unpin + Send,
    channels: Channels,
) -> Option<()> {
    let endpoint = channels.endpoint(vec![Mode::Bound], vec![role.clone()], port)?;
    let stream = endpoint.connect(outside).await.ok()?;
    channels.carry(stream, inside, |a| a.connect.contains(&role)).await;
    Some(())
}
