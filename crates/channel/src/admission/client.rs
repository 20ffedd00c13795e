//! The asking side of admission: one TLS connection, the authority checked before anything but nonces is said,
//! the answer checked before it is believed.

use std::sync::Arc;

use evidence::cbor::{self, CborError};
use evidence::controls::holds;
use evidence::statement::{self, Expected, Purpose, StatementRefusal};
use evidence::{
    Binder, BinderKind, ContentDigest, DomainRoot, End, HardwareEvidence, Nonce, Side, SpkiDigest,
    StatementKey, Time,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use platform::PlatformError;
use rustls::pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use trust::signing::{Signed, SigningError};
use trust::{EndorsedAuthority, Genesis};

use super::{
    AUTHORITY_ROLE, Admission, AdmissionRequest, BODY_MAX, Bundle, Challenge, ChallengeRequest,
    LogRefusal, LogSeen, News, Refused,
};
use crate::credential::P256Key;
use crate::credential::{self, CredentialRefusal, DomainTrust};
use crate::handshake::Epochs;
use crate::session::{SessionError, SharedTls, client_session};
use crate::signed_time::{NONCE_HEADER, SignedTime, TIME_HEADER, TimeClaim, TimeRefusal};
use crate::tls;

/// How far the authority's clock and ours may differ before neither is believed.
pub const SKEW_SECS_MAX: i64 = 120;

/// Why a program is not admitted, seen from its side.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// The network or TLS.
    #[error("authority cannot be reached: {0}; is it up?")]
    Network(#[from] std::io::Error),
    /// HTTP.
    #[error("authority's HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The bundle or an answer is malformed.
    #[error("authority's answer: {0}")]
    Form(#[from] CborError),
    /// An answer of another status, or too long.
    #[error("authority answered with status {0}")]
    Status(u16),
    /// The genesis is not the pinned one.
    #[error(transparent)]
    Genesis(#[from] trust::genesis::GenesisError),
    /// The owners' signature.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The owners do not (or no longer) endorse it.
    #[error(transparent)]
    Endorsement(#[from] trust::endorsement::EndorsementError),
    /// Its credential does not hold.
    #[error("authority's credential: {0}")]
    Credential(#[from] CredentialRefusal),
    /// It is some other program of the domain.
    #[error("what answers is {0}, not the authority")]
    NotTheAuthority(String),
    /// Its statement is not of this connection.
    #[error("authority's statement: {0}; somebody stands between")]
    Statement(#[from] StatementRefusal),
    /// Its time does not hold.
    #[error(transparent)]
    Time(#[from] TimeRefusal),
    /// The clocks differ.
    #[error(
        "clock: the authority says {authority}, this machine {own}; one of them is wrong, mend it"
    )]
    Clock {
        /// The authority's.
        authority: Time,
        /// Ours.
        own: Time,
    },
    /// The log does not show the admission, or another past than before.
    #[error(transparent)]
    Log(#[from] LogRefusal),
    /// Own platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The connection cannot be bound to.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It said no.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// It answered with a credential for somebody else.
    #[error("authority answered with a credential for another key or domain")]
    WrongCredential,
}

/// Everything an admission asks its platform for.
pub trait Attester: Send + Sync {
    /// The monitor's statement key.
    fn statement_key(&self) -> StatementKey;
    /// Hardware evidence with the authority's nonce.
    ///
    /// # Errors
    /// [`PlatformError`].
    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError>;
    /// A statement under the admission binder.
    ///
    /// # Errors
    /// [`PlatformError`].
    fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError>;
}

/// Trust in the domain of `bundle`, if it is the pinned one.
///
/// # Errors
/// [`AdmissionError`].
pub fn trust_of(
    bundle: &Bundle,
    root: DomainRoot,
    at: Time,
) -> Result<Arc<DomainTrust>, AdmissionError> {
    let genesis = Genesis::pinned(&bundle.genesis, root)?;
    let authority = EndorsedAuthority::verify(&Signed::decode(&bundle.endorsement)?, &genesis, at)?;
    Ok(Arc::new(DomainTrust::new(authority, &bundle.ca)?))
}

/// A checked connection to the authority, with a challenge pending.
pub struct Pending {
    connection: Connection,
    binder: Binder,
    request: AdmissionRequest,
}

/// Whether the authority may hold an answer back until there is something to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Never,
    UntilNews,
}

/// Plain HTTPS to the authority, its certificate checked as a credential of the domain and of the authority's role.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    tls: SharedTls<tokio_rustls::client::TlsStream<TcpStream>>,
    server: SpkiDigest,
    key: P256Key,
    said: Option<TimeClaim>,
    statement_key: StatementKey,
    trust: Arc<DomainTrust>,
    clock: fn() -> Time,
}

impl Connection {
    async fn open(
        address: &str,
        trust: &Arc<DomainTrust>,
        clock: fn() -> Time,
    ) -> Result<Self, AdmissionError> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let config = tls::client(Arc::clone(trust), None, tls::ALPN_HTTP, clock)
            .map_err(std::io::Error::other)?;
        let name = ServerName::try_from("casemate.invalid").map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = shown.first().ok_or(CredentialRefusal::Count(0))?;
        let (leaf, key) = (
            credential::verify(core::slice::from_ref(shown), trust, clock())?,
            credential::leaf_key(shown)?,
        );
        let said = leaf.credential();
        let endorsed = trust.authority().endorsement();
        let is_authority =
            said.role.as_str() == AUTHORITY_ROLE && said.measurement == endorsed.measurement;
        if !holds("is_the_authority", is_authority) {
            return Err(AdmissionError::NotTheAuthority(said.role.to_string()));
        }
        let (server, statement_key) = (leaf.spki(), said.statement_key);
        let tls = SharedTls::new(stream);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls.clone())).await?;
        tokio::spawn(async move {
            let _: Result<(), hyper::Error> = connection.await;
        });
        let said = None;
        Ok(Self { sender, tls, server, key, said, statement_key, trust: Arc::clone(trust), clock })
    }

    async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        held: Held,
    ) -> Result<Vec<u8>, AdmissionError> {
        let nonce = platform::fresh_nonce()?;
        let asked = std::time::Instant::now();
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "authority")
            .header(NONCE_HEADER, nonce.to_string())
            .body(Full::new(Bytes::from(body)))
            .map_err(std::io::Error::other)?;
        let response = self.sender.send_request(request).await?;
        let interval =
            if held == Held::Never { asked.elapsed() } else { core::time::Duration::ZERO };
        let time = response.headers().get(TIME_HEADER).and_then(|h| h.to_str().ok());
        let time = SignedTime::from_header(time.unwrap_or_default())?;
        let time = time.verify(&self.key, self.trust.root(), &nonce, interval)?;
        self.said = Some(time);
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_MAX)
            .collect()
            .await
            .map_err(|_| AdmissionError::Status(status))?;
        let body = body.to_bytes().to_vec();
        match status {
            200 => Ok(body),
            403 => Err(AdmissionError::Refused(Refused::decode(&body)?.reasons)),
            other => Err(AdmissionError::Status(other)),
        }
    }
}

