//! The program's socket (`docs/formats/program-socket.md`): what a program may ask its monitor. Its bytes are read and
//! checked here, so that the keyholder only ever sees requests of the protocol; a request that is none is told so and
//! closes its own connection.

use std::sync::Arc;
use std::time::Duration;

use channel::DomainTrust;
use channel::admission::client::{self, AdmissionError, Pending};
use channel::admission::{Bundle, LogSeen};
use channel::standing::Epochs;
use evidence::cbor;
use evidence::controls::holds;
use platform::keyholder::{self, Reply};
use platform::message::MESSAGE_MAX;
use platform::program::{self, News, ProgramReply, ProgramRequest, Surroundings};
use platform::{PlatformError, Refused, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

use super::standing::{OwnKey, Standing};
use super::{Reporter, Status, admit, clock};

/// Connections of the program at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a question waits for an admission that is on its way.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a question for news is held.
const NEWS_MAX: Duration = Duration::from_secs(25);
/// Revocations in one answer; the next question gets the rest.
const NEWS_BYTES_MAX: usize = MESSAGE_MAX / 2;
/// One half of an admission for the program's own key.
const ADMISSION_MAX: Duration = Duration::from_secs(20);

/// Each admission is an entry in the log: a program that asks without pause waits this long between two.
const ADMISSION_EVERY: Duration = Duration::from_secs(1);

/// Answers the program.
pub(super) struct Clerk {
    pub(super) keyholder: Arc<keyholder::Client>,
    pub(super) bundle: Option<Bundle>,
    pub(super) surroundings: Surroundings,
    pub(super) standing: watch::Receiver<Option<Standing>>,
    /// For a program with the grant `self-tls`: it is admitted with a key of its own.
    pub(super) own: Option<OwnKey>,
    pub(super) pace: Pace,
    /// What this program's own key was shown of the log.
    pub(super) seen: Mutex<LogSeen>,
    pub(super) reporter: Reporter,
}

/// Serves the program until the proxy ends.
pub(super) async fn serve(listener: UnixListener, clerk: Clerk) {
    let (places, clerk) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(clerk));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let clerk = Arc::clone(&clerk);
        tokio::spawn(async move {
            let _ = connection(stream, &clerk).await;
            drop(place);
        });
    }
}

async fn connection(mut stream: UnixStream, clerk: &Clerk) -> std::io::Result<()> {
    let mut begun = None;
    loop {
        let mut len = [0; 4];
        stream.read_exact(&mut len).await?;
        let request = match program::frame_room(len) {
            Ok(mut item) => {
                stream.read_exact(item.expose_mut()).await?;
                cbor::decode(item.expose(), MESSAGE_MAX).and_then(ProgramRequest::decode)
            }
            Err(too_long) => Err(too_long),
        };
        let (reply, goes_on) = match request {
            Ok(request) => (clerk.answer(request, &mut begun).await, true),
            Err(_) => (refused(Refused::Malformed), false),
        };
        let reply = program::frame(&reply.encode())
            .or_else(|_| program::frame(&refused(Refused::Platform).encode()))
            .map_err(std::io::Error::other)?;
        stream.write_all(reply.expose()).await?;
        if !goes_on {
            return Ok(());
        }
    }
}

fn refused(why: Refused) -> ProgramReply {
    ProgramReply::Keyholder(Reply::Refused(why))
}

/// When the program last asked for an admission.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits for this one's turn.
    async fn turn(&self) {
        let mut last = self.0.lock().await;
        if let Some(next) = last.and_then(|last| last.checked_add(ADMISSION_EVERY)) {
            tokio::time::sleep_until(next).await;
        }
        *last = Some(Instant::now());
    }
}

/// An admission for the program's own key between its halves.
struct Begun {
    pending: Pending,
    trust: Arc<DomainTrust>,
}

impl Clerk {
    async fn answer(&self, request: ProgramRequest, begun: &mut Option<Begun>) -> ProgramReply {
        match request {
            ProgramRequest::Keyholder(request) => self.ask(&request),
            ProgramRequest::CredentialBegin(spki) => {
                *begun = None;
                // A key outside the proxy is the program's own word for its connections: a grant (I14).
                if !holds("program_self_tls", self.own.is_some()) {
                    return refused(Refused::NotGranted);
                }
                match self.begin(&spki).await {
                    Ok(new) => ProgramReply::ToBeSigned(begun.insert(new).pending.to_be_signed()),
                    Err(why) => self.not_admitted(why),
                }
            }
            ProgramRequest::CredentialFinish(signature) => match begun.take() {
                Some(begun) => match self.finish(begun, signature).await {
                    Ok(chain) => ProgramReply::Chain(chain),
                    Err(why) => self.not_admitted(why),
                },
                None => refused(Refused::Malformed),
            },
            ProgramRequest::Surroundings => ProgramReply::Surroundings(self.surroundings.clone()),
            ProgramRequest::Standing => self.standing().await.map_or_else(not_yet, |s| {
                ProgramReply::Standing(program::Standing {
                    certificate: s.admission.certificate.clone(),
                    connect: s.admission.connect.clone(),
                    clients: s.admission.clients.clone(),
                    policy: s.admission.policy,
                    time: clock(),
                })
            }),
            ProgramRequest::News { policy, revocation } => {
                self.news(Epochs { policy, revocation }).await
            }
            ProgramRequest::Secret(name) => self.standing().await.map_or_else(not_yet, |s| {
                let found = s.admission.secrets.iter().find(|(n, _)| *n == name);
                found.map_or_else(
                    || refused(Refused::NotGranted),
                    |(_, value)| ProgramReply::Secret(Secret::new(value.expose().clone())),
                )
            }),
        }
    }

