//! A machine whose TPM 2.0 vouches for what booted (TCG TPM 2.0 Library).
//!
//! Nothing is kept on a disk: attestation key and sealing root are derived by the TPM from its own seeds, each time alike, the
//! sealing root only while the registers hold this machine image and this domain. The domain goes into its register once, before
//! anything is asked. What the evidence means, `evidence::tpm::machine` says; memory is encrypted by nobody.

mod wire;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use evidence::bytes::sha256;
use evidence::tpm::machine::{
    DOMAIN_PCR, MEASURED, QUOTED, Report, Values, domain_event, domain_register,
};
use evidence::{DomainRoot, HardwareEvidence, Kind};
use thiserror::Error;

use crate::{Secret, random};
use wire::{Command, Session};

const ENDORSEMENT: u32 = 0x4000_000b;
const ATTESTATION_LABEL: &[u8] = b"casemate/tpm-attestation-key/v1";
const SEALING_LABEL: &[u8] = b"casemate/tpm-sealing-root/v1";
/// Longest answer of a TPM.
const ANSWER_MAX: usize = 4096;
/// A TPM that is busy says so and is asked again, so many times.
const RETRIES: u32 = 50;

/// Why a TPM is unusable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TpmError {
    /// No device.
    #[error("{}: {source}; the machine needs a TPM 2.0, and its kernel a driver for it", path.display())]
    Device {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The device failed.
    #[error("the TPM does not answer: {0}")]
    Io(#[from] io::Error),
    /// It said no.
    #[error("TPM2_{command} failed with {code:#05x}{}", wire::meaning(*code))]
    Refused {
        /// What was asked.
        command: &'static str,
        /// TPM_RC.
        code: u32,
    },
    /// Its answer is not of the form.
    #[error("the TPM's answer to TPM2_{0} cannot be read")]
    Answer(&'static str),
    /// Somebody used the domain's register.
    #[error(
        "PCR {DOMAIN_PCR} holds {got} already, which is not domain {domain}: the machine served another domain since it was reset; reset it"
    )]
    Taken {
        /// The domain asked for.
        domain: DomainRoot,
        /// What the register holds, in hex.
        got: String,
    },
    /// Registers changed while they were quoted.
    #[error("PCRs change while they are quoted; something on this machine extends them")]
    Unsteady,
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Random,
}

/// What carries commands: the kernel's resource manager, or a TPM emulator's socket.
#[derive(Debug)]
enum Device {
    Kernel(File),
    Socket(UnixStream),
}

impl Device {
    fn open(path: &Path) -> Result<Self, TpmError> {
        let wrong = |source| TpmError::Device { path: path.to_owned(), source };
        use std::os::unix::fs::FileTypeExt;
        if std::fs::metadata(path).map_err(wrong)?.file_type().is_socket() {
            return UnixStream::connect(path).map(Self::Socket).map_err(wrong);
        }
        OpenOptions::new().read(true).write(true).open(path).map(Self::Kernel).map_err(wrong)
    }

    /// A command is one write, an answer one read.
    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; ANSWER_MAX];
        let n = match self {
            Self::Kernel(file) => {
                file.write_all(command)?;
                file.read(&mut answer)?
            }
            Self::Socket(socket) => {
                socket.write_all(command)?;
                socket.read(&mut answer)?
            }
        };
        answer.truncate(n);
        Ok(answer)
    }
}

/// A machine that can be asked for evidence.
#[derive(Debug)]
pub struct Machine {
    device: Device,
    domain: DomainRoot,
    key: u32,
    public: Vec<u8>,
}

impl Machine {
    /// Opens the TPM at `path` for a monitor of `domain`, and gives its sealing root.
    ///
    /// 1. the domain's register, 2. the attestation key, 3. the sealing root, under the registers as they are.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn open(path: &Path, domain: DomainRoot) -> Result<(Self, Secret<[u8; 32]>), TpmError> {
        let mut device = Device::open(path)?;
        // 1
        enter_domain(&mut device, &domain)?;
        // 2
        let (key, public) =
            create(&mut device, &wire::attestation_key(&sha256(ATTESTATION_LABEL)))?;
        // 3
        let root = sealing_root(&mut device)?;
        Ok((Self { device, domain, key, public }, root))
    }

    /// TPMT_PUBLIC of the attestation key.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Evidence over `extra` for whoever asked for it.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn report(&mut self, extra: [u8; 32]) -> Result<HardwareEvidence, TpmError> {
        // Registers nobody here extends may still be extended by the kernel; then they are read again.
        for _ in 0..RETRIES {
            let values = read(&mut self.device, &QUOTED)?;
            let (quote, signature) = self.quote(extra)?;
            let all = values.values().copied().collect::<Vec<_>>().concat();
            let parsed = evidence::tpm::parse_quote(&quote);
            let parsed = parsed.map_err(|_| TpmError::Answer("Quote"))?;
            if parsed.pcr_digest == sha256(&all) {
                let report = Report { quote, signature, values, domain: self.domain };
                return Ok(HardwareEvidence {
                    kind: Kind::Tpm,
                    report: report.encode(),
                    endorsements: vec![self.public.clone()],
                });
            }
        }
        Err(TpmError::Unsteady)
    }

    fn quote(&mut self, extra: [u8; 32]) -> Result<(Vec<u8>, Vec<u8>), TpmError> {
        let command = Command::new("Quote", 0x158)
            .handle(self.key)
            .session(Session::PASSWORD)
            .sized(&extra)
            .u16(wire::ECDSA)
            .u16(wire::SHA256)
            .selection(&QUOTED);
        let mut answer = ask(&mut self.device, command)?;
        answer.parameters()?;
        let quote = answer.sized()?.to_vec();
        Ok((quote, answer.signature()?.to_vec()))
    }
}

