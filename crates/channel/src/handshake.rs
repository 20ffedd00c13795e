//! The handshake above TLS: each side's platform signs the binder of this very connection before any application data.
//! `docs/formats/channel.md` is its page.
//!
//! ```text
//! client -> Hello{nonce_c, mode, epochs}                    with its TLS Finished
//! server -> Hello{nonce_s, mode, epochs}, State{statement}  bound mode
//! client -> State{statement}, then application data
//! ```
//! In credential mode the two Hello frames are all. A side takes the mode its own policy states; a peer cannot talk it down.

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use evidence::statement::{self, Expected, Purpose, StatementRefusal};
use evidence::{Binder, BinderKind, ContentDigest, End, Nonce, Side, Time};
use platform::PlatformError;
use rustls::pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::credential::{self, CredentialRefusal, DomainTrust, VerifiedCredential};
use crate::session::{SessionError, client_session, server_session};

/// Longest frame: a statement of full length fits.
const FRAME_MAX: usize = statement::LEN_MAX + 1024;
/// Longest handshake, TLS included.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const VERSION: u64 = 1;

/// How much a side wants to know of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Both platforms sign the binder.
    Bound,
    /// The attested keys alone.
    Credential,
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Credential => "credential",
        }
    }
}

/// What this side takes. There is no default: every field is a decision.
#[derive(Clone, Debug)]
pub struct PeerPolicy {
    /// The mode.
    pub mode: Mode,
    /// Roles it talks to.
    pub roles: Vec<String>,
    /// Kinds of binder it takes from the peer.
    pub kinds: Vec<BinderKind>,
}

/// Where this side's statements come from.
pub trait StatementSource: Send + Sync {
    /// The kind of binder this source can have signed.
    fn kind(&self) -> BinderKind;
    /// A statement under `binder`.
    fn state(&self, binder: &Binder)
    -> impl Future<Output = Result<Vec<u8>, PlatformError>> + Send;
}

/// What both sides have heard of policy and revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Epochs {
    /// Version of the policy.
    pub policy: u64,
    /// Number of the newest revocation.
    pub revocation: u64,
}

/// One side of attested channels.
#[derive(Clone, Debug)]
pub struct Endpoint<S> {
    /// The domain.
    pub trust: Arc<DomainTrust>,
    /// SHA-256 of the SubjectPublicKeyInfo of the leaf this side shows.
    pub own: Option<evidence::SpkiDigest>,
    /// Statements.
    pub source: Arc<S>,
    /// What it takes.
    pub policy: PeerPolicy,
    /// What it has heard.
    pub epochs: Epochs,
    /// The time.
    pub clock: fn() -> Time,
}

/// Why a channel does not come about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// TLS or the network.
    #[error("TLS: {0}")]
    Tls(#[from] std::io::Error),
    /// It took too long.
    #[error("handshake not finished within {} s; the peer is gone or stalls", HANDSHAKE_MAX.as_secs())]
    TimedOut,
    /// A frame that is none.
    #[error("handshake frame: {0}")]
    Frame(#[from] CborError),
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
        expected: &'static str,
        /// The peer's.
        got: String,
    },
    /// The peer's statement is not of this connection.
    #[error("peer's statement: {0}")]
    Statement(#[from] StatementRefusal),
    /// The statement describes another program than the credential.
    #[error(
        "peer's statement and credential describe different programs; the credential was stolen or is stale"
    )]
    Program,
    /// Own platform.
    #[error("own statement: {0}")]
    Platform(#[from] PlatformError),
    /// The connection cannot be bound to.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A channel whose two ends are who they must be.
#[derive(Debug)]
pub struct AttestedStream<T> {
    /// Application data.
    pub stream: TlsStream<T>,
    peer: VerifiedCredential,
    mode: Mode,
    epochs: Epochs,
}

impl<T> AttestedStream<T> {
    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> &VerifiedCredential {
        &self.peer
    }

    /// The mode it came about in.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What the peer has heard; whoever has heard less must catch up.
    #[must_use]
    pub const fn epochs(&self) -> Epochs {
        self.epochs
    }
}

struct Hello {
    nonce: Nonce,
    mode: String,
    epochs: Epochs,
}

impl Hello {
    fn encode(&self) -> ciborium::Value {
        cbor::map(vec![
            (1, VERSION.into()),
            (2, ciborium::Value::Bytes(self.nonce.as_bytes().to_vec())),
            (3, self.mode.as_str().into()),
            (4, self.epochs.policy.into()),
            (5, self.epochs.revocation.into()),
        ])
    }

    fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, FRAME_MAX)?;
        f.version(VERSION)?;
        let hello = Self {
            nonce: f.named(2, "nonce", Nonce::from_slice)?,
            mode: f.text(3, "mode")?,
            epochs: Epochs {
                policy: f.uint(4, "policy epoch")?,
                revocation: f.uint(5, "revocation epoch")?,
            },
        };
        f.finish()?;
        Ok(hello)
    }
}

