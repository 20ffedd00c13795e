//! The identity of a program that ends TLS itself: a key made here, a credential for it, renewed in the background before
//! half its life, and what the owners revoked since. It lives as long as the program, or a listener or channel of it, does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use channel::admission::Bundle;
use channel::admission::client::trust_of;
use channel::handshake::Epochs;
use channel::keys::LeafKey;
use channel::tls::{self, Identity};
use channel::{Credential as Vouched, DomainTrust, VerifiedCredential, credential};
use evidence::DomainRoot;
use evidence::cbor::CborError;
use platform::clock;
use platform::program::{ProgramReply, ProgramRequest};
use platform::{PlatformError, Refused};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use trust::Revocations;
use trust::revocation::Revoked;
use trust::signing::Signed;

use crate::Error;
use crate::line::Line;

/// After a failure, how long until the next try.
const RETRY: Duration = Duration::from_secs(2);

/// Where a program gets its identity.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) socket: PathBuf,
    pub(crate) domain: DomainRoot,
    pub(crate) bundle: Arc<[u8]>,
}

/// The identity at one moment.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) trust: Arc<DomainTrust>,
    pub(crate) credential: VerifiedCredential,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    /// Roles that may connect.
    pub(crate) clients: Arc<[String]>,
    policy: u64,
    revocations: Arc<Revocations>,
}

impl Own {
    pub(crate) fn epochs(&self) -> Epochs {
        Epochs { policy: self.policy, revocation: self.revocations.epoch() }
    }

    pub(crate) fn revoked(&self, peer: &Vouched) -> bool {
        let revoked = self.revocations.contains(&Revoked::Measurement(peer.measurement))
            || self.revocations.contains(&Revoked::StatementKey(peer.statement_key));
        !evidence::controls::holds("program_peer_revoked", !revoked)
    }
}

impl Source {
    /// Trust in the domain, at the monitor's time.
    pub(crate) fn trust(&self) -> Result<Arc<DomainTrust>, Error> {
        if self.bundle.is_empty() {
            let why = "it was started without a domain; start it with `casemate run`".to_owned();
            return Err(PlatformError::NotAdmitted(why).into());
        }
        Ok(trust_of(&Bundle::decode(&self.bundle)?, self.domain, clock::now())?)
    }

    /// A first identity; from now on it is kept.
    pub(crate) async fn begin(self) -> Result<watch::Receiver<Own>, Error> {
        let (out, own) = watch::channel(self.obtain(Arc::default()).await?);
        tokio::spawn(self.keep(out));
        Ok(own)
    }

    /// 1. a key, 2. its credential, 3. the standing that comes with it, 4. what of it is checked here too.
    async fn obtain(&self, revocations: Arc<Revocations>) -> Result<Own, Error> {
        let random = || Error::from(PlatformError::Random);
        // 1
        let key = LeafKey::generate().ok_or_else(random)?;
        // 2
        let mut line = Line::open(&self.socket).await?;
        let begun = line.ask(&ProgramRequest::CredentialBegin(key.spki().to_vec())).await?;
        let ProgramReply::ToBeSigned(challenge) = begun else { return Err(Error::unexpected()) };
        let proof = key.sign(&challenge).ok_or_else(random)?;
        let chain = line.ask(&ProgramRequest::CredentialFinish(proof)).await?;
        let ProgramReply::Chain(chain) = chain else { return Err(Error::unexpected()) };
        let leaf = chain.into_iter().next().ok_or(CborError::Field("chain"))?;
        // 3
        let standing = line.ask(&ProgramRequest::Standing).await?;
        let ProgramReply::Standing(standing) = standing else { return Err(Error::unexpected()) };
        clock::discipline(standing.time);
        // 4: that the key is the certificate's, `tls` sees.
        let trust = self.trust()?;
        let leaf = CertificateDer::from(leaf);
        let credential = credential::verify(core::slice::from_ref(&leaf), &trust, clock::now())?;
        let identity =
            Identity { chain: vec![leaf], key: PrivateKeyDer::Pkcs8(key.pkcs8().into()) };
        let domain = || Arc::clone(&trust);
        Ok(Own {
            client: tls::client(domain(), Some(identity.clone()), tls::ALPN, clock::now)?,
            server: tls::server(Some(domain()), identity, tls::ALPN, clock::now)?,
            credential,
            clients: standing.clients.into(),
            policy: standing.policy,
            revocations,
            trust,
        })
    }

    async fn keep(self, out: watch::Sender<Own>) {
        tokio::select! {
            () = out.closed() => {}
            () = async {
                loop {
                    self.hear(&out).await;
                    let known = Arc::clone(&out.borrow().revocations);
                    match self.obtain(known).await {
                        Ok(own) => drop(out.send_replace(own)),
                        Err(why) => {
                            tracing::warn!("credential not renewed: {why}; trying again");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                }
            } => {}
        }
    }

    /// Hears of revocations until a new credential is due.
    async fn hear(&self, out: &watch::Sender<Own>) {
        let mut jitter = [0];
        let _ = platform::random(&mut jitter);
        let due = out.borrow().credential.renew_at(clock::now(), jitter);
        let left = due.unix().saturating_sub(clock::now().unix());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        if let Ok(Err(why)) = tokio::time::timeout(left, self.news(out)).await {
            tracing::warn!("no news of revocations: {why}; asking for a new credential");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn news(&self, out: &watch::Sender<Own>) -> Result<(), Error> {
        let mut line = Line::open(&self.socket).await?;
        loop {
            let known = Arc::clone(&out.borrow().revocations);
            let asked = line.ask(&ProgramRequest::News(known.epoch())).await?;
            let ProgramReply::News(news) = asked else { return Err(Error::unexpected()) };
            clock::discipline(news.time);
            let mut all = Revocations::clone(&known);
            for signed in &news.revocations {
                let signed = Signed::decode(signed).map_err(|_| CborError::Field("revocation"))?;
                let genesis = out.borrow().trust.authority().genesis().clone();
                all.add(signed, &genesis)
                    .map_err(|_| PlatformError::Refused(Refused::Malformed))?;
            }
            if all.epoch() > known.epoch() {
                out.send_modify(|own| own.revocations = Arc::new(all));
            }
        }
    }
}
