//! What TLS may and may not agree on, and that no byte of an application passes before both have proved who they are.

use std::sync::Arc;
use std::time::Duration;

use channel::frame::{FrameError, Kind};
use channel::tls::{self, NegotiatedRefusal};
use channel::{Epochs, HandshakeError, Mode};
use evidence::Nonce;
use evidence::controls::without;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::kx_group;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::raw::{Got, Raw, hello, nonce_of};
use crate::world::{
    Outcome, Peer, World, anonymous, block, clock, endpoint, meet, peer, wire, world,
};

fn pair(w: &World) -> (Peer, Peer) {
    (peer(w, "client", 11), peer(w, "server", 12))
}

/// The frame's refusal inside an outcome.
fn frame(outcome: &Outcome) -> Option<&FrameError> {
    match outcome {
        Err(HandshakeError::Tls(e)) => e.get_ref()?.downcast_ref(),
        _ => None,
    }
}

#[test]
fn a_peer_cannot_talk_the_mode_down() {
    let w = world(1);
    let (client, server) = pair(&w);
    // It has a credential and says it wants to be nobody, so that it need not be attested.
    let attack = || {
        block(async {
            let (a, b) = wire().await;
            let se = endpoint(&w, &server, Mode::Bound, "client");
            let thief = async {
                let mut raw = Raw::client(&w, Some(client.identity.clone()), a).await;
                let nonce = Nonce::new([1; 32]);
                raw.send(Kind::Hello, &hello(nonce, "one-sided", Epochs::default())).await;
                raw
            };
            tokio::join!(se.accept(b), thief).0
        })
    };
    let refused = attack();
    let mode = matches!(&refused, Err(HandshakeError::Mode { expected, got: "one-sided" }) if expected == "bound");
    assert!(mode, "{refused:?}");
    assert!(without("channel_mode", attack).is_ok());
    // Both learn why. An anonymous client does not even get through TLS.
    let (mut c, s) = (
        endpoint(&w, &client, Mode::Bound, "server"),
        endpoint(&w, &server, Mode::OneSided, "client"),
    );
    let (c_saw, s_saw) = block(meet(&c, &s));
    assert!(matches!(c_saw, Err(HandshakeError::Mode { got: "one-sided", .. })), "{c_saw:?}");
    assert!(matches!(s_saw, Err(HandshakeError::Mode { got: "bound", .. })), "{s_saw:?}");
    let s = endpoint(&w, &server, Mode::Bound, "client");
    assert!(matches!(block(meet(&anonymous(&w, "server"), &s)).1, Err(HandshakeError::Tls(_))));
    c.policy.modes.clear();
    let (unstated, _) = block(async {
        let (a, b) = wire().await;
        (c.connect(a).await, b)
    });
    assert!(matches!(unstated, Err(HandshakeError::NoMode)));
}

#[test]
fn a_connection_that_the_host_brought_to_another_port_is_refused_by_both() {
    let w = world(1);
    let (client, server) = pair(&w);
    let attack = || {
        let mut c = endpoint(&w, &client, Mode::Bound, "server");
        let mut s = endpoint(&w, &server, Mode::Bound, "client");
        (c.port, s.port) = (Some(80), Some(6379));
        block(meet(&c, &s))
    };
    let (c, s) = attack();
    assert!(
        matches!(s, Err(HandshakeError::Port { expected: Some(6379), got: Some(80) })),
        "{s:?}"
    );
    assert!(matches!(c, Err(HandshakeError::Port { expected: Some(80), .. })), "{c:?}");
    let (c, s) = without("channel_port", attack);
    assert!(c.is_ok() && s.is_ok(), "{c:?} {s:?}");
}

