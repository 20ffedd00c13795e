//! The software platform's machine: a root, a report key and a sealing root in files, in the shape of real silicon.
//! For development (I11): it protects from nobody who owns the machine, and every object it signs says so.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use evidence::software::layout::{ENDORSEMENT_LABEL, REPORT_LABEL};
use evidence::software::{Endorsement, Report};
use evidence::{
    HardwareEvidence, Kind, Measurement, ReportData, RootDigest, StatementKey, Time, Window, cose,
};
use thiserror::Error;

use crate::{Secret, random};

const ROOT_KEY: &str = "root.key";
const MACHINE_KEY: &str = "machine.key";
const SEALING_ROOT: &str = "sealing.root";
const ENDORSEMENT: &str = "endorsement.cose";
const MACHINE_ID: &str = "machine.id";
const YEAR_SECS: i64 = 365 * 86_400;

/// Why the files of a software machine are unusable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A file cannot be read or written.
    #[error("{}: {source}; make the domain again with `casemate new`, or mend the file's permissions", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has the wrong length.
    #[error("{} is damaged: {got} bytes, expected {expected}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Length of a good one.
        expected: usize,
        /// Length found.
        got: usize,
    },
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Random,
}

/// A machine that can be asked for reports.
#[derive(Debug)]
pub struct Machine {
    id: [u8; 32],
    key: Secret<[u8; 32]>,
    sealing_root: Secret<[u8; 32]>,
    endorsement: Vec<u8>,
    root: StatementKey,
}

impl Machine {
    /// Makes a root and one machine under it, in a new directory that only its owner can enter.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn create(dir: &Path, now: Time) -> Result<Self, MachineError> {
        fs::DirBuilder::new().mode(0o700).recursive(true).create(dir).map_err(|e| file(dir, e))?;
        let [root, key, sealing, id] = fresh()?;
        let endorsement = Endorsement {
            machine: *id.expose(),
            report_key: public(&key),
            window: Window {
                not_before: now.plus_secs(-3600),
                not_after: now.plus_secs(YEAR_SECS),
            },
        };
        let payload = endorsement.encode();
        let signature = sign(&root, ENDORSEMENT_LABEL, &payload);
        write(&dir.join(ROOT_KEY), root.expose())?;
        write(&dir.join(MACHINE_KEY), key.expose())?;
        write(&dir.join(SEALING_ROOT), sealing.expose())?;
        write(&dir.join(MACHINE_ID), id.expose())?;
        write(&dir.join(ENDORSEMENT), &cose::assemble(payload, signature))?;
        Self::load(dir)
    }

    /// Loads a machine made by [`Machine::create`].
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn load(dir: &Path) -> Result<Self, MachineError> {
        let root = read32(&dir.join(ROOT_KEY))?;
        let path = dir.join(ENDORSEMENT);
        Ok(Self {
            id: *read32(&dir.join(MACHINE_ID))?.expose(),
            key: read32(&dir.join(MACHINE_KEY))?,
            sealing_root: read32(&dir.join(SEALING_ROOT))?,
            endorsement: fs::read(&path).map_err(|e| file(&path, e))?,
            root: public(&root),
        })
    }

    /// The digest of the root key, which a policy pins.
    #[must_use]
    pub fn root(&self) -> RootDigest {
        evidence::software::chain::root_digest(&self.root)
    }

    /// The machine's id.
    #[must_use]
    pub const fn id(&self) -> [u8; 32] {
        self.id
    }

    /// The secret that sealing keys are derived from.
    #[must_use]
    pub const fn sealing_root(&self) -> &Secret<[u8; 32]> {
        &self.sealing_root
    }

    /// Evidence over `report_data` for a monitor with that measurement and configuration.
    #[must_use]
    pub fn report(
        &self,
        measurement: Measurement,
        report_data: ReportData,
        host_data: [u8; 32],
    ) -> HardwareEvidence {
        let payload = Report { machine: self.id, measurement, report_data, host_data }.encode();
        let signature = sign(&self.key, REPORT_LABEL, &payload);
        HardwareEvidence {
            kind: Kind::Software,
            report: cose::assemble(payload, signature),
            endorsements: vec![self.endorsement.clone(), self.root.as_bytes().to_vec()],
        }
    }
}

/// Signs with an Ed25519 seed; the expanded key lives for this one signature.
#[must_use]
pub fn sign(seed: &Secret<[u8; 32]>, label: &str, payload: &[u8]) -> Vec<u8> {
    // Every 32 bytes are a seed, so this refuses none.
    Ed25519KeyPair::from_seed_unchecked(seed.expose())
        .map(|pair| pair.sign(&cose::to_be_signed(label, payload)).as_ref().to_vec())
        .unwrap_or_default()
}

/// The public key of an Ed25519 seed.
#[must_use]
pub fn public(seed: &Secret<[u8; 32]>) -> StatementKey {
    Ed25519KeyPair::from_seed_unchecked(seed.expose())
        .ok()
        .and_then(|pair| StatementKey::from_slice(pair.public_key().as_ref()))
        .unwrap_or_else(|| StatementKey::new([0; 32]))
}

fn fresh<const N: usize>() -> Result<[Secret<[u8; 32]>; N], MachineError> {
    let mut out = [(); N].map(|()| Secret::new([0; 32]));
    for secret in &mut out {
        random(secret.expose_mut()).map_err(|_| MachineError::Random)?;
    }
    Ok(out)
}

fn file(path: &Path, source: io::Error) -> MachineError {
    MachineError::File { path: path.to_owned(), source }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), MachineError> {
    let mut options = fs::OpenOptions::new();
    let mut out =
        options.write(true).create_new(true).mode(0o600).open(path).map_err(|e| file(path, e))?;
    out.write_all(bytes).and_then(|()| out.sync_all()).map_err(|e| file(path, e))
}

fn read32(path: &Path) -> Result<Secret<[u8; 32]>, MachineError> {
    let bytes = zeroize::Zeroizing::new(fs::read(path).map_err(|e| file(path, e))?);
    let exact = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| MachineError::Damaged {
        path: path.to_owned(),
        expected: 32,
        got: bytes.len(),
    })?;
    Ok(Secret::new(exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_this_machine_is_authentic_under_its_root_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::from_unix(1_800_000_000);
        let machine = Machine::create(&dir.path().join("a"), now).unwrap();
        let other = Machine::create(&dir.path().join("b"), now).unwrap();
        let report = machine.report(Measurement::new([1; 48]), ReportData::new([2; 64]), [3; 32]);
        let facts = evidence::software::verify(&report, &[machine.root()], now).unwrap();
        assert_eq!(facts.facts().report_data, ReportData::new([2; 64]));
        assert!(facts.facts().kind.is_development());
        let refused = evidence::software::verify(&report, &[other.root()], now).unwrap_err();
        assert_eq!(refused, evidence::software::SoftwareRefusal::UntrustedRoot);
        assert!(
            Machine::create(&dir.path().join("a"), now).is_err(),
            "an existing machine is never overwritten"
        );
    }
}
