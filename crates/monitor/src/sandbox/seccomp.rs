//! Seccomp filters: an allow-list kept as data with a reason a line (`syscalls.txt`), compiled once per process.
//!
//! What is not listed fails with EPERM rather than killing: programs probe for calls and go on without them.

use std::io;
use std::sync::OnceLock;

use evidence::ContentDigest;
use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};

/// The data file, as measured.
pub const SYSCALLS: &str = include_str!("syscalls.txt");

/// Namespaces a `clone` may not make: mount, cgroup, uts, ipc, user, pid, net, time.
const CLONE_NEW: u64 = 0x7e02_0080;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// Calls a proxy has no use for: it never starts another program.
const NOT_FOR_PROXIES: [&str; 4] = ["execve", "execveat", "fork", "vfork"];
const KEYHOLDER: [&str; 25] = [
    "read",
    "write",
    "recvmsg",
    "sendmsg",
    "poll",
    "ppoll",
    "close",
    "exit",
    "exit_group",
    "getrandom",
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "madvise",
    "mremap",
    "rt_sigreturn",
    "rt_sigprocmask",
    "sigaltstack",
    "futex",
    "clock_gettime",
    "getpid",
    "gettid",
    "tgkill",
    "restart_syscall",
];

/// Digest of the allow-list: part of every program's measurement.
#[must_use]
pub fn digest() -> ContentDigest {
    ContentDigest::of(SYSCALLS.as_bytes())
}

/// The names of the allow-list.
fn names() -> impl Iterator<Item = &'static str> {
    SYSCALLS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
}

fn rule(name: &str) -> Vec<String> {
    let arg = |index: u8, op: &str, val: u64| {
        format!(r#"{{"index":{index},"type":"dword","op":{op},"val":{val}}}"#)
    };
    let masked = |mask: u64| format!(r#"{{"masked_eq":{mask}}}"#);
    let with = |args: &[String]| format!(r#"{{"syscall":"{name}","args":[{}]}}"#, args.join(","));
    match name {
        "socket" => {
            // Families AF_UNIX, AF_INET, AF_INET6; types stream, datagram, seqpacket.
            let mut rules = Vec::new();
            for family in [1, 2, 10] {
                for kind in [1, 2, 5] {
                    rules.push(with(&[arg(0, r#""eq""#, family), arg(1, &masked(0xf), kind)]));
                }
            }
            rules
        }
        "socketpair" => vec![with(&[arg(0, r#""eq""#, 1)])],
        "clone" => vec![with(&[arg(0, &masked(CLONE_NEW), 0)])],
        // TIOCSTI and TIOCLINUX type into the terminal of whoever started us.
        "ioctl" => vec![with(&[arg(1, r#""ne""#, 0x5412), arg(1, r#""ne""#, 0x541c)])],
        _ => vec![format!(r#"{{"syscall":"{name}"}}"#)],
    }
}

fn compile<'a>(
    names: impl Iterator<Item = &'a str>,
    on_match: &str,
    otherwise: &str,
) -> io::Result<BpfProgram> {
    let rules = names.flat_map(rule).collect::<Vec<_>>().join(",");
    let json = format!(
        r#"{{"f":{{"mismatch_action":{otherwise},"match_action":{on_match},"filter":[{rules}]}}}}"#
    );
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    compile_from_json(json.as_bytes(), arch)
        .map_err(io::Error::other)?
        .remove("f")
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn errno(code: u32) -> String {
    format!(r#"{{"errno":{code}}}"#)
}

fn apply(filter: &BpfProgram) -> io::Result<()> {
    apply_filter(filter).map_err(io::Error::other)
}

/// The two filters of a program, compiled once: the allow-list, and `clone3` answered with ENOSYS.
///
/// # Errors
/// If the data names a call this architecture does not have.
pub fn program_filters() -> io::Result<&'static [BpfProgram; 2]> {
    static FILTERS: OnceLock<[BpfProgram; 2]> = OnceLock::new();
    if let Some(filters) = FILTERS.get() {
        return Ok(filters);
    }
    let made = [
        compile(names(), r#""allow""#, &errno(EPERM))?,
        compile(["clone3"].into_iter(), &errno(ENOSYS), r#""allow""#)?,
    ];
    Ok(FILTERS.get_or_init(|| made))
}

/// Confines the calling process as a program.
///
/// # Errors
/// What the kernel said.
pub fn apply_program() -> io::Result<()> {
    program_filters()?.iter().try_for_each(apply)
}

/// Confines the calling process as a proxy: as a program, and it starts no other.
///
/// # Errors
/// What the kernel said.
pub fn apply_proxy() -> io::Result<()> {
    apply(&compile(
        names().filter(|n| !NOT_FOR_PROXIES.contains(n)),
        r#""allow""#,
        &errno(EPERM),
    )?)?;
    apply(&compile(["clone3"].into_iter(), &errno(ENOSYS), r#""allow""#)?)
}

/// Confines the calling process as the keyholder.
///
/// # Errors
/// What the kernel said.
pub fn apply_keyholder() -> io::Result<()> {
    apply(&compile(KEYHOLDER.into_iter(), r#""allow""#, &errno(EPERM))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_call_exists_and_has_a_reason() {
        program_filters().unwrap();
        compile(KEYHOLDER.into_iter(), r#""allow""#, &errno(EPERM)).unwrap();
        for line in SYSCALLS.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            assert!(line.split_whitespace().count() > 1, "no reason: {line}");
        }
    }

    #[test]
    fn what_reaches_other_processes_or_the_kernel_is_not_listed() {
        for name in [
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "bpf",
            "perf_event_open",
            "userfaultfd",
            "keyctl",
            "add_key",
            "request_key",
            "mount",
            "umount2",
            "pivot_root",
            "unshare",
            "setns",
            "init_module",
            "finit_module",
            "kexec_load",
            "reboot",
            "io_uring_setup",
            "mknod",
            "mknodat",
            "chroot",
            "open_by_handle_at",
            "pidfd_getfd",
            "swapon",
            "quotactl",
            "iopl",
            "ioperm",
            "syslog",
            "acct",
            "fsopen",
            "move_mount",
            "open_tree",
        ] {
            assert!(!names().any(|n| n == name), "{name}");
        }
    }
}
