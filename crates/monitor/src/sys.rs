//! The kernel calls that have no safe wrapper. Nothing else in this crate is unsafe.

use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

/// Memory of one page that no other process, no core file and no debugger can read, where the kernel offers it.
pub struct SecretMemory {
    at: NonNull<u8>,
    /// True if `memfd_secret(2)` backs it; false for locked anonymous memory.
    #[expect(dead_code, reason = "read by `doctor` once it reports on running keyholders")]
    pub hidden: bool,
}

impl SecretMemory {
    /// Bytes available.
    pub const LEN: usize = 4096;

    /// Maps a page: `memfd_secret` if the kernel has it, else memory locked against swapping.
    pub fn new() -> io::Result<Self> {
        // SAFETY: memfd_secret takes one flags argument and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let (fd, flags) = match RawFd::try_from(fd) {
            // SAFETY: the kernel just returned this descriptor to us and nobody else knows it.
            Ok(fd) if fd >= 0 => (Some(unsafe { OwnedFd::from_raw_fd(fd) }), libc::MAP_SHARED),
            _ => (None, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_LOCKED),
        };
        let raw = fd.as_ref().map_or(-1, std::os::fd::AsRawFd::as_raw_fd);
        if let Some(fd) = &fd {
            rustix::fs::ftruncate(fd, 4096)?;
        }
        // SAFETY: a fresh mapping of one page at an address the kernel chooses aliases nothing.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                raw,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { at, hidden: fd.is_some() })
    }

    /// The page.
    pub const fn bytes(&self) -> &[u8] {
        // SAFETY: `at` points to LEN mapped, initialised (zeroed by the kernel) bytes that live as long as self,
        // and a shared borrow of self excludes `bytes_mut`.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), Self::LEN) }
    }

    /// The page, to be written.
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; the exclusive borrow of self excludes every other reference.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), Self::LEN) }
    }
}

impl Drop for SecretMemory {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(self.bytes_mut());
        // SAFETY: the mapping was made by `new` with this address and length and is not used again.
        unsafe { libc::munmap(self.at.as_ptr().cast(), Self::LEN) };
    }
}

/// Takes a descriptor that our parent passed at a fixed number.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on any number is safe; it fails on one that is not open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number is open (checked above) and by our convention belongs to this process's start only:
    // each subcommand takes each number once, before anything else opens descriptors.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What a fork returned.
pub enum Forked {
    /// In the parent: the child's pid.
    Parent(i32),
    /// In the child.
    Child,
}

/// Forks this process, the child into new namespaces. Only the single-threaded launcher and init call it.
pub fn fork_into(namespaces: i32) -> io::Result<Forked> {
    let flags = i64::from(namespaces | libc::SIGCHLD);
    // SAFETY: clone without a stack and without CLONE_VM is fork; the caller is single-threaded (the launcher and
    // init start no thread), so the child may go on running ordinary code.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => i32::try_from(pid).map(Forked::Parent).map_err(io::Error::other),
    }
}

/// Moves this process into new namespaces (and, for a pid namespace, its next children).
pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: unshare takes flags only; the caller is single-threaded.
    if unsafe { libc::unshare(flags) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends this process at once, running no destructor of what it shares with the process it was forked from.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes any status and does not return.
    unsafe { libc::_exit(status) }
}

/// Replaces the process by `path` with these arguments and environment.
pub fn execve(
    path: &std::ffi::CStr,
    args: &[std::ffi::CString],
    env: &[std::ffi::CString],
) -> io::Error {
    let list = |items: &[std::ffi::CString]| {
        items.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (args, env) = (list(args), list(env));
    // SAFETY: both lists are null-terminated and point to C strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up() -> io::Result<()> {
    interface(c"lo", libc::SIOCSIFFLAGS, up())
}

/// Gives an interface its address and brings it up.
pub fn interface_up(name: &CStr, address: Ipv4Addr, mask: Ipv4Addr) -> io::Result<()> {
    let ip = |a| libc::__c_anonymous_ifr_ifru { ifru_addr: socket_address(a) };
    interface(name, libc::SIOCSIFADDR, ip(address))?;
    interface(name, libc::SIOCSIFNETMASK, ip(mask))?;
    interface(name, libc::SIOCSIFFLAGS, up())
}

/// Sends everything that is not of a network of ours to `gateway`.
pub fn default_route(gateway: Ipv4Addr) -> io::Result<()> {
    // SAFETY: rtentry is plain data for which all-zero is valid.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = socket_address(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    let socket = network_socket()?;
    // SAFETY: the descriptor is open and the request is a valid rtentry for SIOCADDRT.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCADDRT, &raw const route) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn up() -> libc::__c_anonymous_ifr_ifru {
    let flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0);
    libc::__c_anonymous_ifr_ifru { ifru_flags: flags }
}