/// A frame: length, then bytes. Written in one piece, for one record.
fn framed(bytes: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let len = u32::try_from(bytes.len())
        .map_err(|_| CborError::TooLong { max: FRAME_MAX, got: bytes.len() })?;
    Ok([&len.to_be_bytes(), bytes].concat())
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, HandshakeError> {
    let len = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
    if len > FRAME_MAX {
        return Err(CborError::TooLong { max: FRAME_MAX, got: len }.into());
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

impl<S: StatementSource> Endpoint<S> {
    /// Opens a channel over `io`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn connect<T>(
        &self,
        config: Arc<rustls::ClientConfig>,
        io: T,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let name = ServerName::try_from("casemate.invalid").map_err(std::io::Error::other)?;
        let nonce = platform::fresh_nonce()?;
        let hello = framed(&self.hello(nonce))?;
        let handshake = async {
            // Leaves with the client's Finished: rustls holds it back until the server is who it must be.
            let mut buffered = Ok(());
            let early = |c: &mut rustls::ClientConnection| buffered = c.writer().write_all(&hello);
            let tls = TlsConnector::from(config).connect_with(name, io, early).await?;
            buffered?;
            self.agree(TlsStream::Client(tls), Side::Client, nonce).await
        };
        tokio::time::timeout(HANDSHAKE_MAX, handshake)
            .await
            .map_err(|_| HandshakeError::TimedOut)?
    }

    /// Takes a channel over `io`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn accept<T>(
        &self,
        config: Arc<rustls::ServerConfig>,
        io: T,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let handshake = async {
            let tls = TlsAcceptor::from(config).accept(io).await?;
            self.agree(TlsStream::Server(tls), Side::Server, platform::fresh_nonce()?).await
        };
        tokio::time::timeout(HANDSHAKE_MAX, handshake)
            .await
            .map_err(|_| HandshakeError::TimedOut)?
    }

    fn hello(&self, nonce: Nonce) -> Vec<u8> {
        let mode = self.policy.mode.as_str().to_owned();
        cbor::encode(&Hello { nonce, mode, epochs: self.epochs }.encode())
    }

    /// 1. who the peer is, 2. hellos and mode, 3. this side's statement, 4. the peer's.
    async fn agree<T>(
        &self,
        mut tls: TlsStream<T>,
        side: Side,
        nonce: Nonce,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // 1
        let peer = self.peer(&tls)?;
        // 2
        let mode = self.policy.mode;
        let theirs = Hello::decode(&read_frame(&mut tls).await?)?;
        let mut answer =
            if side == Side::Server { framed(&self.hello(nonce))? } else { Vec::new() };
        if !holds("channel_mode", theirs.mode == mode.as_str()) {
            tls.write_all(&answer).await?;
            tls.flush().await?;
            return Err(HandshakeError::Mode { expected: mode.as_str(), got: theirs.mode });
        }
        if mode == Mode::Bound {
            let sides =
                if side == Side::Client { (nonce, theirs.nonce) } else { (theirs.nonce, nonce) };
            let mut binder = self.binder(&tls, side, &peer, sides)?;
            binder.kind = self.source.kind();
            // 3: the server speaks first, the client once it has heard.
            let own = framed(&self.source.state(&binder).await?)?;
            answer.extend_from_slice(&own);
            if side == Side::Server {
                tls.write_all(&answer).await?;
                tls.flush().await?;
                answer.clear();
            }
            // 4
            let statement = read_frame(&mut tls).await?;
            self.check(&statement, &binder, &peer)?;
        }
        tls.write_all(&answer).await?;
        tls.flush().await?;
        Ok(AttestedStream { stream: tls, peer, mode, epochs: theirs.epochs })
    }

    fn peer<T>(&self, tls: &TlsStream<T>) -> Result<VerifiedCredential, HandshakeError> {
        let shown = certificates(tls);
        // Checked in the TLS handshake too, by `tls::Credentials`; asked again here so that no caller's configuration
        // can leave it out.
        let leaf = shown.first().ok_or(CredentialRefusal::Count(0))?;
        let peer = credential::verify(core::slice::from_ref(leaf), &self.trust, (self.clock)())?;
        let role = peer.credential().role.as_str();
        if !holds("peer_role", self.policy.roles.iter().any(|r| r == role)) {
            return Err(HandshakeError::Role {
                expected: self.policy.roles.join(" or "),
                got: role.to_owned(),
            });
        }
        if self.policy.mode == Mode::Bound
            && !holds("peer_exportable", !peer.credential().exportable)
        {
            return Err(HandshakeError::Exportable);
        }
        Ok(peer)
    }

    fn binder<T>(
        &self,
        tls: &TlsStream<T>,
        side: Side,
        peer: &VerifiedCredential,
        nonces: (Nonce, Nonce),
    ) -> Result<Binder, HandshakeError> {
        let (client_nonce, server_nonce) = nonces;
        let session = match tls {
            TlsStream::Client(s) => client_session(s.get_ref().1, &client_nonce, &server_nonce)?,
            TlsStream::Server(s) => server_session(s.get_ref().1, &client_nonce, &server_nonce)?,
        };
        let own = self.own;
        let domain = Some(self.trust.root());
        let end = |spki, nonce| End { domain, spki, nonce };
        let (client, server) = match side {
            Side::Client => (end(own, client_nonce), end(Some(peer.spki()), server_nonce)),
            Side::Server => (end(Some(peer.spki()), client_nonce), end(own, server_nonce)),
        };
        Ok(Binder {
            kind: BinderKind::ChannelMonitor,
            side,
            client,
            server,
            session,
            claims: ContentDigest::of(b""),
        })
    }

    fn check(
        &self,
        statement: &[u8],
        own: &Binder,
        peer: &VerifiedCredential,
    ) -> Result<(), HandshakeError> {
        let credential = peer.credential();
        let mut last = None;
        for kind in &self.policy.kinds {
            let binder = Binder { kind: *kind, ..own.reflected() };
            let expected = Expected {
                purpose: Purpose::Binder(*kind),
                domain: self.trust.root(),
                binder: binder.digest(),
            };
            match statement::verify(statement, &credential.statement_key, &expected) {
                Ok(s) => {
                    let p = &s.program;
                    let same = p.measurement == credential.measurement
                        && p.isolation == credential.isolation
                        && p.host == credential.host;
                    return if holds("statement_program", same) {
                        Ok(())
                    } else {
                        Err(HandshakeError::Program)
                    };
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.map_or(HandshakeError::Program, HandshakeError::Statement))
    }
}

fn certificates<T>(tls: &TlsStream<T>) -> &[CertificateDer<'static>] {
    tls.get_ref().1.peer_certificates().unwrap_or_default()
}
