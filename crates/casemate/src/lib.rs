//! The SDK: what a program written for casemate uses. It runs under a monitor, which put a socket into its root.
//!
//! | name | what it is |
//! |---|---|
//! | [`Program`] | the program that runs: measures, seals, opens, attests, draws randomness, listens, connects |
//! | [`Listener`], [`Channel`] | peers that connect; a connection to a peer, for reading and writing |
//! | [`Credential`] | what the authority vouches for, of this program or of a peer: role, measurement, hardware, end |
//! | [`verify`] | checks what another program attested |
//! | [`Info`], [`Measurement`], [`Isolation`], [`DomainRoot`] | who this program is, how isolated, in which domain |
//! | [`Nonce`] | what makes an attestation fresh |
//! | [`Opened`], [`Secret`] | what came out of a sealed blob; bytes that are never printed and zeroed when dropped |
//! | [`Error`], [`PlatformError`], [`OpenRefusal`], [`HandshakeError`] | what can go wrong, and what to do |
//!
//! ```no_run
//! use casemate::{Nonce, Program, verify};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), casemate::Error> {
//!     let me = Program::current()?;
//!     println!("I am {}, isolated by {}", me.measurement(), me.info().program.isolation.as_str());
//!
//!     let blob = me.seal("notes", 1, b"only I read this")?;
//!     assert_eq!(me.open("notes", 1, &blob)?.plaintext.expose(), b"only I read this");
//!
//!     let mut nonce = [0; 32];
//!     me.random(&mut nonce)?;
//!     let statement = me.attest(Nonce::new(nonce), b"what I say")?;
//!     let own = me.credential().await?;
//!     verify(&statement, &own, Nonce::new(nonce), b"what I say")?;
//!     println!("the authority calls me {}", own.spiffe_id());
//!
//!     let password = me.secret("db-password").await?;
//!     let mut db = me.connect("db").await?;
//!     db.write_all(password.expose()).await?;
//!
//!     let mut listener = me.listen(8080).await?;
//!     let mut client = listener.accept().await?;
//!     let mut asked = String::new();
//!     client.read_to_string(&mut asked).await?;
//!     Ok(())
//! }
//! ```
//!
//! # Where TLS ends
//!
//! Programs never speak to each other but over attested TLS. By default it ends in the monitor's proxies: [`Program::connect`]
//! and [`Program::listen`] are plain sockets inside, as an unmodified program would open them, and the policy alone decides who
//! gets through; [`Channel::peer`] is none. With the grant `self-tls` (`casemate add --self-tls`, part of the measurement) it
//! ends in this process: the key is made here, both ends prove on the very connection which programs they are, and
//! [`Channel::peer`] says who is there. The same code does both. Programs of both kinds talk to each other.
//!
//! What needs a key of its own for another TLS library takes it from the SPIFFE Workload API, whose socket is in
//! `SPIFFE_ENDPOINT_SOCKET`; such keys are good for credential mode only.
//!
//! Credentials are renewed in the background, on the runtime that first asked for one, and live channels are bound anew while
//! they are read. A channel ends, within a second, when its peer is revoked or the policy does not permit it any more;
//! reading then fails with the reason.
#![forbid(unsafe_code)]

mod channel;
mod error;
mod line;
mod own;
mod peers;
mod program;

pub use self::channel::Channel;
pub use self::error::Error;
pub use self::peers::Listener;
pub use self::program::{Program, verify};
pub use ::channel::{HandshakeError, VerifiedCredential as Credential};
pub use evidence::{DomainRoot, Isolation, Measurement, Nonce};
pub use platform::{Info, OpenRefusal, Opened, PlatformError, Secret};
