//! What there is to verify: one file, or a case folder, of which only the named files are read; never what it says to expect.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evidence::bytes::sha256;
use evidence::profile::Section;
use evidence::{RootDigest, Time};
use serde_json::Value;

use super::{VerifyArgs, report};
use crate::clock::now;
use crate::output::Failure;

/// No evidence or collateral is larger.
pub(super) const FILE_MAX: u64 = 32 * 1024 * 1024;

/// Everything a verifying function may ask for.
pub(super) struct Input {
    /// Kind, as the case says or as detected.
    pub(super) tee: String,
    /// The time to verify for.
    pub(super) at: Time,
    /// What the relying party had asked for.
    pub(super) nonce: Option<Vec<u8>>,
    /// The name of the profile.
    pub(super) profile: String,
    /// Files given by `--root`, as they are.
    pub(super) roots: Vec<Vec<u8>>,
    /// Certificates given by `--endorsement`, DER.
    pub(super) endorsements: Vec<Vec<u8>>,
    /// Reference manifests given by `--rim`, as they are.
    pub(super) rims: Vec<Vec<u8>>,
    /// OCSP responses given by `--ocsp`, as they are.
    pub(super) ocsp: Vec<Vec<u8>>,
    /// Collateral given by `--collateral`, as it is.
    pub(super) collateral: Option<Vec<u8>>,
    /// The store given by `--store`.
    pub(super) store: Option<PathBuf>,
    /// The event log given by `--event-log`, as it is.
    pub(super) event_log: Option<Vec<u8>>,
    /// Values of PCRs given by `--pcrs`, as they are.
    pub(super) pcrs: Option<Vec<u8>>,
    /// The single file, where no folder was given.
    file: Option<Vec<u8>>,
    dir: PathBuf,
    case: Value,
}

impl Input {
    /// Reads what the command line names.
    pub(super) fn load(args: &VerifyArgs) -> Result<Self> {
        let nonce = args.nonce.as_deref().map(hex::decode).transpose();
        let nonce = nonce.map_err(|_| Failure::Usage("--nonce: hex".to_owned()))?;
        let stated = args.at.as_deref().map(time).transpose()?;
        let bytes = |files: &[PathBuf]| files.iter().map(|f| read(f)).collect::<Result<Vec<_>>>();
        let mut input = Self {
            tee: String::new(),
            at: stated.unwrap_or_else(now),
            nonce,
            profile: args.policy.clone(),
            roots: bytes(&args.root)?,
            endorsements: Vec::new(),
            rims: bytes(&args.rim)?,
            ocsp: bytes(&args.ocsp)?,
            collateral: args.collateral.as_deref().map(read).transpose()?,
            store: args.store.clone(),
            pcrs: args.pcrs.as_deref().map(read).transpose()?,
            event_log: args.event_log.as_deref().map(read).transpose()?,
            file: None,
            dir: PathBuf::new(),
            case: Value::Null,
        };
        for file in bytes(&args.endorsement)? {
            input.endorsements.extend(certificates(&file)?);
        }
        if args.path.is_dir() {
            let path = args.path.join("case.json");
            let case = serde_json::from_slice(&read(&path)?);
            input.case = case.map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
            input.dir.clone_from(&args.path);
            input.tee = input.text("tee").unwrap_or_default();
            if let (None, Some(at)) = (stated, input.text("verify_at")) {
                input.at = time(&at)?;
            }
        } else {
            input.file = Some(read(&args.path)?);
        }
        Ok(input)
    }

