//! The program's socket before a real keyholder and a real authority, with the SDK as its programs.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use casemate::{Error, HandshakeError, Nonce, Program, verify};
use channel::handshake::NoPlatform;
use channel::standing::{Nobody, Present};
use channel::{Endpoint, Mode, PeerPolicy};
use evidence::controls::without;
use evidence::statement::{Anchor, HostOs, LimitsBy, ProgramState};
use evidence::{BinderKind, ContentDigest, Isolation, Measurement, Time};
use platform::keyholder::{Client, Grants, Register, Request, Start};
use platform::program::Peer;
use platform::{Platform, message};
use testkit::{MONITOR, Served, Town, program, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trust::Revocations;
use trust::policy::{Outsider, Policy, PolicyInForce};
use trust::revocation::{Revocation, Revoked};
use trust::signing::Namespace;

use super::*;
use crate::keyholder::Keyholder;
use crate::proxy::standing;

/// A domain with its authority and a machine with its keyholder.
struct World {
    served: Served,
    policy: PolicyInForce,
    keyholder: OwnedFd,
    dir: tempfile::TempDir,
}

fn now() -> Time {
    platform::clock::now()
}

async fn world() -> World {
    world_of(600).await
}

async fn world_of(credential_secs: i64) -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut server = program("server", 2, &[]);
    server.outsiders = vec![Outsider::Anonymous];
    let programs = vec![server, program("client", 3, &["server"]), program("stranger", 4, &[])];
    let mut town = Town::at(dir.path(), programs, now());
    town.limits.credential_secs = credential_secs;
    let (root, policy) = (town.trust.root(), town.in_force());
    let served = town.serve(&dir.path().join("log"), now).await;
    let machine_dir = dir.path().join("machine").to_str().unwrap().to_owned();
    let hardware = platform::keyholder::Hardware::Software(machine_dir);
    let start = Start { hardware, domain: root, monitor: MONITOR };
    let (keyholder, theirs) = message::pair().unwrap();
    std::thread::spawn(move || Keyholder::new(&start).unwrap().serve(&theirs));
    World { served, policy, keyholder, dir }
}

/// A program's proxy, as far as its socket goes.
struct Proxy {
    socket: PathBuf,
    /// What it says to its supervisor.
    _supervisor: OwnedFd,
}

impl World {
    /// A keyholder socket of the program measured as `n` repeated.
    fn holder(&self, n: u8, self_tls: bool) -> Client {
        let program = ProgramState {
            measurement: Measurement::new([n; 48]),
            isolation: Isolation::Software,
            host: HostOs::Mutable,
            limits: LimitsBy::Rlimit,
            anchor: Anchor::Unprotected,
            open: Vec::new(),
        };
        let (ours, theirs) = message::pair().unwrap();
        let register = Register { program, grants: Grants { self_tls } };
        message::call(&self.keyholder, &register.encode(), &[theirs.as_fd()]).unwrap();
        Client::new(ours)
    }

    /// The socket of the program measured as `n` repeated, with the grant `self-tls`.
    fn proxy(&self, n: u8, listen: u16, peers: Vec<Peer>) -> Proxy {
        let (own, standing) = standing::OwnKey::new();
        self.proxy_with(n, listen, peers, Some(own), standing)
    }

    fn proxy_with(
        &self,
        n: u8,
        listen: u16,
        peers: Vec<Peer>,
        own: Option<OwnKey>,
        standing: watch::Receiver<Option<Standing>>,
    ) -> Proxy {
        let bundle = self.served.bundle();
        let surroundings = Surroundings {
            self_tls: own.is_some(),
            listen: vec![listen],
            peers,
            domain: bundle.encode(),
        };
        let (supervisor, ours) = message::pair().unwrap();
        let (reporter, keyholder) =
            (Reporter(Arc::new(ours)), Arc::new(self.holder(n, own.is_some())));
        let bundle = Some(bundle);
        let (pace, seen) = (Pace::default(), Mutex::default());
        let clerk = Clerk { keyholder, bundle, surroundings, standing, own, pace, seen, reporter };
        let socket = self.dir.path().join(format!("{n}.sock"));
        tokio::spawn(serve(UnixListener::bind(&socket).unwrap(), clerk));
        Proxy { socket, _supervisor: supervisor }
    }