    fn ask(&self, request: &keyholder::Request) -> ProgramReply {
        match self.keyholder.ask(request) {
            Ok(reply) => ProgramReply::Keyholder(reply),
            Err(PlatformError::Open(why)) => ProgramReply::Keyholder(Reply::NotOpened(why)),
            Err(PlatformError::Refused(why)) => refused(why),
            Err(_) => refused(Refused::Platform),
        }
    }

    async fn begin(&self, spki: &[u8]) -> Result<Begun, AdmissionError> {
        let (holder, info) = admit::holder(&self.keyholder)?;
        let bundle = self.bundle.as_ref().ok_or_else(|| {
            AdmissionError::Refused(vec!["it was started without a domain".to_owned()])
        })?;
        self.pace.turn().await;
        let trust = client::trust_of(bundle, info.domain, clock())?;
        let role = bundle.role.clone();
        let begun = client::begin(&bundle.authority, &trust, &holder, spki, role, false, clock);
        let pending = tokio::time::timeout(ADMISSION_MAX, begun).await.map_err(too_long)??;
        Ok(Begun { pending, trust })
    }

    async fn finish(
        &self,
        begun: Begun,
        signature: Vec<u8>,
    ) -> Result<Vec<Vec<u8>>, AdmissionError> {
        let mut seen = self.seen.lock().await;
        let finished =
            tokio::time::timeout(ADMISSION_MAX, begun.pending.finish(signature, &mut seen));
        let (admission, connected) = finished.await.map_err(too_long)??;
        if let Some(said) = connected.said() {
            super::clock::discipline(&said);
        }
        self.reporter.say(&Status::Admitted(format!(
            "as {} under policy {}, log entry {}, with a key of its own",
            admission.role, admission.policy, admission.log_index
        )));
        let chain = vec![admission.certificate.clone(), begun.trust.ca().to_vec()];
        if let Some((own, bundle)) = self.own.as_ref().zip(self.bundle.as_ref()) {
            own.admitted(admission, connected, begun.trust, bundle.authority.clone());
        }
        Ok(chain)
    }

    fn not_admitted(&self, why: AdmissionError) -> ProgramReply {
        self.reporter.say(&Status::Refused(why.to_string()));
        let AdmissionError::Refused(reasons) = why else {
            return ProgramReply::Unavailable(why.to_string());
        };
        self.own.iter().for_each(OwnKey::refused);
        ProgramReply::NotAdmitted(reasons.join("; "))
    }

    /// The standing; waits for one that its proxy is getting for it.
    async fn standing(&self) -> Option<Standing> {
        let mut standing = self.standing.clone();
        let comes = self.own.is_none() && self.bundle.is_some();
        let patience = if comes { PATIENCE } else { Duration::ZERO };
        tokio::time::timeout(patience, standing.wait_for(Option::is_some)).await.ok()?.ok()?.clone()
    }

    /// What is newer than `known`, once something is.
    async fn news(&self, known: Epochs) -> ProgramReply {
        let is_newer =
            |s: &Standing| s.policy > known.policy || s.revocations.epoch() > known.revocation;
        let mut standing = self.standing.clone();
        let told = standing.wait_for(|s| s.as_ref().is_none_or(is_newer));
        // Not held for ever: an answer may also say that nothing is newer.
        drop(tokio::time::timeout(NEWS_MAX, told).await);
        let Some(told) = self.standing.borrow().clone() else { return not_yet() };
        let mut room = NEWS_BYTES_MAX;
        let all = told.revocations.after(known.revocation).into_iter().map(|s| s.encode());
        let revocations = all.take_while(|signed| {
            let fits = room > 0;
            room = room.saturating_sub(signed.len());
            fits
        });
        ProgramReply::News(News {
            policy: told.policy,
            revocations: revocations.collect(),
            time: clock(),
        })
    }
}

fn not_yet() -> ProgramReply {
    ProgramReply::Unavailable(
        "it has no credential yet; `casemate ps` says how it stands".to_owned(),
    )
}

fn too_long(_: tokio::time::error::Elapsed) -> AdmissionError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests;
