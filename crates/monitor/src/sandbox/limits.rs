//! Memory and processes of a program: control groups where we may make them (root), resource limits otherwise.
//! Which of them holds is part of every statement about the program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use evidence::statement::LimitsBy;
use rustix::process::{Resource, Rlimit, setrlimit};

const ROOT: &str = "/sys/fs/cgroup";
/// Open files of a program.
const FILES_MAX: u64 = 65_536;

/// The groups of one program; removed when dropped.
#[derive(Debug)]
pub struct Limits {
    /// Which mechanism holds.
    pub by: LimitsBy,
    groups: Vec<PathBuf>,
}

impl Limits {
    /// Makes groups for a program if this machine lets us, else none.
    #[must_use]
    pub fn prepare(name: &str, memory_max: u64, processes_max: u64) -> Self {
        let name = format!("casemate-{}-{name}", std::process::id());
        let (memory, processes) = (memory_max.to_string(), processes_max.to_string());
        let v1: &[(&str, &[(&str, &str)])] = &[
            ("memory", &[("memory.limit_in_bytes", &memory)]),
            ("pids", &[("pids.max", &processes)]),
        ];
        if let Some(groups) = make(v1, &name) {
            return Self { by: LimitsBy::CgroupV1, groups };
        }
        let v2: &[(&str, &[(&str, &str)])] =
            &[("", &[("memory.max", &memory), ("memory.swap.max", "0"), ("pids.max", &processes)])];
        if Path::new(ROOT).join("cgroup.controllers").exists()
            && let Some(groups) = make(v2, &name)
        {
            return Self { by: LimitsBy::CgroupV2, groups };
        }
        Self { by: LimitsBy::Rlimit, groups: Vec::new() }
    }

    /// Puts a process, and so everything it starts, under the limits.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn enter(&self, pid: i32) -> io::Result<()> {
        self.groups.iter().try_for_each(|g| fs::write(g.join("cgroup.procs"), pid.to_string()))
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for group in &self.groups {
            // The kernel empties a group a moment after its last process was reaped.
            for _ in 0..50 {
                if fs::remove_dir(group).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
}

/// All groups with all their settings, or none.
fn make(controllers: &[(&str, &[(&str, &str)])], name: &str) -> Option<Vec<PathBuf>> {
    let mut made = Vec::new();
    for (controller, settings) in controllers {
        let group = Path::new(ROOT).join(controller).join(name);
        let whole = Path::new(ROOT).join(controller).join("cgroup.procs").exists()
            && fs::create_dir(&group).is_ok();
        if whole {
            made.push(group.clone());
        }
        if !whole
            || settings.iter().any(|(file, value)| fs::write(group.join(file), value).is_err())
        {
            for group in made {
                let _ = fs::remove_dir(group);
            }
            return None;
        }
    }
    Some(made)
}

/// Limits of the calling process itself: no core file, files, and where no group holds, memory and processes.
///
/// # Errors
/// What the kernel said.
pub fn set_own(by: LimitsBy, memory_max: u64, processes_max: u64) -> io::Result<()> {
    let set =
        |what, most: u64| setrlimit(what, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::Core, 0)?;
    let files = rustix::process::getrlimit(Resource::Nofile)
        .maximum
        .map_or(FILES_MAX, |m| m.min(FILES_MAX));
    set(Resource::Nofile, files)?;
    if by == LimitsBy::Rlimit {
        set(Resource::As, memory_max.saturating_mul(4))?;
        set(Resource::Data, memory_max)?;
        set(Resource::Nproc, processes_max)?;
    }
    Ok(())
}
