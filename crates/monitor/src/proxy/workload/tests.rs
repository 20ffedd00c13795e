//! The Workload API against a real authority in this process: what it hands out, to whom, for how long, and hostile clients.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use channel::credential::{self, Credential};
use channel::standing::{Nobody, Own, Present};
use channel::tls::Identity;
use channel::{Endpoint, HandshakeError, Mode, PeerPolicy, Standing};
use evidence::controls::without;
use evidence::{
    Binder, BinderKind, ContentDigest, HardwareEvidence, Measurement, Nonce, SpkiDigest,
    StatementKey, Time, Window,
};
use platform::PlatformError;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testkit::{Monitor, NOW, Served, Town, program, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trust::revocation::Revocation;
use trust::signing::Namespace;

use super::issuer::{IssueError, check};
use super::messages::{X509BundlesResponse, X509Svid, X509SvidResponse};
use super::*;
use channel::admission::client::{self, Attester};

mod wire;
use wire::{Call, Wire};

const SVID: &str = "/SpiffeWorkloadAPI/FetchX509SVID";
const BUNDLES: &str = "/SpiffeWorkloadAPI/FetchX509Bundles";
/// gRPC status codes.
const INVALID: i32 = 3;
const DENIED: i32 = 7;
const TOO_LARGE: i32 = 11;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;

/// A monitor that counts the admissions it is asked for.
struct Counted(Monitor, Arc<AtomicUsize>);

impl Attester for Counted {
    fn statement_key(&self) -> StatementKey {
        self.0.statement_key()
    }

    fn hardware_evidence(&self, nonce: Nonce) -> Result<HardwareEvidence, PlatformError> {
        self.0.hardware_evidence(nonce)
    }

    fn state(&self, binder: &Binder) -> Result<Vec<u8>, PlatformError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Attester::state(&self.0, binder)
    }
}

/// A domain with its authority, and the Workload API of the program `web`.
struct Stage {
    served: Served,
    fetches: Arc<AtomicUsize>,
    dir: tempfile::TempDir,
}

const WEB: u8 = 2;
const IDLE: Duration = Duration::from_millis(300);

async fn stage() -> Stage {
    stage_of(WEB, NOW, testkit::clock, 600).await
}

async fn stage_of(n: u8, now: Time, clock: fn() -> Time, life: i64) -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let mut town = Town::at(dir.path(), vec![program("web", WEB, &[]), program("db", 3, &[])], now);
    town.limits.exportable_secs = life;
    let monitor = town.monitor(n);
    let served = town.serve(&dir.path().join("log"), clock).await;
    let stage = Stage { served, fetches: Arc::default(), dir };
    let info = monitor.info();
    let own =
        [Revoked::Measurement(info.program.measurement), Revoked::StatementKey(info.statement_key)];
    let attester = Counted(monitor, Arc::clone(&stage.fetches));
    let (bundle, root) = (stage.served.bundle(), info.domain);
    let desk = Desk::new(State::Unasked);
    tokio::spawn(Issuer { bundle, root, attester, own, clock }.keep(desk.clone()));
    let listener = UnixListener::bind(stage.socket()).unwrap();
    tokio::spawn(accept(listener, desk, IDLE));
    stage
}

impl Stage {
    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("workload.sock")
    }

    async fn wire(&self) -> Wire {
        Wire::connect(&self.socket()).await
    }

    async fn svid(&self) -> X509Svid {
        let mut call = self.wire().await.call(SVID).await;
        call.message::<X509SvidResponse>().await.svids.remove(0)
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn revoke(&self, revoked: Revoked, epoch: u64) {
        let payload = Revocation { domain: self.served.trust.root(), epoch, revoked }.encode();
        let signed = sign(&self.served.owner, Namespace::Revocation, payload);
        client::revoke(&self.served.address, &self.served.trust, &signed, testkit::clock)
            .await
            .unwrap();
    }
}

fn block<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(40), test).await.expect("the test hangs")
    })
}

/// The same without one check, which is removed on this thread only.
fn block_without<T>(check: &'static str, test: impl Future<Output = T>) -> T {
    without(check, || block(test))
}

