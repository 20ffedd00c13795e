//! A peer that speaks the protocol by hand, so that it can say what no honest one would.

use std::sync::Arc;

use channel::Epochs;
use channel::frame::{self, Event, Kind, Reader};
use channel::session::{client_session, server_session};
use channel::tls::{self, Identity};
use ciborium::Value;
use evidence::cbor::{self, Fields};
use evidence::{Binder, BinderKind, ContentDigest, End, Nonce, Session, Side, SpkiDigest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::world::{Peer, World, clock};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Data(Vec<u8>),
    Message(Kind, Vec<u8>),
    /// The other side closed, cleanly or not.
    End,
}

pub struct Raw {
    tls: TlsStream<TcpStream>,
    reader: Reader,
    bytes: Vec<u8>,
}

pub fn hello(nonce: Nonce, mode: &str, epochs: Epochs) -> Vec<u8> {
    cbor::encode(&cbor::map(vec![
        (1, 1.into()),
        (2, bytes(nonce.as_bytes())),
        (3, mode.into()),
        (4, epochs.policy.into()),
        (5, epochs.revocation.into()),
        (6, Value::Null),
    ]))
}

pub fn bytes(b: &[u8]) -> Value {
    Value::Bytes(b.to_vec())
}

pub fn nonce_of(hello: &[u8]) -> Nonce {
    Fields::decode(hello, 1 << 20).unwrap().named(2, "nonce", Nonce::from_slice).unwrap()
}

impl Raw {
    pub async fn client(w: &World, identity: Option<Identity>, io: TcpStream) -> Self {
        let config = tls::client(Arc::clone(&w.trust), identity, tls::ALPN, clock).unwrap();
        let name = "casemate.invalid".try_into().unwrap();
        let tls = TlsConnector::from(config).connect(name, io).await.unwrap();
        Self { tls: tls.into(), reader: Reader::default(), bytes: Vec::new() }
    }

    pub async fn server(w: &World, identity: Identity, io: TcpStream) -> Self {
        let config = tls::server(Some(Arc::clone(&w.trust)), identity, tls::ALPN, clock).unwrap();
        let tls = TlsAcceptor::from(config).accept(io).await.unwrap();
        Self { tls: tls.into(), reader: Reader::default(), bytes: Vec::new() }
    }

    /// The other side may be gone already; what it made of it is what counts.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.tls.write_all(bytes).await;
        let _ = self.tls.flush().await;
    }

    pub async fn send(&mut self, kind: Kind, content: &[u8]) {
        let header = frame::header(kind, content.len()).unwrap();
        self.send_bytes(&[&header, content].concat()).await;
    }

    pub async fn next(&mut self) -> Got {
        loop {
            let (used, event) = self.reader.read(&self.bytes).unwrap();
            self.bytes.drain(..used);
            match event {
                Some(Event::Data(n)) => {
                    self.reader.took(n);
                    return Got::Data(self.bytes.drain(..n).collect());
                }
                Some(Event::Message(kind, content)) => return Got::Message(kind, content),
                None => {}
            }
            let mut more = vec![0; 16 * 1024];
            match self.tls.read(&mut more).await {
                Ok(0) | Err(_) => return Got::End,
                Ok(n) => self.bytes.extend_from_slice(&more[..n]),
            }
        }
    }

    pub async fn message(&mut self, kind: Kind) -> Vec<u8> {
        match self.next().await {
            Got::Message(got, content) if got == kind => content,
            other => panic!("{kind:?} expected, {other:?} came"),
        }
    }

    pub fn session(&self, client: Nonce, server: Nonce) -> Session {
        match &self.tls {
            TlsStream::Client(s) => client_session(s.get_ref().1, &client, &server).unwrap(),
            TlsStream::Server(s) => server_session(s.get_ref().1, &client, &server).unwrap(),
        }
    }
}

/// A client that came through the handshake honestly and then does as it likes.
pub struct Client {
    pub raw: Raw,
    /// Its statement in the handshake.
    pub statement: Vec<u8>,
    keys: (SpkiDigest, SpkiDigest),
    number: u64,
}

/// What a client would send last in a re-bind.
pub struct Confirmation {
    pub binder: Binder,
    pub statement: Vec<u8>,
}

fn end(w: &World, spki: SpkiDigest, nonce: Nonce) -> End {
    End { domain: Some(w.root), spki: Some(spki), nonce }
}

impl Client {
    pub async fn handshake(w: &World, me: &Peer, server: SpkiDigest, io: TcpStream) -> Self {
        let mut raw = Raw::client(w, Some(me.identity.clone()), io).await;
        let own = Nonce::new([1; 32]);
        raw.send(Kind::Hello, &hello(own, "bound", Epochs { policy: 1, revocation: 0 })).await;
        let theirs = nonce_of(&raw.message(Kind::Hello).await);
        raw.message(Kind::Statement).await;
        let binder = Binder {
            kind: BinderKind::ChannelMonitor,
            side: Side::Client,
            client: end(w, me.spki, own),
            server: end(w, server, theirs),
            session: raw.session(own, theirs),
            claims: ContentDigest::of(b""),
        };
        let statement = me.platform.sign(&binder);
        raw.send(Kind::Statement, &statement).await;
        Self { raw, statement, keys: (me.spki, server), number: 0 }
    }

    /// Offers the credential of `new`.
    pub async fn offer(&mut self, new: &Peer) {
        let chain = Value::Array(vec![bytes(&new.identity.chain[0])]);
        let offer = cbor::map(vec![(1, 1.into()), (2, bytes(&[3; 32])), (3, chain)]);
        self.raw.send(Kind::Offer, &cbor::encode(&offer)).await;
    }

    /// Reads the answer; what an honest client would say to it.
    pub async fn answered(&mut self, w: &World, new: &Peer) -> Confirmation {
        let answer = self.raw.message(Kind::Answer).await;
        let mut f = Fields::decode(&answer, 1 << 20).unwrap();
        let theirs = f.named(2, "nonce", Nonce::from_slice).unwrap();
        let chain = f.array(3, "chain").unwrap();
        let leaf = chain[0].as_bytes().unwrap();
        let server = channel::credential::spki_digest(leaf).unwrap();
        let own = Nonce::new([3; 32]);
        let claims = cbor::encode(&Value::Array(vec![
            "casemate/re-bind".into(),
            1.into(),
            self.number.into(),
            bytes(self.keys.0.as_bytes()),
            bytes(self.keys.1.as_bytes()),
        ]));
        let binder = Binder {
            kind: BinderKind::ChannelMonitor,
            side: Side::Client,
            client: end(w, new.spki, own),
            server: end(w, server, theirs),
            session: self.raw.session(own, theirs),
            claims: ContentDigest::of(&claims),
        };
        let statement = new.platform.sign(&binder);
        (self.keys, self.number) = ((new.spki, server), self.number + 1);
        Confirmation { binder, statement }
    }

    pub async fn confirm(&mut self, statement: &[u8], proof: &[u8]) {
        let message = cbor::map(vec![(1, 1.into()), (4, bytes(statement)), (5, bytes(proof))]);
        self.raw.send(Kind::Confirm, &cbor::encode(&message)).await;
    }
}

/// ECDSA P-256 with SHA-256 by a peer's leaf key.
pub fn prove(peer: &Peer, binder: &Binder) -> Vec<u8> {
    let key = rcgen::KeyPair::try_from(peer.identity.key.secret_der()).unwrap();
    rcgen::SigningKey::sign(&key, &binder.encode()).unwrap()
}