#[test]
fn a_server_may_take_anonymous_clients_beside_bound_ones() {
    let w = world(1);
    let (client, server) = pair(&w);
    let mut s = endpoint(&w, &server, Mode::Bound, "client");
    s.policy.modes.push(Mode::OneSided);
    let c = endpoint(&w, &client, Mode::Bound, "server");
    let (_, met) = block(meet(&c, &s));
    assert_eq!(met.unwrap().peer().unwrap().spiffe_id(), "spiffe://shop/client");
    let (_, met) = block(meet(&anonymous(&w, "server"), &s));
    assert!(met.unwrap().peer().is_none());
    // Without a credential nobody is bound.
    let (_, met) = block(async {
        let (a, b) = wire().await;
        let nobody = async {
            let mut raw = Raw::client(&w, None, a).await;
            raw.send(Kind::Hello, &hello(Nonce::new([1; 32]), "bound", Epochs::default())).await;
            raw
        };
        tokio::join!(nobody, s.accept(b))
    });
    assert!(matches!(met, Err(HandshakeError::Credential(_))), "{met:?}");
}

#[test]
fn an_anonymous_client_takes_only_the_attested_server_it_means() {
    let w = world(1);
    let (client, server) = pair(&w);
    let mut s = endpoint(&w, &server, Mode::OneSided, "client");
    let wrong = || block(meet(&anonymous(&w, "api"), &s)).0;
    assert!(matches!(wrong(), Err(HandshakeError::Role { .. })));
    assert!(without("peer_role", wrong).is_ok());
    // A thief with the server's live key has no platform to speak for it.
    s.source = Arc::clone(&client.platform);
    let stolen = || block(meet(&anonymous(&w, "server"), &s)).0;
    assert!(matches!(stolen(), Err(HandshakeError::Unbound(_))), "{:?}", stolen());
}

#[test]
fn data_before_the_clients_statement_is_refused_and_never_delivered() {
    let w = world(1);
    let (client, server) = pair(&w);
    let attack = |early: &'static [u8]| {
        block(async {
            let (a, b) = wire().await;
            let se = endpoint(&w, &server, Mode::Bound, "client");
            let hasty = async {
                let mut raw = Raw::client(&w, Some(client.identity.clone()), a).await;
                if !early.is_empty() {
                    raw.send(Kind::Data, early).await;
                }
                let nonce = Nonce::new([1; 32]);
                raw.send(Kind::Hello, &hello(nonce, "bound", Epochs { policy: 1, revocation: 0 }))
                    .await;
                if early.is_empty() {
                    raw.message(Kind::Hello).await;
                    raw.send(Kind::Data, b"GET / HTTP/1.0\r\n\r\n").await;
                }
                raw
            };
            tokio::join!(se.accept(b), hasty).0
        })
    };
    for (early, expected) in [(&b"GET /"[..], Kind::Hello), (b"", Kind::Statement)] {
        let refused = attack(early);
        let got = FrameError::Unexpected { expected, got: Kind::Data };
        assert_eq!(frame(&refused), Some(&got), "{refused:?}");
    }
}

#[test]
fn a_server_that_answers_before_its_statement_is_refused() {
    let w = world(1);
    let (client, server) = pair(&w);
    // One that puts its statement where data belongs, and the other way round.
    let attack = |kind: Kind| {
        block(async {
            let (a, b) = wire().await;
            let ce = endpoint(&w, &client, Mode::Bound, "server");
            let hasty = async {
                let mut raw = Raw::server(&w, server.identity.clone(), b).await;
                let theirs = nonce_of(&raw.message(Kind::Hello).await);
                let own = Nonce::new([2; 32]);
                raw.send(Kind::Hello, &hello(own, "bound", Epochs { policy: 1, revocation: 0 }))
                    .await;
                let end =
                    |spki, nonce| evidence::End { domain: Some(w.root), spki: Some(spki), nonce };
                let binder = evidence::Binder {
                    kind: evidence::BinderKind::ChannelMonitor,
                    side: evidence::Side::Server,
                    client: end(client.spki, theirs),
                    server: end(server.spki, own),
                    session: raw.session(theirs, own),
                    claims: evidence::ContentDigest::of(b""),
                };
                raw.send(kind, &server.platform.sign(&binder)).await;
                raw
            };
            tokio::join!(ce.connect(a), hasty).0
        })
    };
    assert!(attack(Kind::Statement).is_ok());
    let news = attack(Kind::News);
    let got = FrameError::Unexpected { expected: Kind::Statement, got: Kind::News };
    assert_eq!(frame(&news), Some(&got));
    // Without the check the frame's kind means nothing, and this one's content is genuine.
    assert!(without("frame_kind", || attack(Kind::News)).is_ok());
    let data = attack(Kind::Data);
    let got = FrameError::Unexpected { expected: Kind::Statement, got: Kind::Data };
    assert_eq!(frame(&data), Some(&got));
}

