//! The handshake above TLS: each side's platform signs the binder of this very connection before any application data,
//! and whoever has heard less of policy and revocations catches up. `docs/formats/channel.md` is its page.
//!
//! ```text
//! client -> Hello                                with its TLS Finished
//! server -> Hello, News if the client lacks some, Statement
//! client -> News if the server lacks some, Statement if bound; then data
//! ```
//! In credential mode there are no messages: TLS is all. A side takes the modes its own policy states; a peer cannot
//! talk it down.

pub(crate) mod bound;
pub(crate) mod hello;
mod refusal;

use std::future::Future;
use std::io::{IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evidence::controls::holds;
use evidence::{Binder, BinderKind, ContentDigest, Nonce, Side, Time};
use platform::PlatformError;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

pub use self::bound::Unbound;
use self::bound::{Keys, binder};
pub use self::hello::Mode;
use self::hello::{Hello, news, read_news};
pub use self::refusal::HandshakeError;
use crate::credential::{self, CredentialRefusal, VerifiedCredential};
use crate::frame::{self, Kind};
use crate::link::{Link, Nonces, READ_AHEAD};
pub use crate::standing::Epochs;
use crate::standing::{Own, Present, Standing};
use crate::stream::{AttestedStream, Bound};
use crate::tls::{self, Clients};

/// Longest handshake, TLS included.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// What this side takes. There is no default: every field is a decision.
#[derive(Clone, Debug)]
pub struct PeerPolicy {
    /// The modes. A client proposes the first.
    pub modes: Vec<Mode>,
    /// Roles it talks to.
    pub roles: Vec<String>,
    /// Kinds of binder it takes from the peer.
    pub kinds: Vec<BinderKind>,
    /// Refuse key exchange that a quantum computer breaks.
    pub require_pq: bool,
}

/// Where this side's statements come from.
pub trait StatementSource: Send + Sync {
    /// The kind of binder this source can have signed.
    fn kind(&self) -> BinderKind;
    /// A statement under `binder`.
    fn state(&self, binder: &Binder)
    -> impl Future<Output = Result<Vec<u8>, PlatformError>> + Send;
}

/// The source of a side that no platform speaks for: an anonymous client's.
#[derive(Clone, Copy, Debug)]
pub struct NoPlatform;

impl StatementSource for NoPlatform {
    fn kind(&self) -> BinderKind {
        BinderKind::ChannelProgram
    }

    async fn state(&self, _: &Binder) -> Result<Vec<u8>, PlatformError> {
        Err(PlatformError::Refused(platform::Refused::NotGranted))
    }
}

/// A statement in the making.
pub(crate) type Stating = Pin<Box<dyn Future<Output = Result<Vec<u8>, PlatformError>> + Send>>;

/// A [`StatementSource`] whose type nobody needs to know.
pub(crate) trait Source: Send + Sync {
    fn kind(&self) -> BinderKind;
    fn state(self: Arc<Self>, binder: Binder) -> Stating;
}

impl<S: StatementSource + 'static> Source for S {
    fn kind(&self) -> BinderKind {
        StatementSource::kind(self)
    }

    fn state(self: Arc<Self>, binder: Binder) -> Stating {
        Box::pin(async move { StatementSource::state(&*self, &binder).await })
    }
}

/// One side of attested channels.
#[derive(Debug)]
pub struct Endpoint<S> {
    /// What it is and has heard.
    pub standing: Standing,
    /// Statements.
    pub source: Arc<S>,
    /// What it takes.
    pub policy: PeerPolicy,
    /// The port of the server's program that is meant; none, where there is but one thing to reach. The host brings the
    /// connection somewhere, and both ends see whether it is there.
    pub port: Option<u16>,
    /// The time.
    pub clock: fn() -> Time,
}

/// An endpoint as the channel that came of it keeps it.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) standing: Standing,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) policy: PeerPolicy,
    pub(crate) port: Option<u16>,
    pub(crate) clock: fn() -> Time,
}

/// What a side brought into a handshake.
struct Brought {
    side: Side,
    own: Option<Arc<Own>>,
    nonce: Nonce,
    epochs: Epochs,
}

async fn in_time<T>(
    handshake: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    tokio::time::timeout(HANDSHAKE_MAX, handshake).await.map_err(|_| HandshakeError::TimedOut)?
}

