//! A side's standing: its credential and what it has heard of policy and revocations, renewed while its channels live.
//!
//! Every handshake reads the newest standing, every live channel is told of a new one. A standing never forgets a
//! revocation and never changes its domain; what a peer tells it counts only if the owners signed it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evidence::{DomainRoot, SpkiDigest, Time};
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, sign::SigningKey};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;
use trust::Revocations;
use trust::revocation::{RevocationError, Revoked};
use trust::signing::Signed;

use crate::credential::{self, Credential, CredentialRefusal, DomainTrust, VerifiedCredential};
use crate::tls::{self, Identity};

/// How often an authority is asked because of what peers say, at most.
pub const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long a handshake waits for the answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What a side has heard of policy and revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Epochs {
    /// Version of the policy.
    pub policy: u64,
    /// Number of the newest revocation.
    pub revocation: u64,
}

impl Epochs {
    /// True if nothing in `other` is newer.
    #[must_use]
    pub const fn reach(self, other: Self) -> bool {
        self.policy >= other.policy && self.revocation >= other.revocation
    }
}

/// Where a side renews its standing when a peer has heard more than it.
pub trait Authority: Send + Sync {
    /// Asks for a new admission, without waiting for it; what comes of it arrives by [`Standing::renew`] and
    /// [`Standing::hear`]. False: there is nobody to ask.
    fn ask(&self) -> bool;
}

/// A side that can ask nobody: it is told of news, or does without.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Authority for Nobody {
    fn ask(&self) -> bool {
        false
    }
}

/// A side's own credential with its key.
#[derive(Debug)]
pub struct Own {
    certified: Arc<CertifiedKey>,
    credential: VerifiedCredential,
}

/// Why a credential is not one's own, or a standing not renewed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StandingError {
    /// It does not hold.
    #[error("own credential: {0}")]
    Credential(#[from] CredentialRefusal),
    /// The key is another's, or of a kind that is not used.
    #[error("own key: {0}; it is not the key of the credential")]
    Key(#[from] rustls::Error),
    /// Of another domain than before.
    #[error(
        "standing of domain {got}, expected {expected}; channels of two domains are never mixed"
    )]
    Domain {
        /// Of this standing.
        expected: DomainRoot,
        /// Of the new credential.
        got: DomainRoot,
    },
    /// A revocation does not hold.
    #[error(transparent)]
    Revocation(#[from] RevocationError),
}

impl Own {
    /// Takes a credential and its key into use.
    ///
    /// # Errors
    /// [`StandingError`].
    pub fn new(identity: Identity, trust: &DomainTrust, at: Time) -> Result<Self, StandingError> {
        let leaf = identity.chain.first().ok_or(CredentialRefusal::Count(0))?;
        let credential = credential::verify(core::slice::from_ref(leaf), trust, at)?;
        let key = tls::provider().key_provider.load_private_key(identity.key)?;
        let certified = CertifiedKey::new(identity.chain, key);
        certified.keys_match()?;
        Ok(Self { certified: Arc::new(certified), credential })
    }

    /// The credential.
    #[must_use]
    pub const fn credential(&self) -> &VerifiedCredential {
        &self.credential
    }

    /// The key it is for.
    #[must_use]
    pub const fn spki(&self) -> SpkiDigest {
        self.credential.spki()
    }

    /// The credential as TLS shows it.
    #[must_use]
    pub const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// ECDSA P-256 with SHA-256, DER: the key holds itself.
    pub(crate) fn prove(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let key: &dyn SigningKey = &*self.certified.key;
        let signer = key
            .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
            .ok_or(rustls::Error::General("the key is not P-256".to_owned()))?;
        signer.sign(message)
    }
}

/// A standing at one moment.
#[derive(Clone, Debug)]
pub struct Present {
    /// The domain.
    pub trust: Arc<DomainTrust>,
    /// The side's credential; none: it is anonymous.
    pub own: Option<Arc<Own>>,
    /// Version of the policy it was admitted under.
    pub policy: u64,
    /// What the owners revoked, as far as it has heard.
    pub revocations: Arc<Revocations>,
}

