//! An attested channel in use: bytes in, bytes out, for as long as what it rests on holds (I6).
//!
//! It ends with the earlier of both leases unless it is re-bound in band, and at once when either side is revoked. Reading
//! drives it: a program that never reads its channel is not re-bound and is cut when the lease ends. Reading and writing
//! may be split between two tasks.

mod life;
mod rebind;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use evidence::{Side, Time};
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use self::life::Life;
pub use self::rebind::RebindError;
use self::rebind::{Came, Rebinding};
use crate::credential::VerifiedCredential;
use crate::frame::{DATA_MAX, FrameError, Kind};
use crate::handshake::{Mode, Party};
use crate::link::{Link, Next};
use crate::standing::Own;

/// Why a channel that had come about ended before its peer ended it. Inside the `io::Error` that reading or writing
/// returns.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelEnd {
    /// A lease is over and no re-bind came in time.
    #[error("channel ended with its lease at {0}; connect again")]
    Lease(Time),
    /// One of the two is revoked.
    #[error("channel ended: {0} is revoked")]
    Revoked(&'static str),
    /// A message that belongs to the handshake.
    #[error("channel ended: {0}")]
    Frame(#[from] FrameError),
    /// A re-bind was refused.
    #[error("channel ended: {0}")]
    Rebind(#[from] RebindError),
    /// It ended before.
    #[error("channel has ended")]
    Over,
}

impl From<ChannelEnd> for io::Error {
    fn from(end: ChannelEnd) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, end)
    }
}

/// What a channel is bound to at this moment.
pub(crate) struct Bound {
    pub(crate) mode: Mode,
    pub(crate) side: Side,
    /// None: this side is anonymous.
    pub(crate) own: Option<Arc<Own>>,
    /// None: the peer is anonymous.
    pub(crate) peer: Option<VerifiedCredential>,
}

impl Bound {
    /// The earlier lease's last second.
    fn ends(&self) -> Time {
        let own = self.own.as_ref().map(|o| o.credential().window().not_after);
        let peer = self.peer.as_ref().map(|p| p.window().not_after);
        own.into_iter().chain(peer).min().unwrap_or(Time::MIN)
    }
}

/// A channel whose two ends are who they must be.
pub struct AttestedStream<T> {
    link: Link<T>,
    party: Party,
    bound: Bound,
    rebinding: Rebinding,
    life: Life,
    /// This side may have a newer credential than the one the channel is bound to.
    newer: bool,
    /// The reading task has put in a message that is not sent yet.
    speaking: bool,
    /// A writing task that waits until there is room.
    writer: Option<Waker>,
    /// This side has ended its half.
    closed: bool,
    over: bool,
}

impl<T> core::fmt::Debug for AttestedStream<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AttestedStream")
            .field("mode", &self.bound.mode)
            .field("peer", &self.bound.peer.as_ref().map(VerifiedCredential::spiffe_id))
            .finish_non_exhaustive()
    }
}

impl<T> AttestedStream<T> {
    pub(crate) fn new(link: Link<T>, party: Party, bound: Bound) -> Self {
        let life = Life::new(&party, bound.ends());
        let (rebinding, writer) = (Rebinding::new(), None);
        let (newer, speaking, closed, over) = (true, false, false, false);
        Self { link, party, bound, rebinding, life, newer, speaking, writer, closed, over }
    }

    /// Who is at the other end, by its newest credential; none: an anonymous client.
    #[must_use]
    pub const fn peer(&self) -> Option<&VerifiedCredential> {
        self.bound.peer.as_ref()
    }

