//! The authority's HTTPS interface (`docs/api/authority.md`). One connection, one challenge; nothing is stored for
//! strangers, and every read is bounded in size, number and time.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use channel::admission::{AdmissionRequest, BODY_MAX, Challenge, ChallengeRequest, Refused};
use channel::handshake::Epochs;
use channel::session::{SharedTls, server_session};
use channel::signed_time::{NONCE_HEADER, SignedTime, TIME_HEADER};
use channel::tls;
use ciborium::Value;
use evidence::controls::holds;
use evidence::{
    Binder, BinderKind, ContentDigest, End, Nonce, Side, SpkiDigest, StatementKey, Time,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::PlatformError;
use platform::program::Client;
use rustls::pki_types as rustls_key;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trust::policy::PolicyError;
use trust::signing::{SIGNED_MAX, Signed};

use super::core::{Adoption, Core};
use super::start::{AuthorityError, claim_file, keep, keep_bytes, secret_file};

/// Where the log's tiles are.
const TILES: &str = "/v1/log/tile/";
/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// A TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Headers of a request, and a body.
const READ_MAX: Duration = Duration::from_secs(10);
/// How long a challenge may wait for its answer.
const CHALLENGE_SECS_MAX: u64 = 30;
/// How long a question for news is held.
const NEWS_MAX: Duration = Duration::from_secs(25);
/// A connection as a whole.
const CONNECTION_MAX: Duration = Duration::from_secs(24 * 3600);

/// Who makes the authority's own statements: its platform.
pub trait Speaker: Send {
    /// A statement under `binder`, in the authority's name.
    ///
    /// # Errors
    /// [`PlatformError`].
    fn state(&mut self, binder: &Binder) -> Result<Vec<u8>, PlatformError>;
}

impl Speaker for Client {
    fn state(&mut self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        Self::state(self, binder)
    }
}

struct Shared {
    core: Mutex<Core>,
    speaker: Mutex<Box<dyn Speaker>>,
    state: PathBuf,
    own: SpkiDigest,
    key: rcgen::KeyPair,
    /// What connections that wait for news are woken by.
    epochs: watch::Sender<Epochs>,
    /// One policy at a time is read: it may be long.
    policies: Semaphore,
    clock: fn() -> Time,
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for news.
    fn tell(&self) {
        let epochs = self.core().epochs();
        self.epochs.send_replace(epochs);
    }
}

/// A challenge of this connection, usable once.
struct Pending {
    client: Nonce,
    server: Nonce,
    leaf: SpkiDigest,
    monitor: StatementKey,
    made: Time,
}

struct Connection {
    shared: Arc<Shared>,
    tls: SharedTls<TlsStream<TcpStream>>,
    pending: Mutex<Option<Pending>>,
}

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn refused(reasons: Vec<String>) -> Answer {
    answer(StatusCode::FORBIDDEN, Refused { reasons }.encode())
}

fn bad() -> Answer {
    answer(
        StatusCode::BAD_REQUEST,
        b"the body is not of the interface; see docs/api/authority.md\n".to_vec(),
    )
}

fn not_found() -> Answer {
    answer(StatusCode::NOT_FOUND, b"there is no such thing; see docs/api/authority.md\n".to_vec())
}

/// Serves on `listener` until the process ends; revocations are kept in `state` before they are acknowledged.
///
/// # Errors
/// [`AuthorityError`], if it cannot begin.
pub async fn serve(
    core: Core,
    speaker: Box<dyn Speaker>,
    info: platform::Info,
    listener: TcpListener,
    state: PathBuf,
    clock: fn() -> Time,
) -> Result<(), AuthorityError> {
    let tls = |e: String| AuthorityError::Tls(e);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|e| tls(e.to_string()))?;
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let leaf = core.own_certificate(&spki, &info, clock()).map_err(|r| tls(r.join("; ")))?;
    let chain = vec![leaf.into()];
    let identity = tls::Identity { chain, key: rustls_pki(&key) };
    let config =
        tls::server(None, identity, tls::ALPN_HTTP, clock).map_err(|e| tls(e.to_string()))?;
    let acceptor = TlsAcceptor::from(config);
    let (epochs, _) = watch::channel(core.epochs());
    let shared = Arc::new(Shared {
        core: Mutex::new(core),
        speaker: Mutex::new(speaker),
        state,
        own: SpkiDigest::of_der(&spki),
        key,
        epochs,
        policies: Semaphore::new(1),
        clock,
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Beyond the limit a stranger is turned away at once, so that nobody waits behind idle ones.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let _: Result<(), tokio::time::error::Elapsed> =
                tokio::time::timeout(CONNECTION_MAX, connection(acceptor, tcp, shared)).await;
            drop(place);
        });
    }
}

