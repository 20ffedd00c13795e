//! Messages between our own processes: one deterministic CBOR item per SOCK_SEQPACKET packet, with
//! descriptors beside it where a message hands some over. Nothing here crosses a network.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ciborium::Value;
use evidence::cbor;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use crate::PlatformError;

/// Longest message: a seal request of full length, or a program's whole configuration, fits.
pub const MESSAGE_MAX: usize = 128 * 1024;
/// Most descriptors beside one message.
pub const FDS_MAX: usize = 16;

/// A connected pair for such messages, both ends close-on-exec.
///
/// # Errors
/// As `socketpair(2)`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one item and descriptors.
///
/// # Errors
/// [`PlatformError::Socket`]; [`PlatformError::Message`] if the item is too long.
pub fn send(socket: impl AsFd, item: &Value, fds: &[BorrowedFd<'_>]) -> Result<(), PlatformError> {
    let bytes = cbor::encode(item);
    if bytes.len() > MESSAGE_MAX {
        return Err(cbor::CborError::TooLong { max: MESSAGE_MAX, got: bytes.len() }.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    }
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(socket.as_fd(), &[io::IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })
    .map_err(io::Error::from)?;
    if sent != bytes.len() {
        return Err(io::Error::from(io::ErrorKind::WriteZero).into());
    }
    Ok(())
}

/// Receives one item and the descriptors beside it, close-on-exec. `None` when the other end is gone.
///
/// # Errors
/// [`PlatformError::Socket`]; [`PlatformError::Message`] if it is longer than allowed or not deterministic CBOR.
pub fn receive(socket: impl AsFd) -> Result<Option<(Value, Vec<OwnedFd>)>, PlatformError> {
    let mut bytes = vec![0; MESSAGE_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::io::retry_on_intr(|| {
        recvmsg(
            socket.as_fd(),
            &mut [io::IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })
    .map_err(io::Error::from)?;
    let fds = ancillary
        .drain()
        .filter_map(|m| if let RecvAncillaryMessage::ScmRights(fds) = m { Some(fds) } else { None })
        .flatten()
        .collect::<Vec<_>>();
    if got.bytes == 0 && fds.is_empty() {
        return Ok(None);
    }
    if got.flags.contains(ReturnFlags::TRUNC) || got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(cbor::CborError::TooLong {
            max: MESSAGE_MAX,
            got: MESSAGE_MAX.saturating_add(1),
        }
        .into());
    }
    bytes.truncate(got.bytes);
    Ok(Some((cbor::decode(&bytes, MESSAGE_MAX)?, fds)))
}

/// Sends a request and waits for its reply.
///
/// # Errors
/// As [`send`] and [`receive`]; the other end being gone is [`PlatformError::Socket`].
pub fn call(
    socket: impl AsFd,
    item: &Value,
    fds: &[BorrowedFd<'_>],
) -> Result<(Value, Vec<OwnedFd>), PlatformError> {
    send(&socket, item, fds)?;
    receive(&socket)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_travel_beside_the_message() {
        let (a, b) = pair().unwrap();
        let (c, d) = pair().unwrap();
        send(&a, &Value::from(1), &[c.as_fd()]).unwrap();
        let (item, fds) = receive(&b).unwrap().unwrap();
        assert_eq!((item, fds.len()), (Value::from(1), 1));
        send(&fds[0], &Value::from("through"), &[]).unwrap();
        assert_eq!(receive(&d).unwrap().unwrap().0, Value::from("through"));
        drop(a);
        assert!(receive(&b).unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_sent() {
        let (a, _b) = pair().unwrap();
        let long = Value::Bytes(vec![0; MESSAGE_MAX]);
        assert!(matches!(send(&a, &long, &[]), Err(PlatformError::Message(_))));
    }
}
