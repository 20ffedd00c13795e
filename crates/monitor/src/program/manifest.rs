//! The manifest: everything that affects a program's behaviour, in one deterministic encoding whose digest is the
//! program's measurement. `docs/formats/manifest.md` is its page. No host path, owner, time or order of a directory is in it.

use ciborium::Value;
use evidence::cbor;
use evidence::{ContentDigest, Measurement};

use super::config::{Config, Peer, Stdio};

/// Hashed before the encoding, so that a manifest's digest is no other object's.
const LABEL: &[u8] = b"casemate/manifest/v1";
const VERSION: u64 = 1;
/// The user every program runs as, inside.
pub const USER: u32 = 1000;

/// One name in the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(String),
    /// A regular file: executable or not, its content.
    File {
        /// It may be executed.
        executable: bool,
        /// SHA-384 of the content.
        digest: ContentDigest,
        /// Bytes.
        len: u64,
    },
}

/// A writable mount. All are noexec, nosuid and nodev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// `/tmp`, memory that ends with the program.
    Temporary,
    /// `/state`, which outlives it and which the host can read, change and restore.
    State,
}

/// A peer's name and address inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The role.
    pub role: String,
    /// Its own loopback address.
    pub address: [u8; 4],
    /// The port.
    pub port: u16,
}

impl PeerAddress {
    /// Whom it reaches.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer { role: self.role.clone(), port: self.port }
    }
}

/// Everything that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The root, by absolute path, sorted.
    pub entries: Vec<(String, Entry)>,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment: name, and value unless declared open. Sorted by name.
    pub env: Vec<(String, Option<String>)>,
    /// Working directory.
    pub cwd: String,
    /// Writable mounts.
    pub mounts: Vec<Mount>,
    /// Ports.
    pub listen: Vec<u16>,
    /// Peers.
    pub connect: Vec<PeerAddress>,
    /// Standard streams.
    pub stdio: Stdio,
    /// It terminates TLS itself.
    pub self_tls: bool,
    /// Bytes of memory.
    pub memory_max: u64,
    /// Processes and threads.
    pub processes_max: u64,
    /// Digest of the system-call allow-list.
    pub seccomp: ContentDigest,
}

/// The addresses of a program's peers: 127.77.0.1 on, in the order of their names.
#[must_use]
pub fn peer_addresses(config: &Config) -> Vec<PeerAddress> {
    let mut peers = config.connect.clone();
    peers.sort();
    peers.dedup();
    peers
        .into_iter()
        .zip(1..=254_u8)
        .map(|(p, n)| PeerAddress { role: p.role, address: [127, 77, 0, n], port: p.port })
        .collect()
}

impl Manifest {
    /// The manifest of `config` over a root with these entries.
    #[must_use]
    pub fn new(config: &Config, mut entries: Vec<(String, Entry)>) -> Self {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut env = config
            .env
            .iter()
            .filter_map(|e| e.split_once('='))
            .map(|(n, v)| {
                (n.to_owned(), (!config.open.iter().any(|o| o == n)).then(|| v.to_owned()))
            })
            .collect::<Vec<_>>();
        env.sort();
        let mut listen = config.listen.clone();
        listen.sort_unstable();
        listen.dedup();
        let mut mounts = vec![Mount::Temporary];
        mounts.extend(config.state.then_some(Mount::State));
        Self {
            entries,
            args: config.args.clone(),
            env,
            cwd: config.cwd.clone(),
            mounts,
            listen,
            connect: peer_addresses(config),
            stdio: config.stdio,
            self_tls: config.self_tls,
            memory_max: config.memory_max,
            processes_max: config.processes_max,
            seccomp: crate::sandbox::seccomp::digest(),
        }
    }

