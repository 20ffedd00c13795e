//! The program that runs: what its monitor does for it. What the monitor answers by itself is an ordinary call; what waits
//! for the authority or for peers is `async`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use channel::{VerifiedCredential, credential};
use evidence::statement::{self, Expected, Purpose};
use evidence::{ContentDigest, Measurement, Nonce, ProgramClaim};
use platform::program::{Client, ProgramReply, ProgramRequest, SOCKET, Surroundings};
use platform::{Info, Opened, Platform, PlatformError, Refused, Secret, StoreId, clock};
use rustls::pki_types::CertificateDer;
use tokio::sync::OnceCell;

use crate::line::Line;
use crate::own::Source;
use crate::peers::{self, Ends};
use crate::{Channel, Error, Listener};

/// The program that runs. Clones are the same program.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    socket: PathBuf,
    info: Info,
    surroundings: Surroundings,
    monitor: Mutex<Client>,
    ends: OnceCell<Ends>,
}

impl core::fmt::Debug for Program {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Program").field(&self.0.info).finish()
    }
}

impl Program {
    /// The program this code runs in.
    ///
    /// # Errors
    /// [`Error::Platform`]: it does not run under a monitor; start it with `casemate run`.
    pub fn current() -> Result<Self, Error> {
        Self::at(Path::new(SOCKET))
    }

    /// The same with its monitor's socket elsewhere.
    #[doc(hidden)]
    pub fn at(socket: &Path) -> Result<Self, Error> {
        let mut monitor = Client::connect_at(socket)?;
        let info = monitor.info()?;
        let surroundings = match monitor.ask(&ProgramRequest::Surroundings)? {
            ProgramReply::Surroundings(s) => s,
            _ => return Err(Error::unexpected()),
        };
        let (socket, monitor) = (socket.to_owned(), Mutex::new(monitor));
        Ok(Self(Arc::new(Inner { socket, info, surroundings, monitor, ends: OnceCell::new() })))
    }

    fn monitor(&self) -> MutexGuard<'_, Client> {
        self.0.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What identifies this program: everything that runs, and what it was granted.
    #[must_use]
    pub fn measurement(&self) -> Measurement {
        self.0.info.program.measurement
    }

    /// Domain, monitor, and how far isolation holds.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// Fills `out` with cryptographic randomness.
    ///
    /// # Errors
    /// [`Error::Platform`].
    pub fn random(&self, out: &mut [u8]) -> Result<(), Error> {
        Ok(platform::random(out)?)
    }

    /// Seals: only this program, on this platform, in this domain opens the blob. Raise `version` with every change, so
    /// that an older blob can be told from this one.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Platform`].
    pub fn seal(&self, store: &str, version: u64, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.monitor().seal(&name(store)?, version, plaintext)?)
    }

    /// Opens a sealed blob that is at least as new as `at_least`.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Platform`] with [`PlatformError::Open`].
    pub fn open(&self, store: &str, at_least: u64, blob: &[u8]) -> Result<Opened, Error> {
        Ok(self.monitor().open(&name(store)?, at_least, blob)?)
    }

    /// Attests: a statement that this program said `said` to whoever chose `nonce`. [`verify`] checks it.
    ///
    /// # Errors
    /// [`Error::Platform`].
    pub fn attest(&self, nonce: Nonce, said: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.monitor().attest(nonce, ContentDigest::of(said))?)
    }

    /// This program's credential: its role, and what the authority vouches for. Waits for its admission.
    ///
    /// # Errors
    /// [`Error::Platform`] with [`PlatformError::NotAdmitted`].
    pub async fn credential(&self) -> Result<VerifiedCredential, Error> {
        if self.0.surroundings.self_tls {
            return self.ends().await?.credential();
        }
        let ProgramReply::Standing(standing) = self.ask(ProgramRequest::Standing).await? else {
            return Err(Error::unexpected());
        };
        clock::discipline(standing.time);
        let leaf = CertificateDer::from(standing.certificate);
        Ok(credential::verify(&[leaf], &*self.source().trust()?, clock::now())?)
    }

    /// A role secret that the policy releases to this program. Waits for its admission.
    ///
    /// # Errors
    /// [`Error::NoSecret`], [`Error::Platform`].
    pub async fn secret(&self, name: &str) -> Result<Secret<Vec<u8>>, Error> {
        if self.0.surroundings.self_tls {
            self.ends().await?;
        }
        match self.ask(ProgramRequest::Secret(name.to_owned())).await {
            Ok(ProgramReply::Secret(value)) => Ok(value),
            Ok(_) => Err(Error::unexpected()),
            Err(Error::Platform(PlatformError::Refused(Refused::NotGranted))) => {
                Err(Error::NoSecret(name.to_owned()))
            }
            Err(e) => Err(e),
        }
    }

    /// Takes channels on `port` from the peers that may connect.
    ///
    /// # Errors
    /// [`Error::NotListening`], [`Error::Platform`], [`Error::Io`].
    pub async fn listen(&self, port: u16) -> Result<Listener, Error> {
        let known = &self.0.surroundings.listen;
        if !known.contains(&port) {
            return Err(Error::NotListening { port, known: known.clone() });
        }
        let ends =
            if self.0.surroundings.self_tls { Some(self.ends().await?.clone()) } else { None };
        Listener::open(port, ends).await
    }

    /// A channel to `peer`: its role, as in `"db"`, or, where it listens on several ports, `"db:5432"`.
    ///
    /// # Errors
    /// [`Error::NoPeer`], [`Error::WhichPort`], [`Error::Channel`], [`Error::Platform`], [`Error::Io`].
    pub async fn connect(&self, peer: &str) -> Result<Channel, Error> {
        let peer = peers::find(&self.0.surroundings.peers, peer)?;
        if self.0.surroundings.self_tls {
            return self.ends().await?.connect(peer).await;
        }
        Ok(Channel::plain(peers::tcp(peer.address).await?))
    }

    fn source(&self) -> Source {
        Source {
            socket: self.0.socket.clone(),
            domain: self.0.info.domain,
            bundle: self.0.surroundings.domain.clone(),
        }
    }

    /// The ends of channels whose TLS ends here; the first call gets this program its credential.
    async fn ends(&self) -> Result<&Ends, Error> {
        let begin = || async { Ok(Ends::new(self.source().begin().await?, self.0.socket.clone())) };
        self.0.ends.get_or_try_init(begin).await
    }

    async fn ask(&self, request: ProgramRequest) -> Result<ProgramReply, Error> {
        Line::open(&self.0.socket).await?.ask(&request).await
    }
}

fn name(store: &str) -> Result<StoreId, Error> {
    StoreId::new(store).ok_or_else(|| Error::Store(store.to_owned()))
}

/// Checks a statement made by [`Program::attest`]: that the program `by` is for said `said` to whoever chose `nonce`.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherProgram`].
pub fn verify(
    statement: &[u8],
    by: &VerifiedCredential,
    nonce: Nonce,
    said: &[u8],
) -> Result<(), Error> {
    let by = by.credential();
    let claim = ProgramClaim { domain: by.domain, nonce, said: ContentDigest::of(said) };
    let expected =
        Expected { purpose: Purpose::ProgramClaim, domain: by.domain, binder: claim.digest() };
    let statement = statement::verify(statement, &by.statement_key, &expected)?;
    let same = statement.program.measurement == by.measurement;
    if !evidence::controls::holds("claim_program", same) {
        return Err(Error::OtherProgram);
    }
    Ok(())
}
