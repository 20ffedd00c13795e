//! Starting our own processes: this executable again, with a hidden subcommand and descriptors at fixed numbers.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use evidence::StatementKey;
use platform::{keyholder, message};

use super::{Settings, SupervisorError, statement_key};
use crate::launcher::{self, Event, Launched};
use crate::{proxy, sys};

const SELF: &str = "/proc/self/exe";

fn spawn(subcommand: &str, fds: Vec<(OwnedFd, i32)>) -> Result<Child, SupervisorError> {
    let mut command = Command::new(SELF);
    command.arg(subcommand).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    sys::pass(&mut command, fds);
    command.spawn().map_err(|source| SupervisorError::System {
        what: format!("starting {subcommand}"),
        source,
    })
}

pub(super) fn keyholder(
    settings: &Settings,
) -> Result<(Child, OwnedFd, StatementKey), SupervisorError> {
    let (ours, theirs) = pair()?;
    let child = spawn("__keyholder", vec![(theirs, 3)])?;
    let start = keyholder::Start {
        hardware: settings.hardware.clone(),
        domain: settings.domain,
        monitor: settings.monitor,
    };
    message::send(&ours, &start.encode(), &[])?;
    let (reply, _) = message::receive(&ours)
        .ok()
        .flatten()
        .ok_or(SupervisorError::NotStarted("the keyholder"))?;
    let key = statement_key(reply).ok_or(SupervisorError::NotStarted("the keyholder"))?;
    Ok((child, ours, key))
}

pub(super) fn launcher(
    start: &launcher::Start,
    keyholder: &OwnedFd,
) -> Result<(Child, OwnedFd), SupervisorError> {
    let (ours, theirs) = pair()?;
    let child = spawn("__launcher", vec![(theirs, 3)])?;
    message::send(&ours, &start.encode(), &[keyholder.as_fd()])?;
    let ready = message::receive(&ours).ok().flatten().map(|(item, _)| Event::decode(item));
    match ready {
        Some(Ok(Event::Ready)) => Ok((child, ours)),
        _ => Err(SupervisorError::NotStarted("the launcher")),
    }
}

/// A proxy gets its program's sockets in the launcher's order: keyholder, porter, program, workload, egress…
pub(super) fn proxy(
    config: &[u8],
    launched: &Launched,
    directory: &Path,
    fds: Vec<OwnedFd>,
) -> Result<(Child, OwnedFd), SupervisorError> {
    let (ours, theirs) = pair()?;
    let mut numbered = vec![(theirs, 3)];
    numbered.extend(fds.into_iter().zip(4..));
    let child = spawn("__proxy", numbered)?;
    let start = proxy::Start {
        domain: config.to_vec(),
        self_tls: launched.self_tls,
        listen: launched.listen.clone(),
        connect: launched.connect.clone(),
        directory: super::text(directory),
    };
    message::send(&ours, &start.encode(), &[])?;
    Ok((child, ours))
}

fn pair() -> Result<(OwnedFd, OwnedFd), SupervisorError> {
    message::pair()
        .map_err(|source| SupervisorError::System { what: "socket pair".to_owned(), source })
}
