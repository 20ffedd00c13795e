//! Egress of a program that ends TLS itself: its bytes, as they are, to the roles its policy names. The peer's ingress
//! takes nothing but an attested channel; what the program says to a host that plays the peer is the program's own doing,
//! and the reason why `self-tls` is a measured grant.

use std::sync::Arc;
use std::time::Duration;

use evidence::controls::holds;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::standing::Standing;
use crate::supervisor::Directory;

/// Connections at once, per peer.
const CONNECTIONS_MAX: usize = 1024;
/// How long a connection waits for the peer's address.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one peer's address inside.
pub(super) async fn serve(
    role: String,
    listener: TcpListener,
    directory: String,
    standing: watch::Receiver<Option<Standing>>,
) {
    let (role, directory) = (Arc::<str>::from(role), Arc::new(Directory::new(directory.into())));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((inside, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let allowed = is_allowed(&role, standing.borrow().as_ref());
        if !holds("egress_role", allowed) {
            continue;
        }
        let (role, directory) = (Arc::clone(&role), Arc::clone(&directory));
        tokio::spawn(async move {
            let _ = carry(&role, &directory, inside).await;
            drop(place);
        });
    }
}

/// The policy decides whom a program may reach, not its configuration; before its admission, nobody.
fn is_allowed(role: &str, standing: Option<&Standing>) -> bool {
    standing.is_some_and(|s| s.admission.connect.iter().any(|r| r == role))
}

async fn carry(role: &str, directory: &Directory, mut inside: TcpStream) -> std::io::Result<()> {
    let address = async {
        loop {
            if let Some(address) = directory.find(role) {
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