impl Present {
    /// What it has heard.
    #[must_use]
    pub fn epochs(&self) -> Epochs {
        Epochs { policy: self.policy, revocation: self.revocations.epoch() }
    }

    /// True if a credential rests on something revoked.
    #[must_use]
    pub fn revoked(&self, credential: &Credential) -> bool {
        self.revocations.contains(&Revoked::Measurement(credential.measurement))
            || self.revocations.contains(&Revoked::StatementKey(credential.statement_key))
    }
}

/// A side's standing. Clones are the same standing.
#[derive(Clone)]
pub struct Standing(Arc<Shared>);

struct Shared {
    now: watch::Sender<Present>,
    authority: Box<dyn Authority>,
    asked: Mutex<Option<Instant>>,
}

impl core::fmt::Debug for Standing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Standing").field(&*self.0.now.borrow()).finish()
    }
}

impl Standing {
    /// A standing that begins with `present`.
    pub fn new(present: Present, authority: impl Authority + 'static) -> Self {
        let (now, asked) = (watch::Sender::new(present), Mutex::default());
        Self(Arc::new(Shared { now, authority: Box::new(authority), asked }))
    }

    /// The newest one.
    #[must_use]
    pub fn now(&self) -> Present {
        self.0.now.borrow().clone()
    }

    /// Told of every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Present> {
        self.0.now.subscribe()
    }

    /// Takes a new credential, issued under policy version `policy`. Live channels are re-bound by it.
    ///
    /// # Errors
    /// [`StandingError::Domain`].
    pub fn renew(
        &self,
        trust: Arc<DomainTrust>,
        own: Arc<Own>,
        policy: u64,
    ) -> Result<(), StandingError> {
        let (expected, got) = (self.0.now.borrow().trust.root(), trust.root());
        if got != expected {
            return Err(StandingError::Domain { expected, got });
        }
        self.0.now.send_modify(|p| {
            (p.trust, p.own, p.policy) = (trust, Some(own), p.policy.max(policy));
        });
        Ok(())
    }

    /// Takes revocations, the first of them number `first`. Those that are known are passed over.
    ///
    /// # Errors
    /// [`RevocationError`] of the first that the owners did not sign, or that leaves a gap; those before it count.
    pub fn hear(&self, first: u64, signed: Vec<Signed>) -> Result<(), RevocationError> {
        let mut result = Ok(());
        self.0.now.send_if_modified(|p| {
            let before = p.revocations.epoch();
            let known = before.saturating_add(1).saturating_sub(first);
            let new = signed.into_iter().skip(usize::try_from(known).unwrap_or(usize::MAX));
            let mut new = new.peekable();
            if new.peek().is_none() {
                return false;
            }
            let mut all = Revocations::clone(&p.revocations);
            result = new.try_for_each(|s| all.add(s, p.trust.authority().genesis()).map(drop));
            let changed = all.epoch() > before;
            p.revocations = Arc::new(all);
            changed
        });
        result
    }

    /// Waits until it has heard as much as `wanted`, asking its authority no more often than every [`ASK_EVERY`],
    /// whatever peers claim. The epochs it then has.
    pub async fn catch_up(&self, wanted: Epochs) -> Epochs {
        let mut watch = self.watch();
        let reached = async {
            loop {
                let Some(next) = self.ask() else { return };
                let reached = watch.wait_for(|p| p.epochs().reach(wanted));
                if tokio::time::timeout_at(next, reached).await.is_ok() {
                    return;
                }
            }
        };
        if !self.now().epochs().reach(wanted) {
            let _: Result<(), tokio::time::error::Elapsed> =
                tokio::time::timeout(ANSWER_MAX, reached).await;
        }
        self.now().epochs()
    }

    /// Asks the authority if it was not asked just now; when it may be asked again, if ever.
    fn ask(&self) -> Option<Instant> {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = match *asked {
            Some(last) if now.duration_since(last) < ASK_EVERY => last,
            _ if !self.0.authority.ask() => return None,
            _ => *asked.insert(now),
        };
        last.checked_add(ASK_EVERY)
    }
}
