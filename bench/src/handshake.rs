//! Attested mutual handshakes, both modes, beside plain rustls mutual TLS with the same suites: CPU of both ends together.

use std::sync::Arc;
use std::time::Duration;

use channel::DomainTrust;
use channel::credential::Credential;
use channel::handshake::{Endpoint, Mode, PeerPolicy};
use channel::standing::{Nobody, Own, Present, Standing};
use channel::keys::LeafKey;
use channel::tls::{self, Identity};
use evidence::{BinderKind, ContentDigest, Kind, SpkiDigest, Time, Window};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use testkit::{Monitor, Town};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use trust::RoleName;

use crate::table::{Samples, cpu, ratio};

const ROUNDS: usize = 30;
const A_ROUND: usize = 40;

/// A domain, two peers with their credentials.
pub struct Peers {
    town: Town,
    pub client: (Identity, SpkiDigest, Monitor),
    pub server: (Identity, SpkiDigest, Monitor),
}

pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time::from_unix(since.as_secs() as i64)
}

pub fn peers(dir: &std::path::Path) -> Peers {
    let programs = vec![testkit::program("web", 0x11, &["api"]), testkit::program("api", 0x22, &[])];
    let town = Town::at(dir, programs, now());
    let peer = |role: &str, n: u8| {
        let monitor = town.monitor(n);
        let info = monitor.info();
        let credential = Credential {
            domain: town.trust.root(),
            role: RoleName::new(role).unwrap(),
            measurement: info.program.measurement,
            statement_key: info.statement_key,
            kind: Kind::Software,
            isolation: info.program.isolation,
            host: info.program.host,
            exportable: false,
            policy: 1,
            proof: ContentDigest::of(b""),
            log_index: 0,
        };
        let key = LeafKey::generate().unwrap();
        let window = Window { not_before: now(), not_after: now().plus_secs(3600) };
        let leaf = town.ca.issue(&format!("spiffe://town/{role}"), key.spki(), &credential, window).unwrap();
        let identity = Identity { chain: vec![leaf.into()], key: PrivateKeyDer::Pkcs8(key.pkcs8().into()) };
        (identity, SpkiDigest::of_der(key.spki()), monitor)
    };
    let (client, server) = (peer("web", 0x11), peer("api", 0x22));
    Peers { town, client, server }
}

impl Peers {
    fn endpoint(
        trust: &Arc<DomainTrust>,
        own: &(Identity, SpkiDigest, Monitor),
        to: &str,
        mode: Mode,
    ) -> Endpoint<Monitor> {
        let present = Present {
            trust: Arc::clone(trust),
            own: Some(Arc::new(Own::new(own.0.clone(), trust, now()).unwrap())),
            policy: 1,
            revocations: Arc::default(),
        };
        let kinds = vec![BinderKind::ChannelMonitor];
        Endpoint {
            standing: Standing::new(present, Nobody),
            source: Arc::new(own.2.clone()),
            policy: PeerPolicy { modes: vec![mode], roles: vec![to.to_owned()], kinds, require_pq: true },
            port: None,
            clock: now,
        }
    }

    /// A trust that has not met anybody yet.
    fn fresh(&self) -> Arc<DomainTrust> {
        let t = &self.town.trust;
        Arc::new(DomainTrust::new(t.authority().clone(), t.ca()).unwrap())
    }

    fn attested(&self, mode: Mode) -> impl AsyncFn() {
        // Each side has its own: what one has verified, the other has not.
        let (ce, se) = (
            Self::endpoint(&self.fresh(), &self.client, "api", mode),
            Self::endpoint(&self.fresh(), &self.server, "web", mode),
        );
        async move || {
            let (a, b) = pair().await;
            let (a, b) = tokio::join!(ce.connect(a), se.accept(b));
            let (mut a, mut b) = (a.unwrap(), b.unwrap());
            ping(&mut a, &mut b).await;
        }
    }
}

async fn ping(a: &mut (impl AsyncWriteExt + Unpin), b: &mut (impl AsyncReadExt + Unpin)) {
    a.write_all(b"x").await.unwrap();
    a.flush().await.unwrap();
    b.read_u8().await.unwrap();
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (a, b) = (a.unwrap(), b.unwrap().0);
    a.set_nodelay(true).unwrap();
    b.set_nodelay(true).unwrap();
    (a, b)
}

/// Plain mutual TLS 1.3 as rustls does it: same provider, P-256 leaves under one CA, no tickets.
pub struct Plain {
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
}

pub fn plain() -> Plain {
    let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let leaf = || -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        (vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    };
    let provider = tls::provider();
    let (chain, key) = leaf();
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(Arc::clone(&roots))
        .with_client_auth_cert(chain, key)
        .unwrap();
    client.resumption = rustls::client::Resumption::disabled();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().unwrap();
    let (chain, key) = leaf();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    server.send_tls13_tickets = 0;
    Plain { client: Arc::new(client), server: Arc::new(server) }
}

impl Plain {
    pub async fn shake(&self) {
        let (a, b) = pair().await;
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        let (a, b) = tokio::join!(connector.connect(name, a), acceptor.accept(b));
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        ping(&mut a, &mut b).await;
    }
}

pub fn run() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plain = plain();
    let (plain, credential, bound) = (async || plain.shake().await, peers.attested(Mode::Credential), peers.attested(Mode::Bound));
    let [mut a, mut b, mut c, mut d, mut e] = [(); 5].map(|()| Samples::default());
    runtime.block_on(async {
        async fn round(shake: &impl AsyncFn(), into: &mut Samples) {
            let begin = cpu();
            for _ in 0..A_ROUND {
                shake().await;
            }
            into.add((cpu() - begin) / A_ROUND as u32);
        }
        for _ in 0..ROUNDS {
            round(&plain, &mut a).await;
            round(&credential, &mut b).await;
            round(&bound, &mut c).await;
            for (mode, into) in [(Mode::Credential, &mut d), (Mode::Bound, &mut e)] {
                let strangers = (0..A_ROUND).map(|_| peers.attested(mode)).collect::<Vec<_>>();
                let begin = cpu();
                for shake in &strangers {
                    shake().await;
                }
                into.add((cpu() - begin) / A_ROUND as u32);
            }
        }
    });
    let of = |s: &Samples| s.median().as_secs_f64() / a.median().as_secs_f64();
    let show = |d: Duration| format!("{:.0} us", d.as_secs_f64() * 1e6);
    println!(
        "CPU of both ends, median of {ROUNDS} rounds of {A_ROUND}: plain mutual TLS {}, credential mode {}, bound mode {}; peers that meet for the first time: credential mode {}, bound mode {}",
        show(a.median()), show(b.median()), show(c.median()), show(d.median()), show(e.median())
    );
    ratio("credential mode / plain mutual TLS", of(&b), "<= 1.15", of(&b) <= 1.15);
    ratio("bound mode / plain mutual TLS", of(&c), "<= 1.5", of(&c) <= 1.5);
    ratio("credential mode, first meeting / plain mutual TLS", of(&d), "<= 1.15", of(&d) <= 1.15);
    ratio("bound mode, first meeting / plain mutual TLS", of(&e), "<= 1.5", of(&e) <= 1.5);
}
