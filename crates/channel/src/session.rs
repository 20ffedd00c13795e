//! What only the live connection knows, taken from it by whoever holds it (I4). A peer's word on any of this is never read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use evidence::binder::EXPORTER_LABEL;
use evidence::controls::holds;
use evidence::{Exporter, Nonce, Session};
use rustls::{ClientConnection, CommonState, ServerConnection};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Why a connection cannot be bound to.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The handshake is not over.
    #[error("TLS session cannot be bound: the handshake is not finished")]
    Unfinished,
    /// It goes on from an earlier connection.
    #[error(
        "TLS session was resumed; whoever is at the other end was not asked again who it is, connect anew"
    )]
    Resumed,
    /// No protocol was agreed on.
    #[error("TLS session has no application protocol")]
    NoProtocol,
}

fn context(client: &Nonce, server: &Nonce) -> Vec<u8> {
    [client.as_bytes().as_slice(), server.as_bytes()].concat()
}

fn session(state: &CommonState, exporter: [u8; 32]) -> Result<Session, SessionError> {
    let suite = state.negotiated_cipher_suite().ok_or(SessionError::Unfinished)?;
    let group = state.negotiated_key_exchange_group().ok_or(SessionError::Unfinished)?;
    let resumed = state.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    if !holds("session_resumed", !resumed) {
        return Err(SessionError::Resumed);
    }
    let protocol = state
        .alpn_protocol()
        .and_then(|p| core::str::from_utf8(p).ok())
        .ok_or(SessionError::NoProtocol)?;
    Ok(Session {
        exporter: Exporter::new(exporter),
        cipher_suite: suite.suite().into(),
        group: group.name().into(),
        inner_protocol: protocol.to_owned(),
    })
}

/// The session as its client sees it.
///
/// # Errors
/// [`SessionError`].
pub fn client_session(
    connection: &ClientConnection,
    client: &Nonce,
    server: &Nonce,
) -> Result<Session, SessionError> {
    let exporter = connection
        .export_keying_material([0; 32], EXPORTER_LABEL, Some(&context(client, server)))
        .map_err(|_| SessionError::Unfinished)?;
    session(connection, exporter)
}

/// The session as its server sees it.
///
/// # Errors
/// [`SessionError`].
pub fn server_session(
    connection: &ServerConnection,
    client: &Nonce,
    server: &Nonce,
) -> Result<Session, SessionError> {
    let exporter = connection
        .export_keying_material([0; 32], EXPORTER_LABEL, Some(&context(client, server)))
        .map_err(|_| SessionError::Unfinished)?;
    session(connection, exporter)
}

/// A TLS stream that an HTTP library drives while we can still take exporters from the very connection.
#[derive(Debug)]
pub struct SharedTls<S>(Arc<Mutex<S>>);

impl<S> Clone for SharedTls<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> SharedTls<S> {
    /// Takes a stream into keeping.
    pub fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Looks at it.
    pub fn with<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn poll<T>(&self, act: impl FnOnce(Pin<&mut S>) -> T) -> T
    where
        S: Unpin,
    {
        act(Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SharedTls<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|s| s.poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SharedTls<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|s| s.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|s| s.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|s| s.poll_shutdown(cx))
    }
}
