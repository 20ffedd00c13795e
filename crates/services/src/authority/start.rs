//! The authority's start inside its program root: keys made or opened, owners' endorsement awaited, then serving.
//!
//! `/state` is the host's: what is read from it is signed by the owners, sealed by us, or a question of theirs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use channel::DomainTrust;
use channel::credential::{Ca, IssueError, spki_digest};
use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::{ContentDigest, HardwareEvidence, Nonce, SecretsKey, Time, Window};
use ledger::note::Signer;
use platform::program::Client;
use platform::{Platform, PlatformError, Secret, StoreId};
use thiserror::Error;
use trust::policy::PolicyInForce;
use trust::signing::Signed;
use trust::{AuthorityEndorsement, EndorsedAuthority, Genesis};

use super::core::{Core, Keys, Limits};
use super::ledgered::Ledgered;
use super::role_secrets::SecretsPair;
use super::shell;

const STATE: &str = "/state";
/// Ten years: the endorsement ends it long before.
const CA_SECS: i64 = 10 * 365 * 86_400;
/// How long an authority waits for its owners before it gives up: several of them sign by mail.
const ENDORSEMENT_WAIT: Duration = Duration::from_secs(7 * 86_400);
/// So long it looks for their word often; then they are people and not a program.
const ENDORSEMENT_SOON: Duration = Duration::from_secs(30);

