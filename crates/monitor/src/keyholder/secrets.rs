//! Where the keyholder's secrets rest: one page of memory that nobody else can map, expanded for one use at a time.

use std::path::Path;

use evidence::{HardwareEvidence, Measurement, ReportData, StatementKey};
use platform::software::{self, Machine};
use platform::{PlatformError, Secret, random};

use super::KeyholderError;
use crate::sys::SecretMemory;

const SEED: std::ops::Range<usize> = 0..32;
const ROOT: std::ops::Range<usize> = 32..64;

/// Statement seed and sealing root at rest, and the machine that makes reports.
pub(super) struct Secrets {
    memory: SecretMemory,
    statement_key: StatementKey,
    machine: Machine,
}

impl Secrets {
    pub(super) fn load(dir: &Path) -> Result<Self, KeyholderError> {
        let machine = Machine::load(dir).map_err(PlatformError::from)?;
        let mut memory = SecretMemory::new()?;
        let mut seed = Secret::new([0; 32]);
        random(seed.expose_mut())?;
        let page = memory.bytes_mut();
        if let Some(at) = page.get_mut(SEED) {
            at.copy_from_slice(seed.expose());
        }
        if let Some(at) = page.get_mut(ROOT) {
            at.copy_from_slice(machine.sealing_root().expose());
        }
        Ok(Self { statement_key: software::public(&seed), memory, machine })
    }

    pub(super) const fn statement_key(&self) -> StatementKey {
        self.statement_key
    }

    pub(super) fn sealing_root(&self) -> Secret<[u8; 32]> {
        self.copy(ROOT)
    }

    pub(super) fn sign(&self, label: &str, payload: &[u8]) -> Vec<u8> {
        software::sign(&self.copy(SEED), label, payload)
    }

    pub(super) fn report(
        &self,
        monitor: Measurement,
        data: ReportData,
        host_data: [u8; 32],
    ) -> HardwareEvidence {
        self.machine.report(monitor, data, host_data)
    }

    fn copy(&self, range: std::ops::Range<usize>) -> Secret<[u8; 32]> {
        let mut out = Secret::new([0; 32]);
        if let Some(from) = self.memory.bytes().get(range) {
            out.expose_mut().copy_from_slice(from);
        }
        out
    }
}
