//! Connections to the program's own loopback ports, made by init inside the program's network namespace.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;

use ciborium::Value;
use platform::message;
use tokio::net::TcpStream;

/// How long a program may take until it listens, after a first peer came.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// The proxy's end of the porter socket.
pub(super) struct Porter(Mutex<OwnedFd>);

impl Porter {
    pub(super) const fn new(socket: OwnedFd) -> Self {
        Self(Mutex::new(socket))
    }

    /// A connection to 127.0.0.1:`port` inside; waits a little for a program that is starting.
    pub(super) async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let begin = tokio::time::Instant::now();
        loop {
            // Init answers within microseconds: a loopback connection is there or refused at once.
            let asked = {
                let socket = self.0.lock().map_err(|_| io::Error::other("porter"))?;
                message::call(&*socket, &Value::from(port), &[]).map_err(io::Error::other)?
            };
            if let (Value::Bool(true), fds) = asked {
                let stream = fds.into_iter().next().ok_or(io::ErrorKind::UnexpectedEof)?;
                let stream = std::net::TcpStream::from(stream);
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                return TcpStream::from_std(stream);
            }
            if begin.elapsed() > LISTEN_WAIT {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