impl Connection {
    fn time(&self) -> Result<Time, AdmissionError> {
        let said = self.said.ok_or(TimeRefusal::Form(CborError::Field("signed time")))?;
        Ok(said.time)
    }
}

/// First half: connects, checks the authority, and has the platform attest the key with this SubjectPublicKeyInfo.
///
/// 1. connection and certificate, 2. challenge, 3. the authority's statement over this connection, 4. the clocks,
/// 5. evidence and statement.
///
/// # Errors
/// [`AdmissionError`].
pub async fn begin(
    address: &str,
    trust: &Arc<DomainTrust>,
    attester: &impl Attester,
    spki: &[u8],
    narrow: Option<String>,
    exportable: bool,
    clock: fn() -> Time,
) -> Result<Pending, AdmissionError> {
    // 1
    let mut connection = Connection::open(address, trust, clock).await?;
    // 2
    let (nonce, leaf) = (platform::fresh_nonce()?, SpkiDigest::of_der(spki));
    let ask = ChallengeRequest { nonce, leaf, statement_key: attester.statement_key() };
    let challenge =
        connection.call("POST", "/v1/admission/challenge", ask.encode(), Held::Never).await?;
    let challenge = Challenge::decode(&challenge)?;
    // 3
    let session =
        connection.tls.with(|s| client_session(s.get_ref().1, &nonce, &challenge.nonce))?;
    let domain = Some(trust.root());
    let own = Binder {
        kind: BinderKind::Admission,
        side: Side::Client,
        client: End { domain, spki: Some(leaf), nonce },
        server: End { domain, spki: Some(connection.server), nonce: challenge.nonce },
        session,
        claims: ContentDigest::of(b""),
    };
    let theirs = Binder { kind: BinderKind::ChannelProgram, side: Side::Server, ..own.clone() };
    let expected = Expected {
        purpose: Purpose::Binder(BinderKind::ChannelProgram),
        domain: trust.root(),
        binder: theirs.digest(),
    };
    let said = statement::verify(&challenge.statement, &connection.statement_key, &expected)?;
    if !holds(
        "authority_measurement",
        said.program.measurement == trust.authority().endorsement().measurement,
    ) {
        return Err(AdmissionError::NotTheAuthority(said.program.measurement.to_string()));
    }
    // 4
    check_clock(connection.time()?, clock())?;
    // 5
    let hardware = challenge
        .hardware_needed
        .then(|| attester.hardware_evidence(challenge.nonce))
        .transpose()?;
    let mut request = AdmissionRequest {
        spki: spki.to_vec(),
        narrow,
        exportable,
        hardware,
        statement: Vec::new(),
        proof_of_possession: Vec::new(),
        log_seen: 0,
    };
    let binder = Binder { claims: request.claims(), ..own };
    request.statement = attester.state(&binder)?;
    Ok(Pending { connection, binder, request })
}

