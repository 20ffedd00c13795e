//! The few things a system does before a monitor can run in it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount, mount_move};
use thiserror::Error;

use super::archive::{self, ArchiveError};
use super::{CONTENTS, DISK, MODULES};
use crate::sys;

/// Devices that are there appear after so long.
const DEVICE_WAIT: Duration = Duration::from_secs(20);
/// The network interface, as the kernel names the first.
const INTERFACE: &str = "eth0";
const NEW_ROOT: &str = "/new";

/// What did not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SystemError {
    /// The kernel refused.
    #[error("{what}: {source}")]
    System {
        /// Doing what.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// The disk's archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

fn doing<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> SystemError {
    let what = what.into();
    move |e| SystemError::System { what, source: e.into() }
}

/// Moves the system from the kernel's first file system, whose root nobody can leave, into one whose root can be left: isolation of
/// programs needs that.
///
/// # Errors
/// [`SystemError`].
pub fn become_root() -> Result<(), SystemError> {
    let new = Path::new(NEW_ROOT);
    fs::create_dir_all(new).map_err(doing("making the new root"))?;
    mount("root", new, "tmpfs", MountFlags::empty(), Some(c"mode=0755,size=90%"))
        .map_err(doing("mounting the new root"))?;
    move_all(Path::new("/"), new).map_err(doing("moving files into the new root"))?;
    rustix::process::chdir(new).map_err(doing("entering the new root"))?;
    mount_move(".", "/").map_err(doing("moving the new root"))?;
    rustix::process::chroot(".").map_err(doing("changing to the new root"))?;
    rustix::process::chdir("/").map_err(doing("entering the new root"))
}

/// Copies what is there and removes it, so that memory holds it once.
fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        if old == Path::new(NEW_ROOT) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&new)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
            move_all(&old, &new)?;
            let _ = fs::remove_dir(&old);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&old)?, &new)?;
            fs::remove_file(&old)?;
        } else if kind.is_file() {
            // Keeps the mode.
            fs::copy(&old, &new)?;
            fs::remove_file(&old)?;
        }
    }
    Ok(())
}

/// Mounts what every system has.
///
/// # Errors
/// [`SystemError`].
pub fn mounts() -> Result<(), SystemError> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let all: [(&str, &str, MountFlags); 7] = [
        ("proc", "/proc", plain),
        ("sysfs", "/sys", plain),
        ("devtmpfs", "/dev", MountFlags::NOSUID | MountFlags::NOEXEC),
        ("securityfs", "/sys/kernel/security", plain),
        ("cgroup2", "/sys/fs/cgroup", plain),
        ("tmpfs", "/run", MountFlags::NOSUID | MountFlags::NODEV),
        ("tmpfs", "/tmp", MountFlags::NOSUID | MountFlags::NODEV),
    ];
    for (kind, at, flags) in all {
        if !Path::new(at).exists() {
            fs::create_dir_all(at).map_err(doing(at))?;
        }
        mount(kind, at, kind, flags, None).map_err(doing(format!("mounting {at}")))?;
    }
    // Programs' groups are made below; a kernel without one of them leaves them to resource limits.
    let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids");
    Ok(())
}

/// Takes the console as the three standard streams.
///
/// # Errors
/// [`SystemError`].
pub fn open_console() -> Result<(), SystemError> {
    let console = fs::OpenOptions::new().read(true).write(true).open("/dev/console");
    let console = console.map_err(doing("opening the console"))?;
    for number in 0..3 {
        sys::dup_to(&console, number).map_err(doing("opening the console"))?;
    }
    Ok(())
}

/// Loads the image's kernel modules, in the order of their names.
///
/// # Errors
/// [`SystemError`].
pub fn load_modules() -> Result<(), SystemError> {
    let found = fs::read_dir(MODULES).map_err(doing(MODULES))?;
    let mut all = found.filter_map(|e| Some(e.ok()?.path())).collect::<Vec<PathBuf>>();
    all.sort();
    for path in all {
        let what = path.display().to_string();
        let file = fs::File::open(&path).map_err(doing(what.clone()))?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(doing(what)(e)),
        }
    }
    Ok(())
}

/// Reads the disk into [`CONTENTS`]; false if there is none.
///
/// # Errors
/// [`SystemError`].
pub fn read_disk() -> Result<bool, SystemError> {
    let begin = Instant::now();
    // A machine without a disk has no driver's directory with one in it.
    let has = || {
        fs::read_dir("/sys/bus/virtio/drivers/virtio_blk").is_ok_and(|d| {
            d.flatten().any(|e| e.file_name().to_string_lossy().starts_with("virtio"))
        })
    };
    if !has() {
        return Ok(false);
    }
    while !Path::new(DISK).exists() && begin.elapsed() < DEVICE_WAIT {
        std::thread::sleep(Duration::from_millis(10));
    }
    let disk = fs::File::open(DISK).map_err(doing(DISK))?;
    let into = Path::new(CONTENTS);
    fs::create_dir_all(into).map_err(doing(CONTENTS))?;
    archive::unpack(io::BufReader::new(disk), into)?;
    Ok(true)
}

/// How the machine is reached and reaches others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its address.
    pub address: Ipv4Addr,
    /// Bits of its network.
    pub bits: u32,
    /// Where everything else is reached.
    pub gateway: Option<Ipv4Addr>,
}

/// Brings loopback up, and the first interface where there is one to be set.
///
/// # Errors
/// [`SystemError`].
pub fn network(network: Option<&Network>) -> Result<(), SystemError> {
    sys::loopback_up().map_err(doing("loopback"))?;
    let Some(network) = network else { return Ok(()) };
    let begin = Instant::now();
    let at = Path::new("/sys/class/net").join(INTERFACE);
    while !at.exists() && begin.elapsed() < DEVICE_WAIT {
        std::thread::sleep(Duration::from_millis(10));
    }
    let name = CString::new(INTERFACE).map_err(|e| doing("network")(io::Error::from(e)))?;
    let mask =
        Ipv4Addr::from(u32::MAX.checked_shl(32_u32.saturating_sub(network.bits)).unwrap_or(0));
    sys::interface_up(&name, network.address, mask).map_err(doing(INTERFACE))?;
    if let Some(gateway) = network.gateway {
        sys::default_route(gateway).map_err(doing("default route"))?;
    }
    Ok(())
}

/// Ends the machine.
pub fn power_off() -> ! {
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    // Without the right to, only the process ends.
    std::process::exit(0)
}
