//! A domain with an endorsed authority, and peers whose platforms are Ed25519 keys held here.

use std::cell::Cell;
use std::sync::Arc;

use channel::credential::{Ca, Credential};
use channel::standing::{Authority, Nobody};
use channel::tls::Identity;
use channel::{
    AttestedStream, DomainTrust, Endpoint, HandshakeError, Mode, Own, PeerPolicy, Present,
    Standing, StatementSource,
};
use evidence::statement::{self, Anchor, HostOs, LimitsBy, ProgramState, Purpose, Statement};
use evidence::{
    Binder, BinderKind, ContentDigest, DomainRoot, Isolation, Kind, Measurement, SpkiDigest,
    StatementKey, Time, Window,
};
use platform::{PlatformError, Secret, software};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use trust::genesis::Genesis;
use trust::signing::{Namespace, Signed, Signers, SigningKey};
use trust::{
    AuthorityEndorsement, DomainName, EndorsedAuthority, Revocation, Revocations, Revoked, RoleName,
};

pub const NOW: Time = Time::from_unix(1_800_000_000);

thread_local!(static LATER: Cell<i64> = const { Cell::new(0) });

/// The time on this thread.
pub fn clock() -> Time {
    NOW.plus_secs(LATER.get())
}

/// Sets it.
pub fn at(secs: i64) {
    LATER.set(secs);
}

pub struct World {
    pub trust: Arc<DomainTrust>,
    pub ca: Ca,
    pub root: DomainRoot,
    pub owner: SigningKey,
}

impl World {
    /// Revocation number `epoch`, as the owners sign it.
    pub fn revocation(&self, epoch: u64, revoked: Revoked) -> Signed {
        let payload = Revocation { domain: self.root, epoch, revoked }.encode();
        let signatures = vec![self.owner.sign(Namespace::Revocation, &payload).unwrap()];
        Signed { payload, signatures }
    }
}

pub fn genesis(nonce: u8) -> (Genesis, SigningKey) {
    let owner = SigningKey::from_seed([nonce; 32]).unwrap();
    let signers = Signers::new(1, &[owner.public_openssh().unwrap()]).unwrap();
    (Genesis::new(DomainName::new("shop").unwrap(), signers, [nonce; 32]), owner)
}

pub fn window() -> Window {
    Window { not_before: NOW.plus_secs(-60), not_after: NOW.plus_secs(3600) }
}

pub fn endorsed(g: &Genesis, owner: &SigningKey, ca: SpkiDigest) -> EndorsedAuthority {
    let endorsement = AuthorityEndorsement {
        domain: g.root(),
        ca,
        log: "log".into(),
        measurement: Measurement::new([1; 48]),
        audit: evidence::AuditKey::new([6; 32]),
        secrets: evidence::SecretsKey::new([7; 32]),
        window: window(),
    };
    let payload = endorsement.encode();
    let signatures = vec![owner.sign(Namespace::Endorsement, &payload).unwrap()];
    EndorsedAuthority::verify(&Signed { payload, signatures }, g, NOW).unwrap()
}

pub fn world(nonce: u8) -> World {
    let (g, owner) = genesis(nonce);
    let (ca, _) = Ca::create("shop", window()).unwrap();
    let authority =
        endorsed(&g, &owner, channel::credential::spki_digest(ca.certificate()).unwrap());
    let trust = Arc::new(DomainTrust::new(authority, ca.certificate()).unwrap());
    World { trust, ca, root: g.root(), owner }
}

/// A program's standing: its credential, its leaf key, and the platform that speaks for it.
#[derive(Clone)]
pub struct Peer {
    pub credential: Credential,
    pub identity: Identity,
    pub spki: SpkiDigest,
    pub platform: Arc<Platform>,
}

/// Signs statements as a keyholder does; a test may have it sign about something else.
pub struct Platform {
    seed: Secret<[u8; 32]>,
    pub program: Measurement,
    pub domain: DomainRoot,
    pub kind: BinderKind,
    pub lie: fn(&mut Binder),
    pub instead: Option<Vec<u8>>,
    /// The last statement made, as a thief with access to the wire's inside would have it.
    pub last: std::sync::Mutex<Option<Vec<u8>>>,
}

impl Platform {
    pub fn new(n: u8, domain: DomainRoot) -> Self {
        let (seed, program) = (Secret::new([n; 32]), Measurement::new([n; 48]));
        let kind = BinderKind::ChannelMonitor;
        Self {
            seed,
            program,
            domain,
            kind,
            lie: |_| {},
            instead: None,
            last: std::sync::Mutex::default(),
        }
    }