fn network_socket() -> io::Result<OwnedFd> {
    let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM);
    Ok(rustix::net::socket(family, kind, None)?)
}

/// A `sockaddr_in` in the place of a `sockaddr`: family, port, then the address.
fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: sockaddr is plain data for which all-zero is valid.
    let mut out: libc::sockaddr = unsafe { std::mem::zeroed() };
    out.sa_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(0);
    for (to, from) in out.sa_data.iter_mut().skip(2).zip(address.octets()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    out
}

fn interface(
    name: &CStr,
    what: libc::Ioctl,
    value: libc::__c_anonymous_ifr_ifru,
) -> io::Result<()> {
    let socket = network_socket()?;
    // SAFETY: ifreq is plain data for which all-zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let last = request.ifr_name.len().saturating_sub(1);
    for (to, from) in request.ifr_name.iter_mut().take(last).zip(name.to_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru = value;
    // SAFETY: the descriptor is open and the request is a valid ifreq for each of these calls.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw const request) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks that this process be killed when its parent ends.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives up every capability now and for every program executed later.
pub fn drop_capabilities() -> io::Result<()> {
    // SAFETY: these prctl calls take plain numbers. Reading an unknown capability fails and ends the loop.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) < 0 {
                break;
            }
            // Needs CAP_SETPCAP; where we have none there is nothing to drop either.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    }
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: version 3 of capset reads a header and two triples of u32, all of which are here.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Blocks every signal for this thread and returns a descriptor from which SIGCHLD and the forwarded ones are read.
pub fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: sigset_t is plain data; sigemptyset initialises it, and each call gets valid pointers.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: signalfd just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Unblocks every signal and sets every disposition back, as a fresh program expects.
pub fn reset_signals() {
    // SAFETY: sigset_t is plain data; dispositions are set to SIG_DFL before exec, in a single-threaded process.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        for signal in 1..=31 {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Places `fd` at exactly `number`, open across exec.
pub fn dup_to(fd: &impl std::os::fd::AsFd, number: RawFd) -> io::Result<()> {
    let from = std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd());
    // SAFETY: dup2 takes two numbers; where they are equal it would keep close-on-exec, so that case clears it.
    let done = unsafe {
        if from == number {
            libc::fcntl(number, libc::F_SETFD, 0)
        } else {
            libc::dup2(from, number)
        }
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: close_range takes plain numbers.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Becomes this user and group, which the namespace maps; capabilities of the namespace stay until exec.
pub fn set_ids(id: u32) -> io::Result<()> {
    // SAFETY: the raw calls take plain numbers and act on the one thread there is.
    let done = unsafe {
        libc::syscall(libc::SYS_setresgid, id, id, id) == 0
            && libc::syscall(libc::SYS_setresuid, id, id, id) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives up supplementary groups, where we may.
pub fn drop_groups() {
    // SAFETY: an empty list needs no memory.
    unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) };
}

/// Makes this process the one that orphans of its descendants become children of.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: PR_SET_CHILD_SUBREAPER takes a flag.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has `command` start with these descriptors at these numbers, beside its standard streams.
pub fn pass(command: &mut std::process::Command, fds: Vec<(OwnedFd, RawFd)>) {
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    // Copies far above every wanted number, so that placing one never closes another.
    let place = move || {
        let lifted = fds
            .iter()
            .map(|(fd, to)| {
                // SAFETY: fcntl on an open descriptor takes numbers only.
                let high = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100) };
                if high == -1 { Err(io::Error::last_os_error()) } else { Ok((high, *to)) }
            })
            .collect::<io::Result<Vec<_>>>()?;
        for (high, to) in lifted {
            // SAFETY: dup2 takes numbers only; the copy at `to` stays open across exec.
            if unsafe { libc::dup2(high, to) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure calls fcntl and dup2 only, and allocates a short vector: the processes that call this
    // hold no lock of the allocator across fork because std's spawn forks with its own guard.
    unsafe { command.pre_exec(place) };
}