    /// The deterministic encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let text = |t: &String| Value::from(t.as_str());
        let entry = |(path, entry): &(String, Entry)| {
            let mut item = vec![text(path)];
            match entry {
                Entry::Directory => item.push("d".into()),
                Entry::Link(target) => item.extend(["l".into(), text(target)]),
                Entry::File { executable, digest, len } => item.extend([
                    if *executable { "x".into() } else { "f".into() },
                    Value::Bytes(digest.as_bytes().to_vec()),
                    (*len).into(),
                ]),
            }
            Value::Array(item)
        };
        let env = |(name, value): &(String, Option<String>)| {
            Value::Array(
                [Some(text(name)), value.as_ref().map(text)].into_iter().flatten().collect(),
            )
        };
        let mount = |m: &Mount| Value::from(if *m == Mount::State { "state" } else { "tmp" });
        let peer = |p: &PeerAddress| {
            Value::Array(vec![text(&p.role), Value::Bytes(p.address.to_vec()), p.port.into()])
        };
        cbor::encode(&cbor::map(vec![
            (1, VERSION.into()),
            (2, Value::Array(self.entries.iter().map(entry).collect())),
            (3, Value::Array(self.args.iter().map(text).collect())),
            (4, Value::Array(self.env.iter().map(env).collect())),
            (5, text(&self.cwd)),
            (6, USER.into()),
            (7, Value::Array(self.mounts.iter().map(mount).collect())),
            (8, Value::Array(self.listen.iter().map(|p| Value::from(*p)).collect())),
            (9, Value::Array(self.connect.iter().map(peer).collect())),
            (10, self.stdio.as_str().into()),
            (11, self.self_tls.into()),
            (12, self.memory_max.into()),
            (13, self.processes_max.into()),
            (14, Value::Bytes(self.seccomp.as_bytes().to_vec())),
        ]))
    }

    /// The program's measurement.
    #[must_use]
    pub fn measurement(&self) -> Measurement {
        let mut bytes = LABEL.to_vec();
        bytes.extend(self.encode());
        Measurement::new(evidence::bytes::sha384(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::config::Peer;

    fn manifest() -> Manifest {
        let mut config = Config::new(vec!["/bin/x".into(), "-v".into()]);
        config.connect =
            vec![Peer { role: "b".into(), port: 2 }, Peer { role: "a".into(), port: 1 }];
        config.listen = vec![80];
        let file = Entry::File { executable: true, digest: ContentDigest::of(b"x"), len: 1 };
        Manifest::new(&config, vec![("/bin/x".into(), file), ("/bin".into(), Entry::Directory)])
    }

    #[test]
    fn every_field_changes_the_measurement() {
        let base = manifest();
        type Change = fn(&mut Manifest);
        let changes: &[Change] = &[
            |m| {
                m.entries[1].1 =
                    Entry::File { executable: true, digest: ContentDigest::of(b"y"), len: 1 }
            },
            |m| {
                m.entries[1].1 =
                    Entry::File { executable: false, digest: ContentDigest::of(b"x"), len: 1 }
            },
            |m| m.entries[1].0.push('y'),
            |m| m.entries[0].1 = Entry::Link("x".into()),
            |m| m.args.push(String::new()),
            |m| m.args[1] = "-w".into(),
            |m| m.env[0].1 = None,
            |m| m.env[0].1 = Some("other".into()),
            |m| m.cwd = "/".into(),
            |m| m.mounts.push(Mount::State),
            |m| m.listen[0] = 81,
            |m| m.connect[0].port = 3,
            |m| m.connect[0].role = "c".into(),
            |m| m.stdio = Stdio::Plain,
            |m| m.self_tls = true,
            |m| m.memory_max += 1,
            |m| m.processes_max += 1,
            |m| m.seccomp = ContentDigest::of(b"weaker"),
        ];
        let mut seen = vec![base.measurement()];
        for change in changes {
            let mut m = base.clone();
            change(&mut m);
            seen.push(m.measurement());
        }
        seen.sort();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all, "two different manifests have one measurement");
    }

    #[test]
    fn the_order_things_were_found_in_changes_nothing() {
        let mut config = Config::new(vec!["/bin/x".into()]);
        config.connect =
            vec![Peer { role: "b".into(), port: 2 }, Peer { role: "a".into(), port: 1 }];
        let entries =
            vec![("/b".to_owned(), Entry::Directory), ("/a".to_owned(), Entry::Directory)];
        let one = Manifest::new(&config, entries.clone());
        config.connect.reverse();
        config.env.reverse();
        let other = Manifest::new(&config, entries.into_iter().rev().collect());
        assert_eq!(one.measurement(), other.measurement());
    }

    #[test]
    fn an_open_value_is_not_measured_but_its_name_is() {
        let with = |value: &str, open: bool| {
            let mut config = Config::new(vec!["/bin/x".into()]);
            config.env.push(format!("POD={value}"));
            if open {
                config.open.push("POD".into());
            }
            Manifest::new(&config, Vec::new()).measurement()
        };
        assert_eq!(with("a", true), with("b", true));
        assert_ne!(with("a", false), with("b", false));
        assert_ne!(
            with("a", true),
            Manifest::new(&Config::new(vec!["/bin/x".into()]), Vec::new()).measurement()
        );
    }
}
