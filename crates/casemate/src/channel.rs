//! A connection to a peer, as the program sees it: bytes in, bytes out, and who is at the other end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use channel::{AttestedStream, VerifiedCredential};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::own::{Permits, Roles};

/// A connection to a peer that has earned it; `AsyncRead` and `AsyncWrite`.
///
/// With the grant `self-tls` TLS ends here and [`Channel::peer`] says who the peer is. Without it, TLS ends in the
/// monitor's proxy, which lets only those through that the policy permits; what the program sees is plain.
#[derive(Debug)]
pub struct Channel(End);

#[derive(Debug)]
enum End {
    Proxy(TcpStream),
    Here(Box<AttestedStream<TcpStream>>, Permitted),
}

trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Channel {
    pub(crate) const fn plain(stream: TcpStream) -> Self {
        Self(End::Proxy(stream))
    }

    pub(crate) fn attested(stream: AttestedStream<TcpStream>, permitted: Permitted) -> Self {
        Self(End::Here(Box::new(stream), permitted))
    }

    /// Who is at the other end, where TLS ends in this program; none there: a person whom the policy admits unnamed.
    #[must_use]
    pub fn peer(&self) -> Option<&VerifiedCredential> {
        match &self.0 {
            End::Proxy(_) => None,
            End::Here(stream, _) => stream.peer(),
        }
    }

    fn poll<T>(
        self: Pin<&mut Self>,
        act: impl FnOnce(Pin<&mut dyn Io>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.get_mut().0 {
            End::Proxy(stream) => act(Pin::new(stream)),
            End::Here(stream, permitted) => {
                let outcome = act(Pin::new(stream.as_mut()));
                match (outcome, permitted.why.get()) {
                    (Poll::Ready(Err(_)), Some(why)) => {
                        let kind = io::ErrorKind::ConnectionAborted;
                        Poll::Ready(Err(io::Error::new(kind, why.as_str())))
                    }
                    (outcome, _) => outcome,
                }
            }
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|io| io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|io| io.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|io| io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|io| io.poll_shutdown(cx))
    }
}

/// Cuts a channel from outside once the newest admission does not permit its peer any more, whichever task sleeps on it (I6).
/// Leases and revocations the channel watches itself.
#[derive(Debug)]
pub(crate) struct Permitted {
    watching: AbortHandle,
    why: Arc<OnceLock<String>>,
}

impl Permitted {
    /// `socket` is a second handle of what is under the channel.
    pub(crate) fn watch(
        socket: std::net::TcpStream,
        mut permits: watch::Receiver<Permits>,
        allows: impl Fn(&Roles) -> bool + Send + 'static,
    ) -> Self {
        let why = Arc::new(OnceLock::new());
        let said = Arc::clone(&why);
        let watching = tokio::spawn(async move {
            let forbidden = move |p: &Permits| !p.as_ref().is_ok_and(|roles| allows(roles));
            let Ok(reason) = permits.wait_for(forbidden).await.map(|p| p.as_ref().err().cloned())
            else {
                return;
            };
            let _ = said.set(match reason {
                Some(why) => format!("the authority does not admit this program any more: {why}"),
                None => "the policy does not permit this peer any more".to_owned(),
            });
            let _ = socket.shutdown(std::net::Shutdown::Both);
        });
        Self { watching: watching.abort_handle(), why }
    }
}

impl Drop for Permitted {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
