//! What the authority writes down: an entry in the log for every decision on authentic evidence, and the decision
//! record itself under its digest. The entry is durable before an answer leaves (I8).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use checker::DecisionRecord;
use ledger::LogError;
use ledger::disk::Log;
use ledger::note::Signer;

/// The log with the records beside it.
pub struct Ledgered {
    log: Log,
    records: PathBuf,
}

impl Ledgered {
    /// Opens the log in `dir`.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(dir: &Path, signer: Signer) -> Result<Self, LogError> {
        let records = dir.join("decisions");
        fs::create_dir_all(&records)
            .map_err(|source| LogError::Disk { path: records.clone(), source })?;
        Ok(Self { log: Log::open(dir, signer)?, records })
    }

    /// Enters something of a kind.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn enter(&mut self, kind: &str, what: &[u8]) -> Result<u64, LogError> {
        let mut entry = format!("{kind} ").into_bytes();
        entry.extend(what.get(..what.len().min(4096)).unwrap_or_default());
        self.log.append(&[&entry])
    }

    /// Keeps an admission's record and enters its digest.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn admission(&mut self, record: &DecisionRecord) -> Result<u64, LogError> {
        let digest = record.digest().to_string();
        let path = self.records.join(&digest);
        let written = || -> io::Result<()> {
            let mut file = fs::File::create(&path)?;
            file.write_all(&record.encode())?;
            file.sync_data()
        };
        written().map_err(|source| LogError::Disk { path: path.clone(), source })?;
        self.enter("admission", format!("{} {digest}", record.role).as_bytes())
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.log.checkpoint()
    }
}
