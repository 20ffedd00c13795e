//! An authority that cheats: it holds a credential of the domain and answers what it likes.

use std::sync::Arc;

use channel::admission::client::{AdmissionError, Attester};
use channel::admission::{
    AUTHORITY_ROLE, Admission, AdmissionRequest, Challenge, ChallengeRequest,
};
use channel::admission::{LogProof, LogRefusal};
use channel::credential::Credential;
use channel::keys::LeafKey;
use channel::session::server_session;
use channel::signed_time::{SignedTime, TimeClaim, TimeRefusal};
use channel::tls::{self, Identity};
use evidence::controls::without;
use evidence::{
    Binder, BinderKind, ContentDigest, DomainRoot, End, Kind, Measurement, Nonce, Side, SpkiDigest,
    Window,
};
use ledger::entry::{Entry, Kind as EntryKind};
use ledger::note::Checkpoint;
use testkit::{AUTHORITY, Monitor, NOW, Served, Town, clock, program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trust::RoleName;

/// What the impostor does.
#[derive(Clone, Copy)]
struct Lie {
    /// Role and measurement in the certificate it shows.
    role: &'static str,
    measurement: Measurement,
    /// The program its monitor speaks for.
    stated: u8,
    /// It certifies a key of its own in place of the asked one.
    other_key: bool,
    /// Its signed time answers an older nonce, speaks for another domain, or is signed by another key.
    old_time: bool,
    other_domain: bool,
    unsigned_time: bool,
    /// It logs another decision than it made.
    unlogged: bool,
}

const HONEST: Lie = Lie {
    role: AUTHORITY_ROLE,
    measurement: AUTHORITY,
    stated: 1,
    other_key: false,
    old_time: false,
    other_domain: false,
    unsigned_time: false,
    unlogged: false,
};

/// One request's body; the framing is hyper's, which sends a content length.
async fn request(tls: &mut TlsStream<TcpStream>) -> Option<(Nonce, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tls.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let nonce = head.split("casemate-nonce: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let nonce = Nonce::from_hex(nonce).unwrap();
    let len = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; len.parse().unwrap()];
    tls.read_exact(&mut body).await.unwrap();
    Some((nonce, body))
}

async fn respond(tls: &mut TlsStream<TcpStream>, time: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncasemate-time: {time}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    tls.write_all(body).await.unwrap();
    tls.flush().await.unwrap();
}

/// One admission by the impostor.
async fn cheat(town: Town, listener: TcpListener, lie: Lie) -> Option<()> {
    let monitor = town.monitor(lie.stated);
    let key = LeafKey::generate().unwrap();
    let credential = |role: &str, measurement| Credential {
        domain: town.trust.root(),
        role: RoleName::new(role).unwrap(),
        measurement,
        statement_key: monitor.statement_key(),
        kind: Kind::Software,
        isolation: evidence::Isolation::Software,
        host: evidence::statement::HostOs::Mutable,
        exportable: false,
        policy: 1,
        proof: ContentDigest::of(b""),
        log_index: 0,
    };
    let window = Window { not_before: NOW, not_after: NOW.plus_secs(600) };
    let issue = |role: &str, measurement, spki: &[u8]| {
        let id = format!("spiffe://town/{role}");
        town.ca.issue(&id, spki, &credential(role, measurement), window).unwrap()
    };
    let leaf = issue(lie.role, lie.measurement, key.spki());
    let identity = Identity {
        chain: vec![leaf.into()],
        key: rustls::pki_types::PrivateKeyDer::Pkcs8(key.pkcs8().into()),
    };
    let config = tls::server(None, identity, tls::ALPN_HTTP, clock).unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    let mut tls = TlsAcceptor::from(config).accept(tcp).await.ok()?;
    let (asked_with, ask) = request(&mut tls).await?;
    let ask = ChallengeRequest::decode(&ask).unwrap();
    let nonce = platform::fresh_nonce().unwrap();
    let time = |nonce| {
        let domain = if lie.other_domain { DomainRoot::new([0; 32]) } else { town.trust.root() };
        let nonce = if lie.old_time { Nonce::new([0; 32]) } else { nonce };
        let claim = TimeClaim { domain, nonce, time: NOW, policy: 1, revocation: 0 };
        let thief = LeafKey::generate().unwrap();
        let signer = if lie.unsigned_time { &thief } else { &key };
        SignedTime::new(&claim, |m| signer.sign(m)).unwrap().to_header()
    };
    let session = server_session(tls.get_ref().1, &ask.nonce, &nonce).unwrap();
    let domain = Some(town.trust.root());
    let binder = Binder {
        kind: BinderKind::ChannelProgram,
        side: Side::Server,
        client: End { domain, spki: Some(ask.leaf), nonce: ask.nonce },
        server: End { domain, spki: Some(SpkiDigest::of_der(key.spki())), nonce },
        session,
        claims: ContentDigest::of(b""),
    };
    let statement = Attester::state(&monitor, &binder).unwrap();
    let challenge = Challenge { nonce, statement, hardware_needed: false };
    respond(&mut tls, &time(asked_with), &challenge.encode()).await;
    let (asked_with, asked) = request(&mut tls).await?;
    let asked = AdmissionRequest::decode(&asked).unwrap();
    let spki = if lie.other_key { key.spki() } else { &asked.spki };
    let decision = ContentDigest::of(b"");
    let admission = Admission {
        certificate: issue("web", Measurement::new([0x11; 48]), spki),
        role: "web".to_owned(),
        connect: Vec::new(),
        clients: Vec::new(),
        policy: 1,
        revocation: 0,
        log_index: 0,
        decision,
        secrets: Vec::new(),
        log: one_entry(if lie.unlogged { "api" } else { "web" }, decision),
    };
    respond(&mut tls, &time(asked_with), &admission.encode()).await;
    Some(())
}

/// A log of one admission.
fn one_entry(role: &str, decision: ContentDigest) -> LogProof {
    let rest = format!("{role} {decision}");
    let entry = Entry { kind: EntryKind::Admission, at: NOW, rest: rest.as_bytes() }.encode();
    let checkpoint = Checkpoint { size: 1, root: ledger::tree::leaf(&entry) };
    let checkpoint = testkit::log_signer().sign(&checkpoint).unwrap();
    LogProof { entry, checkpoint, ..LogProof::default() }
}

/// How an honest client fares with it.
fn meet(lie: Lie) -> Result<(), AdmissionError> {
    let dir = tempfile::tempdir().unwrap();
    let town = Town::new(dir.path(), vec![program("web", 0x11, &[])]);
    let web: Monitor = town.monitor(0x11);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (trust, machine) = (Arc::clone(&town.trust), Arc::clone(&town.machine));
        let owner = trust::signing::SigningKey::from_seed([9; 32]).unwrap();
        let served = Served::elsewhere(address, trust, machine, owner, town.genesis.clone());
        let (_, outcome) = tokio::join!(cheat(town, listener, lie), async {
            served.admit(&web, false).await.map(drop)
        });
        outcome
    })
}

