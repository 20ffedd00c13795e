//! Carries bytes between an attested channel and a plain connection, both ways at once in one task.
//!
//! What is there to be read leaves in one writing, however many records it came in: a write and the waking of whoever reads
//! cost more than copying. Where one side ends its half, the other is told and the opposite direction goes on.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufStream};

use crate::stream::AttestedStream;

/// Read from the plain side at once: a frame.
const READ_MAX: usize = crate::frame::DATA_MAX;
/// Written to the plain side at once.
const WRITE_MAX: usize = 64 * 1024;

/// One direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open { unflushed: bool },
    Ending,
    Ended,
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut impl AsyncBufRead>,
        mut to: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Open { unflushed } => match from.as_mut().poll_fill_buf(cx)? {
                    Poll::Ready([]) => *self = Self::Ending,
                    Poll::Ready(data) => {
                        let n = ready!(to.as_mut().poll_write(cx, data))?;
                        if n == 0 {
                            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                        }
                        from.as_mut().consume(n);
                        *unflushed = true;
                    }
                    Poll::Pending => {
                        if *unflushed {
                            ready!(to.as_mut().poll_flush(cx))?;
                            *unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
                Self::Ending => {
                    ready!(to.as_mut().poll_shutdown(cx))?;
                    *self = Self::Ended;
                }
                Self::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Carries until both sides have ended theirs, the channel ends, or either connection breaks.
///
/// # Errors
/// Whatever ended it that was not its peers' wish; a [`ChannelEnd`](crate::ChannelEnd) inside says why.
pub async fn carry<T, P>(channel: &mut AttestedStream<T>, plain: &mut P) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let mut plain = BufStream::with_capacity(READ_MAX, WRITE_MAX, plain);
    let (mut out, mut back) = (Way::Open { unflushed: false }, Way::Open { unflushed: false });
    poll_fn(|cx| {
        let out = out.poll(cx, Pin::new(&mut plain), Pin::new(channel))?;
        let back = back.poll(cx, Pin::new(channel), Pin::new(&mut plain))?;
        if let (Poll::Ready(()), Poll::Ready(())) = (out, back) {
            return Poll::Ready(Ok(()));
        }
        // Also where nothing flows: a direction that has ended, or waits for a program that does not read.
        channel.poll_ended(cx).map(Err)
    })
    .await
}