#[test]
fn nothing_of_the_application_leaves_a_server_before_its_client_is_attested() {
    let w = world(1);
    let (client, server) = pair(&w);
    block(async {
        let (a, b) = wire().await;
        let se = endpoint(&w, &server, Mode::Bound, "client");
        // An application that talks first, as soon as it has a channel.
        let talkative = async {
            let mut stream = se.accept(b).await?;
            stream.write_all(b"220 welcome\r\n").await?;
            Ok::<_, HandshakeError>(stream)
        };
        let patient = async {
            let mut raw = Raw::client(&w, Some(client.identity.clone()), a).await;
            let nonce = Nonce::new([1; 32]);
            raw.send(Kind::Hello, &hello(nonce, "bound", Epochs { policy: 1, revocation: 0 }))
                .await;
            raw.message(Kind::Hello).await;
            raw.message(Kind::Statement).await;
            let more = tokio::time::timeout(Duration::from_millis(300), raw.next()).await;
            assert!(more.is_err(), "{more:?}");
            raw.send(Kind::Statement, b"none").await;
            raw.next().await
        };
        let (served, last) = tokio::join!(talkative, patient);
        assert!(matches!(served, Err(HandshakeError::Unbound(_))), "{served:?}");
        assert_eq!(last, Got::End);
    });
}

#[test]
fn a_ticket_is_ignored_and_a_resumed_handshake_is_refused() {
    let w = world(1);
    let (client, server) = pair(&w);
    let (ce, se) = (
        endpoint(&w, &client, Mode::Bound, "server"),
        endpoint(&w, &server, Mode::Bound, "client"),
    );
    let mut generous =
        tls::server(Some(w.trust.clone()), server.identity.clone(), tls::ALPN, clock).unwrap();
    let giving = Arc::get_mut(&mut generous).unwrap();
    giving.send_tls13_tickets = 2;
    giving.session_storage = rustls::server::ServerSessionMemoryCache::new(16);
    let greedy = || {
        let shown = Some(client.identity.clone());
        let mut config = tls::client(w.trust.clone(), shown, tls::ALPN, clock).unwrap();
        Arc::get_mut(&mut config).unwrap().resumption = Resumption::in_memory_sessions(16);
        config
    };
    // How the second of two connections goes.
    let twice = |config: Option<Arc<rustls::ClientConfig>>| {
        block(async {
            let meet = async || {
                let (a, b) = wire().await;
                let connect = async {
                    match &config {
                        Some(config) => ce.connect_with(Arc::clone(config), a).await,
                        None => ce.connect(a).await,
                    }
                };
                tokio::join!(connect, se.accept_with(Arc::clone(&generous), b))
            };
            let (c, s) = meet().await;
            // Tickets come with the first data.
            s.unwrap().write_all(b"x").await.unwrap();
            c.unwrap().read_u8().await.unwrap();
            meet().await
        })
    };
    let (c, s) = twice(None);
    assert!(c.is_ok() && s.is_ok(), "a ticket was not ignored: {c:?} {s:?}");
    let resumed =
        |o: &Outcome| matches!(o, Err(HandshakeError::Negotiated(NegotiatedRefusal::Resumed)));
    let (c, s) = twice(Some(greedy()));
    assert!(resumed(&c) && resumed(&s), "{c:?} {s:?}");
    let (c, s) = without("session_resumed", || twice(Some(greedy())));
    assert!(c.is_ok() && s.is_ok(), "{c:?} {s:?}");
}

