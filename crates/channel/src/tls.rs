//! TLS as this project uses it: version 1.3 only, hybrid post-quantum key exchange first, no tickets, no resumption,
//! no early data, and certificates that are checked as credentials of the domain, never as web certificates.

use std::sync::{Arc, LazyLock};

use evidence::Time;
use evidence::controls::holds;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, HandshakeKind,
    NamedGroup, ProtocolVersion, ServerConfig, SignatureScheme,
};
use thiserror::Error as ErrorText;

use crate::credential::{self, DomainTrust};

/// Protocol name of attested channels.
pub const ALPN: &[u8] = b"casemate/1";
/// Protocol name of the authority's interface.
pub const ALPN_HTTP: &[u8] = b"http/1.1";

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Identity {
    /// Leaf first, DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![
        aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
    ];
    Arc::new(provider)
});

/// The crypto provider, stated and never the process's default.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Why a connection is none to build a channel on, whatever its configuration wanted.
#[derive(Debug, ErrorText, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiatedRefusal {
    /// An older TLS.
    #[error("peer speaks {0:?}, expected TLS 1.3; update it")]
    Version(Option<ProtocolVersion>),
    /// It goes on from an earlier connection.
    #[error(
        "TLS session was resumed; whoever is at the other end was not asked again who it is, connect anew"
    )]
    Resumed,
    /// Another protocol inside.
    #[error(
        "peer speaks {got:?} inside TLS, expected {expected:?}; it is no peer of attested channels, or of another version"
    )]
    Protocol {
        /// This side's; empty for none.
        expected: String,
        /// Agreed on.
        got: String,
    },
    /// Key exchange that a quantum computer breaks.
    #[error("key exchange is {0:?}, expected a hybrid post-quantum one; the peer's TLS is too old")]
    Classical(Option<NamedGroup>),
}

/// What was negotiated is what is taken: TLS 1.3, from the beginning, the protocol, and, if `require_pq`, post-quantum key
/// exchange.
///
/// # Errors
/// [`NegotiatedRefusal`].
pub fn check_negotiated(
    state: &CommonState,
    alpn: Option<&[u8]>,
    require_pq: bool,
) -> Result<(), NegotiatedRefusal> {
    let version = state.protocol_version();
    if !holds("tls_version", version == Some(ProtocolVersion::TLSv1_3)) {
        return Err(NegotiatedRefusal::Version(version));
    }
    let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
    if !holds("session_resumed", !resumed) {
        return Err(NegotiatedRefusal::Resumed);
    }
    if !holds("channel_protocol", state.alpn_protocol() == alpn) {
        let text = |p: Option<&[u8]>| String::from_utf8_lossy(p.unwrap_or_default()).into_owned();
        let (expected, got) = (text(alpn), text(state.alpn_protocol()));
        return Err(NegotiatedRefusal::Protocol { expected, got });
    }
    let group = state.negotiated_key_exchange_group().map(|g| g.name());
    if !holds("require_pq", !require_pq || group == Some(NamedGroup::X25519MLKEM768)) {
        return Err(NegotiatedRefusal::Classical(group));
    }
    Ok(())
}

/// Checks certificates as credentials of one domain, for both sides of TLS.
#[derive(Debug)]
struct Credentials {
    trust: Arc<DomainTrust>,
    clock: fn() -> Time,
    algorithms: WebPkiSupportedAlgorithms,
    mandatory: bool,
}

impl Credentials {
    fn check(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Error> {
        let mut chain = vec![leaf.clone()];
        chain.extend(rest.iter().cloned());
        credential::verify(&chain, &self.trust, (self.clock)())
            .map(drop)
            .map_err(|e| Error::General(e.to_string()))
    }

    fn signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.2 is not spoken".to_owned()))
}

impl ServerCertVerifier for Credentials {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, rest).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Credentials {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(leaf, rest).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn credentials(trust: Arc<DomainTrust>, clock: fn() -> Time, mandatory: bool) -> Arc<Credentials> {
    let algorithms = provider().signature_verification_algorithms;
    Arc::new(Credentials { trust, clock, algorithms, mandatory })
}

fn certified(identity: Identity) -> Result<Arc<CertifiedKey>, Error> {
    let certified = CertifiedKey::from_der(identity.chain, identity.key, &provider())?;
    Ok(Arc::new(certified))
}

/// A client that shows `identity` (none: anonymous) and takes servers of the domain only.
///
/// # Errors
/// If the identity's key does not fit its certificate.
pub fn client(
    trust: Arc<DomainTrust>,
    identity: Option<Identity>,
    alpn: &[u8],
    clock: fn() -> Time,
) -> Result<Arc<ClientConfig>, Error> {
    client_of(trust, identity.map(certified).transpose()?, Some(alpn), clock)
}

/// The same with a key that was loaded before; without `alpn`, of no protocol.
pub(crate) fn client_of(
    trust: Arc<DomainTrust>,
    identity: Option<Arc<CertifiedKey>>,
    alpn: Option<&[u8]>,
    clock: fn() -> Time,
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(credentials(trust, clock, true));
    let mut config = match identity {
        Some(id) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(id))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// Whose clients a server takes.
pub(crate) enum Clients {
    /// Anybody's, and it asks for no certificate.
    Unasked,
    /// Anonymous ones, and those of the domain.
    May(Arc<DomainTrust>),
    /// Those of the domain.
    Must(Arc<DomainTrust>),
}

/// A server that shows `identity` and, if it has a `trust`, takes clients of the domain only.
///
/// # Errors
/// If the identity's key does not fit its certificate.
pub fn server(
    trust: Option<Arc<DomainTrust>>,
    identity: Identity,
    alpn: &[u8],
    clock: fn() -> Time,
) -> Result<Arc<ServerConfig>, Error> {
    let clients = trust.map_or(Clients::Unasked, Clients::Must);
    server_of(clients, certified(identity)?, Some(alpn), clock)
}

/// The same with a key that was loaded before; without `alpn`, of whatever protocol.
pub(crate) fn server_of(
    clients: Clients,
    identity: Arc<CertifiedKey>,
    alpn: Option<&[u8]>,
    clock: fn() -> Time,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match clients {
        Clients::Unasked => builder.with_no_client_auth(),
        Clients::May(trust) => builder.with_client_cert_verifier(credentials(trust, clock, false)),
        Clients::Must(trust) => builder.with_client_cert_verifier(credentials(trust, clock, true)),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(Arc::new(config))
}
