//! Attested channels: TLS 1.3 whose two ends prove, on this very connection, which programs they are.
//!
//! [`credential`] says who an authority admitted, [`standing`] what a side is and has heard, [`tls`] sets TLS up,
//! [`handshake`] binds each side's statement to the live connection before any application data, [`stream`] carries data
//! and re-binds while it does, [`admission`] is how a program gets its credential.
#![forbid(unsafe_code)]

pub mod admission;
mod carry;
pub mod credential;
pub mod frame;
pub mod handshake;
pub mod keys;
mod link;
pub mod session;
pub mod signed_time;
pub mod standing;
pub mod stream;
pub mod tls;

pub use carry::carry;
pub use credential::{Credential, CredentialRefusal, DomainTrust, VerifiedCredential};
pub use handshake::{Endpoint, HandshakeError, Mode, PeerPolicy, StatementSource};
pub use standing::{Epochs, Own, Present, Standing};
pub use stream::{AttestedStream, ChannelEnd};
