//! What every process of ours does before it reads its first message: no core file, no debugger, no new privileges.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::sys;

/// Not dumpable (so closed to ptrace and to `/proc/PID/mem` for others of the same user), no core file,
/// no new privileges, and dead when the parent is.
///
/// # Errors
/// What the kernel said; a process that cannot be hardened does not go on.
pub fn harden() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::thread::set_no_new_privs(true)?;
    sys::die_with_parent()
}

/// Takes a descriptor passed at a fixed number.
///
/// # Errors
/// If the parent did not pass it.
pub fn inherited(number: i32) -> io::Result<std::os::fd::OwnedFd> {
    sys::inherited(number)
}

/// The same for the supervisor, which outlives the command that started it.
///
/// # Errors
/// What the kernel said.
pub fn harden_detached() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}