    async fn program(&self, n: u8, listen: u16, peers: Vec<Peer>) -> Program {
        let proxy = self.proxy(n, listen, peers);
        // It asks at once, and blocks: on a thread of its own, as a program is.
        let at = move || Program::at(&proxy.socket).map(|program| (program, proxy));
        let (program, proxy) = tokio::task::spawn_blocking(at).await.unwrap().unwrap();
        std::mem::forget(proxy);
        program
    }

    async fn revoke(&self, n: u8, epoch: u64) {
        let revoked = Revoked::Measurement(Measurement::new([n; 48]));
        let payload = Revocation { domain: self.served.trust.root(), epoch, revoked }.encode();
        let signed = sign(&self.served.owner, Namespace::Revocation, payload);
        client::revoke(&self.served.address, &self.served.trust, &signed, now).await.unwrap();
    }

    /// Puts a policy in force under which nobody connects to anybody.
    async fn forbid(&self) {
        let previous = Some(self.policy.digest());
        let mut policy = Policy { version: 2, previous, ..self.policy.policy().clone() };
        policy.programs.iter_mut().for_each(|p| p.connect.clear());
        let signed = sign(&self.served.owner, Namespace::Policy, policy.encode());
        client::put_policy(&self.served.address, &self.served.trust, &signed, now).await.unwrap();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn peer(role: &str, port: u16) -> Peer {
    Peer { role: role.to_owned(), address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port) }
}

fn block<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tested = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(40), test).await.expect("the test hangs")
    });
    runtime.shutdown_background();
    tested
}

/// Both ends of a channel between client and server.
async fn met(w: &World) -> (casemate::Channel, casemate::Channel) {
    let port = free_port();
    let server = w.program(2, port, Vec::new()).await;
    let client = w.program(3, 0, vec![peer("server", port)]).await;
    let mut listener = server.listen(port).await.unwrap();
    let channels = tokio::join!(client.connect("server"), listener.accept());
    (channels.0.unwrap(), channels.1.unwrap())
}

#[test]
fn programs_that_end_tls_themselves_meet_and_know_each_other() {
    block(async {
        let w = world().await;
        let (mut client, mut server) = met(&w).await;
        assert_eq!(client.peer().unwrap().spiffe_id(), "spiffe://town/server");
        assert_eq!(server.peer().unwrap().credential().measurement, Measurement::new([3; 48]));
        client.write_all(b"ping").await.unwrap();
        client.shutdown().await.unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "ping");
    });
}

#[test]
fn a_person_whom_the_policy_admits_reaches_a_program_that_ends_tls_itself() {
    block(async {
        let w = world().await;
        let port = free_port();
        let server = w.program(2, port, Vec::new()).await;
        let mut listener = server.listen(port).await.unwrap();
        let trust = Arc::clone(&w.served.trust);
        let present = Present { trust, own: None, policy: 0, revocations: Arc::default() };
        let person = Endpoint {
            standing: channel::Standing::new(present, Nobody),
            source: Arc::new(NoPlatform),
            policy: PeerPolicy {
                modes: vec![Mode::OneSided],
                roles: vec!["server".to_owned()],
                kinds: vec![BinderKind::ChannelProgram],
                require_pq: true,
            },
            port: Some(port),
            clock: now,
        };
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (person, accepted) = tokio::join!(person.connect(tcp), listener.accept());
        assert_eq!(person.unwrap().peer().unwrap().spiffe_id(), "spiffe://town/server");
        assert!(accepted.unwrap().peer().is_none());
    });
}