impl<S: StatementSource + 'static> Endpoint<S> {
    fn party(&self) -> Party {
        Party {
            standing: self.standing.clone(),
            source: Arc::<S>::clone(&self.source),
            policy: self.policy.clone(),
            port: self.port,
            clock: self.clock,
        }
    }

    /// Opens a channel over `io`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn connect<T>(&self, io: T) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let party = self.party();
        let (mode, own) = party.proposes()?;
        let shown = own.as_ref().map(|o| Arc::clone(o.certified()));
        let config = tls::client_of(self.standing.now().trust, shown, alpn(mode), self.clock)
            .map_err(std::io::Error::other)?;
        in_time(party.connect(config, mode, own, io)).await
    }

    /// The same with TLS configured elsewhere; what was negotiated is checked all the same.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn connect_with<T>(
        &self,
        config: Arc<ClientConfig>,
        io: T,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (mode, own) = self.party().proposes()?;
        in_time(self.party().connect(config, mode, own, io)).await
    }

    /// Takes a channel over `io`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn accept<T>(&self, io: T) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Present { trust, own, .. } = self.standing.now();
        let own = own.ok_or(HandshakeError::NoCredential)?;
        let modes = &self.policy.modes;
        let clients = if modes.contains(&Mode::OneSided) {
            Clients::May(trust)
        } else {
            Clients::Must(trust)
        };
        let alpn = modes.iter().find_map(|m| alpn(*m));
        let config = tls::server_of(clients, Arc::clone(own.certified()), alpn, self.clock)
            .map_err(std::io::Error::other)?;
        in_time(self.party().accept(config, own, io)).await
    }

    /// The same with TLS configured elsewhere; what was negotiated is checked all the same.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn accept_with<T>(
        &self,
        config: Arc<ServerConfig>,
        io: T,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let own = self.standing.now().own.ok_or(HandshakeError::NoCredential)?;
        in_time(self.party().accept(config, own, io)).await
    }
}

const fn alpn(mode: Mode) -> Option<&'static [u8]> {
    if mode.is_framed() { Some(tls::ALPN) } else { None }
}

impl Party {
    /// The mode a client proposes, and what it shows in it.
    fn proposes(&self) -> Result<(Mode, Option<Arc<Own>>), HandshakeError> {
        let mode = *self.policy.modes.first().ok_or(HandshakeError::NoMode)?;
        let own = match mode {
            Mode::OneSided => None,
            Mode::Bound | Mode::Credential => {
                Some(self.standing.now().own.ok_or(HandshakeError::NoCredential)?)
            }
        };
        Ok((mode, own))
    }

    async fn connect<T>(
        self,
        config: Arc<ClientConfig>,
        mode: Mode,
        own: Option<Arc<Own>>,
        io: T,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (nonce, epochs) = (platform::fresh_nonce()?, self.standing.now().epochs());
        // An anonymous client was admitted under no policy and does not say which.
        let policy = own.as_ref().map_or(0, |_| epochs.policy);
        let epochs = Epochs { policy, ..epochs };
        let hello = Hello { nonce, mode, epochs, port: self.port }.encode();
        let header = frame::header(Kind::Hello, hello.len()).map_err(std::io::Error::other)?;
        let name = ServerName::try_from("casemate.invalid").map_err(std::io::Error::other)?;
        // Leaves with the client's Finished: rustls holds it back until the server is who it must be.
        let mut buffered = Ok(0);
        let early = |c: &mut rustls::ClientConnection| {
            if mode.is_framed() {
                let parts = [IoSlice::new(&header), IoSlice::new(&hello)];
                buffered = c.writer().write_vectored(&parts);
            }
        };
        let io = BufReader::with_capacity(READ_AHEAD, io);
        let tls = TlsConnector::from(config).connect_with(name, io, early).await?;
        buffered?;
        let brought = Brought { side: Side::Client, own, nonce, epochs };
        self.agree(TlsStream::Client(tls), mode, brought).await
    }

    async fn accept<T>(
        self,
        config: Arc<ServerConfig>,
        own: Arc<Own>,
        io: T,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let io = BufReader::with_capacity(READ_AHEAD, io);
        let tls = TlsStream::Server(TlsAcceptor::from(config).accept(io).await?);
        // Without the protocol's name it can only be a stock peer; with it, the peer's Hello says which mode.
        let modes = &self.policy.modes;
        let stock = tls.get_ref().1.alpn_protocol().is_none() && modes.contains(&Mode::Credential);
        let mode = match stock {
            true => Mode::Credential,
            false => *modes.iter().find(|m| m.is_framed()).ok_or(HandshakeError::NoMode)?,
        };
        let (nonce, epochs) = (platform::fresh_nonce()?, self.standing.now().epochs());
        let brought = Brought { side: Side::Server, own: Some(own), nonce, epochs };
        self.agree(tls, mode, brought).await
    }

