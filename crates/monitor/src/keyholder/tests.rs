//! The keyholder over real sockets: who asks is decided by the socket alone.

use super::*;
use evidence::statement::{Anchor, Expected, HostOs, LimitsBy, StatementRefusal};
use evidence::{
    Binder, ContentDigest, End, Exporter, Isolation, Nonce, Session, SpkiDigest, StatementKey,
    Time, layered, software,
};
use platform::keyholder::{Client, Hardware};
use platform::software::Machine;
use platform::{Platform, StoreId};

struct World {
    control: OwnedFd,
    key: StatementKey,
    root: evidence::RootDigest,
    _dir: tempfile::TempDir,
}

const DOMAIN: DomainRoot = DomainRoot::new([5; 32]);
const NOW: Time = Time::from_unix(1_800_000_000);

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let machine_dir = dir.path().join("machine");
    let root = Machine::create(&machine_dir, NOW).unwrap().root();
    let machine_dir = machine_dir.to_str().unwrap().to_owned();
    let hardware = Hardware::Software(machine_dir);
    let start = Start { hardware, domain: DOMAIN, monitor: Measurement::new([7; 48]) };
    let (control, theirs) = message::pair().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut keyholder = Keyholder::new(&start).unwrap();
        tell.send(keyholder.secrets.statement_key()).unwrap();
        keyholder.serve(&theirs);
    });
    let key = told.recv().unwrap();
    World { control, key, root, _dir: dir }
}

fn program(byte: u8) -> ProgramState {
    ProgramState {
        measurement: Measurement::new([byte; 48]),
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        limits: LimitsBy::Rlimit,
        anchor: Anchor::Unprotected,
        open: Vec::new(),
    }
}

impl World {
    fn register(&self, byte: u8, self_tls: bool) -> OwnedFd {
        let (ours, theirs) = message::pair().unwrap();
        let register = Register { program: program(byte), grants: Grants { self_tls } };
        let (reply, _) =
            message::call(&self.control, &register.encode(), &[theirs.as_fd()]).unwrap();
        assert!(matches!(Reply::decode(reply).unwrap(), Reply::Bytes(_)));
        ours
    }
}

fn binder(kind: BinderKind) -> Binder {
    let end = |b: u8| End {
        domain: Some(DOMAIN),
        spki: Some(SpkiDigest::new([b; 32])),
        nonce: Nonce::new([b; 32]),
    };
    let session = Session {
        exporter: Exporter::new([3; 32]),
        cipher_suite: 1,
        group: 2,
        inner_protocol: "casemate/1".into(),
    };
    Binder {
        kind,
        side: Side::Client,
        client: end(1),
        server: end(2),
        session,
        claims: ContentDigest::of(b""),
    }
}

fn expected(binder: &Binder) -> Expected {
    Expected { purpose: Purpose::Binder(binder.kind), domain: DOMAIN, binder: binder.digest() }
}

#[test]
fn a_statement_names_the_program_of_the_socket_and_nobody_else() {
    let w = world();
    let (a, b) = (Client::new(w.register(1, false)), Client::new(w.register(2, false)));
    let binder = binder(BinderKind::ChannelMonitor);
    for (client, byte) in [(&a, 1), (&b, 2)] {
        let statement = client.state(&binder).unwrap();
        let statement = statement::verify(&statement, &w.key, &expected(&binder)).unwrap();
        assert_eq!(statement.program, program(byte));
    }
}

#[test]
fn the_domain_is_the_keyholders_own_whatever_the_request_says() {
    let w = world();
    let client = Client::new(w.register(1, false));
    let honest = binder(BinderKind::ChannelMonitor);
    let mut lying = honest.clone();
    lying.client.domain = Some(DomainRoot::new([9; 32]));
    let statement = client.state(&lying).unwrap();
    assert!(statement::verify(&statement, &w.key, &expected(&honest)).is_ok());
    let refused = statement::verify(&statement, &w.key, &expected(&lying)).unwrap_err();
    assert!(matches!(refused, StatementRefusal::Binder { .. }));
}

#[test]
fn only_a_granted_program_asserts_its_own_connection_and_then_only_that() {
    let w = world();
    let (plain, granted) = (Client::new(w.register(1, false)), Client::new(w.register(2, true)));
    let refused = |c: &Client, kind| {
        matches!(c.state(&binder(kind)), Err(PlatformError::Refused(Refused::NotGranted)))
    };
    assert!(refused(&plain, BinderKind::ChannelProgram));
    assert!(!refused(&plain, BinderKind::ChannelMonitor));
    assert!(!refused(&granted, BinderKind::ChannelProgram));
    assert!(refused(&granted, BinderKind::ChannelMonitor));
}

