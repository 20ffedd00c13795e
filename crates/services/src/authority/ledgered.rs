//! What the authority writes down: an entry in the log for every decision on authentic evidence, and the decision
//! record itself under its digest. The entry is durable before an answer leaves (I8). The newest entry's time is a
//! lower bound for the clock: an authority whose host sets it back refuses to run (I12).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use checker::DecisionRecord;
use evidence::{AuditKey, ContentDigest, Time};
use ledger::LogError;
use ledger::disk::Log;
use ledger::note::Signer;
use trust::policy::PolicyInForce;

use super::sealed_record;

/// The log with the records beside it.
pub struct Ledgered {
    log: Log,
    records: PathBuf,
    newest: Time,
    /// To whom records are encrypted.
    audit: AuditKey,
    /// Versions of policies that were entered.
    policies: BTreeSet<u64>,
}

/// One entry taken apart: `KIND UNIX REST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// `admission`, `refusal`, `revocation`, `policy`.
    pub kind: &'a str,
    /// When, by the authority's clock.
    pub at: Time,
    /// For an admission `ROLE DIGEST`.
    pub rest: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads one; none if it is not of this form.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = bytes.splitn(3, |b| *b == b' ');
        let mut text = || core::str::from_utf8(parts.next()?).ok();
        let (kind, at) = (text()?, text()?.parse().ok()?);
        Some(Self { kind, at: Time::from_unix(at), rest: parts.next()? })
    }

    /// Version of a policy that came into force.
    #[must_use]
    pub fn policy(&self) -> Option<u64> {
        (self.kind == "policy").then_some(())?;
        core::str::from_utf8(self.rest).ok()?.split(' ').next()?.parse().ok()
    }

    /// Role and digest of an admission.
    #[must_use]
    pub fn admission(&self) -> Option<(&'a str, &'a str)> {
        (self.kind == "admission").then_some(())?;
        core::str::from_utf8(self.rest).ok()?.split_once(' ')
    }
}

impl Ledgered {
    /// Opens the log in `dir`.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(dir: &Path, signer: Signer, audit: AuditKey) -> Result<Self, LogError> {
        let records = dir.join("decisions");
        fs::create_dir_all(&records)
            .map_err(|source| LogError::Disk { path: records.clone(), source })?;
        let (mut newest, mut policies) = (Time::MIN, BTreeSet::new());
        let log = Log::open(dir, signer, |entry| {
            let Some(entry) = Entry::parse(entry) else { return };
            newest = newest.max(entry.at);
            policies.extend(entry.policy());
        })?;
        Ok(Self { log, records, newest, audit, policies })
    }

    /// The newest entry's time.
    #[must_use]
    pub const fn newest(&self) -> Time {
        self.newest
    }

    /// Enters something of a kind.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn enter(&mut self, kind: &str, at: Time, what: &[u8]) -> Result<u64, LogError> {
        // Never backwards, so that the last entry's time is the bound.
        let at = at.max(self.newest);
        let mut entry = format!("{kind} {} ", at.unix()).into_bytes();
        entry.extend(what.get(..what.len().min(4096)).unwrap_or_default());
        let index = self.log.append(&[&entry])?;
        self.newest = at;
        Ok(index)
    }

    /// Keeps an admission's record and enters its digest.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn admission(&mut self, record: &DecisionRecord) -> Result<u64, LogError> {
        let digest = self.keep(&record.encode())?;
        self.enter("admission", record.at, format!("{} {digest}", record.role).as_bytes())
    }

    /// Keeps why somebody with authentic evidence was refused, and enters its digest: reasons name programs and machines,
    /// which the log shows to everybody.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn refusal(&mut self, at: Time, reasons: &str) -> Result<u64, LogError> {
        let digest = self.keep(reasons.as_bytes())?;
        self.enter("refusal", at, digest.to_string().as_bytes())
    }

    /// A record, encrypted to the owners' audit key and durable, under its digest.
    fn keep(&self, record: &[u8]) -> Result<ContentDigest, LogError> {
        let disk = |path: &Path, source| LogError::Disk { path: path.to_owned(), source };
        let (digest, sealed) = sealed_record::seal(&self.audit, record)
            .map_err(|e| disk(&self.records, io::Error::other(e)))?;
        let path = self.records.join(digest.to_string());
        let written = || -> io::Result<()> {
            let mut file = fs::File::create(&path)?;
            file.write_all(&sealed)?;
            file.sync_data()
        };
        written().map_err(|source| disk(&path, source))?;
        Ok(digest)
    }

    /// Enters a policy that comes into force now, unless it was entered before.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn policy(&mut self, policy: &PolicyInForce, at: Time) -> Result<(), LogError> {
        let (version, digest) = (policy.policy().version, policy.digest());
        let entered = self.policies.contains(&version);
        if !entered {
            self.enter("policy", at, format!("{version} {digest}").as_bytes())?;
            self.policies.insert(version);
        }
        Ok(())
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.log.checkpoint()
    }
}