fn check_clock(authority: Time, own: Time) -> Result<(), AdmissionError> {
    let apart = authority.unix().abs_diff(own.unix());
    if !holds("clock", apart <= SKEW_SECS_MAX.unsigned_abs()) {
        return Err(AdmissionError::Clock { authority, own });
    }
    Ok(())
}

impl Pending {
    /// What the key must sign (ECDSA P-256 with SHA-256, DER).
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        self.binder.encode()
    }

    /// For attack tests: goes on with another key than the one the challenge was asked for.
    #[cfg(feature = "dangerous_controls")]
    pub fn dangerous_exchange_key(&mut self, spki: &[u8], state: impl FnOnce(&Binder) -> Vec<u8>) {
        self.request.spki = spki.to_vec();
        self.binder.claims = self.request.claims();
        self.request.statement = state(&self.binder);
    }

    /// Second half: sends all, checks the answer, and that the log `seen` before has grown by this admission.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn finish(
        mut self,
        proof_of_possession: Vec<u8>,
        seen: &mut LogSeen,
    ) -> Result<(Admission, Connected), AdmissionError> {
        self.request.proof_of_possession = proof_of_possession;
        self.request.log_seen = seen.size();
        let answer = self
            .connection
            .call("POST", "/v1/admission", self.request.encode(), Held::Never)
            .await?;
        let admission = Admission::decode(&answer)?;
        let (trust, now) = (&self.connection.trust, (self.connection.clock)());
        check_clock(self.connection.time()?, now)?;
        let leaf = CertificateDer::from(admission.certificate.as_slice());
        let credential = credential::verify(&[leaf], trust, now)?;
        let mine = credential.spki() == SpkiDigest::of_der(&self.request.spki)
            && credential.credential().role.as_str() == admission.role;
        if !holds("own_credential", mine) {
            return Err(AdmissionError::WrongCredential);
        }
        let log = &trust.authority().endorsement().log;
        seen.extend(log, &admission, credential.credential())?;
        Ok((admission, Connected(self.connection)))
    }
}

/// The connection after an admission, for news.
pub struct Connected(Connection);

impl Connected {
    /// What the authority last said about now: time, and the newest policy and revocation it knows.
    #[must_use]
    pub const fn said(&self) -> Option<TimeClaim> {
        self.0.said
    }

    /// Waits for revocations after number `known.revocation` or a policy after `known.policy`, for at most as long as the
    /// authority holds such a question.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn news(&mut self, known: Epochs) -> Result<News, AdmissionError> {
        let Epochs { policy, revocation } = known;
        let path = format!("/v1/epochs?after={revocation}&policy={policy}");
        Ok(News::decode(&self.0.call("GET", &path, Vec::new(), Held::UntilNews).await?)?)
    }
}

/// A connection for news alone, without an admission.
///
/// # Errors
/// [`AdmissionError`].
pub async fn listen(
    address: &str,
    trust: &Arc<DomainTrust>,
    clock: fn() -> Time,
) -> Result<Connected, AdmissionError> {
    Ok(Connected(Connection::open(address, trust, clock).await?))
}