    /// The profile it is to be judged under (a shipped one's name, or a file), and what that states about a kind.
    pub(super) fn knobs<S: Section>(&self) -> Result<(report::Profile, S)> {
        let usage = |why: String| Failure::Usage(why);
        let profile = match evidence::Profile::shipped(&self.profile) {
            Some(shipped) => shipped,
            None if Path::new(&self.profile).is_file() => {
                let text = String::from_utf8(read(Path::new(&self.profile))?)
                    .map_err(|_| usage(format!("{}: not a text", self.profile)))?;
                evidence::Profile::parse(&text)
                    .map_err(|e| usage(format!("{}: {e}", self.profile)))?
            }
            None => {
                let all = evidence::Profile::shipped_names().collect::<Vec<_>>().join(", ");
                bail!(usage(format!(
                    "no profile {:?} is shipped and no such file is there; shipped are: {all}",
                    self.profile
                )))
            }
        };
        let knobs: S = profile.section().map_err(|e| usage(e.to_string()))?;
        Ok((report::Profile { id: profile.id().to_owned(), words: knobs.words() }, knobs))
    }

    /// The single file given, if it was not a folder.
    pub(super) fn file(&self) -> Option<&[u8]> {
        self.file.as_deref()
    }

    /// A member of case.json.
    pub(super) fn member(&self, name: &str) -> &Value {
        self.case.get(name).unwrap_or(&Value::Null)
    }

    /// A text of case.json.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.member(name).as_str().map(str::to_owned)
    }

    /// True if the case folder has that file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file.is_none() && self.place(name).is_file()
    }

    /// A file of the case (`roots/…` resolves beside the cases), as it is.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        read(&self.place(name))
    }

    /// The evidence: the single file, or the case's file of that name.
    pub(super) fn evidence(&self, name: &str) -> Result<Vec<u8>> {
        self.file.clone().map_or_else(|| self.read(name), Ok)
    }

    /// Certificates in a file of the case, DER.
    pub(super) fn certificates(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        certificates(&self.read(name)?)
    }

    /// The certificate the case names as its trust anchor, if that is a file under `roots/`, and those of `--root`.
    /// They only complete chains: whether one is trusted is for [`Self::trusted`].
    pub(super) fn anchors(&self) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        if let Some(name) = self.text("trust_anchor").filter(|n| n.starts_with("roots/")) {
            all.extend(self.certificates(&name)?);
        }
        for file in &self.roots {
            all.extend(certificates(file)?);
        }
        Ok(all)
    }

    /// The pinned roots and those given by `--root`.
    pub(super) fn trusted(&self, pinned: &[RootDigest]) -> Result<Vec<RootDigest>> {
        let mut roots = pinned.to_vec();
        for file in &self.roots {
            roots.extend(certificates(file)?.iter().map(|c| RootDigest::new(sha256(c))));
        }
        Ok(roots)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is told where captured evidence is by the environment"
    )]
    fn place(&self, name: &str) -> PathBuf {
        if !name.starts_with("roots/") {
            return self.dir.join(name);
        }
        let base = std::env::var("CASEMATE_EVIDENCE");
        base.map_or_else(|_| self.dir.join("../.."), PathBuf::from).join(name)
    }
}

/// A file within the limit.
fn read(path: &Path) -> Result<Vec<u8>> {
    let usage = |e: std::io::Error| Failure::Usage(format!("{}: {e}", path.display()));
    let size = fs::metadata(path).map_err(usage)?.len();
    if size > FILE_MAX {
        bail!(Failure::Usage(format!(
            "{}: {size} bytes, at most {FILE_MAX} are read",
            path.display()
        )));
    }
    fs::read(path).map_err(|e| usage(e).into())
}

/// Certificates of a file, PEM (one or many) or DER, as DER.
pub(crate) fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|t| t.contains(BEGIN)) else {
        return Ok(vec![bytes.to_vec()]);
    };
    let bodies = text.split(BEGIN).skip(1).filter_map(|t| t.split("-----END").next());
    bodies
        .map(|body| {
            let body = body.split_whitespace().collect::<String>();
            let bad = |_| Failure::Usage("a PEM certificate is not base64".to_owned()).into();
            BASE64_STANDARD.decode(body).map_err(bad)
        })
        .collect()
}

fn time(text: &str) -> Result<Time> {
    Time::parse_rfc3339(text).ok_or_else(|| {
        Failure::Usage(format!("{text:?} is no time of the form 2026-11-24T12:00:00Z")).into()
    })
}
