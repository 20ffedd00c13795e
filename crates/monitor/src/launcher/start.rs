//! Starting one program: namespaces, id maps, limits, registration at the keyholder, and the descriptors its proxy gets.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use evidence::cbor::Fields;
use evidence::statement::{Anchor, HostOs, ProgramState};
use evidence::{Isolation, Kind};
use platform::keyholder::{Grants, Register, Reply};
use platform::message;
use rustix::process::{DumpableBehavior, Pid};

use crate::init;
use crate::program::manifest::USER;
use crate::program::{Config, image::Image};
use crate::sandbox::limits::Limits;
use crate::sys::{self, Forked};

/// First host id used for programs where we may choose (root).
const HOST_IDS: u32 = 200_000;
const HOST_ID_COUNT: u32 = 60_000;
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// A program to be started.
pub(super) struct Program<'a> {
    pub(super) name: &'a str,
    pub(super) config: &'a Config,
    pub(super) image: &'a Image,
    pub(super) limits: &'a Limits,
    pub(super) state: &'a Path,
    pub(super) kind: Kind,
    pub(super) keyholder: &'a OwnedFd,
    pub(super) stdio: [OwnedFd; 3],
}

/// A program that runs.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) sockets: Vec<OwnedFd>,
}

/// Moves the launcher into namespaces of its own. An ordinary user needs a user namespace for it, in which it is root.
pub(super) fn own_namespaces() -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC;
    if uid == 0 {
        sys::drop_groups();
    } else {
        flags |= libc::CLONE_NEWUSER;
    }
    sys::unshare(flags)?;
    if uid != 0 {
        map_ids(Path::new("/proc/self"), &format!("0 {uid} 1"), &format!("0 {gid} 1"))?;
    }
    Ok(())
}

fn map_ids(process: &Path, users: &str, groups: &str) -> io::Result<()> {
    fs::write(process.join("setgroups"), "deny")?;
    fs::write(process.join("gid_map"), groups)?;
    fs::write(process.join("uid_map"), users)
}

/// The host's id for a program: its own where we may choose, so that programs are strangers to each other for the
/// kernel; else the one user there is.
fn host_id(name: &str) -> u32 {
    if rustix::process::geteuid().as_raw() == 0 && !in_user_namespace() {
        let hash =
            name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        HOST_IDS.saturating_add(hash.checked_rem(HOST_ID_COUNT).unwrap_or(0))
    } else {
        0
    }
}

fn in_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|m| !m.contains("4294967295"))
}

/// 1. state directory and environment, 2. fork into namespaces, 3. id maps and limits, 4. keyholder, 5. sockets.
pub(super) fn start(program: &Program<'_>) -> Result<Started, String> {
    let said = |what: &'static str| move |e: io::Error| format!("{what}: {e}");
    let id = host_id(program.name);
    // 1
    let state =
        program.config.state.then(|| make_state(program.state, program.name, id)).transpose();
    let state = state.map_err(said("state directory"))?;
    let state_of = state_of(program);
    let env = program.config.env.clone();
    // 2
    let (ours, theirs) = message::pair().map_err(said("socket"))?;
    let stdio = program.stdio.each_ref().map(OwnedFd::try_clone);
    let [a, b, c] = stdio;
    let stdio =
        [a, b, c].into_iter().collect::<io::Result<Vec<_>>>().map_err(said("standard streams"))?;
    let stdio = <[OwnedFd; 3]>::try_from(stdio).map_err(|_| "standard streams".to_owned())?;
    let start = init::Start {
        manifest: &program.image.manifest,
        env,
        executable: &program.image.executable,
        image: program.image.root.clone(),
        state,
        limits: program.limits.by,
        stdio,
        name: program.name,
    };
    let pid = match sys::fork_into(NAMESPACES).map_err(said("namespaces"))? {
        Forked::Child => {
            drop(ours);
            // The id maps of a process that is not dumpable belong to the host's root: open until they are written.
            let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
            let _ = message::send(&theirs, &0.into(), &[]);
            let status = init::life(&start, &theirs);
            sys::exit_now(status)
        }
        Forked::Parent(pid) => Pid::from_raw(pid).ok_or("no pid")?,
    };
    drop(theirs);
    finish(program, state_of, pid, id, ours).inspect_err(|_| {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    })
}

fn finish(
    program: &Program<'_>,
    state: ProgramState,
    pid: Pid,
    id: u32,
    ours: OwnedFd,
) -> Result<Started, String> {
    let said = |what: &'static str| move |e: io::Error| format!("{what}: {e}");
    let platform = |e: platform::PlatformError| e.to_string();
    // 3
    message::receive(&ours).map_err(platform)?.ok_or("init ended at once")?;
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let map = format!("{USER} {id} 1");
    map_ids(&process, &map, &map).map_err(said("id maps"))?;
    program.limits.enter(pid.as_raw_nonzero().get()).map_err(said("limits"))?;
    // 4
    let (proxy, holder) = message::pair().map_err(said("socket"))?;
    let register =
        Register { program: state, grants: Grants { self_tls: program.config.self_tls } };
    let (reply, _) = message::call(program.keyholder, &register.encode(), &[holder.as_fd()])
        .map_err(platform)?;
    match Reply::decode(reply) {
        Ok(Reply::Bytes(_)) => {}
        _ => return Err("the keyholder does not take more programs; stop some".to_owned()),
    }
    // 5
    message::send(&ours, &0.into(), &[]).map_err(platform)?;
    let inside = answer(&ours)?;
    answer(&ours)?;
    let mut sockets = vec![proxy, ours];
    sockets.extend(inside);
    Ok(Started { pid, sockets })
}

/// One answer of init: descriptors, or why it failed.
fn answer(init: &OwnedFd) -> Result<Vec<OwnedFd>, String> {
    let (item, fds) = message::receive(init)
        .map_err(|e| e.to_string())?
        .ok_or("init ended before the program ran")?;
    let mut f = Fields::from_value(item).map_err(|e| e.to_string())?;
    match f.uint(1, "result") {
        Ok(0) => Ok(fds),
        _ => Err(f.text(2, "why").unwrap_or_else(|e| e.to_string())),
    }
}

fn make_state(base: &Path, name: &str, id: u32) -> io::Result<PathBuf> {
    let dir = init::state_dir(base, name);
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    if id != 0 {
        chown(&dir, Some(id), Some(id))?;
    }
    Ok(dir)
}

/// What every statement will say of this program. The kind of machine decides how far isolation holds, and whether anybody measured
/// the system around the monitor.
fn state_of(program: &Program<'_>) -> ProgramState {
    let mut open = program
        .config
        .env
        .iter()
        .filter_map(|e| e.split_once('='))
        .filter(|(n, _)| program.config.open.iter().any(|o| o == n))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect::<Vec<_>>();
    open.sort();
    let (isolation, host) = match program.kind {
        // One kernel, which was measured, in memory that nothing encrypts.
        Kind::Tpm => (Isolation::Process, HostOs::Measured),
        _ => (Isolation::Software, HostOs::Mutable),
    };
    ProgramState {
        measurement: program.image.measurement,
        isolation,
        host,
        limits: program.limits.by,
        anchor: Anchor::Unprotected,
        open,
    }
}
