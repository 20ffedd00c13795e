//! How the program stands with its authority, whoever holds the certified key: its proxy, or (grant `self-tls`) the
//! program itself, whose proxy then listens for revocations in its place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use channel::DomainTrust;
use channel::admission::Admission;
use channel::admission::client::{self, Connected};
use channel::standing::Epochs;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use trust::Revocations;

use super::admit::Admitted;
use super::clock;

/// After a failure, how long until the authority is listened to again.
const RETRY: Duration = Duration::from_secs(2);

/// The newest admission and what was heard since.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) admission: Arc<Admission>,
    pub(super) revocations: Arc<Revocations>,
    /// Version of the newest policy.
    pub(super) policy: u64,
}

/// The standing of a program whose proxy holds its key and keeps it admitted.
pub(super) fn of_proxy(
    mut admitted: watch::Receiver<Option<Admitted>>,
) -> watch::Receiver<Option<Standing>> {
    let (out, standing) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let now = admitted.borrow_and_update().as_ref().map(|a| Standing {
                admission: Arc::clone(&a.admission),
                revocations: Arc::clone(&a.revocations),
                policy: a.admission.policy,
            });
            out.send_replace(now);
            if admitted.changed().await.is_err() {
                return;
            }
        }
    });
    standing
}

/// The standing of a program that holds its own key.
pub(super) struct OwnKey {
    out: watch::Sender<Option<Standing>>,
    listening: Mutex<Option<AbortHandle>>,
}

impl OwnKey {
    pub(super) fn new() -> (Self, watch::Receiver<Option<Standing>>) {
        let (out, standing) = watch::channel(None);
        (Self { out, listening: Mutex::default() }, standing)
    }

    /// Takes a new admission, and the connection to the authority that it came by to listen on.
    pub(super) fn admitted(
        &self,
        admission: Admission,
        connected: Connected,
        trust: Arc<DomainTrust>,
        authority: String,
    ) {
        let known = self.out.borrow().as_ref().map(|s| Arc::clone(&s.revocations));
        let revocations = known.unwrap_or_default();
        let (policy, admission) = (admission.policy, Arc::new(admission));
        self.out.send_replace(Some(Standing { admission, revocations, policy }));
        let listening = listen(self.out.clone(), connected, trust, authority);
        let listening = tokio::spawn(listening).abort_handle();
        let mut place = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = place.replace(listening) {
            last.abort();
        }
    }

    /// The authority's no ends what it allowed before (I6).
    pub(super) fn refused(&self) {
        self.out.send_replace(None);
    }
}

/// Listens for as long as there is a standing, over one connection after another.
async fn listen(
    out: watch::Sender<Option<Standing>>,
    mut connected: Connected,
    trust: Arc<DomainTrust>,
    authority: String,
) {
    while out.borrow().is_some() {
        while hear(&out, &mut connected, &trust).await.is_some() {}
        tokio::time::sleep(RETRY).await;
        if let Ok(again) = client::listen(&authority, &trust, clock).await {
            connected = again;
        }
    }
}

/// One answer; none if the authority is gone or says something the owners did not sign.
async fn hear(
    out: &watch::Sender<Option<Standing>>,
    from: &mut Connected,
    trust: &DomainTrust,
) -> Option<()> {
    let before = out.borrow().clone()?;
    let known = Epochs { policy: before.policy, revocation: before.revocations.epoch() };
    let news = from.news(known).await.ok()?;
    let mut all = Revocations::clone(&before.revocations);
    let genesis = trust.authority().genesis();
    let held = news.revocations.into_iter().all(|signed| all.add(signed, genesis).is_ok());
    out.send_if_modified(|standing| {
        let Some(standing) = standing else { return false };
        let newer = all.epoch() > known.revocation || news.policy > known.policy;
        standing.policy = news.policy.max(known.policy);
        standing.revocations = Arc::new(all);
        newer
    });
    held.then_some(())
}

#[cfg(test)]
impl Standing {
    /// How a program stands that may connect to those and was given this.
    pub(super) fn example(
        connect: &[&str],
        secrets: Vec<channel::admission::ReleasedSecret>,
        revocations: Revocations,
    ) -> Self {
        let admission = Admission {
            certificate: Vec::new(),
            role: "server".into(),
            connect: connect.iter().map(|r| (*r).to_owned()).collect(),
            clients: Vec::new(),
            policy: 1,
            revocation: revocations.epoch(),
            log_index: 0,
            decision: evidence::ContentDigest::of(b""),
            secrets,
            log: channel::admission::LogProof::default(),
        };
        let (admission, revocations) = (Arc::new(admission), Arc::new(revocations));
        Self { admission, revocations, policy: 1 }
    }
}