#[test]
fn an_exportable_identity_keeps_every_rule_of_x509_svids() {
    block(async {
        let stage = stage().await;
        let svid = stage.svid().await;
        assert_eq!(svid.spiffe_id, "spiffe://town/web");
        // Its key is the certificate's, its bundle the domain's CA, its mark and its life as stated.
        let key = rcgen::KeyPair::try_from(svid.x509_svid_key.as_slice()).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        let leaf = CertificateDer::from(svid.x509_svid.clone());
        let verified =
            credential::verify(std::slice::from_ref(&leaf), &stage.served.trust, NOW).unwrap();
        assert_eq!(verified.spki(), SpkiDigest::of_der(&spki));
        assert!(verified.credential().exportable);
        assert!(verified.window().not_after <= NOW.plus_secs(600), "{:?}", verified.window());
        assert_eq!(svid.bundle, stage.served.trust.ca());
        rules(&leaf, &svid.bundle);
        openssl(&svid, stage.dir.path());
        let mut call = stage.wire().await.call(BUNDLES).await;
        let bundles = call.message::<X509BundlesResponse>().await.bundles;
        assert_eq!(
            bundles.into_iter().collect::<Vec<_>>(),
            [("spiffe://town".into(), svid.bundle)]
        );
    });
}

/// X509-SVID sections 2 to 5, read by a library that is not ours, and the path by stock rules for both sides of TLS.
fn rules(leaf: &CertificateDer<'_>, bundle: &[u8]) {
    use x509_cert::der::Decode;
    use x509_cert::ext::pkix::name::GeneralName;
    use x509_cert::ext::pkix::{
        BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    };
    let parsed = x509_cert::Certificate::from_der(leaf).unwrap();
    let tbs = parsed.tbs_certificate();
    let (_, names) = tbs.get_extension::<SubjectAltName>().unwrap().unwrap();
    assert!(
        matches!(names.0.as_slice(), [GeneralName::UniformResourceIdentifier(u)] if u.as_str() == "spiffe://town/web")
    );
    let ca = tbs.get_extension::<BasicConstraints>().unwrap();
    assert!(ca.is_none_or(|(_, b)| !b.ca));
    let (critical, KeyUsage(usage)) = tbs.get_extension().unwrap().unwrap();
    assert!(critical);
    assert!(usage.contains(KeyUsages::DigitalSignature));
    assert!(!usage.contains(KeyUsages::KeyCertSign) && !usage.contains(KeyUsages::CRLSign));
    let (_, ExtendedKeyUsage(purposes)) = tbs.get_extension().unwrap().unwrap();
    let purposes = purposes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(purposes, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    let ca = CertificateDer::from(bundle.to_vec());
    let anchors = [webpki::anchor_from_trusted_cert(&ca).unwrap()];
    let leaf = webpki::EndEntityCert::try_from(leaf).unwrap();
    let at = |secs: i64| {
        let at = Duration::from_secs(u64::try_from(NOW.plus_secs(secs).unix()).unwrap());
        rustls::pki_types::UnixTime::since_unix_epoch(at)
    };
    let verifies = |usage, secs| {
        leaf.verify_for_usage(
            &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
            &anchors,
            &[],
            at(secs),
            usage,
            None,
            None,
        )
        .is_ok()
    };
    for usage in [webpki::KeyUsage::server_auth, webpki::KeyUsage::client_auth] {
        assert!(verifies(usage(), 0) && !verifies(usage(), 601));
    }
}

/// OpenSSL takes chain and key, where it is installed.
fn openssl(svid: &X509Svid, dir: &Path) {
    let run = |args: &[&str]| {
        std::process::Command::new("openssl").args(args).current_dir(dir).output().map(|o| {
            let said = [o.stdout, o.stderr].concat();
            (o.status.success(), String::from_utf8_lossy(&said).into_owned())
        })
    };
    let pem = |label: &str, der: &[u8]| {
        let coded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
        let lines = coded.as_bytes().chunks(64).map(|l| String::from_utf8_lossy(l).into_owned());
        let lines = lines.collect::<Vec<_>>().join("\n");
        format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
    };
    std::fs::write(dir.join("ca.pem"), pem("CERTIFICATE", &svid.bundle)).unwrap();
    std::fs::write(dir.join("leaf.pem"), pem("CERTIFICATE", &svid.x509_svid)).unwrap();
    std::fs::write(dir.join("key.pem"), pem("PRIVATE KEY", &svid.x509_svid_key)).unwrap();
    let at = NOW.unix().to_string();
    for purpose in ["sslserver", "sslclient"] {
        let args = ["verify", "-attime", &at, "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem"];
        match run(&args) {
            Err(_) => return println!("skipped: openssl is not installed"),
            Ok((good, said)) => assert!(good, "{said}"),
        }
    }
    let public = |args: &[&str]| run(args).unwrap().1;
    assert_eq!(
        public(&["pkey", "-in", "key.pem", "-pubout"]),
        public(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"])
    );
}

#[test]
fn nothing_is_fetched_before_somebody_asks_and_one_fetch_serves_all() {
    block(async {
        let stage = stage().await;
        let wire = stage.wire().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(stage.fetches(), 0);
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push((wire.call(SVID).await, stage.wire().await.call(SVID).await));
        }
        let mut keys = std::collections::BTreeSet::new();
        for (a, b) in &mut calls {
            for call in [a, b] {
                let mut all = call.message::<X509SvidResponse>().await.svids;
                keys.insert(all.remove(0).x509_svid_key);
            }
        }
        assert_eq!((keys.len(), stage.fetches()), (1, 1));
        // Bundles of an admitted program cost nothing more, and a later call gets what is held.
        wire.call(BUNDLES).await.message::<X509BundlesResponse>().await;
        drop(calls);
        stage.svid().await;
        assert_eq!(stage.fetches(), 1);
    });
}

#[test]
fn before_half_its_life_a_new_identity_is_pushed_and_nothing_is_renewed_once_nobody_listens() {
    fn clock() -> Time {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Time::from_unix(i64::try_from(since.as_secs()).unwrap())
    }
    block(async {
        let stage = stage_of(WEB, clock(), clock, 8).await;
        let mut call = stage.wire().await.call(SVID).await;
        let mut last: Option<X509Svid> = None;
        for _ in 0..3 {
            let next = call.message::<X509SvidResponse>().await.svids.remove(0);
            if let Some(last) = last {
                assert_ne!(last.x509_svid_key, next.x509_svid_key);
                let before =
                    credential::verify(&[last.x509_svid.into()], &stage.served.trust, clock())
                        .unwrap();
                // Half a life and the whole second that clocks are read in.
                let left = before.window().not_after.unix() - clock().unix();
                assert!(left >= 3, "{left} s of the last one's life are left");
            }
            last = Some(next);
        }
        drop(call);
        let fetched = stage.fetches();
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(stage.fetches(), fetched);
        stage.svid().await;
        assert_eq!(stage.fetches(), fetched + 1);
    });
}

#[test]
fn a_call_without_exactly_the_security_header_is_refused() {
    async fn ask(values: &[&str]) -> (Stage, Call) {
        let stage = stage().await;
        let call = stage.wire().await.call_with(SVID, values, &wire::EMPTY).await;
        (stage, call)
    }
    for values in [&[][..], &["True"], &["false"], &["true", "true"], &["true", "false"], &[""]] {
        let (code, said) = block(async { ask(values).await.1.end().await });
        assert_eq!(code, INVALID, "{values:?}");
        assert!(said.contains("workload.spiffe.io"), "{said}");
        block_without("workload_header", async {
            let (_stage, mut call) = ask(values).await;
            call.message::<X509SvidResponse>().await;
        });
    }
}

#[test]
fn every_call_but_the_two_is_unimplemented() {
    block(async {
        let wire = stage().await.wire().await;
        for name in ["FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID", "FetchWITSVID", "x"] {
            let path = format!("/SpiffeWorkloadAPI/{name}");
            assert_eq!(wire.call(&path).await.end().await.0, UNIMPLEMENTED, "{name}");
        }
        for path in ["/", "/spiffe.workload.SpiffeWorkloadAPI/FetchX509SVID"] {
            assert_eq!(wire.call(path).await.end().await.0, UNIMPLEMENTED, "{path}");
        }
    });
}

#[test]
fn a_program_the_authority_does_not_admit_gets_nothing_but_the_reason() {
    block(async {
        let stage = stage_of(77, NOW, testkit::clock, 600).await;
        for path in [SVID, BUNDLES] {
            let (code, said) = stage.wire().await.call(path).await.end().await;
            assert_eq!(code, DENIED, "{said}");
            assert!(said.contains("measurement") || said.contains("program"), "{said}");
        }
        // Whoever asks again at once is not taken to the authority again.
        assert_eq!(stage.fetches(), 1);
    });
}

#[test]
fn a_revoked_programs_stream_ends_and_a_new_one_gets_nothing() {
    let revoked = || async {
        let stage = stage().await;
        let mut call = stage.wire().await.call(SVID).await;
        call.message::<X509SvidResponse>().await;
        stage.revoke(Revoked::Measurement(Measurement::new([3; 48])), 1).await;
        stage.revoke(Revoked::Measurement(Measurement::new([WEB; 48])), 2).await;
        let ended = tokio::time::timeout(Duration::from_secs(5), call.end()).await;
        (stage, ended.ok().map(|(code, _)| code))
    };
    block(async {
        let (stage, ended) = revoked().await;
        assert_eq!(ended, Some(DENIED));
        tokio::time::sleep(issuer::RETRY).await;
        let (code, said) = stage.wire().await.call(SVID).await.end().await;
        assert!(code == DENIED && said.contains("revo"), "{code} {said}");
    });
    assert_eq!(block_without("workload_revoked", async { revoked().await.1 }), None);
}

#[test]
fn without_its_authority_a_program_is_told_to_ask_again() {
    block(async {
        let dir = tempfile::tempdir().unwrap();
        let town = Town::new(dir.path(), vec![program("web", WEB, &[])]);
        let (monitor, trust, machine) =
            (town.monitor(WEB), Arc::clone(&town.trust), Arc::clone(&town.machine));
        let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let (owner, genesis) = (town.owner, town.genesis);
        let served = Served::elsewhere(nobody.to_string(), trust, machine, owner, genesis);
        let desk = Desk::new(State::Unasked);
        let info = monitor.info();
        let issuer = Issuer {
            bundle: served.bundle(),
            root: info.domain,
            attester: monitor,
            own: [
                Revoked::Measurement(info.program.measurement),
                Revoked::StatementKey(info.statement_key),
            ],
            clock: testkit::clock,
        };
        tokio::spawn(issuer.keep(desk.clone()));
        let path = dir.path().join("s");
        tokio::spawn(accept(UnixListener::bind(&path).unwrap(), desk, IDLE));
        let (code, said) = Wire::connect(&path).await.call(SVID).await.end().await;
        assert_eq!(code, UNAVAILABLE);
        assert!(said.contains("cannot be reached"), "{said}");
    });
}

/// A server that takes one mode, and the program with the key it was handed.
async fn meets(stage: &Stage, svid: &X509Svid, mode: Mode) -> Result<(), HandshakeError> {
    let trust = &stage.served.trust;
    let (admission, _, key) = stage.served.admit(&stage.served.monitor(3), false).await.unwrap();
    let endpoint = |n, leaf: &[u8], key: &[u8], role: &str| {
        let identity = Identity {
            chain: vec![CertificateDer::from(leaf.to_vec())],
            key: PrivateKeyDer::Pkcs8(key.to_vec().into()),
        };
        let own = Some(Arc::new(Own::new(identity, trust, NOW).unwrap()));
        let (trust, revocations) = (Arc::clone(trust), Arc::default());
        let roles = vec![role.to_owned()];
        let (modes, kinds) = (vec![mode], vec![BinderKind::ChannelMonitor]);
        Endpoint {
            standing: Standing::new(Present { trust, own, policy: 1, revocations }, Nobody),
            source: Arc::new(stage.served.monitor(n)),
            policy: PeerPolicy { modes, roles, kinds, require_pq: true },
            port: None,
            clock: testkit::clock,
        }
    };
    let server = endpoint(3, &admission.certificate, &key.pkcs8(), "web");
    let client = endpoint(WEB, &svid.x509_svid, &svid.x509_svid_key, "db");
    let (a, b) = tokio::io::duplex(64 * 1024);
    let (_, served) = tokio::join!(client.connect(a), server.accept(b));
    served.map(drop)
}

#[test]
fn an_exported_key_is_taken_where_a_peer_takes_credential_mode_and_refused_in_bound_mode() {
    block(async {
        let stage = stage().await;
        let svid = stage.svid().await;
        meets(&stage, &svid, Mode::Credential).await.unwrap();
        let refused = meets(&stage, &svid, Mode::Bound).await;
        assert!(matches!(refused, Err(HandshakeError::Exportable)), "{refused:?}");
    });
    // The platform would have spoken for it: the mark alone keeps it out.
    block_without("peer_exportable", async {
        let stage = stage().await;
        let svid = stage.svid().await;
        meets(&stage, &svid, Mode::Bound).await.unwrap();
    });
}

#[test]
fn an_answer_that_is_not_marked_or_lives_too_long_is_not_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let town = Town::new(dir.path(), vec![program("web", WEB, &[])]);
    let verified = |exportable, secs| {
        let info = town.monitor(WEB).info();
        let key = channel::keys::LeafKey::generate().unwrap();
        let credential = Credential {
            domain: info.domain,
            role: trust::RoleName::new("web").unwrap(),
            measurement: info.program.measurement,
            statement_key: info.statement_key,
            kind: evidence::Kind::Software,
            isolation: info.program.isolation,
            host: info.program.host,
            exportable,
            policy: 1,
            proof: ContentDigest::of(b""),
            log_index: 0,
        };
        let window = Window { not_before: NOW, not_after: NOW.plus_secs(secs) };
        let leaf = town.ca.issue("spiffe://town/web", key.spki(), &credential, window).unwrap();
        credential::verify(&[leaf.into()], &town.trust, NOW).unwrap()
    };
    check(&verified(true, 600), NOW).unwrap();
    let unmarked = verified(false, 600);
    assert!(matches!(check(&unmarked, NOW), Err(IssueError::NotMarked)));
    without("workload_exportable", || check(&unmarked, NOW)).unwrap();
    let long = verified(true, 601);
    assert!(matches!(check(&long, NOW), Err(IssueError::Life(601))));
    without("workload_life", || check(&long, NOW)).unwrap();
}