    /// 1. what TLS agreed on, and whom a client has before it, 2. hellos, 3. whom a server has before it, 4. this side's
    /// statement and the peer's, 5. news and what follows from it.
    async fn agree<T>(
        self,
        tls: TlsStream<BufReader<T>>,
        mode: Mode,
        mut brought: Brought,
    ) -> Result<AttestedStream<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // 1
        tls::check_negotiated(tls.get_ref().1, alpn(mode), self.policy.require_pq)?;
        let shown = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let mut link = Link::new(tls, mode.is_framed());
        let side = brought.side;
        let known = match side == Side::Client || !mode.is_framed() {
            true => Some(self.peer(&shown, mode)?),
            false => None,
        };
        if !mode.is_framed() {
            self.check_revoked(known.as_ref())?;
            let bound = Bound { mode, side, own: brought.own, peer: known };
            return Ok(AttestedStream::new(link, self, bound));
        }
        // 2
        let theirs = Hello::decode(&link.message(Kind::Hello).await?)?;
        if let Err(refusal) = self.check_hello(&theirs) {
            if side == Side::Server {
                // So that the client's own error says what this side takes.
                let (nonce, epochs, port) = (brought.nonce, Epochs::default(), self.port);
                link.put(Kind::Hello, &Hello { nonce, mode, epochs, port }.encode())?;
                link.drain().await?;
            }
            return Err(refusal);
        }
        let mode = theirs.mode;
        // 3
        let peer = match (side, mode) {
            (Side::Client, _) => known,
            (Side::Server, Mode::OneSided) => None,
            (Side::Server, _) => Some(self.peer(&shown, mode)?),
        };
        // 4, 5
        let nonces = Nonces::new(side, brought.nonce, theirs.nonce);
        match side {
            Side::Server => {
                self.serve(&mut link, mode, &mut brought, &theirs, nonces, peer.as_ref()).await?
            }
            Side::Client => {
                self.follow(&mut link, mode, &brought, &theirs, nonces, peer.as_ref()).await?
            }
        }
        self.check_revoked(peer.as_ref())?;
        let bound = Bound { mode, side, own: brought.own, peer };
        Ok(AttestedStream::new(link, self, bound))
    }

    fn check_hello(&self, theirs: &Hello) -> Result<(), HandshakeError> {
        if !holds("channel_mode", self.policy.modes.contains(&theirs.mode)) {
            let modes = self.policy.modes.iter().map(|m| m.as_str());
            let expected = modes.collect::<Vec<_>>().join(" or ");
            return Err(HandshakeError::Mode { expected, got: theirs.mode.as_str() });
        }
        if !holds("channel_port", theirs.port == self.port) {
            return Err(HandshakeError::Port { expected: self.port, got: theirs.port });
        }
        Ok(())
    }

    /// The server speaks first. It hears no news from a stranger and asks nobody on a stranger's word.
    async fn serve<T>(
        &self,
        link: &mut Link<T>,
        mode: Mode,
        brought: &mut Brought,
        theirs: &Hello,
        nonces: Nonces,
        peer: Option<&VerifiedCredential>,
    ) -> Result<(), HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if peer.is_some() {
            let policy = theirs.epochs.policy;
            self.catch_up(Epochs { policy, revocation: 0 }).await?;
            brought.epochs = self.standing.now().epochs();
        }
        let (nonce, epochs) = (brought.nonce, brought.epochs);
        link.put(Kind::Hello, &Hello { nonce, mode, epochs, port: self.port }.encode())?;
        self.tell(link, theirs.epochs, epochs)?;
        let binder = self.binder(link, brought, nonces, peer)?;
        let own = Arc::clone(&self.source).state(binder.clone()).await?;
        link.put(Kind::Statement, &own)?;
        link.drain().await?;
        let Some(peer) = peer else { return Ok(()) };
        let told = self.told(link, theirs.epochs, epochs).await?;
        let statement = link.message(Kind::Statement).await?;
        bound::check(&statement, &binder, peer.credential(), &self.policy.kinds)?;
        self.hear(told, theirs.epochs, epochs).await
    }

    /// The client speaks once it has heard who the server is.
    async fn follow<T>(
        &self,
        link: &mut Link<T>,
        mode: Mode,
        brought: &Brought,
        theirs: &Hello,
        nonces: Nonces,
        peer: Option<&VerifiedCredential>,
    ) -> Result<(), HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let peer = peer.ok_or(CredentialRefusal::Count(0))?;
        let told = self.told(link, theirs.epochs, brought.epochs).await?;
        let binder = self.binder(link, brought, nonces, Some(peer))?;
        let statement = link.message(Kind::Statement).await?;
        bound::check(&statement, &binder, peer.credential(), &self.policy.kinds)?;
        self.hear(told, theirs.epochs, brought.epochs).await?;
        if mode == Mode::Bound {
            self.catch_up(Epochs { revocation: 0, ..theirs.epochs }).await?;
            self.tell(link, theirs.epochs, brought.epochs)?;
            let own = Arc::clone(&self.source).state(binder).await?;
            link.put(Kind::Statement, &own)?;
        }
        Ok(link.drain().await?)
    }

    fn binder<T>(
        &self,
        link: &Link<T>,
        brought: &Brought,
        nonces: Nonces,
        peer: Option<&VerifiedCredential>,
    ) -> Result<Binder, HandshakeError> {
        let own = brought.own.as_ref().map(|o| o.spki());
        let keys = Keys::new(brought.side, own, peer.map(VerifiedCredential::spki));
        let session = link.session(&nonces)?;
        let speaks = (self.source.kind(), brought.side);
        let domain = self.standing.now().trust.root();
        Ok(binder(speaks, domain, keys, nonces, session, ContentDigest::of(b"")))
    }

    /// What this side has heard and the peer has not, up to what this side's Hello said.
    fn tell<T>(&self, link: &mut Link<T>, theirs: Epochs, own: Epochs) -> std::io::Result<()> {
        if own.revocation > theirs.revocation {
            let present = self.standing.now();
            let news = news(&present.revocations, theirs.revocation, own.revocation);
            link.put(Kind::News, &news)?;
        }
        Ok(())
    }

    async fn told<T>(
        &self,
        link: &mut Link<T>,
        theirs: Epochs,
        own: Epochs,
    ) -> std::io::Result<Option<Vec<u8>>>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if theirs.revocation <= own.revocation {
            return Ok(None);
        }
        link.message(Kind::News).await.map(Some)
    }

    /// Takes what the peer told; looked at only now that the peer's platform has spoken for it. If that was not all, the
    /// authority is asked.
    async fn hear(
        &self,
        told: Option<Vec<u8>>,
        theirs: Epochs,
        own: Epochs,
    ) -> Result<(), HandshakeError> {
        let Some(told) = told else { return Ok(()) };
        self.standing.hear(own.revocation.saturating_add(1), read_news(&told)?)?;
        self.catch_up(Epochs { policy: 0, ..theirs }).await
    }

    async fn catch_up(&self, claimed: Epochs) -> Result<(), HandshakeError> {
        let known = self.standing.catch_up(claimed).await;
        if !holds("caught_up", known.reach(claimed)) {
            return Err(HandshakeError::Behind { claimed, known });
        }
        Ok(())
    }

    fn check_revoked(&self, peer: Option<&VerifiedCredential>) -> Result<(), HandshakeError> {
        let present = self.standing.now();
        match peer.is_some_and(|p| present.revoked(p.credential())) {
            true => Err(HandshakeError::Revoked),
            false => Ok(()),
        }
    }

    fn peer(
        &self,
        shown: &[CertificateDer<'_>],
        mode: Mode,
    ) -> Result<VerifiedCredential, HandshakeError> {
        // Checked in the TLS handshake too, by `tls::Credentials`; asked again here so that no caller's configuration
        // can leave it out.
        let leaf = shown.first().ok_or(CredentialRefusal::Count(0))?;
        let trust = self.standing.now().trust;
        let peer = credential::verify(core::slice::from_ref(leaf), &trust, (self.clock)())?;
        let role = peer.credential().role.as_str();
        if !holds("peer_role", self.policy.roles.iter().any(|r| r == role)) {
            return Err(HandshakeError::Role {
                expected: self.policy.roles.join(" or "),
                got: role.to_owned(),
            });
        }
        if mode != Mode::Credential && !holds("peer_exportable", !peer.credential().exportable) {
            return Err(HandshakeError::Exportable);
        }
        Ok(peer)
    }
}
