//! Where peers of this machine are reached: a file of role and address. It is the host's word and is not trusted:
//! whoever answers at an address has to prove who it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file `{"role:port": "127.0.0.1:port"}`, replaced whole.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A directory at `path`; it need not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> BTreeMap<String, String> {
        fs::read(&self.0).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default()
    }

    /// Address of a role's port, if anybody said so.
    #[must_use]
    pub fn find(&self, role: &str, port: u16) -> Option<String> {
        self.read().remove(&format!("{role}:{port}"))
    }

    /// Says where a role's port is reached.
    pub fn set(&self, role: &str, port: u16, address: &str) {
        let mut all = self.read();
        all.insert(format!("{role}:{port}"), address.to_owned());
        let new = self.0.with_extension("new");
        let written = serde_json::to_vec(&all).map(|bytes| fs::write(&new, bytes));
        if matches!(written, Ok(Ok(()))) {
            let _ = fs::rename(new, &self.0);
        }
    }
}