fn rustls_pki(key: &rcgen::KeyPair) -> rustls_key::PrivateKeyDer<'static> {
    rustls_key::PrivateKeyDer::Pkcs8(key.serialize_der().into())
}

async fn connection(acceptor: TlsAcceptor, tcp: TcpStream, shared: Arc<Shared>) {
    let _ = tcp.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(tcp)).await else {
        return;
    };
    let tls = SharedTls::new(stream);
    let this = Arc::new(Connection { shared, tls: tls.clone(), pending: Mutex::new(None) });
    let service = hyper::service::service_fn(move |request| {
        let this = Arc::clone(&this);
        async move { Ok::<_, Infallible>(this.answer(request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_MAX.saturating_add(NEWS_MAX))
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(tls), service)
        .await;
}

async fn body(request: Request<Incoming>) -> Option<Vec<u8>> {
    body_up_to(request, BODY_MAX).await
}

async fn body_up_to(request: Request<Incoming>, max: usize) -> Option<Vec<u8>> {
    let collected = Limited::new(request.into_body(), max).collect();
    let collected = tokio::time::timeout(READ_MAX, collected).await.ok()?.ok()?;
    Some(collected.to_bytes().to_vec())
}

impl Connection {
    /// Every answer to a request with a nonce carries signed time over it (I12).
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let nonce = request.headers().get(NONCE_HEADER).and_then(|h| h.to_str().ok());
        let nonce = nonce.and_then(Nonce::from_hex);
        let mut answer = self.route(request).await;
        let signed = nonce.and_then(|nonce| {
            let claim = self.shared.core().time(nonce, (self.shared.clock)())?;
            SignedTime::new(&claim, |m| rcgen::SigningKey::sign(&self.shared.key, m).ok())
        });
        if let Some(value) = signed.and_then(|s| HeaderValue::from_str(&s.to_header()).ok()) {
            answer.headers_mut().insert(TIME_HEADER, value);
        }
        answer
    }

    /// Every route there is.
    async fn route(&self, request: Request<Incoming>) -> Answer {
        let (method, path) =
            (request.method().as_str().to_owned(), request.uri().path().to_owned());
        match (method.as_str(), path.as_str()) {
            ("GET", "/v1/health") => answer(StatusCode::OK, b"ok\n".to_vec()),
            ("GET", "/v1/log/checkpoint") => {
                answer(StatusCode::OK, self.shared.core().checkpoint().as_bytes().to_vec())
            }
            ("GET", tile) if tile.starts_with(TILES) => {
                let path = tile.strip_prefix(TILES).unwrap_or_default();
                let found = self.shared.core().tile(path);
                found.map_or_else(not_found, |bytes| answer(StatusCode::OK, bytes))
            }
            ("GET", "/v1/epoch") => {
                answer(StatusCode::OK, format!("{}\n", self.shared.core().epoch()).into_bytes())
            }
            ("GET", "/v1/epochs") => self.news(request.uri().query().unwrap_or_default()).await,
            ("POST", "/v1/admission/challenge") => {
                match body(request).await.and_then(|b| ChallengeRequest::decode(&b).ok()) {
                    Some(ask) => self.challenge(&ask),
                    None => bad(),
                }
            }
            ("POST", "/v1/admission") => {
                match body(request).await.and_then(|b| AdmissionRequest::decode(&b).ok()) {
                    Some(ask) => self.admit(&ask),
                    None => bad(),
                }
            }
            ("POST", "/v1/revoke") => {
                match body(request).await.and_then(|b| Signed::decode(&b).ok()) {
                    Some(signed) => self.revoke(signed),
                    None => bad(),
                }
            }
            ("POST", "/v1/policy") => self.policy(request).await,
            ("POST", "/v1/claim") => match body_up_to(request, trust::claim::LEN_MAX).await {
                Some(bytes) => self.claim(&bytes),
                None => bad(),
            },
            ("GET", "/v1/claims") => self.claims(request.uri().query().unwrap_or_default()),
            ("POST", "/v1/secret") => {
                match body(request).await.and_then(|b| Signed::decode(&b).ok()) {
                    Some(signed) => self.secret(&signed),
                    None => bad(),
                }
            }
            _ => not_found(),
        }
    }

    fn binder(
        &self,
        p: &Pending,
        kind: BinderKind,
        side: Side,
        claims: ContentDigest,
    ) -> Option<Binder> {
        let session =
            self.tls.with(|s| server_session(s.get_ref().1, &p.client, &p.server)).ok()?;
        let domain = Some(self.shared.core().trust().root());
        let client = End { domain, spki: Some(p.leaf), nonce: p.client };
        let server = End { domain, spki: Some(self.shared.own), nonce: p.server };
        Some(Binder { kind, side, client, server, session, claims })
    }

    /// The challenge lives in this connection; a new one replaces the last.
    fn challenge(&self, ask: &ChallengeRequest) -> Answer {
        let Ok(server) = platform::fresh_nonce() else {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, Vec::new());
        };
        let (leaf, monitor, made) = (ask.leaf, ask.statement_key, (self.shared.clock)());
        let pending = Pending { client: ask.nonce, server, leaf, monitor, made };
        let binder =
            self.binder(&pending, BinderKind::ChannelProgram, Side::Server, ContentDigest::of(b""));
        let Some(binder) = binder else { return bad() };
        let stated =
            self.shared.speaker.lock().unwrap_or_else(PoisonError::into_inner).state(&binder);
        let Ok(statement) = stated else {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, Vec::new());
        };
        let now = (self.shared.clock)();
        let hardware_needed = self.shared.core().needs_hardware(&ask.statement_key, now);
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
        answer(StatusCode::OK, Challenge { nonce: server, statement, hardware_needed }.encode())
    }

    fn admit(&self, ask: &AdmissionRequest) -> Answer {
        // Taken out: a challenge is answered once, also by those who ask at the same time.
        let Some(pending) = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return refused(vec![
                "challenge: expected one of this connection, got none; ask for a challenge first"
                    .to_owned(),
            ]);
        };
        let age = (self.shared.clock)().unix().abs_diff(pending.made.unix());
        if !holds("challenge_age", age <= CHALLENGE_SECS_MAX) {
            return refused(vec![format!(
                "challenge: expected an answer within {CHALLENGE_SECS_MAX} s, got one after {age} s; ask for a new challenge"
            )]);
        }
        let Some(binder) = self.binder(&pending, BinderKind::Admission, Side::Client, ask.claims())
        else {
            return bad();
        };
        let decided =
            self.shared.core().admit(ask, &binder, pending.monitor, (self.shared.clock)());
        match decided {
            Ok(admission) => answer(StatusCode::OK, admission.encode()),
            Err(reasons) => refused(reasons),
        }
    }

    fn revoke(&self, signed: Signed) -> Answer {
        let revoked = self.shared.core().revoke(signed.clone(), (self.shared.clock)());
        match revoked {
            Ok(epoch) => {
                // In force at once, acknowledged once it survives a restart.
                self.shared.tell();
                self.kept(&format!("revocation-{epoch}.cbor"), &signed, epoch)
            }
            Err(reasons) => refused(reasons),
        }
    }

    /// Kept and logged before it is released; an owner who gets no answer hands it in again with a higher number.
    fn secret(&self, signed: &Signed) -> Answer {
        let mut core = self.shared.core();
        let kept = core.next_secret(signed).map(|secret| {
            keep(&self.shared.state, &secret_file(&secret.name), signed)
                .map(|()| core.take_secret(signed, (self.shared.clock)()))
        });
        match kept {
            Ok(Ok(Ok(secret))) => {
                answer(StatusCode::OK, format!("{}\n", secret.number).into_bytes())
            }
            Ok(Err(disk)) => {
                answer(StatusCode::INTERNAL_SERVER_ERROR, format!("{disk}\n").into_bytes())
            }
            Ok(Ok(Err(reasons))) | Err(reasons) => refused(reasons),
        }
    }

    /// Kept and logged before it counts.
    fn claim(&self, bytes: &[u8]) -> Answer {
        let now = (self.shared.clock)();
        let mut core = self.shared.core();
        let claim = match core.next_claim(bytes, now) {
            Ok(Some(claim)) => claim,
            Ok(None) => return answer(StatusCode::OK, b"known\n".to_vec()),
            Err(reasons) => return refused(reasons),
        };
        let digest = claim.digest();
        if let Err(e) = keep_bytes(&self.shared.state, &claim_file(&digest), claim.bytes()) {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n").into_bytes());
        }
        match core.take_claim(claim, now) {
            Ok(()) => answer(StatusCode::OK, format!("{digest}\n").into_bytes()),
            Err(reasons) => refused(reasons),
        }
    }

    /// A page of claims, an array of byte strings.
    fn claims(&self, query: &str) -> Answer {
        let after = match query.strip_prefix("after=").map(ContentDigest::from_hex) {
            None if query.is_empty() => None,
            Some(Some(digest)) => Some(digest),
            _ => return bad(),
        };
        let page = self.shared.core().claims_after(after).into_iter().map(Value::Bytes).collect();
        answer(StatusCode::OK, evidence::cbor::encode(&Value::Array(page)))
    }

    /// Kept before it is in force, so that no restart goes back to the policy before; logged, then in force.
    async fn policy(&self, request: Request<Incoming>) -> Answer {
        let Ok(_place) = self.shared.policies.try_acquire() else {
            return answer(
                StatusCode::SERVICE_UNAVAILABLE,
                b"another policy is being read; try again\n".to_vec(),
            );
        };
        let signed = body_up_to(request, SIGNED_MAX).await.and_then(|b| Signed::decode(&b).ok());
        let Some(signed) = signed else { return bad() };
        let next = self.shared.core().next_policy(&signed).map(|p| p.map(|p| p.policy().version));
        let (name, adopted) = match next {
            Ok(None) => (None, Ok(self.shared.core().policy_version())),
            Ok(Some(version)) => {
                let name = format!("policy-{version}.cbor");
                if let Err(e) = keep(&self.shared.state, &name, &signed) {
                    return answer(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        format!("{e}\n").into_bytes(),
                    );
                }
                (Some(name), self.shared.core().adopt(&signed, (self.shared.clock)()))
            }
            Err(why) => (None, Err(why)),
        };
        match adopted {
            Ok(version) => {
                self.shared.tell();
                answer(StatusCode::OK, format!("{version}\n").into_bytes())
            }
            Err(why) => {
                if let Some(name) = name {
                    let _ = std::fs::remove_file(self.shared.state.join(name));
                }
                if let Adoption::Policy(PolicyError::Equivocation { version, other, .. }) = &why {
                    // Both were signed by the owners: evidence against somebody, kept beside the one in force.
                    let name = format!("fork-{version}-{other}.cbor");
                    let _ = keep(&self.shared.state, &name, &signed);
                }
                refused(vec![why.to_string()])
            }
        }
    }

    fn kept(&self, name: &str, signed: &Signed, number: u64) -> Answer {
        match keep(&self.shared.state, name, signed) {
            Ok(()) => answer(StatusCode::OK, format!("{number}\n").into_bytes()),
            Err(e) => answer(StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n").into_bytes()),
        }
    }

    /// Answers at once if there is news, else as soon as there is, else after a while with none.
    async fn news(&self, query: &str) -> Answer {
        let number = |name: &str| {
            let mut parts = query.split('&').filter_map(|p| p.split_once('='));
            parts.find(|(n, _)| *n == name).and_then(|(_, v)| v.parse::<u64>().ok())
        };
        let (Some(after), Some(policy)) = (number("after"), number("policy")) else { return bad() };
        let mut epochs = self.shared.epochs.subscribe();
        let newer = epochs.wait_for(|e| e.revocation > after || e.policy > policy);
        let _ = tokio::time::timeout(NEWS_MAX, newer).await;
        let news = self.shared.core().news(after);
        answer(StatusCode::OK, news.encode())
    }
}
