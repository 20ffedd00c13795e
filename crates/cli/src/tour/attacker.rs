//! The tour's attacker: a process of its own that holds a victim's live leaf key and speaks to the victim's peers.
//!
//! It reads what it stole as JSON from standard input and prints how its attack ended.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use channel::admission::{Bundle, client};
use channel::handshake::{Epochs, HandshakeError};
use channel::tls::{self, Identity};
use channel::{Endpoint, Mode, PeerPolicy, StatementSource};
use evidence::{Binder, BinderKind, SpkiDigest};
use platform::PlatformError;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::now;

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
    let own = channel::credential::spki_digest(&certificate)?;
    let key = PrivateKeyDer::Pkcs8(hex::decode(&loot.key)?.into());
    let identity = Identity { chain: vec![certificate], key };
    let endpoint = |mode, own: SpkiDigest, role: &str| Endpoint {
        own: Some(own),
        trust: Arc::clone(&trust),
        source: Arc::new(Stolen(hex::decode(&loot.statement).unwrap_or_default())),
        policy: PeerPolicy {
            mode,
            roles: vec![role.to_owned()],
            kinds: vec![BinderKind::ChannelMonitor],
        },
        epochs: Epochs::default(),
        clock: now,
    };
    let config = tls::client(Arc::clone(&trust), Some(identity.clone()), tls::ALPN, now)?;
    let Some(peer) = &loot.peer else {
        // A peer that takes the attested key alone: whoever holds the key is taken for its owner.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tls::server(Some(Arc::clone(&trust)), identity, tls::ALPN, now)?;
        let accepting = endpoint(Mode::Credential, own, &loot.role);
        let accepted = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.map_err(HandshakeError::from)?;
            accepting.accept(server, tcp).await.map(|s| s.peer().spiffe_id().to_owned())
        });
        let tcp = TcpStream::connect(address).await?;
        endpoint(Mode::Credential, own, &loot.role).connect(config, tcp).await?;
        return Ok(format!("taken for {}", accepted.await??));
    };
    let tcp = TcpStream::connect(peer).await?;
    if loot.reflect {
        return Ok(reflect(config, tcp).await.unwrap_or_else(|e| format!("refused ({e})")));
    }
    match endpoint(Mode::Bound, own, &loot.role).connect(config, tcp).await {
        Err(e) => Ok(format!("refused ({e})")),
        Ok(mut stream) => {
            // This side finished; whether the peer believed the stolen statement shows in what it does next.
            stream.stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            let mut data = Vec::new();
            let read =
                tokio::time::timeout(Duration::from_secs(3), stream.stream.read_to_end(&mut data))
                    .await;
            Ok(if matches!(read, Ok(Ok(n)) if n > 0) {
                "data came back".to_owned()
            } else {
                "refused (the peer closed before any data)".to_owned()
            })
        }
    }
}

/// Speaks the handshake by hand and sends the server's own statement back to it.
async fn reflect(config: Arc<rustls::ClientConfig>, tcp: TcpStream) -> Result<String> {
    let name = "casemate.invalid".try_into()?;
    let mut tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await?;
    let nonce = platform::fresh_nonce()?;
    let hello = evidence::cbor::encode(&evidence::cbor::map(vec![
        (1, 1.into()),
        (2, ciborium::Value::Bytes(nonce.as_bytes().to_vec())),
        (3, "bound".into()),
        (4, 0.into()),
        (5, 0.into()),
    ]));
    tls.write_u32(u32::try_from(hello.len())?).await?;
    tls.write_all(&hello).await?;
    tls.flush().await?;
    let mut frame = Vec::new();
    for _ in 0..2 {
        frame = vec![0; usize::try_from(tls.read_u32().await?)?];
        tls.read_exact(&mut frame).await?;
    }
    tls.write_u32(u32::try_from(frame.len())?).await?;
    tls.write_all(&frame).await?;
    tls.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    tls.flush().await?;
    let mut data = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(3), tls.read_to_end(&mut data)).await;
    Ok(if matches!(read, Ok(Ok(n)) if n > 0) {
        "data came back".to_owned()
    } else {
        "refused (the peer closed before any data)".to_owned()
    })
}
