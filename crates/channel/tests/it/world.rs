//! A domain with an endorsed authority, and peers whose platforms are Ed25519 keys held here.

use std::sync::Arc;

use channel::credential::{Ca, Credential};
use channel::handshake::Epochs;
use channel::tls::{self, Identity};
use channel::{
    AttestedStream, DomainTrust, Endpoint, HandshakeError, Mode, PeerPolicy, StatementSource,
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
use trust::{AuthorityEndorsement, DomainName, EndorsedAuthority, RoleName};

pub const NOW: Time = Time::from_unix(1_800_000_000);

pub fn clock() -> Time {
    NOW
}

pub struct World {
    pub trust: Arc<DomainTrust>,
    pub ca: Ca,
    pub root: DomainRoot,
}

pub fn genesis(nonce: u8) -> (Genesis, SigningKey) {
    let owner = SigningKey::from_seed([nonce; 32]).unwrap();
    let signers = Signers::new(1, &[owner.public_openssh().unwrap()]).unwrap();
    (Genesis { domain: DomainName::new("shop").unwrap(), signers, nonce: [nonce; 32] }, owner)
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
    World { trust, ca, root: g.root() }
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

pub fn endpoint(w: &World, peer: &Peer, mode: Mode, talks_to: &str) -> Endpoint<Platform> {
    Endpoint {
        own: Some(peer.spki),
        trust: Arc::clone(&w.trust),
        source: Arc::clone(&peer.platform),
        policy: PeerPolicy {
            mode,
            roles: vec![talks_to.to_owned()],
            kinds: vec![BinderKind::ChannelMonitor],
        },
        epochs: Epochs::default(),
        clock,
    }
}

pub type Outcome = Result<AttestedStream<TcpStream>, HandshakeError>;

/// Both ends of one channel; each end's own view of how it went.
pub async fn meet(
    w: &World,
    client: (&Peer, Endpoint<Platform>),
    server: (&Peer, Endpoint<Platform>),
) -> (Outcome, Outcome) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client_config =
        tls::client(Arc::clone(&w.trust), Some(client.0.identity.clone()), tls::ALPN, clock)
            .unwrap();
    let server_config =
        tls::server(Some(Arc::clone(&w.trust)), server.0.identity.clone(), tls::ALPN, clock)
            .unwrap();
    // One thread: a check that a test removed on it is removed for both ends.
    tokio::join!(
        async { client.1.connect(client_config, TcpStream::connect(address).await.unwrap()).await },
        async { server.1.accept(server_config, listener.accept().await.unwrap().0).await },
    )
}

/// Runs a future on this thread.
pub fn block<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
