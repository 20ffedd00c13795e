//! The keyholder: the one process that holds the statement key and the sealing root.
//!
//! It parses nothing from a network and has none. One thread, one loop: the control socket registers programs,
//! each program's socket gets what that program may have and nothing else. A request that is not of the protocol
//! closes the socket it came on and no other. Which program asks is known by the socket (I4).

mod secrets;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use evidence::statement::{self, ProgramState, Purpose, Statement};
use evidence::{BinderKind, DomainRoot, Measurement, MonitorBinding, ProgramClaim, Side};
use platform::keyholder::{Grants, Register, Reply, Request, Start};
use platform::seal::Sealer;
use platform::{Info, PlatformError, Refused, message};
use rustix::event::{PollFd, PollFlags, poll};
use thiserror::Error;

use crate::harden;
use secrets::Secrets;

/// Most programs registered at once; each costs one socket.
pub const PROGRAMS_MAX: usize = 1024;
/// Descriptor of the control socket.
const CONTROL: i32 = 3;

/// Why a keyholder cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyholderError {
    /// The kernel refused something it needs.
    #[error("keyholder: {0}; `casemate doctor` says what this kernel lacks")]
    System(#[from] io::Error),
    /// The control socket or the machine.
    #[error("keyholder: {0}")]
    Platform(#[from] PlatformError),
    /// The launcher went away before it said how to start.
    #[error("keyholder: no start message came; it is started by `casemate up`, not by hand")]
    NoStart,
}

/// The process: hardened, without network, until the control socket closes.
///
/// # Errors
/// [`KeyholderError`].
pub fn run() -> Result<(), KeyholderError> {
    harden::harden()?;
    // A process that cannot have its own network namespace (an ordinary user's) is held by seccomp alone.
    let _ = crate::sys::unshare(libc::CLONE_NEWNET);
    let control = harden::inherited(CONTROL)?;
    let (start, _) = message::receive(&control)?.ok_or(KeyholderError::NoStart)?;
    let start = Start::decode(start).map_err(PlatformError::from)?;
    let mut keyholder = Keyholder::new(&start)?;
    crate::sandbox::seccomp::apply_keyholder()?;
    message::send(
        &control,
        &Reply::Bytes(keyholder.secrets.statement_key().as_bytes().to_vec()).encode(),
        &[],
    )?;
    keyholder.serve(&control);
    Ok(())
}

/// A program that a socket speaks for.
#[derive(Debug)]
struct Registered {
    socket: OwnedFd,
    program: ProgramState,
    grants: Grants,
}

/// The keyholder's state.
pub struct Keyholder {
    domain: DomainRoot,
    monitor: Measurement,
    secrets: Secrets,
    programs: Vec<Registered>,
}

impl Keyholder {
    /// Makes a fresh statement key and takes the machine into keeping.
    ///
    /// # Errors
    /// [`KeyholderError`].
    pub fn new(start: &Start) -> Result<Self, KeyholderError> {
        let secrets = Secrets::load(&start.hardware, start.domain)?;
        Ok(Self { domain: start.domain, monitor: start.monitor, secrets, programs: Vec::new() })
    }

    /// Serves until the control socket closes.
    pub fn serve(&mut self, control: &OwnedFd) {
        loop {
            let ready = {
                let mut fds = vec![PollFd::new(control, PollFlags::IN)];
                fds.extend(self.programs.iter().map(|p| PollFd::new(&p.socket, PollFlags::IN)));
                match poll(&mut fds, None) {
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => return,
                    Ok(_) => fds.iter().map(|f| !f.revents().is_empty()).collect::<Vec<_>>(),
                }
            };
            if ready.first().copied().unwrap_or(false) && !self.control(control) {
                return;
            }
            // From the back, so that removing one leaves the others' places as they were when polled.
            for at in (0..ready.len().saturating_sub(1)).rev() {
                if ready.get(at.saturating_add(1)).copied().unwrap_or(false) && !self.program(at) {
                    self.programs.swap_remove(at);
                }
            }
        }
    }

    /// One message on the control socket; false when the launcher is gone.
    fn control(&mut self, control: &OwnedFd) -> bool {
        let Ok(Some((item, fds))) = message::receive(control) else { return false };
        let registered = Register::decode(item).ok().zip(<[OwnedFd; 1]>::try_from(fds).ok());
        let reply = match registered {
            Some((register, [socket])) if self.programs.len() < PROGRAMS_MAX => {
                self.programs.push(Registered {
                    socket,
                    program: register.program,
                    grants: register.grants,
                });
                Reply::Bytes(Vec::new())
            }
            Some(_) => Reply::Refused(Refused::Platform),
            None => Reply::Refused(Refused::Malformed),
        };
        message::send(control, &reply.encode(), &[]).is_ok()
    }

    /// One message on a program's socket; false when that socket is to be closed.
    fn program(&self, at: usize) -> bool {
        let Some(asker) = self.programs.get(at) else { return false };
        match message::receive(asker.socket.as_fd()) {
            Ok(Some((item, _))) => match Request::decode(item) {
                Ok(request) => {
                    let reply = self.answer(&asker.program, asker.grants, request);
                    message::send(&asker.socket, &reply.encode(), &[]).is_ok()
                }
                Err(_) => {
                    let _ = message::send(
                        &asker.socket,
                        &Reply::Refused(Refused::Malformed).encode(),
                        &[],
                    );
                    false
                }
            },
            Ok(None) | Err(_) => false,
        }
    }

    /// What this program gets for this request.
    fn answer(&self, program: &ProgramState, grants: Grants, request: Request) -> Reply {
        match request {
            Request::Info => Reply::Info(Info {
                domain: self.domain,
                statement_key: self.secrets.statement_key(),
                program: program.clone(),
            }),
            Request::HardwareEvidence(nonce) => {
                let binding = MonitorBinding {
                    domain: self.domain,
                    statement_key: self.secrets.statement_key(),
                    nonce,
                };
                match self.secrets.report(self.monitor, &binding) {
                    Ok(evidence) => Reply::HardwareEvidence(evidence),
                    Err(e) => {
                        eprintln!("keyholder: {e}");
                        Reply::Refused(Refused::Platform)
                    }
                }
            }
            Request::State(mut binder) => {
                let granted = match binder.kind {
                    BinderKind::Admission => true,
                    BinderKind::ChannelMonitor => !grants.self_tls,
                    BinderKind::ChannelProgram => grants.self_tls,
                };
                if !evidence::controls::holds("keyholder_grant", granted) {
                    return Reply::Refused(Refused::NotGranted);
                }
                let own = if binder.side == Side::Client {
                    &mut binder.client
                } else {
                    &mut binder.server
                };
                own.domain = Some(self.domain);
                self.statement(program, Purpose::Binder(binder.kind), binder.digest())
            }
            Request::Claim { nonce, said } => {
                let claim = ProgramClaim { domain: self.domain, nonce, said };
                self.statement(program, Purpose::ProgramClaim, claim.digest())
            }
            Request::Seal { store, version, plaintext } => {
                let root = self.secrets.sealing_root();
                match self.sealer(&root, program).seal(&store, version, plaintext.expose()) {
                    Ok(blob) => Reply::Bytes(blob),
                    Err(_) => Reply::Refused(Refused::Platform),
                }
            }
            Request::Open { store, at_least, blob } => {
                let root = self.secrets.sealing_root();
                match self.sealer(&root, program).open(&store, at_least, &blob) {
                    Ok(opened) => Reply::Opened(opened),
                    Err(refusal) => Reply::NotOpened(refusal),
                }
            }
        }
    }

    fn sealer<'a>(
        &self,
        root: &'a platform::Secret<[u8; 32]>,
        program: &ProgramState,
    ) -> Sealer<'a> {
        Sealer { root, domain: self.domain, program: program.measurement, anchor: program.anchor }
    }

    fn statement(
        &self,
        program: &ProgramState,
        purpose: Purpose,
        binder: evidence::BinderDigest,
    ) -> Reply {
        let statement =
            Statement { purpose, domain: self.domain, program: program.clone(), binder };
        let signature = self.secrets.sign(statement::LABEL, &statement.encode());
        Reply::Bytes(statement::assemble(&statement, signature))
    }
}

#[cfg(test)]
mod tests;
