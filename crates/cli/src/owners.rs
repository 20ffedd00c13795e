//! A domain's owners as the command line knows them: files with public keys, and the names and fingerprints by which they are told apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use trust::domain::Sign;
use trust::signing::{Signers, fingerprint, public_key};

use crate::domain::{Domain, Founders};
use crate::output::Failure;

/// A public key's file is never longer.
const KEY_MAX: u64 = 16 * 1024;

/// Owners who fit together, not yet written.
pub struct Founding {
    signers: Signers,
    need: usize,
    revoke: usize,
    files: Vec<(String, String)>,
}

fn key_of(path: &Path) -> Result<String> {
    let name = path.display();
    let len = fs::metadata(path).with_context(|| name.to_string())?.len();
    if len > KEY_MAX {
        bail!(Failure::Usage(format!("{name}: {len} bytes, too long for a public key")));
    }
    let text = fs::read_to_string(path).with_context(|| name.to_string())?;
    if text.contains("PRIVATE KEY") {
        bail!(Failure::Usage(format!(
            "{name} is a private key; give the public one, {name}.pub, and keep this one to its owner"
        )));
    }
    if text.trim().lines().count() != 1 {
        bail!(Failure::Usage(format!("{name}: expected one public key on one line")));
    }
    public_key(&text).map_err(|e| Failure::Usage(format!("{name}: {e}")).into())
}

/// Reads the founders' keys, and says what does not fit.
pub fn read(founders: &Founders) -> Result<Founding> {
    let mut files = Vec::new();
    let mut keys = Vec::new();
    for path in &founders.by {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".pub") || name.len() < 5 {
            bail!(Failure::Usage(format!(
                "{}: an owner's file is called NAME.pub, so that the owner has a name",
                path.display()
            )));
        }
        if files.iter().any(|(known, _)| *known == name) {
            bail!(Failure::Usage(format!(
                "two owners' files are called {name}; call one of them otherwise"
            )));
        }
        let key = key_of(path)?;
        files.push((name, key.clone()));
        keys.push(key);
    }
    let usage = |e: trust::signing::SigningError| Failure::Usage(e.to_string());
    let signers = Signers::new(founders.need, &keys).and_then(|s| s.with_revoke(founders.revoke));
    let signers = signers.map_err(usage)?;
    Ok(Founding { signers, need: founders.need, revoke: founders.revoke, files })
}

impl Founding {
    /// Puts the keys beside the domain file; the signers, and how it names them.
    pub fn write(self, dir: &Path) -> Result<(Signers, String)> {
        for (name, key) in &self.files {
            let owner = name.trim_end_matches(".pub");
            fs::write(dir.join(name), format!("{key} {owner}\n"))?;
        }
        let by = self.files.iter().map(|(n, _)| format!("{n:?}")).collect::<Vec<_>>().join(", ");
        let revoke = match self.revoke == self.need {
            true => String::new(),
            false => format!(", revoke = {}", self.revoke),
        };
        Ok((self.signers, format!("{{ need = {}, by = [{by}]{revoke} }}", self.need)))
    }
}

/// Who signs, as the domain file says it.
pub fn stated(domain: &Domain, sign: &Sign) -> Result<Signers> {
    let line = sign.line;
    let mut keys = Vec::new();
    for file in &sign.by {
        let key = key_of(&domain.dir.join(file));
        keys.push(
            key.map_err(|e| Failure::Usage(format!("casemate.toml:{line}: sign.by: {e:#}")))?,
        );
    }
    let signers = Signers::new(sign.need, &keys);
    let signers = signers.and_then(|s| s.with_revoke(sign.revoke.unwrap_or(sign.need)));
    signers.map_err(|e| Failure::Usage(format!("casemate.toml:{line}: {e}")).into())
}

/// The names of keys: those of their files.
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Of every `.pub` file of the domain. A label for people: what counts is the key.
    pub fn of(domain: &Domain) -> Self {
        let mut all = BTreeMap::new();
        for dir in [domain.dir.join("keys"), domain.dir.clone()] {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path: PathBuf = entry.path();
                let Some(stem) =
                    path.file_stem().filter(|_| path.extension().is_some_and(|e| e == "pub"))
                else {
                    continue;
                };
                if let Ok(key) = key_of(&path) {
                    let stem = stem.to_string_lossy();
                    let plain = stem.chars().filter(char::is_ascii_graphic).take(64);
                    all.insert(key, plain.collect());
                }
            }
        }
        Self(all)
    }

    /// `ana (SHA256:…)`.
    pub fn say(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(name) => format!("{name} ({})", fingerprint(key)),
            None => fingerprint(key),
        }
    }
}
