//! What the authority writes down: an entry in the log for every decision on authentic evidence, and the decision
//! record itself under its digest. The entry is durable before an answer leaves (I8). The newest entry's time is a
//! lower bound for the clock: an authority whose host sets it back refuses to run (I12).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use channel::admission::LogProof;
use checker::DecisionRecord;
use evidence::{AuditKey, ContentDigest, Time};
use ledger::LogError;
use ledger::disk::Log;
use ledger::entry::{Entry, Kind};
use ledger::note::Signer;
use trust::Genesis;
use trust::policy::PolicyInForce;
use trust::role_secret::RoleSecret;
use trust::signing::Signed;

use super::sealed_record;

/// The log with the records beside it.
pub struct Ledgered {
    log: Log,
    records: PathBuf,
    newest: Time,
    /// To whom records are encrypted.
    audit: AuditKey,
    /// Policies that were entered, by version.
    policies: BTreeMap<u64, Option<ContentDigest>>,
    /// Changes of signers that were entered.
    signers: u64,
    /// Revocations that were entered.
    revocations: u64,
    /// Numbers of role secrets that were entered.
    secrets: BTreeMap<String, u64>,
    /// Claims that were entered.
    claims: BTreeSet<ContentDigest>,
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
        let (mut newest, mut policies, mut signers) = (Time::MIN, BTreeMap::new(), 0_u64);
        let (mut revocations, mut secrets) = (0_u64, BTreeMap::new());
        let mut claims = BTreeSet::new();
        let log = Log::open(dir, signer, |entry| {
            let Some(entry) = Entry::parse(entry) else { return };
            newest = newest.max(entry.at);
            policies.extend(entry.policy().map(|version| (version, entry.policy_digest())));
            signers = signers.max(entry.signers().unwrap_or_default());
            claims.extend(entry.claim());
            revocations = revocations.saturating_add(u64::from(entry.kind == Kind::Revocation));
            if let Some((name, number)) = entry.secret() {
                secrets.insert(name.to_owned(), number);
            }
        })?;
        Ok(Self { log, records, newest, audit, policies, signers, revocations, secrets, claims })
    }

    /// The newest entry's time.
    #[must_use]
    pub const fn newest(&self) -> Time {
        self.newest
    }

    /// Newest policy version, number of revocations, and newest number of each role secret there ever were.
    #[must_use]
    pub fn entered(&self) -> (u64, u64, &BTreeMap<String, u64>) {
        let newest = self.policies.last_key_value().map_or(0, |(version, _)| *version);
        (newest, self.revocations, &self.secrets)
    }

    /// Number of the newest change of signers there ever was.
    #[must_use]
    pub const fn signers(&self) -> u64 {
        self.signers
    }

    /// Enters changes of signers that were not entered before.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn follow(&mut self, genesis: &Genesis, at: Time) -> Result<(), LogError> {
        let known = self.signers;
        for change in genesis.changes().filter(|c| c.number > known) {
            let digest = ContentDigest::of(&change.encode());
            self.enter(Kind::Signers, at, format!("{} {digest}", change.number).as_bytes())?;
            self.signers = change.number;
        }
        Ok(())
    }

    /// False for another policy than was entered under its version: the owners signed two, or the log's is kept back.
    #[must_use]
    pub fn knows(&self, policy: &PolicyInForce) -> bool {
        let entered = self.policies.get(&policy.policy().version);
        entered.is_none_or(|digest| *digest == Some(policy.digest()))
    }

    /// Enters something of a kind.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn enter(&mut self, kind: Kind, at: Time, rest: &[u8]) -> Result<u64, LogError> {
        self.append(kind, at, rest).map(|(index, _)| index)
    }

    fn append(&mut self, kind: Kind, at: Time, rest: &[u8]) -> Result<(u64, Vec<u8>), LogError> {
        // Never backwards, so that the last entry's time is the bound.
        let at = at.max(self.newest);
        let entry = Entry { kind, at, rest }.encode();
        let index = self.log.append(&[&entry])?;
        self.newest = at;
        Ok((index, entry))
    }

    /// Keeps an admission's record and enters its digest: the entry's index, and proof for a client that has seen the first
    /// `seen` entries. One that claims to have seen more than there are gets none: it refuses what follows.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn admission(
        &mut self,
        record: &DecisionRecord,
        seen: u64,
    ) -> Result<(u64, LogProof), LogError> {
        let digest = self.keep(&record.encode())?;
        let rest = format!("{} {digest}", record.role);
        let (index, entry) = self.append(Kind::Admission, record.at, rest.as_bytes())?;
        let proof = LogProof {
            entry,
            checkpoint: self.log.checkpoint().to_owned(),
            inclusion: self.log.inclusion(index).unwrap_or_default(),
            consistency: self.log.consistency(seen).unwrap_or_default(),
        };
        Ok((index, proof))
    }

    /// Keeps why somebody with authentic evidence was refused, and enters its digest: reasons name programs and machines,
    /// which the log shows to everybody.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn refusal(&mut self, at: Time, reasons: &str) -> Result<u64, LogError> {
        let digest = self.keep(reasons.as_bytes())?;
        self.enter(Kind::Refusal, at, digest.to_string().as_bytes())
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
        let entered = self.policies.contains_key(&version);
        if !entered {
            self.enter(Kind::Policy, at, format!("{version} {digest}").as_bytes())?;
            self.policies.insert(version, Some(digest));
        }
        Ok(())
    }

    /// Enters a role secret that is released from now on.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn secret(
        &mut self,
        secret: &RoleSecret,
        signed: &Signed,
        at: Time,
    ) -> Result<(), LogError> {
        let digest = ContentDigest::of(&signed.payload);
        let rest = format!("{} {} {digest}", secret.name, secret.number);
        self.enter(Kind::Secret, at, rest.as_bytes())?;
        self.secrets.insert(secret.name.clone(), secret.number);
        Ok(())
    }

    /// Enters a claim that is asked from now on, unless it was entered before.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn claim(&mut self, digest: &ContentDigest, at: Time) -> Result<(), LogError> {
        if !self.claims.contains(digest) {
            self.enter(Kind::Claim, at, digest.to_string().as_bytes())?;
            self.claims.insert(*digest);
        }
        Ok(())
    }

    /// Every claim that was entered.
    pub fn claims(&self) -> impl Iterator<Item = &ContentDigest> {
        self.claims.iter()
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.log.checkpoint()
    }

    /// A tile or bundle of entries, `0/x001/234` or `entries/000.p/17`; none if there is none like it.
    #[must_use]
    pub fn tile(&self, path: &str) -> Option<Vec<u8>> {
        self.log.tile(path)
    }
}
