//! TLS with frames in it: what handshake and stream read from and write to. It looks at no content.
//!
//! Header and data become TLS records together, without a copy between them, and leave in one write. What was put in
//! is bounded by the callers: they drain before they put in more.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use evidence::controls::holds;
use evidence::{Nonce, Session, Side};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader};
use tokio_rustls::TlsStream;

use crate::frame::{self, Event, FrameError, Kind, Reader};
use crate::session::{SessionError, client_session, server_session};

/// Read from the network at once: a frame. rustls itself asks for 4 KiB at a time.
pub(crate) const READ_AHEAD: usize = 64 * 1024;

/// A connection's nonces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nonces {
    pub(crate) client: Nonce,
    pub(crate) server: Nonce,
}

impl Nonces {
    pub(crate) const fn new(side: Side, own: Nonce, theirs: Nonce) -> Self {
        match side {
            Side::Client => Self { client: own, server: theirs },
            Side::Server => Self { client: theirs, server: own },
        }
    }
}

/// What stands next.
#[derive(Debug)]
pub(crate) enum Next {
    /// So many bytes of data.
    Data(usize),
    /// A message.
    Message(Kind, Vec<u8>),
    /// The peer has ended its side.
    End,
}

/// TLS, with frames or (for stock peers) without.
#[derive(Debug)]
pub(crate) struct Link<T> {
    tls: TlsStream<BufReader<T>>,
    frames: Option<Reader>,
}

fn invalid(e: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

impl<T> Link<T> {
    pub(crate) fn new(mut tls: TlsStream<BufReader<T>>, framed: bool) -> Self {
        // Without a limit of rustls' own, a frame is taken whole or not at all.
        match &mut tls {
            TlsStream::Client(s) => s.get_mut().1.set_buffer_limit(None),
            TlsStream::Server(s) => s.get_mut().1.set_buffer_limit(None),
        }
        Self { tls, frames: framed.then(Reader::default) }
    }

    pub(crate) const fn is_framed(&self) -> bool {
        self.frames.is_some()
    }

    pub(crate) fn session(&self, n: &Nonces) -> Result<Session, SessionError> {
        match &self.tls {
            TlsStream::Client(s) => client_session(s.get_ref().1, &n.client, &n.server),
            TlsStream::Server(s) => server_session(s.get_ref().1, &n.client, &n.server),
        }
    }

    fn writer(&mut self) -> rustls::Writer<'_> {
        match &mut self.tls {
            TlsStream::Client(s) => s.get_mut().1.writer(),
            TlsStream::Server(s) => s.get_mut().1.writer(),
        }
    }

    /// Puts a frame in; [`Link::poll_drain`] sends it.
    pub(crate) fn put(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        let len = content.len();
        if self.frames.is_none() {
            return self.writer().write_all(content);
        }
        let header = frame::header(kind, len).map_err(invalid)?;
        let put = self.writer().write_vectored(&[IoSlice::new(&header), IoSlice::new(content)])?;
        if put != len.saturating_add(header.len()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }

    /// Data was read.
    pub(crate) fn took(&mut self, n: usize)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(reader) = &mut self.frames {
            reader.took(n);
        }
        Pin::new(&mut self.tls).consume(n);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Link<T> {
    /// What stands next; if `expected` is stated, a frame of another kind is refused at its header.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        expected: Option<Kind>,
    ) -> Poll<io::Result<Next>> {
        loop {
            let bytes = ready!(Pin::new(&mut self.tls).poll_fill_buf(cx))?;
            let Some(reader) = &mut self.frames else {
                return Poll::Ready(Ok(match bytes.len() {
                    0 => Next::End,
                    n => Next::Data(n),
                }));
            };
            if bytes.is_empty() {
                return Poll::Ready(match reader.is_between() {
                    true => Ok(Next::End),
                    false => Err(invalid(FrameError::Cut)),
                });
            }
            let (used, event) = reader.read(bytes).map_err(invalid)?;
            if let (Some(expected), Some(got)) = (expected, reader.open_kind())
                && !holds("frame_kind", got == expected)
            {
                return Poll::Ready(Err(invalid(FrameError::Unexpected { expected, got })));
            }
            if used > 0 {
                Pin::new(&mut self.tls).consume(used);
            }
            match event {
                Some(Event::Data(n)) => return Poll::Ready(Ok(Next::Data(n))),
                Some(Event::Message(kind, bytes)) => {
                    return Poll::Ready(Ok(Next::Message(kind, bytes)));
                }
                None => {}
            }
        }
    }

    /// The `n` bytes of data that [`Link::poll_next`] found.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>, n: usize) -> Poll<io::Result<&[u8]>> {
        let bytes = ready!(Pin::new(&mut self.tls).poll_fill_buf(cx))?;
        Poll::Ready(Ok(bytes.get(..n).unwrap_or(bytes)))
    }

    /// Sends what was put in; ready when all of it is the network's.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }

    /// The next message, which must be of kind `expected`: before the handshake is over nothing else is taken.
    pub(crate) async fn message(&mut self, expected: Kind) -> Result<Vec<u8>, io::Error> {
        match core::future::poll_fn(|cx| self.poll_next(cx, Some(expected))).await? {
            Next::Message(got, bytes) if holds("frame_kind", got == expected) => Ok(bytes),
            Next::Message(got, _) => Err(invalid(FrameError::Unexpected { expected, got })),
            Next::Data(_) => Err(invalid(FrameError::Unexpected { expected, got: Kind::Data })),
            Next::End => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sends what was put in.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        core::future::poll_fn(|cx| self.poll_drain(cx)).await
    }
}