    /// The mode it came about in.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.bound.mode
    }

    /// When it ends unless it is re-bound before.
    #[must_use]
    pub fn ends(&self) -> Time {
        self.bound.ends()
    }

    /// Whether it may still be used. Offers this side's newest credential where the channel is bound to an older one.
    fn check(&mut self) -> Result<(), ChannelEnd> {
        if self.over {
            return Err(ChannelEnd::Over);
        }
        self.newer |= self.life.check(&self.bound)?;
        if self.newer && self.rebinding.is_idle() {
            self.newer = false;
            let newest = self.party.standing.now().own;
            if let (Some(bound), Some(newest)) = (&self.bound.own, newest)
                && bound.spki() != newest.spki()
                && self.link.is_framed()
                && !self.closed
            {
                self.rebinding.begin(&mut self.link, newest)?;
                self.speaking = true;
            }
        }
        Ok(())
    }

    /// A message of the peer's, in the middle of data.
    fn message(&mut self, kind: Kind, message: &[u8]) -> Result<(), ChannelEnd> {
        let anonymous = self.bound.peer.is_none() && kind == Kind::Offer;
        match kind {
            Kind::Offer | Kind::Answer | Kind::Confirm if !anonymous => {
                // A side that has ended its half cannot answer; what was agreed on holds until its end.
                if self.closed {
                    return Ok(());
                }
                let Self { link, party, bound, rebinding, .. } = self;
                let came = rebinding.message(link, party, bound, kind, message)?;
                self.came(came);
                Ok(())
            }
            got => Err(FrameError::Unexpected { expected: Kind::Data, got }.into()),
        }
    }

    fn came(&mut self, came: Came) {
        if came == Came::OfIt {
            self.life.prolong(self.bound.ends());
        }
    }

    fn fail(&mut self, end: ChannelEnd) -> io::Error {
        self.over = true;
        end.into()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AttestedStream<T> {
    /// How many bytes of data can be read; 0 at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            self.check().map_err(|e| self.fail(e))?;
            match self.link.poll_next(cx, None) {
                Poll::Ready(Ok(Next::Data(n))) => return Poll::Ready(Ok(n)),
                Poll::Ready(Ok(Next::End)) => return Poll::Ready(Ok(0)),
                Poll::Ready(Ok(Next::Message(kind, message))) => {
                    self.message(kind, &message).map_err(|e| self.fail(e))?;
                }
                Poll::Ready(Err(e)) => {
                    self.over = true;
                    return Poll::Ready(Err(e));
                }
                Poll::Pending => {
                    if !self.poll_rebinding(cx)? && !self.life.poll_change(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Ready when the channel has ended for a reason of its own, though nobody reads or writes.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.life.poll_change(cx) {
            if let Err(end) = self.check() {
                return Poll::Ready(self.fail(end));
            }
        }
        match self.speak(cx) {
            Ok(()) => Poll::Pending,
            Err(e) => Poll::Ready(e),
        }
    }

    /// True if something came of it that must be looked at.
    fn poll_rebinding(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Self { link, bound, rebinding, .. } = self;
        let came = match rebinding.poll(cx, link, bound) {
            Poll::Pending => false,
            Poll::Ready(Ok(came)) => {
                self.came(came);
                self.speaking = true;
                true
            }
            Poll::Ready(Err(e)) => return Err(self.fail(e.into())),
        };
        self.speak(cx)?;
        Ok(came)
    }

    /// Sends what the reading task has put in, and lets a writing task that waited behind it go on.
    fn speak(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.speaking && self.link.poll_drain(cx)?.is_ready() {
            self.speaking = false;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        Ok(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for AttestedStream<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        match ready!(this.poll_next(cx))? {
            0 => Poll::Ready(Ok(&[])),
            n => this.link.poll_data(cx, n),
        }
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().link.took(n);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for AttestedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let data = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = data.len().min(out.remaining());
        out.put_slice(data.get(..n).unwrap_or_default());
        self.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for AttestedStream<T> {
    /// Takes what fits a frame, once the frames before are the network's.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check().map_err(|e| this.fail(e))?;
        if this.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let data = data.get(..DATA_MAX).unwrap_or(data);
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.link.poll_drain(cx)?.is_pending() {
            this.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        this.link.put(Kind::Data, data)?;
        // Sent at once where the network takes it; the rest goes with the next write or flush.
        let _ = this.link.poll_drain(cx)?;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let drained = this.link.poll_drain(cx);
        if drained.is_pending() {
            this.writer = Some(cx.waker().clone());
        }
        drained
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closed = true;
        this.link.poll_shutdown(cx)
    }
}