#[test]
fn another_protocol_inside_tls_is_refused() {
    let w = world(1);
    let (client, server) = pair(&w);
    let attack = |alpn: &'static [u8]| {
        block(async {
            let (a, b) = wire().await;
            let (ce, se) = (
                endpoint(&w, &client, Mode::Bound, "server"),
                endpoint(&w, &server, Mode::Bound, "client"),
            );
            let c = tls::client(w.trust.clone(), Some(client.identity.clone()), alpn, clock);
            let s = tls::server(Some(w.trust.clone()), server.identity.clone(), alpn, clock);
            tokio::join!(ce.connect_with(c.unwrap(), a), se.accept_with(s.unwrap(), b))
        })
    };
    let other = |o: &Outcome| matches!(o, Err(HandshakeError::Negotiated(NegotiatedRefusal::Protocol { got, .. })) if got == "h2");
    let (c, s) = attack(b"h2");
    assert!(other(&c) && other(&s), "{c:?} {s:?}");
    let (c, s) = without("channel_protocol", || attack(b"h2"));
    assert!(c.is_ok() && s.is_ok(), "{c:?} {s:?}");
    // Peers of different protocols do not get through TLS.
    let (a, b) = block(async {
        let (a, b) = wire().await;
        let ce = endpoint(&w, &client, Mode::Bound, "server");
        let se = endpoint(&w, &server, Mode::Bound, "client");
        let c = tls::client(w.trust.clone(), Some(client.identity.clone()), b"h2", clock);
        tokio::join!(ce.connect_with(c.unwrap(), a), se.accept(b))
    });
    assert!(matches!((a, b), (Err(HandshakeError::Tls(_)), Err(HandshakeError::Tls(_)))));
}

#[test]
fn classical_key_exchange_is_refused_where_the_policy_wants_post_quantum() {
    let w = world(1);
    let (client, server) = pair(&w);
    let attack = |require_pq: bool| {
        block(async {
            let (a, b) = wire().await;
            let mut ce = endpoint(&w, &client, Mode::Bound, "server");
            let mut se = endpoint(&w, &server, Mode::Bound, "client");
            ce.policy.require_pq = false;
            se.policy.require_pq = require_pq;
            let mut provider = rustls::crypto::CryptoProvider::clone(&tls::provider());
            provider.kx_groups = vec![kx_group::X25519];
            // A client of yesterday offers no hybrid group at all.
            let old = old_client(&client, provider);
            tokio::join!(ce.connect_with(old, a), se.accept(b)).1
        })
    };
    let refused = attack(true);
    let classical = matches!(
        refused,
        Err(HandshakeError::Negotiated(NegotiatedRefusal::Classical(Some(
            rustls::NamedGroup::X25519
        ))))
    );
    assert!(classical, "{refused:?}");
    assert!(attack(false).is_ok());
    assert!(without("require_pq", || attack(true)).is_ok());
}

/// A client that trusts whatever the server shows and has that provider.
fn old_client(
    client: &Peer,
    provider: rustls::crypto::CryptoProvider,
) -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(provider);
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)))
        .with_client_auth_cert(client.identity.chain.clone(), client.identity.key.clone_key())
        .unwrap();
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config.enable_sni = false;
    Arc::new(config)
}

