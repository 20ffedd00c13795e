//! Why a channel does not come about: one variant a reason.

use evidence::cbor::CborError;
use platform::PlatformError;
use thiserror::Error;
use trust::revocation::RevocationError;

use super::HANDSHAKE_MAX;
use super::bound::Unbound;
use crate::credential::CredentialRefusal;
use crate::session::SessionError;
use crate::standing::Epochs;
use crate::tls::NegotiatedRefusal;

fn port(port: Option<u16>) -> String {
    port.map_or_else(|| "no port".to_owned(), |p| format!("port {p}"))
}

/// Why a channel does not come about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// TLS, the network, or bytes that are no frames.
    #[error("TLS: {0}")]
    Tls(#[from] std::io::Error),
    /// It took too long.
    #[error("handshake not finished within {} s; the peer is gone or stalls", HANDSHAKE_MAX.as_secs())]
    TimedOut,
    /// TLS came about, but not as it must be.
    #[error(transparent)]
    Negotiated(#[from] NegotiatedRefusal),
    /// A message that is none.
    #[error("handshake message: {0}")]
    Message(#[from] CborError),
    /// This side's policy states no mode.
    #[error("this side's policy states no mode; state one")]
    NoMode,
    /// This side has no credential, and the mode needs one.
    #[error("this side has no credential; it is anonymous or not admitted yet")]
    NoCredential,
    /// The peer shows no credential that holds.
    #[error("peer's credential: {0}")]
    Credential(#[from] CredentialRefusal),
    /// The peer is somebody else.
    #[error("peer is {got}, expected {expected}; another program answers at this address")]
    Role {
        /// Roles this side talks to.
        expected: String,
        /// The peer's.
        got: String,
    },
    /// A key that can be exported, where a platform must hold it.
    #[error("peer's credential is exportable, good for credential mode only")]
    Exportable,
    /// The peer wants another mode.
    #[error("peer offers mode {got}, this side takes {expected} only; change one side's policy")]
    Mode {
        /// This side's.
        expected: String,
        /// The peer's.
        got: &'static str,
    },
    /// The connection came to another port of the program than its client meant.
    #[error(
        "peer means {}, this side {}; the host connects what does not belong together", port(*got), port(*expected)
    )]
    Port {
        /// This side's.
        expected: Option<u16>,
        /// The peer's.
        got: Option<u16>,
    },
    /// The peer's statement does not bind it to this connection.
    #[error(transparent)]
    Unbound(#[from] Unbound),
    /// The peer's news does not hold.
    #[error("peer's news: {0}")]
    News(#[from] RevocationError),
    /// The peer claims to have heard more than anybody could tell this side.
    #[error(
        "peer claims policy {} and revocation {}, the authority knows {} and {}; the peer lies, or the authority is not up to date",
        claimed.policy, claimed.revocation, known.policy, known.revocation
    )]
    Behind {
        /// What the peer claims.
        claimed: Epochs,
        /// What this side knows after asking.
        known: Epochs,
    },
    /// The peer's program or monitor is revoked.
    #[error("peer is revoked; it was trusted once, the owners say it is not any more")]
    Revoked,
    /// Own platform.
    #[error("own statement: {0}")]
    Platform(#[from] PlatformError),
    /// The connection cannot be bound to.
    #[error(transparent)]
    Session(#[from] SessionError),
}
