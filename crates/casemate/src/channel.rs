//! A connection to a peer, in plain sight of the program: bytes in, bytes out, and who is at the other end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use channel::{AttestedStream, VerifiedCredential};
use platform::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::own::Own;

/// A connection to a peer that has earned it; `AsyncRead` and `AsyncWrite`.
///
/// With the grant `self-tls` TLS ends here and [`Channel::peer`] says who the peer is. Without it, TLS ends in the
/// monitor's proxy, which lets only those through that the policy permits; what the program sees is plain.
#[derive(Debug)]
pub struct Channel {
    stream: Stream,
    ending: Option<Ending>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Attested(Box<AttestedStream<TcpStream>>),
}

impl Channel {
    pub(crate) const fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), ending: None }
    }

    /// `socket` is a second handle of what is under `stream`.
    pub(crate) fn attested(
        stream: AttestedStream<TcpStream>,
        socket: std::net::TcpStream,
        own: watch::Receiver<Own>,
    ) -> Self {
        let ending = Some(Ending::watch(socket, stream.peer().clone(), own));
        Self { stream: Stream::Attested(Box::new(stream)), ending }
    }

    /// Who is at the other end, where TLS ends in this program.
    #[must_use]
    pub fn peer(&self) -> Option<&VerifiedCredential> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Attested(stream) => Some(stream.peer()),
        }
    }

    /// What the peer's end or ours says, or why the channel was ended.
    fn why<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let ended = self.ending.as_ref().and_then(|e| e.why.get());
        match (outcome, ended) {
            (Poll::Ready(Err(_)), Some(why)) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, *why)))
            }
            (outcome, _) => outcome,
        }
    }
}

/// Ends a channel from outside, whichever task sleeps on it (I6).
#[derive(Debug)]
struct Ending {
    task: AbortHandle,
    why: Arc<OnceLock<&'static str>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ending {
    fn watch(
        socket: std::net::TcpStream,
        peer: VerifiedCredential,
        mut own: watch::Receiver<Own>,
    ) -> Self {
        let why = Arc::new(OnceLock::new());
        let said = Arc::clone(&why);
        let task = tokio::spawn(async move {
            let left = peer.window().not_after.unix().saturating_sub(clock::now().unix());
            let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
            let revoked = own.wait_for(|own| own.revoked(peer.credential()));
            let reason = match tokio::time::timeout(left, revoked).await {
                Ok(Ok(_)) => "the peer was revoked",
                // Nobody hears of revocations any more.
                Ok(Err(_)) => "this program's identity is gone",
                Err(_) => "the peer's credential has ended; connect again",
            };
            let _ = said.set(reason);
            let _ = socket.shutdown(std::net::Shutdown::Both);
        });
        Self { task: task.abort_handle(), why }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Attested(s) => Pin::new(&mut s.stream).poll_read(cx, buf),
        };
        self.why(read)
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, bytes),
            Stream::Attested(s) => Pin::new(&mut s.stream).poll_write(cx, bytes),
        };
        self.why(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Attested(s) => Pin::new(&mut s.stream).poll_flush(cx),
        };
        self.why(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match &mut self.stream {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Attested(s) => Pin::new(&mut s.stream).poll_shutdown(cx),
        };
        self.why(shut)
    }
}