#[test]
fn without_the_grant_check_any_program_asserts_any_connection() {
    let dir = tempfile::tempdir().unwrap();
    let machine_dir = dir.path().join("machine");
    Machine::create(&machine_dir, NOW).unwrap();
    let machine_dir = machine_dir.to_str().unwrap().to_owned();
    let hardware = Hardware::Software(machine_dir);
    let start = Start { hardware, domain: DOMAIN, monitor: Measurement::new([7; 48]) };
    let keyholder = Keyholder::new(&start).unwrap();
    let ask = |self_tls, kind| {
        let request = Request::State(Box::new(binder(kind)));
        match keyholder.answer(&program(1), Grants { self_tls }, request) {
            Reply::Bytes(statement) => Some(statement),
            Reply::Refused(Refused::NotGranted) => None,
            other => panic!("{other:?}"),
        }
    };
    for (self_tls, kind) in
        [(false, BinderKind::ChannelProgram), (true, BinderKind::ChannelMonitor)]
    {
        assert!(ask(self_tls, kind).is_none(), "{kind:?}");
        let made = evidence::controls::without("keyholder_grant", || ask(self_tls, kind)).unwrap();
        let key = keyholder.secrets.statement_key();
        assert!(statement::verify(&made, &key, &expected(&binder(kind))).is_ok(), "{kind:?}");
    }
    assert!(
        ask(false, BinderKind::Admission).is_some() && ask(true, BinderKind::Admission).is_some()
    );
}

#[test]
fn attacker_bytes_get_no_statement_and_close_only_their_own_socket() {
    let w = world();
    let honest = Client::new(w.register(1, false));
    for junk in [
        vec![0xff; 40],
        Vec::from(&b"\xa2\x01\x03\x02\x40"[..]),
        evidence::cbor::encode(&evidence::cbor::map(vec![(1, 99.into())])),
        vec![0xa1; 100_000],
    ] {
        let raw = w.register(2, false);
        rustix::net::send(&raw, &junk, rustix::net::SendFlags::NOSIGNAL).unwrap();
        if let Ok(Some((reply, _))) = message::receive(&raw) {
            assert!(matches!(Reply::decode(reply).unwrap(), Reply::Refused(Refused::Malformed)));
            assert!(!matches!(message::receive(&raw), Ok(Some(_))), "the socket is closed");
        }
    }
    assert!(honest.state(&binder(BinderKind::ChannelMonitor)).is_ok());
}

#[test]
fn what_one_program_seals_the_other_does_not_open() {
    let w = world();
    let (mut a, mut b) = (Client::new(w.register(1, false)), Client::new(w.register(2, false)));
    let store = StoreId::new("state").unwrap();
    let blob = a.seal(&store, 1, b"for a alone").unwrap();
    assert_eq!(a.open(&store, 1, &blob).unwrap().plaintext.expose(), b"for a alone");
    let refused = b.open(&store, 1, &blob).unwrap_err();
    assert!(matches!(refused, PlatformError::Open(platform::OpenRefusal::WrongProgram { .. })));
}

#[test]
fn hardware_evidence_covers_the_statement_key_the_domain_and_the_nonce() {
    let w = world();
    let client = Client::new(w.register(1, false));
    let nonce = Nonce::new([4; 32]);
    let evidence = client.hardware_evidence(nonce).unwrap();
    let facts = software::verify(&evidence, &[w.root], NOW).unwrap();
    let binding = MonitorBinding { domain: DOMAIN, statement_key: w.key, nonce };
    let monitor = layered::verify_monitor(&facts, &binding).unwrap();
    let binder = binder(BinderKind::Admission);
    let program =
        layered::verify_program(&monitor, &client.state(&binder).unwrap(), &binder).unwrap();
    assert_eq!(program.facts().statement.program.measurement, Measurement::new([1; 48]));
    let stale = MonitorBinding { nonce: Nonce::new([6; 32]), ..binding };
    assert!(matches!(
        layered::verify_monitor(&facts, &stale),
        Err(layered::MonitorRefusal::Binding { .. })
    ));
    let passed =
        evidence::controls::without("monitor_binding", || layered::verify_monitor(&facts, &stale));
    assert!(passed.is_ok(), "without the binding check a stale report passes");
}
