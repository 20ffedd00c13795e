//! Attested channels: TLS 1.3 whose two ends prove, on this very connection, which programs they are.
//!
//! [`credential`] says who an authority admitted, [`tls`] sets TLS up, [`handshake`] binds each side's statement to the
//! live connection before any application data, [`admission`] is how a program gets its credential.
#![forbid(unsafe_code)]

pub mod admission;
pub mod credential;
pub mod handshake;
pub mod keys;
pub mod session;
pub mod signed_time;
pub mod tls;

pub use credential::{Credential, CredentialRefusal, DomainTrust, VerifiedCredential};
pub use handshake::{AttestedStream, Endpoint, HandshakeError, Mode, PeerPolicy, StatementSource};