/// Waits for a channel's end with a task asleep on it; how long that took and what was said.
async fn ends(mut channel: casemate::Channel) -> Option<(Duration, String)> {
    let begin = Instant::now();
    let mut one = [0];
    match tokio::time::timeout(Duration::from_secs(5), channel.read(&mut one)).await {
        Ok(Err(e)) => Some((begin.elapsed(), e.to_string())),
        Ok(Ok(n)) => panic!("{n} bytes, or a quiet end"),
        Err(_) => None,
    }
}

#[test]
fn a_revoked_peers_channel_ends_within_a_second_with_the_reason() {
    block(async {
        let w = world().await;
        let (_client, server) = met(&w).await;
        let ended = tokio::spawn(ends(server));
        tokio::task::yield_now().await;
        w.revoke(4, 1).await;
        w.revoke(3, 2).await;
        let (took, why) = ended.await.unwrap().unwrap();
        assert!(took < Duration::from_secs(1) && why.contains("revoked"), "{took:?} {why}");
    });
}

#[test]
fn a_channel_ends_when_the_newest_policy_does_not_permit_it() {
    block(async {
        let w = world().await;
        let (_client, server) = met(&w).await;
        let ended = tokio::spawn(ends(server));
        w.forbid().await;
        let (_, why) = ended.await.unwrap().unwrap();
        assert!(why.contains("does not permit"), "{why}");
    });
}

#[test]
fn before_half_its_life_a_credential_is_renewed_and_a_live_channel_bound_anew() {
    block(async {
        let w = world_of(6).await;
        let (mut client, mut server) = met(&w).await;
        let first = server.peer().unwrap().window().not_after;
        let begin = Instant::now();
        let mut ping = [0; 4];
        while begin.elapsed() < Duration::from_secs(9) {
            // Both read: whoever does not is not bound anew.
            client.write_all(b"ping").await.unwrap();
            server.read_exact(&mut ping).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            client.read_exact(&mut ping).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(server.peer().unwrap().window().not_after > first);
    });
}

#[test]
fn a_program_connects_to_nobody_its_policy_does_not_name() {
    let attack = async || {
        let w = world().await;
        let port = free_port();
        let server = w.program(2, port, Vec::new()).await;
        let _listener = server.listen(port).await.unwrap();
        let stranger = w.program(4, 0, vec![peer("server", port)]).await;
        let connected = stranger.connect("server").await;
        let Ok(mut channel) = connected else { return connected.map(drop) };
        // The server's policy is asked last: the client sees only that nothing comes.
        let mut one = [0];
        match channel.read(&mut one).await {
            Ok(0) | Err(_) => Err(HandshakeError::TimedOut.into()),
            Ok(_) => Ok(()),
        }
    };
    assert!(matches!(block(attack()), Err(Error::NotPermitted(_))));
    // Without that check the server's own refuses it.
    let refused = without("program_connect", || block(attack()));
    assert!(matches!(refused, Err(Error::Channel(_))), "{refused:?}");
}

#[test]
fn a_certified_key_outside_the_proxy_is_a_grant() {
    let ask = || {
        block(async {
            let w = world().await;
            let (_out, standing) = watch::channel(None);
            let proxy = w.proxy_with(2, 1, Vec::new(), None, standing);
            let mut line = Line::open(&proxy.socket).await;
            let key = channel::keys::LeafKey::generate().unwrap();
            line.ask(&ProgramRequest::CredentialBegin(key.spki().to_vec())).await
        })
    };
    assert!(matches!(ask(), Err(PlatformError::Refused(Refused::NotGranted))));
    assert!(matches!(without("program_self_tls", ask), Ok(ProgramReply::ToBeSigned(_))));
}

#[test]
fn a_program_that_asks_for_credentials_without_pause_is_slowed_down() {
    block(async {
        let w = world().await;
        let proxy = w.proxy(2, 1, Vec::new());
        let (mut one, mut two) = (Line::open(&proxy.socket).await, Line::open(&proxy.socket).await);
        let key = channel::keys::LeafKey::generate().unwrap();
        let begin = ProgramRequest::CredentialBegin(key.spki().to_vec());
        let start = Instant::now();
        for line in [&mut one, &mut two] {
            line.ask(&begin).await.unwrap();
        }
        assert!(start.elapsed() >= ADMISSION_EVERY, "{:?}", start.elapsed());
    });
}

#[test]
fn a_program_the_authority_refuses_is_told_why() {
    block(async {
        let w = world().await;
        let stranger = w.program(77, 0, Vec::new()).await;
        let refused = stranger.credential().await.unwrap_err();
        assert!(
            matches!(&refused, Error::Platform(PlatformError::NotAdmitted(why)) if why.contains("measurement")),
            "{refused}"
        );
        w.revoke(2, 1).await;
        let revoked = w.program(2, 1, Vec::new()).await;
        let refused = revoked.listen(1).await.unwrap_err().to_string();
        assert!(refused.contains("revo"), "{refused}");
    });
}

#[test]
fn a_secret_goes_to_the_program_it_was_released_to_and_an_admission_is_waited_for() {
    block(async {
        let w = world().await;
        let (out, standing) = watch::channel(None);
        let proxy = w.proxy_with(2, 1, Vec::new(), None, standing);
        let mut line = Line::open(&proxy.socket).await;
        let asked = tokio::spawn(async move {
            let value = line.ask(&ProgramRequest::Secret("db-password".into())).await;
            (value, line.ask(&ProgramRequest::Secret("other".into())).await)
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!asked.is_finished(), "answered before the admission");
        let secrets = vec![("db-password".into(), Arc::new(Secret::new(b"hunter2".to_vec())))];
        out.send_replace(Some(Standing::example(&[], secrets, Revocations::default())));
        let (value, other) = asked.await.unwrap();
        assert!(
            matches!(value, Ok(ProgramReply::Secret(v)) if v.expose().as_slice() == b"hunter2")
        );
        assert!(matches!(other, Err(PlatformError::Refused(Refused::NotGranted))));
    });
}

/// A way to the authority whose connections can be cut.
async fn detour(to: String) -> (String, Arc<std::sync::Mutex<Vec<tokio::task::AbortHandle>>>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let carried = Arc::<std::sync::Mutex<Vec<_>>>::default();
    let all = Arc::clone(&carried);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::TcpStream::connect(&to).await.unwrap();
            let both = async move { tokio::io::copy_bidirectional(&mut near, &mut far).await };
            all.lock().unwrap().push(tokio::spawn(both).abort_handle());
        }
    });
    (address, carried)
}

