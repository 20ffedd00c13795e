//! A proxy's whole memory, read by root and used from another process: what it gives (its own program's key, good where a peer
//! takes the key alone) and what it does not (a bound channel, any secret of the keyholder).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use services::authority::{AuditSecret, sealed_record};

use crate::stage::{Stage, is_root};

/// PKCS#8 of a P-256 key, up to the length of the inner key.
const P256_PKCS8: [u8; 27] = [
    0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];
const P256_PKCS8_LEN: usize = 138;

/// Every byte a process could have written, mapping by mapping.
fn dump(pid: &str) -> Vec<Vec<u8>> {
    let process = Path::new("/proc").join(pid);
    let memory = File::open(process.join("mem")).unwrap();
    let maps = std::fs::read_to_string(process.join("maps")).unwrap();
    let written = maps.lines().filter(|l| l.split(' ').nth(1).is_some_and(|p| p.starts_with("rw")));
    let mapping = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        memory.read_exact_at(&mut bytes, from).ok().map(|()| bytes)
    };
    written.filter_map(mapping).collect()
}

fn find<'a>(memory: &'a [Vec<u8>], what: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memory.iter().flat_map(move |m| {
        let hits = m.windows(what.len()).enumerate().filter(move |(_, w)| *w == what);
        hits.map(|(at, _)| &m[at..])
    })
}

/// The certificate of `key` somewhere in memory.
fn certificate(memory: &[Vec<u8>], key: &EcdsaKeyPair) -> Option<Vec<u8>> {
    let point = key.public_key().as_ref();
    let sequences = find(memory, &[0x30, 0x82]).filter_map(|at| {
        let len = 4 + usize::from(u16::from_be_bytes([*at.get(2)?, *at.get(3)?]));
        at.get(..len)
    });
    let mut certificates = sequences.filter(|c| {
        c.windows(point.len()).any(|w| w == point) && channel::credential::spki_digest(c).is_ok()
    });
    certificates.next().map(<[u8]>::to_vec)
}

/// Processes of this stage whose command line has that word, with the program each serves.
fn processes(stage: &Stage, word: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let of = |p: &Path| {
        let line = String::from_utf8_lossy(&std::fs::read(p.join("cmdline")).ok()?).into_owned();
        let exe = std::fs::read_link(p.join("exe")).ok()?;
        (line.contains(word) && exe.starts_with(stage.path())).then_some(())
    };
    let found = all.filter(|p| of(&p.path()).is_some());
    found.map(|p| p.file_name().to_string_lossy().into_owned()).collect()
}

