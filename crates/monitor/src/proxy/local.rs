//! The way between two proxies of one machine: a Unix socket named after the TCP address that a proxy listens on. A message
//! costs less than half of what loopback TCP takes for it; nothing else is different, and nothing is trusted: whoever
//! answers proves who it is.
//!
//! Names of abstract sockets are free to anybody, so a socket of another user is passed over: he could keep peers apart.

use std::net::SocketAddr;

use tokio::net::{UnixListener, UnixStream};

fn name(address: &SocketAddr) -> String {
    format!("\0casemate-proxy-{address}")
}

/// Listens beside `address`; none where the name is taken, and then TCP does.
pub(super) fn listen(address: &SocketAddr) -> Option<UnixListener> {
    UnixListener::bind(name(address)).ok()
}

/// The way to the proxy that listens on `address`, if it is on this machine and offers one.
pub(super) async fn connect(address: &str) -> Option<UnixStream> {
    let address = address.parse::<SocketAddr>().ok().filter(|a| a.ip().is_loopback())?;
    let stream = UnixStream::connect(name(&address)).await.ok()?;
    let own = rustix::process::geteuid().as_raw();
    (stream.peer_cred().ok()?.uid() == own).then_some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn proxies_of_one_machine_meet_and_a_name_that_is_taken_is_done_without() {
        let tcp = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = tcp.local_addr().unwrap();
        assert!(connect(&address.to_string()).await.is_none());
        let listener = listen(&address).unwrap();
        assert!(listen(&address).is_none());
        assert!(connect(&address.to_string()).await.is_some());
        listener.accept().await.unwrap();
        for elsewhere in ["192.0.2.1:80", "localhost:80", "", "127.0.0.1"] {
            assert!(connect(elsewhere).await.is_none(), "{elsewhere}");
        }
    }
}
