//! Init: the first process of a program's namespaces, a fork of the launcher. It builds the root, opens the
//! sockets inside, starts the program, and then only reaps, passes signals on and connects to loopback ports
//! for the proxy. It holds no key and parses one port number.

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ciborium::Value;
use evidence::cbor;
use evidence::statement::LimitsBy;
use platform::message;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};

use crate::program::manifest::{Manifest, Mount, USER};
use crate::sandbox::{landlock, limits, root, seccomp};
use crate::sys::{self, Forked};

/// Signals that a program gets when its monitor gets them for it.
const FORWARDED: [i32; 9] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGTSTP,
];
/// Exit status where the program could not be executed, as shells have it.
const NOT_EXECUTED: i32 = 126;

/// Everything init needs, known before the fork.
pub struct Start<'a> {
    /// The program.
    pub manifest: &'a Manifest,
    /// Its environment with open values filled in.
    pub env: Vec<String>,
    /// The program inside.
    pub executable: &'a str,
    /// Its measured files.
    pub image: PathBuf,
    /// The host's directory for `/state`.
    pub state: Option<PathBuf>,
    /// What limits it.
    pub limits: LimitsBy,
    /// Standard streams.
    pub stdio: [OwnedFd; 3],
    /// Host name inside.
    pub name: &'a str,
}

/// Init's whole life, in the child of the fork; returns the program's exit status.
pub fn life(start: &Start<'_>, launcher: &OwnedFd) -> i32 {
    match prepare(start, launcher) {
        Ok((program, signals)) => serve(program, &signals, launcher),
        Err(e) => {
            let _ = message::send(
                launcher,
                &cbor::map(vec![(1, 1.into()), (2, e.to_string().into())]),
                &[],
            );
            NOT_EXECUTED
        }
    }
}

/// 1. wait for the id maps and limits, 2. measured files and own ids, 3. network and sockets, 4. the root, 5. the program.
fn prepare(start: &Start<'_>, launcher: &OwnedFd) -> io::Result<(Pid, OwnedFd)> {
    let step =
        |what: &'static str| move |e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
    // 1
    message::receive(launcher).map_err(io::Error::other)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    sys::unshare(libc::CLONE_NEWCGROUP).map_err(step("cgroup namespace"))?;
    // 2
    root::attach(&start.image, start.state.as_deref()).map_err(step("measured files"))?;
    sys::set_ids(USER).map_err(step("user of the program"))?;
    // After the change of ids, which clears it.
    sys::die_with_parent()?;
    // 3
    rustix::system::sethostname(start.name.as_bytes())
        .map_err(io::Error::from)
        .map_err(step("host name"))?;
    sys::loopback_up().map_err(step("loopback"))?;
    let egress = start
        .manifest
        .connect
        .iter()
        .map(|p| listen(p.address, p.port))
        .collect::<io::Result<Vec<_>>>();
    let egress = egress.map_err(step("egress addresses"))?;
    // 4
    root::enter(&start.image, start.manifest.memory_max).map_err(step("root"))?;
    let sockets = [platform::program::SOCKET, platform::program::WORKLOAD_SOCKET];
    let sockets = sockets
        .iter()
        .map(UnixListener::bind)
        .collect::<io::Result<Vec<_>>>()
        .map_err(step("sockets"))?;
    let mut fds = sockets.iter().map(AsFd::as_fd).collect::<Vec<_>>();
    fds.extend(egress.iter().map(AsFd::as_fd));
    message::send(launcher, &cbor::map(vec![(1, 0.into())]), &fds).map_err(io::Error::other)?;
    drop((sockets, egress));
    // 5
    let mut watched = FORWARDED.to_vec();
    watched.push(libc::SIGCHLD);
    let signals = sys::signal_fd(&watched)?;
    let (failed, fails) = message::pair()?;
    let pid = match sys::fork_into(0)? {
        Forked::Child => {
            let error = execute(start);
            let _ = message::send(&fails, &Value::from(error.to_string()), &[]);
            sys::exit_now(NOT_EXECUTED)
        }
        Forked::Parent(pid) => Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?,
    };
    drop(fails);
    if let Ok(Some((Value::Text(why), _))) = message::receive(&failed) {
        return Err(io::Error::other(format!("{}: {why}", start.executable)));
    }
    message::send(launcher, &cbor::map(vec![(1, 0.into())]), &[]).map_err(io::Error::other)?;
    Ok((pid, signals))
}

