//! The exportable credential of a program (I14): a key of its own, apart from the proxy's, certified for credential
//! mode only. Nothing is fetched before somebody asks and nothing is renewed once nobody listens; what is fetched
//! serves every stream. The authority's answer is checked before it is handed on.

use std::sync::Arc;
use std::time::Duration;

use channel::DomainTrust;
use channel::admission::client::{self, AdmissionError, Attester, Connected};
use channel::admission::{Bundle, LogSeen};
use channel::credential::{self, CredentialRefusal, VerifiedCredential};
use channel::keys::LeafKey;
use channel::standing::Epochs;
use evidence::controls::holds;
use evidence::{DomainRoot, Time};
use platform::{PlatformError, Secret};
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use trust::Revocations;
use trust::revocation::Revoked;

use crate::proxy::clock;

/// After a failure, how long until the authority is asked again; as long, a refusal answers whoever asks.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// Longest life of an exportable credential from now on.
pub(super) const LIFE_SECS_MAX: i64 = 600;
/// Longest reason: it travels in a header.
const REASON_MAX: usize = 1024;
/// Longest admission.
const FETCH_MAX: Duration = Duration::from_secs(20);

/// What a stream hands out.
pub(super) struct Svid {
    pub(super) spiffe_id: String,
    /// Leaf certificate, DER.
    pub(super) leaf: Vec<u8>,
    /// PKCS#8.
    pub(super) key: Secret<Vec<u8>>,
    /// The domain it is of: one, so that bundles cannot be merged.
    pub(super) trust: Arc<DomainTrust>,
    /// Version of the policy it rests on.
    policy: u64,
    renew_at: Time,
    not_after: Time,
}

/// What every stream follows.
#[derive(Clone)]
pub(super) enum State {
    /// Nobody has asked, or the answer is on its way.
    Unasked,
    /// This.
    Given(Arc<Svid>),
    /// The authority, or the owners by a revocation, say no.
    Refused(String),
    /// The authority cannot be asked, and what there was is over.
    Unavailable(String),
}

/// Why there is no credential.
#[derive(Debug, Error)]
pub(super) enum IssueError {
    /// The admission.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// It takes too long.
    #[error("authority did not answer within {} s; is it up?", FETCH_MAX.as_secs())]
    TimedOut,
    /// The answer.
    #[error("authority's credential: {0}")]
    Credential(#[from] CredentialRefusal),
    /// It is not marked.
    #[error(
        "authority's credential is not marked exportable, expected the mark; update the authority"
    )]
    NotMarked,
    /// It lives too long.
    #[error(
        "authority's credential ends in {0} s, at most {LIFE_SECS_MAX} are taken; shorten the authority's limit"
    )]
    Life(i64),
    /// No key.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// Whom to ask, and in whose name.
pub(super) struct Issuer<A> {
    pub(super) bundle: Bundle,
    pub(super) root: DomainRoot,
    pub(super) attester: A,
    /// This program and its monitor, as revocations name them.
    pub(super) own: [Revoked; 2],
    pub(super) clock: fn() -> Time,
}

/// What is kept from one credential to the next.
#[derive(Default)]
struct Known {
    revocations: Revocations,
    log: LogSeen,
}

/// The end that streams hold.
#[derive(Clone)]
pub(super) struct Desk {
    state: watch::Sender<State>,
    asked: Arc<Notify>,
}

impl Desk {
    pub(super) fn new(state: State) -> Self {
        Self { state: watch::Sender::new(state), asked: Arc::default() }
    }

    /// Follows the state; while anybody does, it is kept fresh.
    pub(super) fn follow(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Says that an answer is wanted.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    fn is_wanted(&self) -> bool {
        self.state.receiver_count() > 0
    }

    /// Lets everybody know of a refusal, and who comes within the next moment too.
    async fn refuse(&self, why: &str) {
        self.state.send_replace(State::Refused(why.chars().take(REASON_MAX).collect()));
        tokio::time::sleep(RETRY).await;
        self.state.send_replace(State::Unasked);
    }
}

impl<A: Attester> Issuer<A> {
    /// Serves `desk` until the proxy ends.
    pub(super) async fn keep(self, desk: Desk) {
        let mut known = Known::default();
        loop {
            desk.asked.notified().await;
            self.while_wanted(&desk, &mut known).await;
        }
    }