/// What the attacker, a process of its own, makes of its loot.
fn attack(stage: &Stage, loot: &Value) -> String {
    let mut attacker = stage
        .command(&["__tour-program", "attack"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    attacker.stdin.take().unwrap().write_all(loot.to_string().as_bytes()).unwrap();
    String::from_utf8(attacker.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_proxys_dumped_memory_opens_no_bound_channel_and_holds_no_secret_of_the_keyholder() {
    if !is_root() {
        println!("skipped: reading another process's memory needs root");
        return;
    }
    let stage = Stage::own();
    stage.good(".", &["new", "shop"]);
    let serve = "python3 -m http.server 8000 --bind 127.0.0.1 --directory /etc";
    let add =
        [&["add", "server", "--listen", "8000", "--"][..], &serve.split(' ').collect::<Vec<_>>()];
    stage.good("shop", &add.concat());
    let hold = "import socket, time\n\
        s = socket.create_connection(('server', 8000))\n\
        s.sendall(b'GET /hostname HTTP/1.0\\r\\n\\r\\n')\n\
        print(s.recv(8).decode(), flush=True)\n\
        time.sleep(60)";
    let victim =
        ["add", "victim", "--to", "server", "--stdio", "plain", "--", "python3", "-c", hold];
    stage.good("shop", &victim);
    stage.good("shop", &["up"]);
    stage.good("shop", &["run", "server"]);
    let before = processes(&stage, "__proxy");
    let mut running = stage
        .command(&["run", "--attach", "victim"])
        .current_dir(stage.path().join("shop"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/"), "the honest victim reaches its server: {line:?}");
    let proxy = processes(&stage, "__proxy").into_iter().find(|p| !before.contains(p)).unwrap();

    // What the dump gives.
    let memory = dump(&proxy);
    let (pkcs8, key) = find(&memory, &P256_PKCS8)
        .filter_map(|at| at.get(..P256_PKCS8_LEN))
        .find_map(|k| {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, k).ok()?;
            Some((k.to_vec(), pair))
        })
        .expect("the proxy's own key lies in its memory: THREATS.md says so");
    let certificate = certificate(&memory, &key).expect("its certificate lies beside it");
    let record = record(&stage, "victim");
    let ps: Value = serde_json::from_str(&stage.good("shop", &["ps", "--format", "json"])).unwrap();
    let of =
        |name: &str| ps.as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone();
    let genesis = std::fs::read(stage.path().join("shop/genesis.cbor")).unwrap();
    let root = trust::Genesis::decode(&genesis).unwrap().root();
    let bundle = std::fs::read(stage.path().join("shop/run/bundle.cbor")).unwrap();
    let loot = |peer: Value, role: &str, port: Value| {
        json!({"key": hex::encode(&pkcs8), "certificate": hex::encode(&certificate),
            "statement": hex::encode(&record.statement), "bundle": hex::encode(&bundle), "root": root.to_string(),
            "peer": peer, "port": port, "role": role, "reflect": false})
    };
    let taken = attack(&stage, &loot(Value::Null, "victim", Value::Null));
    assert_eq!(taken, "taken for spiffe://shop/victim", "where the key alone counts, it is enough");
    let bound = attack(&stage, &loot(of("server")["address"].clone(), "server", json!(8000)));
    assert!(bound.starts_with("refused"), "{bound}");

    // What it does not give.
    let machine = stage.path().join("shop/machine");
    let keyholder = dump(&processes(&stage, "__keyholder")[0]);
    for name in ["machine.key", "sealing.root", "root.key"] {
        let secret = std::fs::read(machine.join(name)).unwrap();
        assert_eq!(find(&memory, &secret).count(), 0, "{name} in the proxy's memory");
    }
    let report_key = std::fs::read(machine.join("machine.key")).unwrap();
    assert!(find(&keyholder, &report_key).count() > 0, "this search finds what is there");
    // The statement seed, drawn at the monitor's start: any 32 bytes whose public key is the one that signs here.
    let signer = record.statement_key.as_bytes();
    let is_seed = |w: &[u8]| {
        // Words of a random seed are hardly ever small numbers or addresses.
        let mixed = w.chunks_exact(8).all(|c| c[6..] != [0; 2]);
        mixed
            && Ed25519KeyPair::from_seed_unchecked(w)
                .is_ok_and(|p| p.public_key().as_ref() == signer)
    };
    let tried =
        memory.iter().flat_map(|m| m.chunks_exact(8).enumerate().map(move |(n, _)| (m, n * 8)));
    let seeds = tried.filter_map(|(m, at)| m.get(at..at + 32)).filter(|w| is_seed(w)).count();
    assert_eq!(seeds, 0, "the statement seed in the proxy's memory");
    let _ = running.kill();
    let _ = running.wait();
}

/// The newest decision on a role: with it a thief also has a genuine statement about the program.
fn record(stage: &Stage, role: &str) -> checker::DecisionRecord {
    let said = stage.good("shop", &["explain", role, "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let name = said["decision"].as_str().unwrap();
    let shop = stage.path().join("shop");
    let key = std::fs::read_to_string(shop.join("keys/audit")).unwrap();
    let sealed = shop.join("state/casemate-authority/log/decisions").join(name);
    let opened = sealed_record::open(
        &AuditSecret::from_file(&key).unwrap(),
        &evidence::ContentDigest::from_hex(name).unwrap(),
        &std::fs::read(sealed).unwrap(),
    );
    checker::DecisionRecord::decode(&opened.unwrap()).unwrap()
}