/// Why an authority does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file of its state.
    #[error("authority: {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The network.
    #[error("authority: {0}")]
    Io(#[from] io::Error),
    /// Its platform.
    #[error("authority: {0}; it runs as a program under a monitor, see `casemate up`")]
    Platform(#[from] PlatformError),
    /// A malformed object.
    #[error("authority: {0}")]
    Form(#[from] CborError),
    /// Genesis.
    #[error("authority: {0}")]
    Genesis(#[from] trust::genesis::GenesisError),
    /// Policy.
    #[error("authority: {0}")]
    Policy(#[from] trust::policy::PolicyError),
    /// Signature.
    #[error("authority: {0}")]
    Signing(#[from] trust::signing::SigningError),
    /// No policy in force.
    #[error(
        "authority: no signed policy in its state directory; sign one with `casemate policy sign`"
    )]
    NoPolicy,
    /// Certificates.
    #[error("authority: {0}")]
    Issue(#[from] IssueError),
    /// Credential of its own.
    #[error("authority: {0}")]
    Credential(#[from] channel::CredentialRefusal),
    /// The log.
    #[error("authority: {0}")]
    Log(#[from] ledger::LogError),
    /// A revocation on the disk does not hold.
    #[error("authority: a stored revocation does not hold: {0}; restore the state directory whole")]
    Revocation(String),
    /// A role secret on the disk does not hold.
    #[error("authority: a stored {0}; restore the state directory whole")]
    Secret(String),
    /// A claim on the disk is none.
    #[error("authority: a stored {0}; restore the state directory whole")]
    Claim(String),
    /// The log names more than there is.
    #[error("authority: {0}")]
    SetBack(String),
    /// The owners never endorsed it.
    #[error("authority: no endorsement came within {} s", ENDORSEMENT_WAIT.as_secs())]
    NotEndorsed,
    /// TLS.
    #[error("authority: TLS: {0}")]
    Tls(String),
}

/// What an authority shows its owners: its keys, and evidence that this very program made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// CA certificate, DER.
    pub ca: Vec<u8>,
    /// The log's public key.
    pub log: String,
    /// The key for role secrets.
    pub secrets: SecretsKey,
    /// Hardware evidence with the owners' nonce.
    pub hardware: HardwareEvidence,
    /// The program claim over [`Bootstrap::said`], with the owners' nonce.
    pub claim: Vec<u8>,
    /// The monitor's key.
    pub statement_key: evidence::StatementKey,
}

impl Bootstrap {
    /// What the claim says: the digest of CA certificate, log key and key for role secrets.
    #[must_use]
    pub fn said(ca: &[u8], log: &str, secrets: &SecretsKey) -> ContentDigest {
        let secrets = Value::Bytes(secrets.as_bytes().to_vec());
        let all = Value::Array(vec![Value::Bytes(ca.to_vec()), log.into(), secrets]);
        ContentDigest::of(&cbor::encode(&all))
    }

    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let b = |b: &[u8]| Value::Bytes(b.to_vec());
        cbor::encode(&cbor::map(vec![
            (1, 1.into()),
            (2, b(&self.ca)),
            (3, self.log.as_str().into()),
            (4, self.hardware.kind.as_str().into()),
            (5, b(&self.hardware.report)),
            (6, Value::Array(self.hardware.endorsements.iter().map(|e| b(e)).collect())),
            (7, b(&self.claim)),
            (8, b(self.statement_key.as_bytes())),
            (9, b(self.secrets.as_bytes())),
        ]))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut f = Fields::decode(bytes, channel::admission::BODY_MAX)?;
        f.version(1)?;
        Ok(Self {
            ca: f.bytes(2, "ca")?,
            log: f.text(3, "log")?,
            hardware: HardwareEvidence {
                kind: evidence::Kind::parse(&f.text(4, "kind")?).ok_or(CborError::Field("kind"))?,
                report: f.bytes(5, "report")?,
                endorsements: f
                    .array(6, "endorsements")?
                    .into_iter()
                    .map(|v| v.into_bytes().map_err(|_| CborError::Field("endorsements")))
                    .collect::<Result<_, _>>()?,
            },
            claim: f.bytes(7, "claim")?,
            statement_key: f.named(8, "statement_key", evidence::StatementKey::from_slice)?,
            secrets: f.named(9, "secrets", SecretsKey::from_slice)?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    fs::read(path).map_err(|source| AuthorityError::File { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), AuthorityError> {
    let file = |source| AuthorityError::File { path: path.to_owned(), source };
    let new = path.with_extension("new");
    fs::write(&new, bytes).map_err(file)?;
    fs::rename(&new, path).map_err(file)
}

/// The authority's whole life.
///
/// 1. platform and domain, 2. policy, 3. keys, 4. evidence for the owners, 5. their endorsement, 6. serving.
///
/// # Errors
/// [`AuthorityError`].
pub fn run(port: u16, limits: Limits, clock: fn() -> Time) -> Result<(), AuthorityError> {
    let state = Path::new(STATE);
    // 1
    let mut client = Client::connect()?;
    let info = client.info()?;
    let genesis = Genesis::pinned(&read(&state.join("genesis.cbor"))?, info.domain)?;
    // 2
    let mut policy: Option<PolicyInForce> = None;
    for n in 1_u64.. {
        let Ok(bytes) = fs::read(state.join(format!("policy-{n}.cbor"))) else { break };
        policy = Some(PolicyInForce::verify(&Signed::decode(&bytes)?, &genesis, policy.as_ref())?);
    }
    let policy = policy.ok_or(AuthorityError::NoPolicy)?;
    // 3
    let (keys, signer) = keys(&mut client, &genesis, clock())?;
    let secrets = keys.secrets.public().ok_or(CborError::Field("secrets"))?;
    let ca = keys.ca.certificate().to_vec();
    let log = signer.verifier().to_text();
    // 4
    let nonce = read(&state.join("owner-nonce"))?;
    let nonce = Nonce::from_slice(&nonce).ok_or(CborError::Field("owner-nonce"))?;
    let claim = client.attest(nonce, Bootstrap::said(&ca, &log, &secrets))?;
    let hardware = client.hardware_evidence(nonce)?;
    let shown = Bootstrap { ca, log, secrets, hardware, claim, statement_key: info.statement_key };
    write(&state.join("bootstrap.cbor"), &shown.encode())?;
    // 5
    let trust = Arc::new(endorsed(state, &genesis, &keys, clock)?);
    // 6
    let audit = trust.authority().endorsement().audit;
    let mut log = Ledgered::open(&state.join("log"), signer, audit)?;
    log.follow(&genesis, clock())?;
    log.policy(&policy, clock())?;
    let mut core = Core::new(trust, keys, policy, log, limits);
    core.restore(revocations(state)?).map_err(|why| AuthorityError::Revocation(why.join("; ")))?;
    for signed in secrets_kept(state)? {
        core.restore_secret(&signed, clock())
            .map_err(|why| AuthorityError::Secret(why.join("; ")))?;
    }
    for bytes in claims_kept(state)? {
        core.restore_claim(&bytes, clock()).map_err(|why| AuthorityError::Claim(why.join("; ")))?;
    }
    core.is_whole().map_err(AuthorityError::SetBack)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        shell::serve(core, Box::new(client), info, listener, state.to_owned(), clock).await
    })
}

/// Revocations acknowledged before, in their order.
fn revocations(state: &Path) -> Result<Vec<Signed>, AuthorityError> {
    let mut all = Vec::new();
    for n in 1.. {
        let path = state.join(format!("revocation-{n}.cbor"));
        match fs::read(&path) {
            Ok(bytes) => all.push(Signed::decode(&bytes)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            Err(source) => return Err(AuthorityError::File { path, source }),
        }
    }
    Ok(all)
}

/// Where a role secret is kept.
pub(super) fn secret_file(name: &str) -> String {
    format!("secret-{name}.cbor")
}

/// Role secrets acknowledged before: the newest of each name.
fn secrets_kept(state: &Path) -> Result<Vec<Signed>, AuthorityError> {
    let paths = files(state, "secret-")?;
    paths.iter().map(|path| Ok(Signed::decode(&read(path)?)?)).collect()
}

/// Files of the state directory whose name begins so, in the order of their names.
fn files(state: &Path, begin: &str) -> Result<Vec<PathBuf>, AuthorityError> {
    let file = |source| AuthorityError::File { path: state.to_owned(), source };
    let mut all = Vec::new();
    for entry in fs::read_dir(state).map_err(file)? {
        let name = entry.map_err(file)?.file_name().to_string_lossy().into_owned();
        if name.starts_with(begin) && name.ends_with(".cbor") {
            all.push(state.join(name));
        }
    }
    all.sort();
    Ok(all)
}

/// Where a claim is kept.
pub(super) fn claim_file(digest: &ContentDigest) -> String {
    format!("claim-{digest}.cbor")
}

/// Claims acknowledged before.
fn claims_kept(state: &Path) -> Result<Vec<Vec<u8>>, AuthorityError> {
    files(state, "claim-")?.iter().map(|path| read(path)).collect()
}

/// Keeps an object the owners signed; durable when it returns, and only then acknowledged.
pub(super) fn keep(state: &Path, name: &str, signed: &Signed) -> Result<(), AuthorityError> {
    keep_bytes(state, name, &signed.encode())
}

/// The same for bytes that say themselves who signed them.
pub(super) fn keep_bytes(state: &Path, name: &str, bytes: &[u8]) -> Result<(), AuthorityError> {
    let path = state.join(name);
    write(&path, bytes)?;
    let synced = fs::File::open(&path)
        .and_then(|f| f.sync_all())
        .and_then(|()| fs::File::open(state)?.sync_all());
    synced.map_err(|source| AuthorityError::File { path, source })
}

/// The keys, and the log's: opened from the sealed file, or made now and sealed.
fn keys(
    client: &mut Client,
    genesis: &Genesis,
    now: Time,
) -> Result<(Keys, Signer), AuthorityError> {
    let path = Path::new(STATE).join("keys.sealed");
    let store = StoreId::new("authority-keys").ok_or(CborError::Field("store"))?;
    let domain = genesis.domain.as_str();
    let window = Window { not_before: now.plus_secs(-3600), not_after: now.plus_secs(CA_SECS) };
    let origin = format!("{domain}/log");
    let signer =
        |seed: [u8; 32]| Signer::new(&origin, Secret::new(seed)).ok_or(CborError::Field("seed"));
    if let Ok(blob) = fs::read(&path) {
        let opened = client.open(&store, 1, &blob)?;
        let mut f = Fields::decode(opened.plaintext.expose(), platform::seal::PLAINTEXT_MAX)?;
        let pkcs8 = Secret::new(f.bytes(1, "ca")?);
        let seed = f.named(2, "log", |b| b.try_into().ok())?;
        let secrets = SecretsPair::new(f.named(3, "secrets", |b| b.try_into().ok())?);
        let ca = Ca::restore(domain, window, &pkcs8)?;
        return Ok((Keys { ca, secrets }, signer(seed)?));
    }
    let (ca, pkcs8) = Ca::create(domain, window)?;
    let (mut seed, mut secrets) = ([0; 32], [0; 32]);
    platform::random(&mut seed)?;
    platform::random(&mut secrets)?;
    let secrets = SecretsPair::new(secrets);
    let plain = Secret::new(cbor::encode(&cbor::map(vec![
        (1, Value::Bytes(pkcs8.expose().clone())),
        (2, Value::Bytes(seed.to_vec())),
        (3, Value::Bytes(secrets.bytes().expose().to_vec())),
    ])));
    write(&path, &client.seal(&store, 1, plain.expose())?)?;
    Ok((Keys { ca, secrets }, signer(seed)?))
}

/// Waits for an endorsement of this very key that the owners signed.
fn endorsed(
    state: &Path,
    genesis: &Genesis,
    keys: &Keys,
    clock: fn() -> Time,
) -> Result<DomainTrust, AuthorityError> {
    let begin = std::time::Instant::now();
    let (own, secrets) = (spki_digest(keys.ca.certificate())?, keys.secrets.public());
    while begin.elapsed() < ENDORSEMENT_WAIT {
        let found =
            fs::read(state.join("endorsement.cbor")).ok().and_then(|b| Signed::decode(&b).ok());
        let authority = found.and_then(|s| EndorsedAuthority::verify(&s, genesis, clock()).ok());
        let ours = |e: &AuthorityEndorsement| e.ca == own && Some(e.secrets) == secrets;
        if let Some(authority) = authority.filter(|a| ours(a.endorsement())) {
            return Ok(DomainTrust::new(authority, keys.ca.certificate())?);
        }
        let soon = begin.elapsed() < ENDORSEMENT_SOON;
        std::thread::sleep(Duration::from_millis(if soon { 10 } else { 500 }));
    }
    Err(AuthorityError::NotEndorsed)
}
