//! `redis-benchmark` between two programs of casemate, through egress and ingress; beside plain Redis, Redis' own mutual TLS,
//! and mutual-TLS tunnels of HAProxy and stunnel, all on loopback and the same two cores.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::table::ratio;

const ROUNDS: usize = 3;
/// Arguments of redis-benchmark but for where to.
const LOAD: &[&str] = &["-t", "get", "-c", "32", "-d", "64", "--csv"];
const RUNS: [(&str, &str, &str); 2] = [("pipeline 1", "1", "60000"), ("pipeline 16", "16", "400000")];

struct Kept(Vec<Child>);

impl Drop for Kept {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(kept: &mut Kept, command: &mut Command) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    kept.0.push(child.unwrap_or_else(|e| panic!("{command:?}: {e}")));
}

fn wait_for(port: u16) {
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The rate in redis-benchmark's CSV.
fn rate(csv: &str) -> f64 {
    let line = csv.lines().find(|l| l.starts_with("\"GET\"")).unwrap_or_else(|| panic!("no rate in {csv:?}"));
    line.split(',').nth(1).unwrap().trim_matches('"').parse().unwrap()
}

fn load(port: u16, pipeline: &str, n: &str, tls: &[String]) -> f64 {
    let port = port.to_string();
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &port, "-P", pipeline, "-n", n]).args(LOAD).args(tls);
    rate(&String::from_utf8(command.output().unwrap().stdout).unwrap())
}

/// A CA and one leaf for both ends, P-256, as files.
struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    both: PathBuf,
}

fn certificates(dir: &Path) -> Files {
    let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // Not the leaf's name: OpenSSL takes a certificate whose issuer has its own name for self-signed.
    params.distinguished_name.push(rcgen::DnType::CommonName, "bench authority");
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    Files {
        ca: write("ca.pem", ca.pem()),
        cert: write("cert.pem", leaf.pem()),
        key: write("key.pem", key.serialize_pem()),
        both: write("both.pem", leaf.pem() + &key.serialize_pem()),
    }
}

fn haproxy(kept: &mut Kept, dir: &Path, f: &Files) {
    let (ca, both) = (f.ca.display(), f.both.display());
    let text = format!(
        "global\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         frontend in\n bind 127.0.0.1:7103\n default_backend out\n\
         backend out\n server s 127.0.0.1:7104 ssl crt {both} ca-file {ca} verify required\n\
         frontend tin\n bind 127.0.0.1:7104 ssl crt {both} ca-file {ca} verify required\n default_backend plain\n\
         backend plain\n server p 127.0.0.1:7100\n"
    );
    let path = dir.join("haproxy.cfg");
    fs::write(&path, text).unwrap();
    spawn(kept, Command::new("haproxy").args(["-f"]).arg(path));
    wait_for(7103);
}

fn stunnel(kept: &mut Kept, dir: &Path, f: &Files) {
    let (ca, cert, key) = (f.ca.display(), f.cert.display(), f.key.display());
    let text = format!(
        "foreground = yes\npid =\ncert = {cert}\nkey = {key}\nCAfile = {ca}\nverifyChain = yes\n\
         [client]\nclient = yes\naccept = 127.0.0.1:7105\nconnect = 127.0.0.1:7106\n\
         [server]\naccept = 127.0.0.1:7106\nconnect = 127.0.0.1:7100\n"
    );
    let path = dir.join("stunnel.conf");
    fs::write(&path, text).unwrap();
    spawn(kept, Command::new("stunnel").arg(path));
    wait_for(7105);
}

/// One run between two programs of casemate.
fn casemate(command: &Path, shop: &Path, pipeline: &str) -> f64 {
    let name = format!("load{pipeline}");
    let out = Command::new(command).args(["run", "--attach", &name]).current_dir(shop).output().unwrap();
    rate(&String::from_utf8(out.stdout).unwrap())
}

pub fn run() {
    let command = std::env::current_dir().unwrap().join("../target/release/casemate");
    for (needed, package) in [("redis-benchmark", "redis-tools"), ("redis-server", "redis-server"), ("haproxy", "haproxy"), ("stunnel", "stunnel4")] {
        let found = Command::new("sh").args(["-c", &format!("command -v {needed}")]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|s| s.success()) || !command.exists() {
            println!("skipped: needs {needed} (package {package}) and the command built with cargo build --release");
            return;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let f = certificates(dir.path());
    let mut kept = Kept(Vec::new());
    let server = |port: &str, more: &[&str]| {
        let mut c = Command::new("redis-server");
        c.args(["--save", "", "--port", port, "--bind", "127.0.0.1"]).args(more).current_dir("/tmp");
        c
    };
    let path = |p: &PathBuf| p.to_str().unwrap().to_owned();
    spawn(&mut kept, &mut server("7100", &[]));
    spawn(
        &mut kept,
        &mut server("0", &["--tls-port", "7101", "--tls-cert-file", &path(&f.cert), "--tls-key-file", &path(&f.key), "--tls-ca-cert-file", &path(&f.ca)]),
    );
    wait_for(7100);
    wait_for(7101);
    haproxy(&mut kept, dir.path(), &f);
    stunnel(&mut kept, dir.path(), &f);
    let shop = dir.path().join("shop");
    let ours = |args: &[&str], at: &Path| {
        let out = Command::new(&command).args(args).current_dir(at).output().unwrap();
        assert!(out.status.success(), "casemate {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    ours(&["new", "shop"], dir.path());
    ours(&["add", "cache", "--listen", "6379", "--", "/usr/bin/redis-server", "--save", "", "--dir", "/tmp"], &shop);
    for (_, pipeline, n) in RUNS {
        let name = format!("load{pipeline}");
        let start = ["add", &name, "--to", "cache", "--stdio", "plain", "--", "/usr/bin/redis-benchmark", "-h", "cache", "-P", pipeline, "-n", n];
        ours(&[&start[..], LOAD].concat(), &shop);
    }
    ours(&["up"], &shop);
    ours(&["run", "cache"], &shop);
    let tls = ["--tls", "--cert", &path(&f.cert), "--key", &path(&f.key), "--cacert", &path(&f.ca)].map(str::to_owned);
    for (what, pipeline, n) in RUNS {
        let mut all: [Vec<f64>; 5] = Default::default();
        for _ in 0..ROUNDS {
            all[0].push(load(7100, pipeline, n, &[]));
            all[1].push(load(7101, pipeline, n, &tls));
            all[2].push(load(7103, pipeline, n, &[]));
            all[3].push(load(7105, pipeline, n, &[]));
            all[4].push(casemate(&command, &shop, pipeline));
        }
        let [plain, own, ha, st, us] = all.map(|mut v| {
            v.sort_by(f64::total_cmp);
            v[v.len() / 2]
        });
        println!("{what}, requests/s: plain {plain:.0}, Redis' own TLS {own:.0}, HAProxy {ha:.0}, stunnel {st:.0}, casemate {us:.0}");
        println!("of plain: own TLS {:.2}, HAProxy {:.2}, stunnel {:.2}, casemate {:.2}", own / plain, ha / plain, st / plain, us / plain);
        ratio("casemate / HAProxy", us / ha, ">= 1.25", us >= 1.25 * ha);
        ratio("casemate / stunnel", us / st, ">= 2", us >= 2.0 * st);
        println!("casemate / Redis' own TLS (the mark to approach): {:.2}", us / own);
    }
    ours(&["stop"], &shop);
}
