//! A program on disk: the part of an OCI runtime `config.json` that has a meaning here, and `casemate.*` annotations
//! for what OCI has no word for. `docs/formats/program-config.md` is its page. What would change behaviour and is
//! not understood is refused by name, never skipped.

use std::collections::BTreeMap;

use ciborium::Value;
use evidence::cbor::CborError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A configuration file is never longer.
pub const LEN_MAX: usize = 256 * 1024;
/// Memory of a program that states none: 1 GiB.
pub const MEMORY_MAX_DEFAULT: u64 = 1 << 30;
/// Processes and threads of a program that states none.
pub const PROCESSES_MAX_DEFAULT: u64 = 256;
/// Where programs written for SPIFFE look for the Workload API.
const SPIFFE: &str = "SPIFFE_ENDPOINT_SOCKET=unix:///run/casemate/workload.sock";
const PATH: &str = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Where a program's standard streams go (a measured grant, I14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdio {
    /// Nowhere: what it writes is gone, what it reads is empty.
    None,
    /// To the host, in clear.
    Plain,
}

impl Stdio {
    /// The spelling in configuration and manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Plain => "plain",
        }
    }

    /// Reads that spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Plain].into_iter().find(|s| s.as_str() == text)
    }
}

/// A peer this program may be given an address for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// The peer's role.
    pub role: String,
    /// The port it is known under.
    pub port: u16,
}

impl Peer {
    /// As messages between the monitor's processes have it.
    pub(crate) fn encode(&self) -> Value {
        Value::Array(vec![self.role.as_str().into(), self.port.into()])
    }

    /// Reads that.
    pub(crate) fn decode(value: Value) -> Result<Self, CborError> {
        let field = CborError::Field("connect");
        let parts = value.into_array().map_err(|_| field)?;
        let Ok([role, port]) = <[Value; 2]>::try_from(parts) else { return Err(field) };
        let role = role.into_text().map_err(|_| field)?;
        let port = port.into_integer().ok().and_then(|i| u16::try_from(i).ok()).ok_or(field)?;
        Ok(Self { role, port })
    }
}

/// Where the files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host's file system: the executable and what it needs.
    Executable,
    /// A directory that is the whole root.
    Directory(String),
}

