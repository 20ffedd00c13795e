//! The tour's attacker: a process of its own that holds a victim's live leaf key and speaks to the victim's peers.
//!
//! It reads what it stole as JSON from standard input and prints how its attack ended.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use channel::admission::{Bundle, client};
use channel::frame::{self, Kind};
use channel::standing::Nobody;
use channel::tls::{self, Identity};
use channel::{
    Endpoint, HandshakeError, Mode, Own, PeerPolicy, Present, Standing, StatementSource,
};
use evidence::{Binder, BinderKind};
use platform::PlatformError;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::now;

/// First byte of a frame with a statement.
const STATEMENT: u8 = 2;

/// What was stolen and what to do with it.
#[derive(Serialize, Deserialize)]
pub struct Loot {
    /// PKCS#8, hex.
    pub key: String,
    /// Leaf certificate, hex.
    pub certificate: String,
    /// A genuine statement of another connection, hex.
    pub statement: String,
    /// The domain's bundle, hex.
    pub bundle: String,
    /// Domain root, hex.
    pub root: String,
    /// Address of the victim's peer, which takes bound channels; none: a peer in credential mode is made here.
    pub peer: Option<String>,
    /// The peer's port.
    pub port: Option<u16>,
    /// The peer's role.
    pub role: String,
    /// Send the peer's own statement back instead of the stolen one.
    pub reflect: bool,
}

/// Has nothing of its own to be signed: it only passes on what it holds.
struct Stolen(Vec<u8>);

impl StatementSource for Stolen {
    fn kind(&self) -> BinderKind {
        BinderKind::ChannelProgram
    }

    async fn state(&self, _: &Binder) -> Result<Vec<u8>, PlatformError> {
        Ok(self.0.clone())
    }
}

/// Attacks.
pub fn run() -> Result<ExitCode> {
    let loot: Loot = serde_json::from_reader(std::io::stdin())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(attack(&loot))?;
    println!("{ended}");
    Ok(ExitCode::SUCCESS)
}

async fn attack(loot: &Loot) -> Result<String> {
    let root = evidence::DomainRoot::from_hex(&loot.root).context("root")?;
    let trust = client::trust_of(&Bundle::decode(&hex::decode(&loot.bundle)?)?, root, now())?;
    let certificate = CertificateDer::from(hex::decode(&loot.certificate)?);
    let key = PrivateKeyDer::Pkcs8(hex::decode(&loot.key)?.into());
    let identity = Identity { chain: vec![certificate], key };
    let own = Arc::new(Own::new(identity.clone(), &trust, now())?);
    let present = Present {
        trust: Arc::clone(&trust),
        policy: own.credential().credential().policy,
        own: Some(own),
        revocations: Arc::default(),
    };
    let endpoint = |mode| Endpoint {
        standing: Standing::new(present.clone(), Nobody),
        source: Arc::new(Stolen(hex::decode(&loot.statement).unwrap_or_default())),
        policy: PeerPolicy {
            modes: vec![mode],
            roles: vec![loot.role.clone()],
            kinds: vec![BinderKind::ChannelMonitor],
            require_pq: true,
        },
        port: loot.port,
        clock: now,
    };
    let Some(peer) = &loot.peer else {
        // A peer that takes the attested key alone: whoever holds the key is taken for its owner.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let accepting = endpoint(Mode::Credential);
        let accepted = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.map_err(HandshakeError::from)?;
            let stream = accepting.accept(tcp).await?;
            Ok::<_, HandshakeError>(stream.peer().map(|p| p.spiffe_id().to_owned()))
        });
        let tcp = TcpStream::connect(address).await?;
        let _thief = endpoint(Mode::Credential).connect(tcp).await?;
        return Ok(format!("taken for {}", accepted.await??.context("nobody")?));
    };
    let tcp = TcpStream::connect(peer).await?;
    if loot.reflect {
        let config = tls::client(Arc::clone(&trust), Some(identity), tls::ALPN, now)?;
        return Ok(reflect(config, tcp, loot.port)
            .await
            .unwrap_or_else(|e| format!("refused ({e})")));
    }
    match endpoint(Mode::Bound).connect(tcp).await {
        Err(e) => Ok(format!("refused ({e})")),
        Ok(mut stream) => {
            // This side finished; whether the peer believed the stolen statement shows in what it does next.
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            let mut data = Vec::new();
            let read =
                tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut data)).await;
            Ok(if matches!(read, Ok(Ok(n)) if n > 0) {
                "data came back".to_owned()
            } else {
                "refused (the peer closed before any data)".to_owned()
            })
        }
    }
}

/// Speaks the handshake by hand and sends the server's own statement back to it.
async fn reflect(
    config: Arc<rustls::ClientConfig>,
    tcp: TcpStream,
    port: Option<u16>,
) -> Result<String> {
    let name = "casemate.invalid".try_into()?;
    let mut tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await?;
    let nonce = platform::fresh_nonce()?;
    let hello = evidence::cbor::encode(&evidence::cbor::map(vec![
        (1, 1.into()),
        (2, ciborium::Value::Bytes(nonce.as_bytes().to_vec())),
        (3, "bound".into()),
        (4, 0.into()),
        (5, 0.into()),
        (6, port.map_or(ciborium::Value::Null, Into::into)),
    ]));
    let frame = |kind, content: &[u8]| {
        Ok::<_, frame::FrameError>([&frame::header(kind, content.len())?, content].concat())
    };
    tls.write_all(&frame(Kind::Hello, &hello)?).await?;
    tls.flush().await?;
    // Hello, what it tells of revocations, and then the statement.
    let mut said = [0; frame::HEADER_LEN];
    let mut content = Vec::new();
    while said.first() != Some(&STATEMENT) {
        tls.read_exact(&mut said).await?;
        let [_, a, b, c] = said;
        content = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c]))?];
        tls.read_exact(&mut content).await?;
    }
    tls.write_all(&frame(Kind::Statement, &content)?).await?;
    tls.write_all(&frame(Kind::Data, b"GET / HTTP/1.0\r\n\r\n")?).await?;
    tls.flush().await?;
    let mut data = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(3), tls.read_to_end(&mut data)).await;
    Ok(if matches!(read, Ok(Ok(n)) if n > 0) {
        "data came back".to_owned()
    } else {
        "refused (the peer closed before any data)".to_owned()
    })
}
