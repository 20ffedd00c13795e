//! The root a program sees: its measured image, read-only, with a small /dev, its own /proc, and writable places
//! nothing can be executed from. Built inside the program's own mount namespace; afterwards nothing of the host's
//! file system can be named.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, unmount,
};

/// Devices a program has; none of them leads anywhere.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Files of /proc that speak about the machine or the kernel rather than the program.
const MASKED: [&str; 8] = [
    "kcore",
    "keys",
    "timer_list",
    "sched_debug",
    "kallsyms",
    "sysrq-trigger",
    "interrupts",
    "config.gz",
];

fn flags() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

/// First half, still as the launcher's user: attaches the measured files and the state directory, whose paths the
/// program's user may not be able to walk.
///
/// # Errors
/// What the kernel said; `casemate doctor` says what it lacks.
pub fn attach(image: &Path, state: Option<&Path>) -> io::Result<()> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    mount_bind(image, image)?;
    if let Some(state) = state {
        mount_bind(state, image.join("state"))?;
        mount_remount(image.join("state"), MountFlags::BIND | flags(), "")?;
    }
    Ok(())
}

/// Second half, as the program's user: builds the rest of the root and makes it this process's.
///
/// # Errors
/// What the kernel said; `casemate doctor` says what it lacks.
pub fn enter(image: &Path, memory_max: u64) -> io::Result<()> {
    let inside = |name: &str| image.join(name);
    let size = format!("mode=1777,size={}", memory_max.checked_div(2).unwrap_or(0));
    let size = std::ffi::CString::new(size).map_err(io::Error::other)?;
    mount("tmpfs", inside("tmp"), "tmpfs", flags(), Some(size.as_c_str()))?;
    mount("tmpfs", inside("run"), "tmpfs", flags(), Some(c"mode=0755,size=1m"))?;
    fs::create_dir(inside("run/casemate"))?;
    devices(&inside("dev"))?;
    mount("proc", inside("proc"), "proc", flags(), None)?;
    mask_proc(&inside("proc"))?;
    mount_remount(
        image,
        MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
        "",
    )?;
    rustix::process::chdir(image)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

fn devices(dev: &Path) -> io::Result<()> {
    let dev_flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("tmpfs", dev, "tmpfs", dev_flags, Some(c"mode=0755,size=64k"))?;
    for name in DEVICES {
        let at = dev.join(name);
        fs::File::create(&at)?;
        mount_bind(Path::new("/dev").join(name), &at)?;
    }
    fs::create_dir(dev.join("shm"))?;
    mount("tmpfs", dev.join("shm"), "tmpfs", flags(), Some(c"mode=1777,size=64m"))?;
    for (name, target) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        std::os::unix::fs::symlink(target, dev.join(name))?;
    }
    mount_remount(dev, dev_flags | MountFlags::RDONLY, c"mode=0755,size=64k")?;
    Ok(())
}

/// Hides what /proc says about the machine. What is writable there belongs to the host's root, which a program is not.
fn mask_proc(proc: &Path) -> io::Result<()> {
    for name in MASKED {
        let at = proc.join(name);
        if at.exists() {
            mount_bind("/dev/null", &at)?;
        }
    }
    let sys = proc.join("sys");
    if sys.exists() {
        mount_bind(&sys, &sys)?;
        mount_remount(&sys, MountFlags::BIND | MountFlags::RDONLY | flags(), "")?;
    }
    Ok(())
}

/// Where the launcher mounts its store, in its own mount namespace alone: a directory every system has, whose path
/// every user can walk and from which no program is ever taken.
pub const STORE: &str = "/sys/kernel";

/// Mounts the store of images: memory that nobody outside the launcher's mount namespace can name.
///
/// # Errors
/// What the kernel said.
pub fn mount_store() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    mount("tmpfs", STORE, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755"))?;
    fs::set_permissions(STORE, fs::Permissions::from_mode(0o755))
}
