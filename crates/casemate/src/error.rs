//! What can go wrong for a program, each with what its author or its operator should do.

use std::{fmt, io};

use channel::admission::client::AdmissionError;
use channel::standing::StandingError;
use channel::{CredentialRefusal, HandshakeError};
use evidence::cbor::CborError;
use evidence::statement::StatementRefusal;
use platform::PlatformError;
use thiserror::Error;

/// Why a program does not get what it asked for. A `main` that returns it prints the sentence, not the variant.
#[derive(Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no monitor, it refuses, or a blob does not open.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The monitor's message is malformed.
    #[error("message of the monitor: {0}; program and monitor are of different versions")]
    Form(#[from] CborError),
    /// The domain's objects do not hold.
    #[error(transparent)]
    Domain(#[from] AdmissionError),
    /// The program's own credential does not hold.
    #[error("own credential: {0}")]
    Credential(#[from] CredentialRefusal),
    /// The program's own credential cannot be taken into use.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// A channel did not come about.
    #[error(transparent)]
    Channel(#[from] HandshakeError),
    /// A statement does not hold.
    #[error(transparent)]
    Statement(#[from] StatementRefusal),
    /// A statement of another program than the credential's.
    #[error("statement is about another program than the credential; it was made by somebody else")]
    OtherProgram,
    /// No such peer.
    #[error(
        "no peer is called {role:?}, this program has {known:?}; add it again with `--to {role}`"
    )]
    NoPeer {
        /// Asked for.
        role: String,
        /// There are.
        known: Vec<String>,
    },
    /// The policy does not name the peer.
    #[error(
        "the policy does not let this program connect to {0}; add it again with `--to {0}`, and sign"
    )]
    NotPermitted(String),
    /// The peer has several ports.
    #[error("peer {role} listens on {ports:?}; name one, as in \"{role}:{}\"", .ports.first().unwrap_or(&0))]
    WhichPort {
        /// Asked for.
        role: String,
        /// There are.
        ports: Vec<u16>,
    },
    /// Not a port of this program.
    #[error(
        "port {port} is none of this program's ({known:?}); add it again with `--listen {port}`"
    )]
    NotListening {
        /// Asked for.
        port: u16,
        /// There are.
        known: Vec<u16>,
    },
    /// No such secret.
    #[error(
        "no secret called {0:?} is released to this program; name it in `secrets` of its role in casemate.toml"
    )]
    NoSecret(String),
    /// Not the name of a store.
    #[error("store {0:?}: expected 1 to 64 of a-z 0-9 - _ . as a name")]
    Store(String),
    /// The network inside, or the runtime.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// A reply that answers another question.
    pub(crate) fn unexpected() -> Self {
        CborError::Field("reply").into()
    }
}