/// What to run and what it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the files come from.
    pub source: Source,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// Names in the environment whose values are the host's word.
    pub open: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// Directories measured whole besides what the executable needs.
    pub trees: Vec<String>,
    /// Ports peers reach it on.
    pub listen: Vec<u16>,
    /// Peers it may be given an address for.
    pub connect: Vec<Peer>,
    /// Standard streams.
    pub stdio: Stdio,
    /// It terminates TLS itself.
    pub self_tls: bool,
    /// It has a writable directory `/state` that outlives it.
    pub state: bool,
    /// Bytes of memory.
    pub memory_max: u64,
    /// Processes and threads.
    pub processes_max: u64,
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Longer than the limit.
    #[error("config.json of {0} bytes, at most {LEN_MAX} allowed")]
    TooLong(usize),
    /// Not JSON, or with a field that is not understood.
    #[error("config.json: {0}; see docs/formats/program-config.md")]
    Json(#[from] serde_json::Error),
    /// A value that makes no sense.
    #[error("config.json: {field} is {got:?}, expected {expected}")]
    Value {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// An annotation that is not understood.
    #[error(
        "config.json: unknown annotation {0:?}; only casemate.* annotations of this version may stand here"
    )]
    Annotation(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Oci {
    oci_version: String,
    process: Process,
    root: Root,
    #[serde(default)]
    linux: Linux,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Process {
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    cwd: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    path: String,
    readonly: bool,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Linux {
    #[serde(default)]
    resources: Resources,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Resources {
    #[serde(default)]
    memory: Limit,
    #[serde(default)]
    pids: Limit,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<u64>,
}

impl Config {
    /// A program of the host with nothing granted.
    #[must_use]
    pub fn new(args: Vec<String>) -> Self {
        Self {
            source: Source::Executable,
            args,
            env: [PATH, "HOME=/tmp", "LANG=C.UTF-8", SPIFFE].map(str::to_owned).to_vec(),
            open: Vec::new(),
            cwd: "/tmp".to_owned(),
            trees: Vec::new(),
            listen: Vec::new(),
            connect: Vec::new(),
            stdio: Stdio::None,
            self_tls: false,
            state: false,
            memory_max: MEMORY_MAX_DEFAULT,
            processes_max: PROCESSES_MAX_DEFAULT,
        }
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > LEN_MAX {
            return Err(ConfigError::TooLong(bytes.len()));
        }
        let oci: Oci = serde_json::from_slice(bytes)?;
        let bad = |field, expected, got: &str| ConfigError::Value {
            field,
            expected,
            got: got.to_owned(),
        };
        if !oci.oci_version.starts_with("1.") {
            return Err(bad("ociVersion", "1.x", &oci.oci_version));
        }
        if !oci.root.readonly {
            return Err(bad(
                "root.readonly",
                "true: the root is measured, so nothing may write it",
                "false",
            ));
        }
        let mut a = oci.annotations;
        let mut take = |name: &str| a.remove(&format!("casemate.{name}"));
        let source = match take("source").as_deref() {
            Some("executable") => Source::Executable,
            Some("directory") => Source::Directory(oci.root.path),
            other => {
                return Err(bad(
                    "casemate.source",
                    "executable or directory",
                    other.unwrap_or("missing"),
                ));
            }
        };
        let flag = |field, v: Option<String>| match v.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(got) => Err(bad(field, "true or false", got)),
        };
        let stdio = take("stdio").unwrap_or_else(|| "none".to_owned());
        let config = Self {
            source,
            args: oci.process.args,
            env: oci.process.env,
            open: list(take("open")),
            cwd: oci.process.cwd,
            trees: list(take("trees")),
            listen: list(take("listen"))
                .iter()
                .map(|p| p.parse().map_err(|_| bad("casemate.listen", "port numbers", p)))
                .collect::<Result<_, _>>()?,
            connect: list(take("connect")).iter().map(|p| peer(p)).collect::<Result<_, _>>()?,
            stdio: Stdio::parse(&stdio)
                .ok_or_else(|| bad("casemate.stdio", "none or plain", &stdio))?,
            self_tls: flag("casemate.self-tls", take("self-tls"))?,
            state: flag("casemate.state", take("state"))?,
            memory_max: oci.linux.resources.memory.limit.unwrap_or(MEMORY_MAX_DEFAULT),
            processes_max: oci.linux.resources.pids.limit.unwrap_or(PROCESSES_MAX_DEFAULT),
        };
        if let Some(name) = a.into_keys().next() {
            return Err(ConfigError::Annotation(name));
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let bad = |field, expected, got: &str| {
            Err(ConfigError::Value { field, expected, got: got.to_owned() })
        };
        let nul = self.args.iter().chain(&self.env).find(|s| s.contains('\0'));
        if let Some(got) = nul {
            return bad("process", "text without NUL", got);
        }
        if self.args.first().is_none_or(String::is_empty) {
            return bad("process.args", "a program", "nothing");
        }
        if !self.cwd.starts_with('/') {
            return bad("process.cwd", "an absolute path", &self.cwd);
        }
        for env in &self.env {
            if env.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
                return bad("process.env", "NAME=value", env);
            }
        }
        let mut names =
            self.env.iter().filter_map(|e| e.split_once('=')).map(|(n, _)| n).collect::<Vec<_>>();
        names.sort_unstable();
        let twice = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b);
        if let Some((name, _)) = twice {
            return bad("process.env", "each name once", name);
        }
        if let Some(name) = self.open.iter().find(|n| !names.contains(&n.as_str())) {
            return bad("casemate.open", "names that process.env sets", name);
        }
        Ok(())
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// Never for a configuration that [`Config::parse`] made.
    pub fn to_json(&self) -> Result<String, ConfigError> {
        let mut annotations = BTreeMap::new();
        let mut put = |name: &str, value: String| {
            if !value.is_empty() {
                annotations.insert(format!("casemate.{name}"), value);
            }
        };
        let (path, source) = match &self.source {
            Source::Executable => ("/", "executable"),
            Source::Directory(dir) => (dir.as_str(), "directory"),
        };
        put("source", source.to_owned());
        put("open", self.open.join(","));
        put("trees", self.trees.join(","));
        put("listen", self.listen.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
        let connect = self.connect.iter().map(|p| format!("{}:{}", p.role, p.port));
        put("connect", connect.collect::<Vec<_>>().join(","));
        put("stdio", self.stdio.as_str().to_owned());
        put("self-tls", if self.self_tls { "true".to_owned() } else { String::new() });
        put("state", if self.state { "true".to_owned() } else { String::new() });
        let limit = |n| Limit { limit: Some(n) };
        let oci = Oci {
            oci_version: "1.2.0".to_owned(),
            process: Process {
                args: self.args.clone(),
                env: self.env.clone(),
                cwd: self.cwd.clone(),
            },
            root: Root { path: path.to_owned(), readonly: true },
            linux: Linux {
                resources: Resources {
                    memory: limit(self.memory_max),
                    pids: limit(self.processes_max),
                },
            },
            annotations,
        };
        Ok(serde_json::to_string_pretty(&oci)?)
    }
}

fn list(text: Option<String>) -> Vec<String> {
    text.map(|t| t.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default()
}

fn peer(text: &str) -> Result<Peer, ConfigError> {
    text.split_once(':')
        .and_then(|(role, port)| Some(Peer { role: role.to_owned(), port: port.parse().ok()? }))
        .filter(|p| !p.role.is_empty())
        .ok_or_else(|| ConfigError::Value {
            field: "casemate.connect",
            expected: "role:port",
            got: text.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let mut config = Config::new(vec!["/usr/bin/env".into(), "a b".into()]);
        config.listen = vec![6379, 80];
        config.connect = vec![Peer { role: "cache".into(), port: 1 }];
        config.state = true;
        config.stdio = Stdio::Plain;
        assert_eq!(Config::parse(config.to_json().unwrap().as_bytes()).unwrap(), config);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let good = Config::new(vec!["/bin/true".into()]).to_json().unwrap();
        for (from, to, name) in [
            (r#""readonly": true"#, r#""readonly": false"#, "root.readonly"),
            (r#""cwd""#, r#""capabilities": {}, "cwd""#, "capabilities"),
            (r#""casemate.stdio""#, r#""casemate.stdin""#, "casemate.stdin"),
            (
                r#""casemate.source": "executable""#,
                r#""casemate.source": "image""#,
                "casemate.source",
            ),
            (r#""HOME=/tmp""#, r#""HOME""#, "process.env"),
            (r#""HOME=/tmp""#, r#""LANG=x""#, "process.env"),
            ("/bin/true", "", "process.args"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let refused = Config::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
        assert!(matches!(Config::parse(&vec![b' '; LEN_MAX + 1]), Err(ConfigError::TooLong(_))));
    }
}
