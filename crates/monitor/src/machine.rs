//! A machine of our own: what the first process of a machine image does before there is a monitor.
//!
//! The image is a RAM disk with this executable as `/init`, so that all of it was measured before it runs. It holds nothing to log
//! into and starts nothing but our own processes. What the host gives it besides, on a disk, is nobody's word: programs are
//! measured, the domain's root goes into a register before anything is asked.

pub mod archive;
mod system;

pub use system::{
    Network, SystemError, become_root, load_modules, mounts, network, open_console, power_off,
    read_disk,
};

/// Where the disk's contents are put.
pub const CONTENTS: &str = "/machine";
/// Kernel modules in the image, in the order of their names.
pub const MODULES: &str = "/modules";
/// The disk.
pub const DISK: &str = "/dev/vda";
/// The TPM, through the kernel's resource manager.
pub const TPM: &str = "/dev/tpmrm0";