#[test]
fn revocations_are_heard_after_the_connection_to_the_authority_broke() {
    block(async {
        let mut w = world().await;
        let straight = w.served.address.clone();
        let (address, carried) = detour(straight.clone()).await;
        w.served.address = address;
        let (_client, server) = met(&w).await;
        carried.lock().unwrap().drain(..).for_each(|c| c.abort());
        w.served.address = straight;
        w.revoke(3, 1).await;
        let (took, why) = ends(server).await.unwrap();
        assert!(why.contains("revoked"), "{took:?} {why}");
    });
}

#[test]
fn another_programs_statement_is_not_taken_for_the_peers() {
    let nonce = Nonce::new([9; 32]);
    let said = ContentDigest::of(b"I paid");
    let (w, server) = block(async {
        let w = world().await;
        let program = w.program(2, 1, Vec::new()).await;
        (w, program.credential().await.unwrap())
    });
    let statement = |n| w.holder(n, true).attest(nonce, said).unwrap();
    verify(&statement(2), &server, nonce, b"I paid").unwrap();
    let forged = statement(3);
    let attack = || verify(&forged, &server, nonce, b"I paid");
    assert!(matches!(attack(), Err(Error::OtherProgram)));
    without("claim_program", attack).unwrap();
    let own = statement(2);
    for (nonce, said) in [(Nonce::new([8; 32]), b"I paid".as_slice()), (nonce, b"I did not pay")] {
        assert!(matches!(verify(&own, &server, nonce, said), Err(Error::Statement(_))));
    }
}

/// A client of the socket that says what it likes.
struct Line(UnixStream);

