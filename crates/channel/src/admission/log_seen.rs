//! What a client knows of its authority's log, and how every admission must extend it: an admission counts only with its
//! entry in the log, and a log that this client saw once never shows it another past (RFC 6962 sections 2.1.1, 2.1.2).

use ciborium::Value;
use evidence::cbor::{self, CborError, Fields};
use evidence::controls::holds;
use ledger::entry::Entry;
use ledger::note::{self, NoteError, Verifier};
use ledger::tree::{self, Hash};
use thiserror::Error;

use super::Admission;
use crate::credential::Credential;

/// Hashes in a proof: a tree of 2^64 entries has no longer ones.
const PROOF_MAX: usize = 64;

/// Part of an admission: its entry, and why it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LogProof {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The newest checkpoint, a signed note.
    pub checkpoint: String,
    /// From the entry to its root.
    pub inclusion: Vec<Hash>,
    /// From the size the client asked with.
    pub consistency: Vec<Hash>,
}

/// The newest checkpoint a client has verified, kept from one admission to the next.
#[derive(Clone, Debug, Default)]
pub struct LogSeen(Option<Seen>);

#[derive(Clone, Debug)]
struct Seen {
    size: u64,
    root: Hash,
    note: String,
}

/// Why an admission is refused though its credential holds.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogRefusal {
    /// The checkpoint is not of the log the owners endorsed.
    #[error("log: {0}")]
    Note(#[from] NoteError),
    /// The entry says something else than the admission.
    #[error(
        "log: expected the entry of this admission ({expected}), got {got:?}; the authority logs other decisions than it makes, tell its owners"
    )]
    Entry {
        /// Role and digest.
        expected: String,
        /// The entry.
        got: String,
    },
    /// The credential names another entry.
    #[error(
        "log: the credential is of entry {credential}, the answer of entry {answer}; admit again"
    )]
    Index {
        /// The credential's.
        credential: u64,
        /// The answer's.
        answer: u64,
    },
    /// The entry does not stand in the log.
    #[error(
        "log: entry {index} is not under the checkpoint of {size} entries; the authority did not log this admission, tell its owners"
    )]
    Inclusion {
        /// Which entry.
        index: u64,
        /// The checkpoint's entries.
        size: u64,
    },
    /// The log is not the one seen before.
    #[error(
        "log: a checkpoint of {size} entries does not continue the one of {seen} entries seen before: the log was forked or rolled back. Give both to the owners, each is signed:\n{earlier}\n{later}"
    )]
    Fork {
        /// Entries seen before.
        seen: u64,
        /// Entries now.
        size: u64,
        /// The note seen before.
        earlier: String,
        /// The note now.
        later: String,
    },
}

impl LogProof {
    pub(super) fn value(&self) -> Value {
        let hashes = |h: &[Hash]| h.iter().map(|h| Value::Bytes(h.to_vec())).collect();
        cbor::map(vec![
            (1, Value::Bytes(self.entry.clone())),
            (2, self.checkpoint.as_str().into()),
            (3, Value::Array(hashes(&self.inclusion))),
            (4, Value::Array(hashes(&self.consistency))),
        ])
    }

    pub(super) fn read(value: Value) -> Result<Self, CborError> {
        let mut f = Fields::from_value(value)?;
        let hashes = |values: Vec<Value>, name: &'static str| {
            let hash = |v: Value| v.into_bytes().ok()?.try_into().ok();
            if values.len() > PROOF_MAX {
                return Err(CborError::Field(name));
            }
            values.into_iter().map(|v| hash(v).ok_or(CborError::Field(name))).collect()
        };
        let proof = Self {
            entry: f.bytes(1, "entry")?,
            checkpoint: f.text(2, "checkpoint")?,
            inclusion: hashes(f.array(3, "inclusion")?, "inclusion")?,
            consistency: hashes(f.array(4, "consistency")?, "consistency")?,
        };
        f.finish()?;
        Ok(proof)
    }
}

impl LogSeen {
    /// Entries of the newest checkpoint verified here; 0 before there was one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.as_ref().map_or(0, |s| s.size)
    }

    /// Checks that `admission` stands in the log of `verifier` and that this log continues what was seen; then it is what
    /// was seen.
    ///
    /// 1. the checkpoint is the endorsed log's, 2. the entry is this admission's, 3. it is under the checkpoint, 4. the past
    ///    is the one seen before.
    ///
    /// # Errors
    /// [`LogRefusal`].
    pub(super) fn extend(
        &mut self,
        log: &str,
        admission: &Admission,
        credential: &Credential,
    ) -> Result<(), LogRefusal> {
        let proof = &admission.log;
        // 1
        let note::Checkpoint { size, root } = Verifier::parse(log)?.verify(&proof.checkpoint)?;
        // 2
        let says = Entry::parse(&proof.entry).and_then(|e| e.admission());
        let expected = (admission.role.as_str(), admission.decision);
        if !holds("log_entry", says == Some(expected)) {
            let expected = format!("{} {}", expected.0, expected.1);
            let got = String::from_utf8_lossy(&proof.entry).into_owned();
            return Err(LogRefusal::Entry { expected, got });
        }
        let (index, named) = (admission.log_index, credential.log_index);
        if !holds("log_index", index == named) {
            return Err(LogRefusal::Index { credential: named, answer: index });
        }
        // 3
        let leaf = tree::leaf(&proof.entry);
        let under = tree::root_from_inclusion(leaf, index, size, &proof.inclusion);
        if !holds("log_inclusion", under == Some(root)) {
            return Err(LogRefusal::Inclusion { index, size });
        }
        // 4
        let continues = self.0.as_ref().is_none_or(|seen| {
            tree::is_consistent((seen.size, seen.root), (size, root), &proof.consistency)
        });
        if !holds("log_fork", continues) {
            let (seen, earlier) = self.0.clone().map(|s| (s.size, s.note)).unwrap_or_default();
            return Err(LogRefusal::Fork { seen, size, earlier, later: proof.checkpoint.clone() });
        }
        self.0 = Some(Seen { size, root, note: proof.checkpoint.clone() });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
