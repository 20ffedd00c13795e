//! Where the keyholder's secrets rest: one page of memory that nobody else can map, expanded for one use at a time.

use std::cell::RefCell;
use std::path::Path;

use evidence::{DomainRoot, HardwareEvidence, Measurement, MonitorBinding, StatementKey};
use platform::keyholder::Hardware;
use platform::{PlatformError, Secret, random, software, tpm};

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

enum Machine {
    Software(software::Machine),
    /// Asking it changes where its device stands.
    Tpm(Box<RefCell<tpm::Machine>>),
}

impl Secrets {
    pub(super) fn load(hardware: &Hardware, domain: DomainRoot) -> Result<Self, KeyholderError> {
        let (machine, root) = match hardware {
            Hardware::Software(dir) => {
                let machine =
                    software::Machine::load(Path::new(dir)).map_err(PlatformError::from)?;
                let root = Secret::new(*machine.sealing_root().expose());
                (Machine::Software(machine), root)
            }
            Hardware::Tpm(device) => {
                let opened = tpm::Machine::open(Path::new(device), domain);
                let (machine, root) = opened.map_err(PlatformError::from)?;
                (Machine::Tpm(Box::new(RefCell::new(machine))), root)
            }
        };
        let mut memory = SecretMemory::new()?;
        let mut seed = Secret::new([0; 32]);
        random(seed.expose_mut())?;
        let page = memory.bytes_mut();
        if let Some(at) = page.get_mut(SEED) {
            at.copy_from_slice(seed.expose());
        }
        if let Some(at) = page.get_mut(ROOT) {
            at.copy_from_slice(root.expose());
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

    /// Evidence of the machine over a binding. On the software platform the monitor stands for the image that booted.
    pub(super) fn report(
        &self,
        monitor: Measurement,
        binding: &MonitorBinding,
    ) -> Result<HardwareEvidence, PlatformError> {
        match &self.machine {
            Machine::Software(machine) => {
                Ok(machine.report(monitor, binding.fill64(), *binding.domain.as_bytes()))
            }
            Machine::Tpm(machine) => Ok(machine.borrow_mut().report(binding.fill32())?),
        }
    }

    fn copy(&self, range: std::ops::Range<usize>) -> Secret<[u8; 32]> {
        let mut out = Secret::new([0; 32]);
        if let Some(from) = self.memory.bytes().get(range) {
            out.expose_mut().copy_from_slice(from);
        }
        out
    }
}