/// Puts the domain into its register, unless it is there already.
fn enter_domain(device: &mut Device, domain: &DomainRoot) -> Result<(), TpmError> {
    let held = |device: &mut Device| {
        let values = read(device, &[DOMAIN_PCR])?;
        values.get(&DOMAIN_PCR).copied().ok_or(TpmError::Answer("PCR_Read"))
    };
    let before = held(device)?;
    if before == [0; 32] {
        let extend = Command::new("PCR_Extend", 0x182)
            .handle(DOMAIN_PCR)
            .session(Session::PASSWORD)
            .u32(1)
            .u16(wire::SHA256)
            .bytes(&domain_event(domain));
        ask(device, extend)?;
    }
    let got = held(device)?;
    if got == domain_register(domain) {
        return Ok(());
    }
    Err(TpmError::Taken { domain: *domain, got: hex::encode(got) })
}

/// Values of registers of the SHA-256 bank. A TPM gives at most eight at once.
fn read(device: &mut Device, registers: &[u32]) -> Result<Values, TpmError> {
    let mut values = Values::new();
    for some in registers.chunks(8) {
        let mut answer = ask(device, Command::new("PCR_Read", 0x17e).selection(some))?;
        let _counter = answer.u32()?;
        answer.selection()?;
        let wrong = TpmError::Answer("PCR_Read");
        if usize::try_from(answer.u32()?).ok() != Some(some.len()) {
            return Err(wrong);
        }
        for n in some {
            let value = answer.sized()?.try_into().map_err(|_| TpmError::Answer("PCR_Read"))?;
            values.insert(*n, value);
        }
    }
    Ok(values)
}

/// A primary key of the endorsement hierarchy: its handle and its public area.
fn create(device: &mut Device, template: &[u8]) -> Result<(u32, Vec<u8>), TpmError> {
    let command = Command::new("CreatePrimary", 0x131)
        .handle(ENDORSEMENT)
        .session(Session::PASSWORD)
        // No authorisation value, no data of ours.
        .sized(&[0; 4])
        .sized(template)
        .sized(&[])
        .u32(0);
    let mut answer = ask(device, command)?;
    let handle = answer.u32()?;
    answer.parameters()?;
    Ok((handle, answer.sized()?.to_vec()))
}

/// A secret of this TPM that it computes only while the registers are as they are now: an HMAC by a key whose policy names them.
fn sealing_root(device: &mut Device) -> Result<Secret<[u8; 32]>, TpmError> {
    let mut registers = MEASURED.to_vec();
    registers.push(DOMAIN_PCR);
    let values = read(device, &registers)?;
    let digest = sha256(&values.values().copied().collect::<Vec<_>>().concat());
    let policy = wire::policy_of(&registers, &digest);
    let template = wire::keyed_hash(&policy, &sha256(SEALING_LABEL));
    let (key, _) = create(device, &template)?;
    let mut nonce = [0; 32];
    random(&mut nonce).map_err(|_| TpmError::Random)?;
    let session = wire::start_policy_session(&nonce);
    let session = ask(device, session)?.u32()?;
    let policy = Command::new("PolicyPCR", 0x17f).handle(session).sized(&[]).selection(&registers);
    ask(device, policy)?;
    let hmac = Command::new("HMAC", 0x155)
        .handle(key)
        // Ends with its use.
        .session(Session { handle: session, nonce: &nonce })
        .sized(SEALING_LABEL)
        .u16(wire::SHA256);
    let mut answer = ask(device, hmac)?;
    answer.parameters()?;
    let root = answer.sized()?.try_into().map_err(|_| TpmError::Answer("HMAC"))?;
    ask(device, Command::new("FlushContext", 0x165).handle(key))?;
    Ok(Secret::new(root))
}

fn ask(device: &mut Device, command: Command) -> Result<wire::Answer, TpmError> {
    let (name, bytes) = command.finish();
    for attempt in 0.. {
        let answer = wire::Answer::new(name, device.exchange(&bytes)?)?;
        match answer.code() {
            0 => return Ok(answer),
            code if wire::is_busy(code) && attempt < RETRIES => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            code => return Err(TpmError::Refused { command: name, code }),
        }
    }
    Err(TpmError::Answer(name))
}
