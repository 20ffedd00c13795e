//! The binder: the one value that ties a statement to a connection, two keys, two nonces and a purpose (I4).
//!
//! `docs/formats/binder.md` is its page. Whoever checks a statement computes the binder itself, from
//! its own live connection; a binder that a peer offers is never read.

use ciborium::Value;

use crate::bytes::{
    BinderDigest, ContentDigest, DomainRoot, Exporter, Nonce, ReportData, SpkiDigest, StatementKey,
    sha256, sha384,
};
use crate::cbor;
use crate::hardware::Kind;

/// First item of every binder.
pub const LABEL: &str = "casemate/binder";
/// Second item of every binder.
pub const VERSION: u64 = 1;
/// The exporter label both ends use (RFC 8446 section 7.5); its context is client nonce then server nonce.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-casemate-binder-v1";

/// What a statement is for. Kinds never pass for each other: the kind is inside the binder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BinderKind {
    /// A program's monitor asks an authority for a credential.
    Admission,
    /// A connection whose TLS our proxy terminates: the proxy took the exporter from its own connection.
    ChannelMonitor,
    /// A connection that a program with the grant `self-tls` terminates: the program asserts the exporter.
    ChannelProgram,
}

impl BinderKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Admission, Self::ChannelMonitor, Self::ChannelProgram];

    /// The spelling inside the binder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::ChannelMonitor => "channel/monitor",
            Self::ChannelProgram => "channel/program",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// Which end of the connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened the TLS connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// The spelling inside the binder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Client, Self::Server].into_iter().find(|s| s.as_str() == text)
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What belongs to one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The end's domain; `None` only for an anonymous client of a one-sided channel.
    pub domain: Option<DomainRoot>,
    /// SHA-256 of the SubjectPublicKeyInfo of the leaf it showed; `None` as above.
    pub spki: Option<SpkiDigest>,
    /// The nonce it chose.
    pub nonce: Nonce,
}

/// What only the live connection knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Exporter under [`EXPORTER_LABEL`] with both nonces as context.
    pub exporter: Exporter,
    /// TLS cipher suite code point.
    pub cipher_suite: u16,
    /// TLS named group code point.
    pub group: u16,
    /// The protocol spoken inside (ALPN).
    pub inner_protocol: String,
}

/// Everything a statement is bound to. Both ends compute it; only `side` tells whose statement it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binder {
    /// Purpose.
    pub kind: BinderKind,
    /// Whose statement.
    pub side: Side,
    /// The end that opened the connection.
    pub client: End,
    /// The end that accepted it.
    pub server: End,
    /// The live connection.
    pub session: Session,
    /// Digest of what the speaker says besides: a claims set, a request, or of nothing (`ContentDigest::of(b"")`).
    pub claims: ContentDigest,
}

impl Binder {
    /// The deterministic CBOR that is hashed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        let end = |e: &End| {
            [
                e.domain.map_or(Value::Null, |d| bytes(d.as_bytes())),
                e.spki.map_or(Value::Null, |s| bytes(s.as_bytes())),
                bytes(e.nonce.as_bytes()),
            ]
        };
        let [client_domain, client_spki, client_nonce] = end(&self.client);
        let [server_domain, server_spki, server_nonce] = end(&self.server);
        cbor::encode(&Value::Array(vec![
            LABEL.into(),
            VERSION.into(),
            self.kind.as_str().into(),
            self.side.as_str().into(),
            client_domain,
            server_domain,
            client_spki,
            server_spki,
            client_nonce,
            server_nonce,
            bytes(self.session.exporter.as_bytes()),
            self.session.cipher_suite.into(),
            self.session.group.into(),
            self.session.inner_protocol.as_str().into(),
            bytes(self.claims.as_bytes()),
        ]))
    }

    /// SHA-384 of the encoding: what a monitor signs.
    #[must_use]
    pub fn digest(&self) -> BinderDigest {
        BinderDigest::new(sha384(&self.encode()))
    }

    /// For a 64-byte field (REPORT_DATA, realm challenge): the SHA-384, then sixteen zero bytes.
    #[must_use]
    pub fn fill64(&self) -> ReportData {
        fill64(&self.digest())
    }

    /// For a 32-byte field and for TPM `extraData`: SHA-256 of the encoding.
    #[must_use]
    pub fn fill32(&self) -> [u8; 32] {
        sha256(&self.encode())
    }

    /// The same binder spoken by the other end; a statement under one never verifies under the other.
    #[must_use]
    pub fn reflected(&self) -> Self {
        Self { side: self.side.other(), ..self.clone() }
    }
}

/// What hardware evidence binds when it vouches for a monitor: the key it makes statements with, the
/// domain it serves and the verifier's nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorBinding {
    /// Domain whose root is in the monitor's measured configuration.
    pub domain: DomainRoot,
    /// Key of the monitor's statements.
    pub statement_key: StatementKey,
    /// Nonce chosen by the verifier.
    pub nonce: Nonce,
}

impl MonitorBinding {
    /// First item of the encoding.
    pub const LABEL: &str = "casemate/monitor-binding";

    /// What a hardware report carries: the digest, then sixteen zero bytes.
    #[must_use]
    pub fn fill64(&self) -> ReportData {
        fill64(&self.digest())
    }

    /// What a TPM's `extraData` carries: SHA-256 of the encoding.
    #[must_use]
    pub fn fill32(&self) -> [u8; 32] {
        sha256(&self.encode())
    }

    /// What evidence of that kind says it is bound to, in the field all kinds share.
    #[must_use]
    pub fn report_data(&self, kind: Kind) -> ReportData {
        if kind != Kind::Tpm {
            return self.fill64();
        }
        let mut out = [0; 64];
        let (head, _) = out.split_at_mut(32);
        head.copy_from_slice(&self.fill32());
        ReportData::new(out)
    }

    /// SHA-384 of the encoding: what composite evidence derives its members' nonces from.
    #[must_use]
    pub fn digest(&self) -> BinderDigest {
        BinderDigest::new(sha384(&self.encode()))
    }

    fn encode(&self) -> Vec<u8> {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        cbor::encode(&Value::Array(vec![
            Self::LABEL.into(),
            VERSION.into(),
            bytes(self.domain.as_bytes()),
            bytes(self.statement_key.as_bytes()),
            bytes(self.nonce.as_bytes()),
        ]))
    }
}

/// What a program says in its own name to whoever gave it a nonce; never accepted on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramClaim {
    /// The program's domain.
    pub domain: DomainRoot,
    /// The relying party's nonce.
    pub nonce: Nonce,
    /// Digest of what is said.
    pub said: ContentDigest,
}

impl ProgramClaim {
    /// First item of the encoding.
    pub const LABEL: &str = "casemate/program-claim";

    /// SHA-384 of the encoding.
    #[must_use]
    pub fn digest(&self) -> BinderDigest {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        BinderDigest::new(sha384(&cbor::encode(&Value::Array(vec![
            Self::LABEL.into(),
            VERSION.into(),
            bytes(self.domain.as_bytes()),
            bytes(self.nonce.as_bytes()),
            bytes(self.said.as_bytes()),
        ]))))
    }
}

/// A binder's digest in a field of 64 bytes.
pub(crate) fn fill64(digest: &BinderDigest) -> ReportData {
    let mut out = [0; 64];
    let (head, _) = out.split_at_mut(BinderDigest::LEN);
    head.copy_from_slice(digest.as_bytes());
    ReportData::new(out)
}