/// True if the other end closes this connection soon.
async fn closes(stream: &mut UnixStream) -> bool {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    tokio::time::timeout(IDLE * 6, read).await.is_ok()
}

#[test]
fn hostile_clients_are_turned_away_and_honest_ones_served() {
    block(async {
        let stage = stage().await;
        // Bytes that are not HTTP/2, and silence.
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
        for bytes in
            [b"".as_slice(), b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096], preface, &preface[..9]]
        {
            let mut stream = UnixStream::connect(stage.socket()).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            assert!(closes(&mut stream).await, "{} bytes", bytes.len());
        }
        let wire = stage.wire().await;
        // A message that is longer than any, announced and sent; one that is no message.
        for length in [REQUEST_TOO_LONG, u32::MAX] {
            let body = [&[0][..], &length.to_be_bytes(), &[0; 8192]].concat();
            let (code, _) = wire.call_with(SVID, &["true"], &body).await.end().await;
            assert_eq!(code, TOO_LARGE, "{length}");
        }
        for body in [&[][..], &[0, 0], &[9, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 0xff, 0xff]] {
            let (code, _) = wire.call_with(SVID, &["true"], body).await.end().await;
            assert_ne!(code, 0, "{body:?}");
        }
        // A field of the future is none of our business.
        let known = [0, 0, 0, 0, 2, 0x50, 1];
        wire.call_with(SVID, &["true"], &known).await.message::<X509SvidResponse>().await;
        // Headers without end.
        let long = "x".repeat(64 * 1024);
        assert!(wire.try_call(SVID, &["true", &long], &wire::EMPTY).await.is_err());
        // As many connections as there are places, all silent: the next is turned away, and once they are gone, served.
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            idle.push(UnixStream::connect(stage.socket()).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut refused = UnixStream::connect(stage.socket()).await.unwrap();
        let mut one = [0];
        assert_eq!(refused.read(&mut one).await.unwrap_or(0), 0);
        for mut stream in idle {
            assert!(closes(&mut stream).await);
        }
        // More calls than a connection may have wait their turn; they do not fail.
        let wire = stage.wire().await;
        let mut calls = Vec::new();
        for _ in 0..CALLS_MAX {
            calls.push(wire.call(SVID).await);
        }
        let late = tokio::time::timeout(Duration::from_millis(200), wire.call(SVID));
        assert!(late.await.is_err());
        drop(calls);
        wire.call(SVID).await.message::<X509SvidResponse>().await;
    });
}

const REQUEST_TOO_LONG: u32 = 4097;

#[test]
fn a_request_that_never_ends_is_ended() {
    block(async {
        let stage = stage().await;
        let (code, said) = stage.wire().await.unfinished(SVID).await.end().await;
        assert_eq!(code, 4, "{said}");
    });
}

#[test]
fn a_program_of_no_domain_gets_nothing() {
    block(async {
        let dir = tempfile::tempdir().unwrap();
        let (ours, _theirs) = platform::message::pair().unwrap();
        let holder = Arc::new(keyholder::Client::new(ours));
        let path = dir.path().join("s");
        tokio::spawn(serve(UnixListener::bind(&path).unwrap(), holder, None));
        let (code, _) = Wire::connect(&path).await.call(SVID).await.end().await;
        assert_eq!(code, DENIED);
    });
}

#[test]
fn a_key_is_not_printed() {
    let svid = X509Svid { x509_svid_key: vec![42; 8], ..X509Svid::default() };
    let shown = format!("{:?}", X509SvidResponse { svids: vec![svid] });
    assert!(!shown.contains("42") && shown.contains("spiffe_id"), "{shown}");
}
