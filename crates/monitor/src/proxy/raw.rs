//! Egress of a program that ends TLS itself: its bytes, as they are, to the roles its policy names. The peer's ingress
//! takes nothing but an attested channel; what the program says to a host that plays the peer is the program's own doing,
//! and the reason why `self-tls` is a measured grant.

use std::sync::Arc;
use std::time::Duration;

use evidence::controls::holds;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::standing::Standing;
use crate::program::config::Peer;
use crate::supervisor::Directory;

/// Connections at once, per peer.
const CONNECTIONS_MAX: usize = 1024;
/// How long a connection waits for the peer's address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one peer's address inside.
pub(super) async fn serve(
    peer: Peer,
    listener: TcpListener,
    directory: String,
    standing: watch::Receiver<Option<Standing>>,
) {
    let (peer, directory) = (Arc::new(peer), Arc::new(Directory::new(directory.into())));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((inside, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (peer, directory) = (Arc::clone(&peer), Arc::clone(&directory));
        let mut standing = standing.clone();
        tokio::spawn(async move {
            let forbidden = standing.wait_for(|s| !is_allowed(&peer.role, s.as_ref()));
            tokio::select! {
                biased;
                _ = forbidden => {}
                _ = carry(&peer, &directory, inside) => {}
            }
            drop(place);
        });
    }
}

/// The newest policy decides whom a program may reach, not its configuration; before its admission, nobody.
fn is_allowed(role: &str, standing: Option<&Standing>) -> bool {
    let named = standing.is_some_and(|s| s.admission.connect.iter().any(|r| r == role));
    holds("egress_role", named)
}

async fn carry(peer: &Peer, directory: &Directory, mut inside: TcpStream) -> std::io::Result<()> {
    let address = async {
        loop {
            if let Some(address) = directory.find(&peer.role, peer.port) {
                return address;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let address = tokio::time::timeout(PATIENCE, address).await?;
    let mut outside = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await??;
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut inside, &mut outside).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::controls::without;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn standing(connect: &[&str]) -> Standing {
        Standing::example(connect, Vec::new(), trust::Revocations::default())
    }

    /// What comes back of four bytes that a program with this standing sends to the role `server`, and of four more
    /// once it stands otherwise.
    fn echoed(standing: Option<Standing>, then: Option<Standing>) -> (Vec<u8>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let echo = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let peers = dir.path().join("peers.json");
            let directory = Directory::new(peers.clone());
            directory.set("server", 80, &echo.local_addr().unwrap().to_string());
            let inside = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = inside.local_addr().unwrap();
            let (out, standing) = watch::channel(standing);
            let peers = peers.to_str().unwrap().to_owned();
            let peer = Peer { role: "server".to_owned(), port: 80 };
            tokio::spawn(serve(peer, inside, peers, standing));
            tokio::spawn(async move {
                let (mut peer, _) = echo.accept().await.unwrap();
                let (mut read, mut write) = peer.split();
                tokio::io::copy(&mut read, &mut write).await
            });
            let mut program = TcpStream::connect(address).await.unwrap();
            let mut ask = async || {
                let mut back = vec![0; 4];
                let _ = program.write_all(b"ping").await;
                let answered = program.read_exact(&mut back).await.is_ok();
                if answered { back } else { Vec::new() }
            };
            let first = ask().await;
            out.send_replace(then);
            tokio::time::sleep(Duration::from_millis(20)).await;
            (first, ask().await)
        })
    }

    #[test]
    fn a_program_with_its_own_tls_reaches_the_roles_of_its_newest_policy_only() {
        let may = || Some(standing(&["db", "server"]));
        let (pong, nothing) = (b"ping".to_vec(), Vec::new());
        assert_eq!(echoed(may(), may()), (pong.clone(), pong.clone()));
        for none in [None, Some(standing(&[])), Some(standing(&["db"]))] {
            assert_eq!(echoed(none.clone(), may()), (nothing.clone(), nothing.clone()));
            assert_eq!(echoed(may(), none.clone()), (pong.clone(), nothing.clone()));
            let unchecked = without("egress_role", || echoed(none.clone(), none));
            assert_eq!(unchecked, (pong.clone(), pong.clone()));
        }
    }
}
