//! Two programs' channels as their proxies keep them, with a real keyholder and a real authority.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use evidence::statement::{Anchor, HostOs, LimitsBy, ProgramState};
use evidence::{DomainRoot, Isolation, Measurement};
use platform::keyholder::{Grants, Register, Reply, Start};
use platform::message;
use testkit::{MONITOR, Town};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trust::Revoked;

use super::*;
use crate::keyholder::Keyholder;
use crate::proxy::{Reporter, admit};

/// A keyholder over the town's machine; its control socket.
fn keyholder(machine: &std::path::Path, domain: DomainRoot) -> OwnedFd {
    let machine_dir = machine.to_str().unwrap().to_owned();
    let hardware = platform::keyholder::Hardware::Software(machine_dir);
    let start = Start { hardware, domain, monitor: MONITOR };
    let (control, theirs) = message::pair().unwrap();
    std::thread::spawn(move || Keyholder::new(&start).unwrap().serve(&theirs));
    control
}

fn register(control: &OwnedFd, n: u8) -> Arc<keyholder::Client> {
    let program = ProgramState {
        measurement: Measurement::new([n; 48]),
        isolation: Isolation::Software,
        host: HostOs::Mutable,
        limits: LimitsBy::Rlimit,
        anchor: Anchor::Unprotected,
        open: Vec::new(),
    };
    let (ours, theirs) = message::pair().unwrap();
    let register = Register { program, grants: Grants { self_tls: false } };
    let (reply, _) = message::call(control, &register.encode(), &[theirs.as_fd()]).unwrap();
    assert!(matches!(Reply::decode(reply).unwrap(), Reply::Bytes(_)));
    Arc::new(keyholder::Client::new(ours))
}

/// A program's channels, and how to have it admitted again.
fn proxy(control: &OwnedFd, n: u8, served: &testkit::Served) -> (Channels, Arc<Notify>) {
    let keyholder = register(control, n);
    let (admitted, watch) = watch::channel(None);
    let renew = Arc::new(Notify::new());
    let channels = Channels::new(Arc::clone(&keyholder), watch, Arc::clone(&renew));
    let (ours, theirs) = message::pair().unwrap();
    // Whoever hears the reports lives as long as the test.
    std::mem::forget(theirs);
    let reporter = Reporter(Arc::new(ours));
    let again = Arc::clone(&renew);
    tokio::spawn(admit::keep(served.bundle(), keyholder, admitted, reporter, again));
    (channels, renew)
}

async fn wire() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    (a.unwrap(), b.unwrap().0)
}

#[tokio::test]
async fn a_proxys_channels_follow_its_admissions_and_end_with_a_revocation() {
    let dir = tempfile::tempdir().unwrap();
    let programs =
        vec![testkit::program("web", 0x11, &["api"]), testkit::program("api", 0x22, &[])];
    let town = Town::at(dir.path(), programs, clock());
    let control = keyholder(&dir.path().join("machine"), town.trust.root());
    let served = town.serve(&dir.path().join("authority"), clock).await;
    let (web, renew_web) = proxy(&control, 0x11, &served);
    let (api, renew_api) = proxy(&control, 0x22, &served);
    assert_eq!(web.admission().await.unwrap().connect, ["api"]);
    assert_eq!(api.admission().await.unwrap().clients, ["web"]);
    let client = web.endpoint(vec![Mode::Bound], vec!["api".to_owned()], 80).unwrap();
    let server = api.endpoint(vec![Mode::Bound], vec!["web".to_owned()], 80).unwrap();
    let (a, b) = wire().await;
    let (c, s) = tokio::join!(client.connect(a), server.accept(b));
    let (mut c, mut s) = (c.unwrap(), s.unwrap());
    let first = c.ends();
    // Credentials have whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    renew_web.notify_one();
    renew_api.notify_one();
    let mut pings = 0;
    while c.ends() == first || s.ends() == first {
        c.write_all(b"x").await.unwrap();
        s.read_u8().await.unwrap();
        s.write_all(b"y").await.unwrap();
        c.read_u8().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        pings += 1;
        assert!(pings < 250, "not bound anew: {} and {}, at first {first}", c.ends(), s.ends());
    }
    assert!(c.ends() > first && c.ends() == s.ends());
    // Carried now; then the owners revoke the client.
    let (mut outer, c_inside) = wire().await;
    let (mut inner, s_inside) = wire().await;
    let revoke = async {
        outer.write_all(b"ping").await.unwrap();
        let mut four = [0; 4];
        inner.read_exact(&mut four).await.unwrap();
        let revoked = Revoked::Measurement(Measurement::new([0x11; 48]));
        let domain = served.trust.root();
        let payload = trust::Revocation { domain, epoch: 1, revoked }.encode();
        let signed = testkit::sign(&served.owner, trust::signing::Namespace::Revocation, payload);
        channel::admission::client::revoke(&served.address, &served.trust, &signed, clock)
            .await
            .unwrap();
        inner.read_to_end(&mut Vec::new()).await.unwrap_or_default()
    };
    let carried = async {
        tokio::join!(
            web.carry(c, c_inside, |a| a.connect.contains(&"api".to_owned())),
            api.carry(s, s_inside, |a| a.clients.contains(&"web".to_owned())),
            revoke
        );
    };
    tokio::time::timeout(Duration::from_secs(10), carried).await.expect("it did not end");
    // Nor does a new one come about.
    let (a, b) = wire().await;
    let (c, s) = tokio::join!(client.connect(a), server.accept(b));
    assert!(c.is_err() || s.is_err());
}
