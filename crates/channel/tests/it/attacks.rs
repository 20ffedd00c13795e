//! Attacks on a channel, each refused for its reason, and each succeeding without exactly the check it is about.

use std::sync::Arc;

use channel::handshake::Unbound;
use channel::tls;
use channel::{HandshakeError, Mode};
use evidence::controls::without;
use evidence::statement::StatementRefusal;
use evidence::{Binder, BinderKind, ContentDigest, DomainRoot, Exporter, Nonce, SpkiDigest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{
    Outcome, Peer, Platform, World, anonymous, block, clock, endpoint, meet, peer, peer_with,
    window, wire, world,
};

fn run(w: &World, client: &Peer, server: &Peer, mode: Mode) -> (Outcome, Outcome) {
    let (c, s) = (endpoint(w, client, mode, "server"), endpoint(w, server, mode, "client"));
    block(meet(&c, &s))
}

fn pair(w: &World) -> (Peer, Peer) {
    (peer(w, "client", 11), peer(w, "server", 12))
}

/// The client with a platform that answers otherwise, behind the same leaf key and credential.
fn with_platform(client: &Peer, change: impl FnOnce(&mut Platform)) -> Peer {
    let mut platform = Platform::new(11, client.platform.domain);
    change(&mut platform);
    Peer { platform: Arc::new(platform), ..client.clone() }
}

fn refused(outcome: &Outcome) -> Option<&Unbound> {
    match outcome {
        Err(HandshakeError::Unbound(why)) => Some(why),
        _ => None,
    }
}

fn is_binder(outcome: &Outcome) -> bool {
    matches!(refused(outcome), Some(Unbound::Statement(StatementRefusal::Binder { .. })))
}

#[test]
fn honest_peers_meet_in_every_mode_and_data_flows() {
    let w = world(1);
    let (client, server) = pair(&w);
    for mode in [Mode::Bound, Mode::OneSided, Mode::Credential] {
        block(async {
            let s = endpoint(&w, &server, mode, "client");
            let c = match mode {
                Mode::OneSided => anonymous(&w, "server"),
                _ => endpoint(&w, &client, mode, "server"),
            };
            let (c, s) = meet(&c, &s).await;
            let (mut c, mut s) = (c.unwrap(), s.unwrap());
            let known = s.peer().map(|p| p.spiffe_id().to_owned());
            let expected = (mode != Mode::OneSided).then(|| "spiffe://shop/client".to_owned());
            assert_eq!((known, s.mode(), c.mode()), (expected, mode, mode));
            assert_eq!(c.peer().unwrap().credential(), &server.credential);
            let data = vec![7; 300_000];
            let (sent, got) = tokio::join!(
                async {
                    c.write_all(&data).await.unwrap();
                    c.shutdown().await.unwrap();
                    let mut back = Vec::new();
                    c.read_to_end(&mut back).await.unwrap();
                    back
                },
                async {
                    let mut got = Vec::new();
                    s.read_to_end(&mut got).await.unwrap();
                    s.write_all(b"thanks").await.unwrap();
                    s.shutdown().await.unwrap();
                    got
                }
            );
            assert!(got == data && sent == b"thanks", "{mode:?}");
        });
    }
}

#[test]
fn a_statement_of_another_connection_is_refused_though_the_thief_holds_the_live_leaf_key() {
    let w = world(1);
    let (client, server) = pair(&w);
    // A genuine statement the victim's platform made for the victim's own connection.
    let recorded = block(async {
        let (c, s) = (
            endpoint(&w, &client, Mode::Bound, "server"),
            endpoint(&w, &server, Mode::Bound, "client"),
        );
        let (c, s) = meet(&c, &s).await;
        assert!(c.is_ok() && s.is_ok());
        client.platform.last.lock().unwrap().clone().unwrap()
    });
    let thief = with_platform(&client, |p| p.instead = Some(recorded));
    let (_, server_saw) = run(&w, &thief, &server, Mode::Bound);
    assert!(is_binder(&server_saw), "{server_saw:?}");
    // Credential mode falls, by its nature: the key alone is the identity.
    assert!(run(&w, &thief, &server, Mode::Credential).1.is_ok());
    assert!(without("statement_binder", || run(&w, &thief, &server, Mode::Bound).1).is_ok());
}

#[test]
fn every_item_of_the_binder_that_differs_refuses() {
    type Lie = fn(&mut Binder);
    let lies: [(&str, Lie); 11] = [
        ("exporter", |b| b.session.exporter = Exporter::new([9; 32])),
        ("client nonce", |b| b.client.nonce = Nonce::new([9; 32])),
        ("server nonce", |b| b.server.nonce = Nonce::new([9; 32])),
        ("client key", |b| b.client.spki = Some(SpkiDigest::new([9; 32]))),
        ("server key", |b| b.server.spki = Some(SpkiDigest::new([9; 32]))),
        ("own domain", |b| b.client.domain = Some(DomainRoot::new([9; 32]))),
        ("reflected", |b| *b = b.reflected()),
        ("suite", |b| b.session.cipher_suite ^= 1),
        ("group", |b| b.session.group ^= 1),
        ("protocol", |b| b.session.inner_protocol.push('x')),
        ("claims", |b| b.claims = ContentDigest::of(b"x")),
    ];
    let w = world(1);
    let (client, server) = pair(&w);
    for (name, lie) in lies {
        let liar = with_platform(&client, |p| p.lie = lie);
        let (_, server_saw) = run(&w, &liar, &server, Mode::Bound);
        assert!(is_binder(&server_saw), "{name}: {server_saw:?}");
        assert!(
            without("statement_binder", || run(&w, &liar, &server, Mode::Bound).1).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn a_program_that_asserts_its_own_connection_is_taken_only_where_that_kind_is() {
    let w = world(1);
    let (client, server) = pair(&w);
    let asserting = with_platform(&client, |p| p.kind = BinderKind::ChannelProgram);
    let saw = run(&w, &asserting, &server, Mode::Bound).1;
    let purpose =
        matches!(refused(&saw), Some(Unbound::Statement(StatementRefusal::Purpose { .. })));
    assert!(purpose, "{saw:?}");
    let mut taking = endpoint(&w, &server, Mode::Bound, "client");
    taking.policy.kinds.push(BinderKind::ChannelProgram);
    let (_, taken) = block(meet(&endpoint(&w, &asserting, Mode::Bound, "server"), &taking));
    assert!(taken.is_ok(), "{taken:?}");
}

#[test]
fn another_platforms_signature_is_refused() {
    let w = world(1);
    let (client, server) = pair(&w);
    let forger = Peer { platform: Arc::new(Platform::new(99, w.root)), ..client };
    let attack = || run(&w, &forger, &server, Mode::Bound).1;
    let cose = Unbound::Statement(StatementRefusal::Cose(evidence::cose::CoseError::Signature));
    assert_eq!(refused(&attack()), Some(&cose));
    // Without the signature check the statement still speaks of another program than the credential.
    assert_eq!(refused(&without("cose_signature", attack)), Some(&Unbound::Program));
}

#[test]
fn a_statement_of_another_domain_is_refused() {
    let w = world(1);
    let (client, server) = pair(&w);
    let foreign = with_platform(&client, |p| p.domain = DomainRoot::new([9; 32]));
    let attack = || run(&w, &foreign, &server, Mode::Bound).1;
    let domain = |o: &Outcome| {
        matches!(refused(o), Some(Unbound::Statement(StatementRefusal::Domain { .. })))
    };
    assert!(domain(&attack()));
    assert!(without("statement_domain", attack).is_ok());
}

#[test]
fn the_right_attestation_under_the_wrong_identity_is_refused() {
    let w = world(1);
    let (client, server) = (peer(&w, "stranger", 11), peer(&w, "server", 12));
    let attack = || run(&w, &client, &server, Mode::Bound).1;
    assert!(matches!(attack(), Err(HandshakeError::Role { .. })));
    assert!(without("peer_role", attack).is_ok());
}

#[test]
fn an_exportable_key_is_good_for_credential_mode_only() {
    let w = world(1);
    let server = peer(&w, "server", 12);
    let client = peer_with(&w, "client", 11, |c| c.exportable = true, window());
    let attack = || run(&w, &client, &server, Mode::Bound).1;
    assert!(matches!(attack(), Err(HandshakeError::Exportable)));
    assert!(without("peer_exportable", attack).is_ok());
    assert!(run(&w, &client, &server, Mode::Credential).1.is_ok());
}

#[test]
fn another_domains_credential_is_refused_in_the_tls_handshake() {
    let (ours, theirs) = (world(1), world(2));
    let (client, foreign, server) =
        (peer(&ours, "client", 11), peer(&theirs, "client", 11), peer(&ours, "server", 12));
    let (c, s) = (
        endpoint(&ours, &client, Mode::Bound, "server"),
        endpoint(&ours, &server, Mode::Bound, "client"),
    );
    let shown = tls::client(ours.trust.clone(), Some(foreign.identity), tls::ALPN, clock).unwrap();
    let (_, server_saw) = block(async {
        let (a, b) = wire().await;
        tokio::join!(c.connect_with(shown, a), s.accept(b))
    });
    assert!(matches!(server_saw, Err(HandshakeError::Tls(_))), "{server_saw:?}");
}

#[test]
fn a_genuine_statement_about_another_program_of_the_same_monitor_is_refused() {
    let w = world(1);
    let (client, server) = pair(&w);
    let other = with_platform(&client, |p| p.program = evidence::Measurement::new([77; 48]));
    let attack = || run(&w, &other, &server, Mode::Bound).1;
    assert_eq!(refused(&attack()), Some(&Unbound::Program));
    assert!(without("statement_program", attack).is_ok());
}
