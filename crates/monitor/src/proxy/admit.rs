//! Getting and keeping the program's credential: admission at the start, renewal before half its life with jitter, news
//! of revocations on the same connection.

use std::sync::Arc;
use std::time::Duration;

use channel::DomainTrust;
use channel::admission::client::{self, AdmissionError, Attester, Connected};
use channel::admission::{Admission, Bundle, LogSeen};
use channel::handshake::{Epochs, StatementSource};
use channel::tls::Identity;
use evidence::{Binder, BinderKind, HardwareEvidence, Nonce, SpkiDigest, StatementKey, Time};
use platform::{PlatformError, keyholder};
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::{Notify, watch};
use trust::Revocations;

use super::{Reporter, Status, clock};

/// After a failure, how long until the next try.
const RETRY: Duration = Duration::from_secs(2);

/// A program's present standing; every connection reads the newest one.
#[derive(Clone)]
pub(crate) struct Admitted {
    pub(super) trust: Arc<DomainTrust>,
    pub(super) identity: Identity,
    pub(super) own: SpkiDigest,
    pub(super) admission: Arc<Admission>,
    pub(super) revocations: Arc<Revocations>,
}

impl Admitted {
    fn epochs(&self) -> Epochs {
        Epochs { policy: self.admission.policy, revocation: self.revocations.epoch() }
    }
}

/// The keyholder as the platform of admissions and handshakes.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(super) client: Arc<keyholder::Client>,
    pub(super) key: StatementKey,
}

impl Attester for Holder {
    fn statement_key(&self) -> StatementKey {
        self.key
    }

    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        self.client.hardware_evidence(nonce)
    }

    fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        self.client.state(binder)
    }
}

/// The keyholder as the source of channel statements.
pub(crate) struct ChannelSource(pub(super) Arc<keyholder::Client>);

impl StatementSource for ChannelSource {
    fn kind(&self) -> BinderKind {
        BinderKind::ChannelMonitor
    }

    async fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        self.0.state(binder)
    }
}

/// The holder of a keyholder socket, with the domain it serves.
pub(super) fn holder(
    client: &Arc<keyholder::Client>,
) -> Result<(Holder, platform::Info), PlatformError> {
    let info = match client.ask(&keyholder::Request::Info)? {
        keyholder::Reply::Info(info) => info,
        _ => return Err(evidence::cbor::CborError::Field("info").into()),
    };
    Ok((Holder { client: Arc::clone(client), key: info.statement_key }, info))
}

/// One admission with a fresh key.
async fn admit(
    bundle: &Bundle,
    holder: &Holder,
    root: evidence::DomainRoot,
    seen: &mut LogSeen,
) -> Result<(Admitted, Connected), AdmissionError> {
    let own = |e: rcgen::Error| std::io::Error::other(e);
    let trust = client::trust_of(bundle, root, clock())?;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(own)?;
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let pending =
        client::begin(&bundle.authority, &trust, holder, &spki, bundle.role.clone(), false, clock)
            .await?;
    let signature = rcgen::SigningKey::sign(&key, &pending.to_be_signed()).map_err(own)?;
    let (admission, connected) = pending.finish(signature, seen).await?;
    // Now that everything it said has been checked, its time counts, and the host's no longer.
    if let Some(said) = connected.said() {
        super::clock::discipline(&said);
    }
    let identity = Identity {
        chain: vec![admission.certificate.clone().into()],
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    };
    let own = SpkiDigest::of_der(&spki);
    let admitted = Admitted {
        trust,
        identity,
        own,
        admission: Arc::new(admission),
        revocations: Arc::default(),
    };
    Ok((admitted, connected))
}

/// Keeps the program admitted for as long as the authority agrees; `renew` asks for an admission before its time.
pub(super) async fn keep(
    bundle: Bundle,
    client: Arc<keyholder::Client>,
    out: watch::Sender<Option<Admitted>>,
    reporter: Reporter,
    renew: Arc<Notify>,
) {
    let Ok((holder, info)) = holder(&client) else { return };
    let (mut known, mut seen) = (Arc::<Revocations>::default(), LogSeen::default());
    loop {
        match admit(&bundle, &holder, info.domain, &mut seen).await {
            Err(why) => {
                // A no ends what was allowed before; an authority that cannot be reached only lets it run out (I6).
                if matches!(why, AdmissionError::Refused(_)) {
                    out.send_replace(None);
                }
                reporter.say(&Status::Refused(why.to_string()));
                tokio::time::sleep(RETRY).await;
            }
            Ok((mut admitted, mut connected)) => {
                admitted.revocations = Arc::clone(&known);
                let renew_at = renewal(&admitted);
                let a = &admitted.admission;
                reporter.say(&Status::Admitted(format!(
                    "as {} under policy {}, log entry {}",
                    a.role, a.policy, a.log_index
                )));
                out.send_replace(Some(admitted.clone()));
                while clock() < renew_at {
                    let left = u64::try_from(renew_at.unix().saturating_sub(clock().unix()))
                        .unwrap_or(1)
                        .max(1);
                    let news = connected.news(admitted.epochs());
                    let news = tokio::time::timeout(Duration::from_secs(left), news);
                    let news = tokio::select! {
                        news = news => news,
                        () = renew.notified() => break,
                    };
                    match news {
                        Ok(Ok(news)) => {
                            known = heard(&known, news.revocations, &admitted);
                            admitted.revocations = Arc::clone(&known);
                            out.send_replace(Some(admitted.clone()));
                            // Another policy may say otherwise about this program and its peers: ask again at once.
                            if news.policy > admitted.admission.policy {
                                break;
                            }
                        }
                        Ok(Err(_)) => {
                            tokio::time::sleep(RETRY).await;
                            break;
                        }
                        Err(_) => break,
                    }
                }
            }
        }
    }
}

/// Takes signed revocations; one that does not hold ends the list.
fn heard(
    known: &Arc<Revocations>,
    signed: Vec<trust::signing::Signed>,
    admitted: &Admitted,
) -> Arc<Revocations> {
    let mut all = Revocations::clone(known);
    for s in signed {
        if all.add(s, admitted.trust.authority().genesis()).is_err() {
            break;
        }
    }
    Arc::new(all)
}

/// Before half the credential's life, a little differently for everybody.
fn renewal(admitted: &Admitted) -> Time {
    let window = admitted.identity.chain.first().and_then(|c| {
        channel::credential::verify(std::slice::from_ref(c), &admitted.trust, clock())
            .ok()
            .map(|v| v.window())
    });
    let now = clock();
    let life = window.map_or(60, |w| w.not_after.unix().saturating_sub(now.unix())).max(2);
    let mut byte = [0];
    let jitter = platform::random(&mut byte).map_or(0, |()| i64::from(u8::from_be_bytes(byte)));
    let part = life.saturating_mul(jitter).checked_div(255 * 10).unwrap_or(0);
    now.plus_secs(life.checked_div(2).unwrap_or(1).saturating_sub(part).max(1))
}
