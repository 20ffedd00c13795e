//! The authority against strangers: what cost other services their life is an error here, and honest programs go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

use crate::stage::Stage;

/// A stranger checks nothing.
#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("no TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn tls(address: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut config = ClientConfig::builder_with_provider(channel::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connection =
        ClientConnection::new(Arc::new(config), "stranger.invalid".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, TcpStream::connect(address).unwrap())
}

/// The status of one request with this body.
fn status(address: &str, method: &str, path: &str, body: &[u8]) -> u16 {
    let mut stream = tls(address);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
}

#[test]
fn strangers_get_errors_and_honest_programs_go_on() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["add", "sleeper", "--", "/bin/sleep", "60"]);
    stage.good("shop", &["up"]);
    let ps: serde_json::Value =
        serde_json::from_str(&stage.good("shop", &["ps", "--format", "json"])).unwrap();
    let address = ps[0]["address"].as_str().unwrap().to_owned();
    // The only routes that answer a stranger with more than an error say nothing but the log's public state.
    let tile = "/v1/log/tile/entries/000.p/1";
    for path in ["/v1/health", "/v1/log/checkpoint", "/v1/epoch", tile] {
        assert_eq!(status(&address, "GET", path, b""), 200, "{path}");
    }
    for path in [
        "/",
        "/v1",
        "/v1/decision/x",
        "/v1/log/tile/0/999",
        "/v1/log/tile/../../genesis.cbor",
        "/v1/policy",
        "/metrics",
        "/v1/admission",
        "/v1/revoke",
        "/../etc/passwd",
    ] {
        assert_eq!(status(&address, "GET", path, b""), 404, "{path}");
    }
    // Bodies: empty, 41 bytes of a valid type without evidence, garbage, deep nesting, far too long.
    let bodies = [
        Vec::new(),
        [vec![0xa1, 0x01, 0x01], vec![0; 38]].concat(),
        vec![0xff; 300],
        vec![0x81; 4000],
        vec![0; 300 * 1024],
    ];
    for path in ["/v1/admission/challenge", "/v1/admission", "/v1/revoke"] {
        for body in &bodies {
            assert!(
                matches!(status(&address, "POST", path, body), 400 | 403 | 413 | 0),
                "{path} {} bytes",
                body.len()
            );
        }
    }
    // Garbage instead of TLS, a length and then silence, connections that say nothing.
    let mut idle = (0..200).map(|_| TcpStream::connect(&address).unwrap()).collect::<Vec<_>>();
    for stream in &mut idle[..50] {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
    }
    let mut half = tls(&address);
    half.write_all(b"POST /v1/admission HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nx")
        .unwrap();
    let begin = std::time::Instant::now();
    assert!(stage.good("shop", &["run", "sleeper"]).contains("admitted: as sleeper"));
    assert!(begin.elapsed().as_secs() < 5, "an honest program waited behind strangers");
}

#[test]
fn a_challenge_is_answered_once_and_only_on_its_connection() {
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    stage.good("shop", &["up"]);
    let ps: serde_json::Value =
        serde_json::from_str(&stage.good("shop", &["ps", "--format", "json"])).unwrap();
    let address = ps[0]["address"].as_str().unwrap();
    let request = channel::admission::AdmissionRequest {
        spki: vec![1],
        narrow: None,
        exportable: false,
        hardware: None,
        statement: Vec::new(),
        proof_of_possession: Vec::new(),
        log_seen: 0,
    };
    // Without a challenge of this connection there is nothing to answer, whatever was asked on another.
    assert_eq!(status(address, "POST", "/v1/admission", &request.encode()), 403);
    let ask = channel::admission::ChallengeRequest {
        nonce: evidence::Nonce::new([1; 32]),
        leaf: evidence::SpkiDigest::new([1; 32]),
        statement_key: evidence::StatementKey::new([1; 32]),
    };
    assert_eq!(status(address, "POST", "/v1/admission/challenge", &ask.encode()), 200);
    assert_eq!(status(address, "POST", "/v1/admission", &request.encode()), 403);
}