#[derive(Debug)]
struct Anything(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn a_stock_peer_with_a_credential_is_served_in_credential_mode_and_sees_no_frames() {
    let w = world(1);
    let (client, server) = pair(&w);
    let stock = |alpn: &[u8]| {
        let mut config = Arc::unwrap_or_clone(old_client(
            &client,
            rustls::crypto::CryptoProvider::clone(&tls::provider()),
        ));
        config.alpn_protocols =
            [alpn].iter().filter(|a| !a.is_empty()).map(|a| a.to_vec()).collect();
        Arc::new(config)
    };
    for alpn in [&b""[..], b"h2"] {
        block(async {
            let (a, b) = wire().await;
            let se = endpoint(&w, &server, Mode::Credential, "client");
            let name = "server.example".try_into().unwrap();
            let connect = async {
                let mut tls = TlsConnector::from(stock(alpn)).connect(name, a).await.unwrap();
                tls.write_all(b"PING\r\n").await.unwrap();
                let mut pong = [0; 7];
                tls.read_exact(&mut pong).await.unwrap();
                pong
            };
            let serve = async {
                let mut stream = se.accept(b).await.unwrap();
                let mut ping = [0; 6];
                stream.read_exact(&mut ping).await.unwrap();
                stream.write_all(b"+PONG\r\n").await.unwrap();
                stream.flush().await.unwrap();
                (ping, stream)
            };
            let (pong, (ping, _)) = tokio::join!(connect, serve);
            assert_eq!((&ping, &pong), (b"PING\r\n", b"+PONG\r\n"));
        });
    }
    // A side that takes bound channels only is not served by leaving the protocol's name out.
    let (_, s) = block(async {
        let (a, b) = wire().await;
        let ce = endpoint(&w, &client, Mode::Credential, "server");
        let se = endpoint(&w, &server, Mode::Bound, "client");
        tokio::join!(ce.connect(a), se.accept(b))
    });
    let protocol = matches!(s, Err(HandshakeError::Negotiated(NegotiatedRefusal::Protocol { .. })));
    assert!(protocol, "{s:?}");
}

/// A ClientHello without its extension number 43, supported_versions: what a client of TLS 1.2 sends.
fn as_tls12(hello: &[u8]) -> Vec<u8> {
    let at = |i: usize| usize::from(hello[i]);
    let two = |i: usize| at(i) << 8 | at(i + 1);
    // Record and message headers, version, random; then session id, cipher suites, compression.
    let mut i = 5 + 4 + 2 + 32;
    i += 1 + at(i);
    i += 2 + two(i);
    i += 1 + at(i);
    let (head, mut extensions) = (&hello[..i], Vec::new());
    let (mut i, end) = (i + 2, i + 2 + two(i));
    while i < end {
        let len = 4 + two(i + 2);
        if two(i) != 43 {
            extensions.extend_from_slice(&hello[i..i + len]);
        }
        i += len;
    }
    let len = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let body = [&head[9..], &len(extensions.len()), &extensions].concat();
    [&hello[..3], &len(body.len() + 4), &[1, 0], &len(body.len()), &body].concat()
}

#[test]
fn tls_1_2_is_not_spoken_by_either_side() {
    let w = world(1);
    let (client, server) = pair(&w);
    let shown = Some(client.identity.clone());
    let config = tls::client(w.trust.clone(), shown, tls::ALPN, clock).unwrap();
    let mut connection =
        rustls::ClientConnection::new(config, "casemate.invalid".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    // What a server says to a client's first bytes: the type of its first record.
    let server_says = |hello: Vec<u8>| {
        block(async {
            let (mut a, b) = wire().await;
            let se = endpoint(&w, &server, Mode::Bound, "client");
            let ask = async {
                a.write_all(&hello).await.unwrap();
                let kind = a.read_u8().await.unwrap();
                drop(a);
                kind
            };
            let (kind, accepted) = tokio::join!(ask, se.accept(b));
            (kind, accepted.unwrap_err().to_string())
        })
    };
    let (alert, handshake) = (21, 22);
    assert_eq!(server_says(hello.clone()).0, handshake);
    let (kind, why) = server_says(as_tls12(&hello));
    assert!(
        kind == alert && why.contains("Tls13RequiredForQuic") | why.contains("SupportedVersions"),
        "{why}"
    );
    // And a server of TLS 1.2 to our client.
    let why = block(async {
        let (a, mut b) = wire().await;
        let ce = endpoint(&w, &client, Mode::Bound, "server");
        let old = async {
            let mut hello = vec![0; 4096];
            let n = b.read(&mut hello).await.unwrap();
            assert!(n > 76 && hello[43] == 32, "a session id to echo");
            let body = [&[3, 3][..], &[9; 32], &hello[43..76], &[0xc0, 0x2b, 0], &[0, 0]].concat();
            let len = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
            let message = [&[2, 0][..], &len(body.len()), &body].concat();
            b.write_all(&[&[22, 3, 3][..], &len(message.len()), &message].concat()).await.unwrap();
            b.read_to_end(&mut hello).await.unwrap_or_default();
        };
        tokio::join!(ce.connect(a), old).0.unwrap_err().to_string()
    });
    assert!(why.contains("ServerTlsVersionIsDisabled") || why.contains("Tls12"), "{why}");
}