#[test]
fn a_client_takes_the_answer_of_the_endorsed_authority() {
    meet(HONEST).unwrap();
}

#[test]
fn another_program_of_the_domain_is_not_taken_for_the_authority() {
    let web = Lie { role: "web", ..HONEST };
    let foreign = Lie { measurement: Measurement::new([2; 48]), ..HONEST };
    for lie in [web, foreign] {
        assert!(matches!(meet(lie), Err(AdmissionError::NotTheAuthority(_))));
        without("is_the_authority", || meet(lie)).unwrap();
    }
}

#[test]
fn a_statement_about_another_program_than_the_endorsed_one_is_refused() {
    let lie = Lie { stated: 0x33, ..HONEST };
    assert!(matches!(meet(lie), Err(AdmissionError::NotTheAuthority(_))));
    without("authority_measurement", || meet(lie)).unwrap();
}

#[test]
fn a_credential_for_somebody_elses_key_is_not_taken() {
    let lie = Lie { other_key: true, ..HONEST };
    assert!(matches!(meet(lie), Err(AdmissionError::WrongCredential)));
    without("own_credential", || meet(lie)).unwrap();
}

#[test]
fn a_credential_that_the_authority_did_not_log_is_not_taken() {
    let lie = Lie { unlogged: true, ..HONEST };
    assert!(matches!(meet(lie), Err(AdmissionError::Log(LogRefusal::Entry { .. }))));
    without("log_entry", || meet(lie)).unwrap();
}

#[test]
fn time_that_was_not_signed_for_this_question_by_the_authority_is_refused() {
    let refused = |lie, check, why: fn(&TimeRefusal) -> bool| {
        let Err(AdmissionError::Time(refusal)) = meet(lie) else { panic!("taken") };
        assert!(why(&refusal), "{refusal}");
        without(check, || meet(lie)).unwrap();
    };
    let nonce = |r: &TimeRefusal| *r == TimeRefusal::Nonce;
    refused(Lie { old_time: true, ..HONEST }, "time_nonce", nonce);
    refused(Lie { other_domain: true, ..HONEST }, "time_nonce", nonce);
    let signature = |r: &TimeRefusal| *r == TimeRefusal::Signature;
    refused(Lie { unsigned_time: true, ..HONEST }, "time_signature", signature);
}