    pub fn key(&self) -> StatementKey {
        software::public(&self.seed)
    }

    pub fn sign(&self, binder: &Binder) -> Vec<u8> {
        let mut binder = binder.clone();
        (self.lie)(&mut binder);
        let program = ProgramState {
            measurement: self.program,
            isolation: Isolation::Software,
            host: HostOs::Mutable,
            limits: LimitsBy::Rlimit,
            anchor: Anchor::Unprotected,
            open: Vec::new(),
        };
        let statement = Statement {
            purpose: Purpose::Binder(binder.kind),
            domain: self.domain,
            program,
            binder: binder.digest(),
        };
        statement::assemble(
            &statement,
            software::sign(&self.seed, statement::LABEL, &statement.encode()),
        )
    }
}

impl StatementSource for Platform {
    fn kind(&self) -> BinderKind {
        self.kind
    }

    async fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        let made = self.instead.clone().unwrap_or_else(|| self.sign(binder));
        *self.last.lock().unwrap() = Some(made.clone());
        Ok(made)
    }
}

pub fn peer(w: &World, role: &str, n: u8) -> Peer {
    peer_with(w, role, n, |_| {}, window())
}

pub fn peer_with(
    w: &World,
    role: &str,
    n: u8,
    change: impl FnOnce(&mut Credential),
    window: Window,
) -> Peer {
    let platform = Platform::new(n, w.root);
    let mut credential = Credential {
        domain: w.root,
        role: RoleName::new(role).unwrap(),
        measurement: platform.program,
        statement_key: platform.key(),
        kind: Kind::Software,
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        exportable: false,
        policy: 1,
        proof: ContentDigest::of(b""),
        log_index: 0,
    };
    change(&mut credential);
    let key = channel::keys::LeafKey::generate().unwrap();
    let id = format!("spiffe://shop/{role}");
    let leaf = w.ca.issue(&id, key.spki(), &credential, window).unwrap();
    let identity =
        Identity { chain: vec![leaf.into()], key: PrivateKeyDer::Pkcs8(key.pkcs8().into()) };
    Peer {
        credential,
        identity,
        spki: SpkiDigest::of_der(key.spki()),
        platform: Arc::new(platform),
    }
}

impl Peer {
    /// The same program with a fresh key and a credential for that window.
    pub fn renewed(&self, w: &World, window: Window) -> Self {
        let role = self.credential.role.as_str().to_owned();
        let kept = self.credential.clone();
        let new = peer_with(w, &role, 0, |c| *c = kept, window);
        Self { platform: Arc::clone(&self.platform), ..new }
    }

    pub fn own(&self, w: &World) -> Arc<Own> {
        Arc::new(Own::new(self.identity.clone(), &w.trust, clock()).unwrap())
    }
}

/// The standing of a peer that was admitted under policy 1 and has heard of no revocation.
pub fn standing(w: &World, peer: Option<&Peer>, authority: impl Authority + 'static) -> Standing {
    let present = Present {
        trust: Arc::clone(&w.trust),
        own: peer.map(|p| p.own(w)),
        policy: 1,
        revocations: Arc::new(Revocations::default()),
    };
    Standing::new(present, authority)
}

pub fn endpoint(w: &World, peer: &Peer, mode: Mode, talks_to: &str) -> Endpoint<Platform> {
    Endpoint {
        standing: standing(w, Some(peer), Nobody),
        source: Arc::clone(&peer.platform),
        policy: PeerPolicy {
            modes: vec![mode],
            roles: vec![talks_to.to_owned()],
            kinds: vec![BinderKind::ChannelMonitor],
            require_pq: true,
        },
        port: None,
        clock,
    }
}

/// An anonymous client.
pub fn anonymous(w: &World, talks_to: &str) -> Endpoint<Platform> {
    Endpoint {
        standing: standing(w, None, Nobody),
        ..endpoint(w, &peer(w, "nobody", 99), Mode::OneSided, talks_to)
    }
}

pub type Outcome = Result<AttestedStream<TcpStream>, HandshakeError>;

/// Two ends of a TCP connection.
pub async fn wire() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (a, b) = (a.unwrap(), b.unwrap().0);
    a.set_nodelay(true).unwrap();
    b.set_nodelay(true).unwrap();
    (a, b)
}

/// Both ends of one channel; each end's own view of how it went.
pub async fn meet(client: &Endpoint<Platform>, server: &Endpoint<Platform>) -> (Outcome, Outcome) {
    let (a, b) = wire().await;
    // One thread: a check that a test removed on it is removed for both ends.
    tokio::join!(client.connect(a), server.accept(b))
}

/// Runs a future on this thread.
pub fn block<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