    /// One credential after another, until nobody listens when the next is due.
    async fn while_wanted(&self, desk: &Desk, known: &mut Known) {
        let mut not_after = None;
        while desk.is_wanted() {
            match self.fetch(&mut known.log).await {
                Ok((svid, connected)) => {
                    let svid = Arc::new(svid);
                    desk.state.send_replace(State::Given(Arc::clone(&svid)));
                    not_after = Some(svid.not_after);
                    if self.hear(connected, &mut known.revocations, &svid).await {
                        let why =
                            "this program or its monitor was revoked; `casemate revoke` did that";
                        return desk.refuse(why).await;
                    }
                }
                Err(IssueError::Admission(AdmissionError::Refused(reasons))) => {
                    return desk.refuse(&reasons.join("; ")).await;
                }
                Err(why) => {
                    if not_after.is_none_or(|end| (self.clock)() >= end) {
                        desk.state.send_replace(State::Unavailable(why.to_string()));
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        // Its key is gone with it.
        desk.state.send_replace(State::Unasked);
    }

    async fn fetch(&self, seen: &mut LogSeen) -> Result<(Svid, Connected), IssueError> {
        tokio::time::timeout(FETCH_MAX, self.admit(seen)).await.map_err(|_| IssueError::TimedOut)?
    }

    async fn admit(&self, seen: &mut LogSeen) -> Result<(Svid, Connected), IssueError> {
        let now = self.clock;
        let trust = client::trust_of(&self.bundle, self.root, now())?;
        let key = LeafKey::generate().ok_or(PlatformError::Random)?;
        let (at, spki, role) = (&self.bundle.authority, key.spki(), self.bundle.role.clone());
        let pending = client::begin(at, &trust, &self.attester, spki, role, true, now).await?;
        let proof = key.sign(&pending.to_be_signed()).ok_or(PlatformError::Random)?;
        let (admission, connected) = pending.finish(proof, seen).await?;
        if let Some(said) = connected.said() {
            clock::discipline(&said);
        }
        let leaf = CertificateDer::from(admission.certificate.as_slice());
        let verified = credential::verify(&[leaf], &trust, now())?;
        check(&verified, now())?;
        let mut jitter = [0];
        platform::random(&mut jitter)?;
        let svid = Svid {
            spiffe_id: verified.spiffe_id().to_owned(),
            leaf: admission.certificate,
            key: Secret::new(key.pkcs8()),
            trust,
            policy: admission.policy,
            renew_at: verified.renew_at(now(), jitter),
            not_after: verified.window().not_after,
        };
        Ok((svid, connected))
    }

    /// Listens until `svid` is to be renewed or there is another policy; true if this program is revoked.
    async fn hear(&self, mut from: Connected, known: &mut Revocations, svid: &Svid) -> bool {
        let genesis = svid.trust.authority().genesis();
        loop {
            let left = svid.renew_at.unix().saturating_sub((self.clock)().unix());
            let Some(left) = u64::try_from(left).ok().filter(|l| *l > 0) else { return false };
            let epochs = Epochs { policy: svid.policy, revocation: known.epoch() };
            let news = tokio::time::timeout(Duration::from_secs(left), from.news(epochs));
            match news.await {
                Ok(Ok(news)) => {
                    // One that does not hold ends the list; the next admission will tell.
                    let mut all = news.revocations.into_iter();
                    while all.next().is_some_and(|signed| known.add(signed, genesis).is_ok()) {}
                    let revoked = self.own.iter().any(|own| known.contains(own));
                    if !holds("workload_revoked", !revoked) {
                        return true;
                    }
                    // Another policy may say otherwise: ask again at once.
                    if news.policy > svid.policy {
                        return false;
                    }
                }
                Ok(Err(_)) => {
                    tokio::time::sleep(RETRY).await;
                    return false;
                }
                Err(_) => return false,
            }
        }
    }
}

/// What is handed to a program is marked as such and short-lived, whatever the authority thinks.
pub(super) fn check(svid: &VerifiedCredential, now: Time) -> Result<(), IssueError> {
    if !holds("workload_exportable", svid.credential().exportable) {
        return Err(IssueError::NotMarked);
    }
    let left = svid.window().not_after.unix().saturating_sub(now.unix());
    if !holds("workload_life", left <= LIFE_SECS_MAX) {
        return Err(IssueError::Life(left));
    }
    Ok(())
}