/// The program's own process, up to exec. Returns only on failure.
fn execute(start: &Start<'_>) -> io::Error {
    let confined = || -> io::Result<(CString, Vec<CString>, Vec<CString>)> {
        let text = |s: &str| CString::new(s).map_err(io::Error::other);
        let path = text(start.executable)?;
        let args = start.manifest.args.iter().map(|a| text(a)).collect::<io::Result<Vec<_>>>()?;
        let env = start.env.iter().map(|e| text(e)).collect::<io::Result<Vec<_>>>()?;
        for (fd, number) in start.stdio.iter().zip(0..) {
            sys::dup_to(fd, number)?;
        }
        sys::close_on_exec_from(3)?;
        rustix::process::setsid()?;
        rustix::process::chdir(start.manifest.cwd.as_str())?;
        limits::set_own(start.limits, start.manifest.memory_max, start.manifest.processes_max)?;
        sys::drop_capabilities()?;
        rustix::thread::set_no_new_privs(true)?;
        let mut writable = vec!["/tmp", "/run/casemate", "/dev"];
        writable.extend(start.manifest.mounts.contains(&Mount::State).then_some("/state"));
        landlock::apply(&writable)?;
        sys::reset_signals();
        seccomp::apply_program()?;
        Ok((path, args, env))
    };
    match confined() {
        Ok((path, args, env)) => sys::execve(&path, &args, &env),
        Err(e) => e,
    }
}

fn listen(address: [u8; 4], port: u16) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::from(address), port))?;
    rustix::net::listen(&socket, 1024)?;
    Ok(socket)
}

/// Reaps, forwards, connects, until the program ends; its status becomes ours.
fn serve(program: Pid, signals: &OwnedFd, porter: &OwnedFd) -> i32 {
    let mut porter = Some(porter.as_fd());
    loop {
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        fds.extend(porter.as_ref().map(|p| PollFd::new(p, PollFlags::IN)));
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let ready = fds.iter().map(|f| !f.revents().is_empty()).collect::<Vec<_>>();
        if ready.first() == Some(&true)
            && let Some(status) = signalled(program, signals)
        {
            return status;
        }
        if ready.get(1) == Some(&true)
            && let Some(p) = porter
            && !connect(p)
        {
            porter = None;
        }
    }
}

/// Handles what signalfd holds; the exit status when the program itself has ended.
fn signalled(program: Pid, signals: &OwnedFd) -> Option<i32> {
    let mut info = [0_u8; 128];
    while let Ok(128) = rustix::io::read(signals, &mut info) {
        let number = info.first_chunk::<4>().map_or(0, |b| i32::from_ne_bytes(*b));
        if number != libc::SIGCHLD
            && let Some(signal) = Signal::from_named_raw(number)
        {
            let _ = rustix::process::kill_process(program, signal);
        }
    }
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == program {
            let by_signal = status.terminating_signal().map(|s| s.saturating_add(128));
            return Some(status.exit_status().or(by_signal).unwrap_or(NOT_EXECUTED));
        }
    }
    None
}

/// One request of the proxy: a connected socket to a loopback port inside. False when the proxy is gone.
fn connect(porter: BorrowedFd<'_>) -> bool {
    let Ok(Some((item, _))) = message::receive(porter) else { return false };
    let port = item.into_integer().ok().and_then(|i| u16::try_from(i).ok());
    let connected = port.ok_or(io::ErrorKind::InvalidData.into()).and_then(|port| {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        Ok::<_, io::Error>(socket)
    });
    match connected {
        Ok(socket) => message::send(porter, &Value::from(true), &[socket.as_fd()]).is_ok(),
        Err(_) => message::send(porter, &Value::from(false), &[]).is_ok(),
    }
}

/// Where a program's state directory is made on the host.
#[must_use]
pub fn state_dir(base: &Path, name: &str) -> PathBuf {
    base.join(name)
}