impl Line {
    async fn open(path: &std::path::Path) -> Self {
        Self(UnixStream::connect(path).await.unwrap())
    }

    async fn ask(&mut self, request: &ProgramRequest) -> Result<ProgramReply, PlatformError> {
        self.0.write_all(program::frame(&request.encode())?.expose()).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<ProgramReply, PlatformError> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len).await?;
        let mut reply = program::frame_room(len)?;
        self.0.read_exact(reply.expose_mut()).await?;
        ProgramReply::read(reply.expose())
    }
}

#[test]
fn what_is_no_request_is_told_so_and_closes_its_own_connection_only() {
    block(async {
        let w = world().await;
        let proxy = w.proxy(2, 1, Vec::new());
        let mut honest = Line::open(&proxy.socket).await;
        let framed = |b: &[u8]| [&u32::try_from(b.len()).unwrap().to_be_bytes(), b].concat();
        let news = |fields: &[u8]| {
            framed(&[&[0xa0 | u8::try_from(fields.len() / 2).unwrap()], fields].concat())
        };
        for bad in [
            framed(b""),
            framed(b"\xff"),
            framed(&[0x81; 64]),
            // An unknown number, a field too many, a field too few.
            framed(&[0xa1, 1, 24, 99]),
            news(&[1, 18, 2, 0]),
            news(&[1, 20]),
            u32::MAX.to_be_bytes().to_vec(),
            (u32::try_from(MESSAGE_MAX).unwrap() + 1).to_be_bytes().to_vec(),
        ] {
            let mut line = Line::open(&proxy.socket).await;
            line.0.write_all(&bad).await.unwrap();
            let said = line.answer().await;
            assert!(
                matches!(said, Err(PlatformError::Refused(Refused::Malformed))),
                "{bad:?}: {said:?}"
            );
            assert_eq!(line.0.read(&mut [0]).await.unwrap_or(0), 0, "{bad:?}");
        }
        // A finish without a beginning.
        let finish = ProgramRequest::CredentialFinish(vec![0; 70]);
        assert!(matches!(
            honest.ask(&finish).await,
            Err(PlatformError::Refused(Refused::Malformed))
        ));
        // Silence of many costs the others nothing but their places.
        let mut silent = Vec::new();
        for _ in 1..CONNECTIONS_MAX {
            silent.push(UnixStream::connect(&proxy.socket).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut late = Line::open(&proxy.socket).await;
        assert!(late.ask(&ProgramRequest::Surroundings).await.is_err());
        let asked = honest.ask(&ProgramRequest::Keyholder(Request::Info)).await;
        assert!(matches!(asked, Ok(ProgramReply::Keyholder(Reply::Info(_)))));
        drop(silent);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut next = Line::open(&proxy.socket).await;
        next.ask(&ProgramRequest::Surroundings).await.unwrap();
    });
}

#[test]
fn revocations_come_as_many_as_fit_and_the_next_question_gets_the_rest() {
    block(async {
        let w = world().await;
        let (out, standing) = watch::channel(None);
        let proxy = w.proxy_with(2, 1, Vec::new(), None, standing);
        let mut all = Revocations::default();
        for epoch in 1..=400 {
            let revoked = Revoked::Measurement(Measurement::new([9; 48]));
            let payload = Revocation { domain: w.served.trust.root(), epoch, revoked }.encode();
            all.add(sign(&w.served.owner, Namespace::Revocation, payload), &w.served.genesis)
                .unwrap();
        }
        out.send_replace(Some(Standing::example(&[], Vec::new(), all)));
        let (mut line, mut known, mut asked) = (Line::open(&proxy.socket).await, 0, 0);
        while known < 400 {
            let news = ProgramRequest::News { policy: 1, revocation: known };
            let ProgramReply::News(news) = line.ask(&news).await.unwrap() else { panic!() };
            assert!(!news.revocations.is_empty());
            known += u64::try_from(news.revocations.len()).unwrap();
            asked += 1;
        }
        assert!(known == 400 && asked > 1, "{known} in {asked}");
    });
}