/// Number of the newest revocation.
///
/// # Errors
/// [`AdmissionError`].
pub async fn epoch(
    address: &str,
    trust: &Arc<DomainTrust>,
    clock: fn() -> Time,
) -> Result<u64, AdmissionError> {
    let mut connection = Connection::open(address, trust, clock).await?;
    let text = connection.call("GET", "/v1/epoch", Vec::new(), Held::Never).await?;
    let number = core::str::from_utf8(&text).ok().and_then(|t| t.trim().parse().ok());
    number.ok_or(AdmissionError::Form(CborError::Field("epoch")))
}

/// Hands in the owners' next policy; the version that is in force then.
///
/// # Errors
/// [`AdmissionError`].
pub async fn put_policy(
    address: &str,
    trust: &Arc<DomainTrust>,
    signed: &Signed,
    clock: fn() -> Time,
) -> Result<u64, AdmissionError> {
    put(address, trust, "/v1/policy", signed, clock).await
}

/// Hands in a role secret the owners signed; its number.
///
/// # Errors
/// [`AdmissionError`].
pub async fn put_secret(
    address: &str,
    trust: &Arc<DomainTrust>,
    signed: &Signed,
    clock: fn() -> Time,
) -> Result<u64, AdmissionError> {
    put(address, trust, "/v1/secret", signed, clock).await
}

async fn put(
    address: &str,
    trust: &Arc<DomainTrust>,
    path: &str,
    signed: &Signed,
    clock: fn() -> Time,
) -> Result<u64, AdmissionError> {
    let mut connection = Connection::open(address, trust, clock).await?;
    let text = connection.call("POST", path, signed.encode(), Held::Never).await?;
    let number = core::str::from_utf8(&text).ok().and_then(|t| t.trim().parse().ok());
    number.ok_or(AdmissionError::Form(CborError::Field("number")))
}

/// Hands in a claim; what the authority answers: its digest, or that it was known.
///
/// # Errors
/// [`AdmissionError`].
pub async fn put_claim(
    address: &str,
    trust: &Arc<DomainTrust>,
    claim: &[u8],
    clock: fn() -> Time,
) -> Result<String, AdmissionError> {
    let mut connection = Connection::open(address, trust, clock).await?;
    let text = connection.call("POST", "/v1/claim", claim.to_vec(), Held::Never).await?;
    let text = String::from_utf8(text).map_err(|_| CborError::Field("digest"))?;
    Ok(text.trim().to_owned())
}

/// Every claim the authority knows, as it came; whoever reads them verifies them.
///
/// # Errors
/// [`AdmissionError`].
pub async fn claims(
    address: &str,
    trust: &Arc<DomainTrust>,
    clock: fn() -> Time,
) -> Result<Vec<trust::AuthenticClaim>, AdmissionError> {
    let mut connection = Connection::open(address, trust, clock).await?;
    let mut all = Vec::<trust::AuthenticClaim>::new();
    loop {
        let after = all.last().map(|c| format!("?after={}", c.digest())).unwrap_or_default();
        let path = format!("/v1/claims{after}");
        let page = connection.call("GET", &path, Vec::new(), Held::Never).await?;
        let bad = CborError::Field("claims");
        let page = cbor::decode(&page, BODY_MAX)?.into_array().map_err(|_| bad)?;
        let begin = all.len();
        for claim in page {
            let bytes = claim.into_bytes().map_err(|_| bad)?;
            let claim = trust::AuthenticClaim::verify(&bytes).map_err(|_| bad)?;
            // In order, so that an authority can keep nobody asking without end.
            let last = all.last().map(trust::AuthenticClaim::digest);
            if last.is_some_and(|l| claim.digest() <= l) || all.len() >= trust::claims::KNOWN_MAX {
                return Err(bad.into());
            }
            all.push(claim);
        }
        if all.len() == begin {
            return Ok(all);
        }
    }
}

/// Hands in an owners' revocation.
///
/// # Errors
/// [`AdmissionError`].
pub async fn revoke(
    address: &str,
    trust: &Arc<DomainTrust>,
    signed: &Signed,
    clock: fn() -> Time,
) -> Result<(), AdmissionError> {
    let mut connection = Connection::open(address, trust, clock).await?;
    connection.call("POST", "/v1/revoke", signed.encode(), Held::Never).await.map(drop)
}
