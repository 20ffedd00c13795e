//! The identity of a program that ends TLS itself: a key made here, a credential for it, renewed in the background before
//! half its life, and what is newer since. It lives as long as the program, or a listener or channel of it, does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use channel::admission::Bundle;
use channel::admission::client::trust_of;
use channel::keys::LeafKey;
use channel::standing::{Authority, Own, Present, StandingError};
use channel::tls::Identity;
use channel::{DomainTrust, Standing};
use evidence::DomainRoot;
use evidence::cbor::CborError;
use platform::program::{self, ProgramReply, ProgramRequest};
use platform::{PlatformError, clock};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{Notify, watch};
use trust::signing::Signed;

use crate::Error;
use crate::line::Line;

/// After a failure, how long until the next try.
const RETRY: Duration = Duration::from_secs(2);

/// Where a program gets its identity.
pub(crate) struct Source {
    pub(crate) socket: PathBuf,
    pub(crate) domain: DomainRoot,
    pub(crate) bundle: Vec<u8>,
}

/// Roles that the newest admission lets this program meet; or the authority's no.
pub(crate) type Permits = Result<Arc<Roles>, String>;

/// Which roles.
pub(crate) struct Roles {
    /// That it may connect to.
    pub(crate) connect: Vec<String>,
    /// That may connect to it.
    pub(crate) clients: Vec<String>,
}

/// What a program is and may do, kept up to date.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) standing: Standing,
    pub(crate) permits: watch::Receiver<Permits>,
}

/// One admission.
struct Admitted {
    trust: Arc<DomainTrust>,
    own: Arc<Own>,
    policy: u64,
    roles: Arc<Roles>,
}

/// A peer has heard more than this program: its admission is renewed before its time.
struct Renewal(Arc<Notify>);

impl Authority for Renewal {
    fn ask(&self) -> bool {
        self.0.notify_one();
        true
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

    /// A first admission; from now on it is kept.
    pub(crate) async fn begin(self) -> Result<Kept, Error> {
        let Admitted { trust, own, policy, roles } = self.admit().await?;
        let present = Present { trust, own: Some(own), policy, revocations: Arc::default() };
        let renew = Arc::new(Notify::new());
        let standing = Standing::new(present, Renewal(Arc::clone(&renew)));
        let (out, permits) = watch::channel(Ok(roles));
        let kept = standing.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = out.closed() => {}
                () = self.keep(&kept, &out, &renew) => {}
            }
        });
        Ok(Kept { standing, permits })
    }

    /// 1. a key, 2. its credential, 3. the standing that comes with it, 4. all of it checked here too.
    async fn admit(&self) -> Result<Admitted, Error> {
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
        let program::Standing { connect, clients, policy, time, .. } = standing;
        clock::discipline(time);
        // 4
        let trust = self.trust()?;
        let key = PrivateKeyDer::Pkcs8(key.pkcs8().into());
        let identity = Identity { chain: vec![CertificateDer::from(leaf)], key };
        let own = Arc::new(Own::new(identity, &trust, clock::now())?);
        Ok(Admitted { trust, own, policy, roles: Arc::new(Roles { connect, clients }) })
    }

    async fn keep(&self, standing: &Standing, out: &watch::Sender<Permits>, renew: &Notify) {
        loop {
            if let Err(why) = self.rest(standing, renew).await {
                tracing::warn!("no news from the authority: {why}; asking for a new credential");
                tokio::time::sleep(RETRY).await;
            }
            if let Err(why) = self.renew(standing, out).await {
                tracing::warn!("credential not renewed: {why}; trying again");
                // A no ends what was allowed before; an authority that cannot be asked only lets it run out (I6).
                if let Error::Platform(PlatformError::NotAdmitted(why)) = why {
                    out.send_modify(|permits| *permits = Err(why));
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn renew(&self, standing: &Standing, out: &watch::Sender<Permits>) -> Result<(), Error> {
        let Admitted { trust, own, policy, roles } = self.admit().await?;
        standing.renew(trust, own, policy)?;
        out.send_modify(|permits| *permits = Ok(roles));
        Ok(())
    }

    /// Until a new credential is due: by its age, by another policy, or because a peer has heard more.
    async fn rest(&self, standing: &Standing, renew: &Notify) -> Result<(), Error> {
        let mut jitter = [0];
        let _ = platform::random(&mut jitter);
        let now = clock::now();
        let due = standing.now().own.map_or(now, |o| o.credential().renew_at(now, jitter));
        let left = u64::try_from(due.unix().saturating_sub(now.unix())).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(left)) => Ok(()),
            () = renew.notified() => Ok(()),
            heard = self.hear(standing) => heard,
        }
    }

    /// Until there is another policy.
    async fn hear(&self, standing: &Standing) -> Result<(), Error> {
        let mut line = Line::open(&self.socket).await?;
        loop {
            let known = standing.now().epochs();
            let (policy, revocation) = (known.policy, known.revocation);
            let asked = line.ask(&ProgramRequest::News { policy, revocation }).await?;
            let ProgramReply::News(news) = asked else { return Err(Error::unexpected()) };
            clock::discipline(news.time);
            let signed = news.revocations.iter().map(|r| Signed::decode(r));
            let signed = signed.collect::<Result<_, _>>().map_err(|_| CborError::Field("news"))?;
            standing.hear(revocation.saturating_add(1), signed).map_err(StandingError::from)?;
            if news.policy > policy {
                return Ok(());
            }
        }
    }
}
