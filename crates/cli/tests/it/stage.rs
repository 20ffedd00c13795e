//! A folder, a home and a user for one test, and the executable copied where that user can read it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Stage {
    pub dir: tempfile::TempDir,
    exe: PathBuf,
    uid: Option<u32>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let domains = std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        for domain in domains.filter(|d| d.path().join("run/control.sock").exists()) {
            let _ = self.command(&["stop"]).current_dir(domain.path()).output();
        }
    }
}

/// True if tests may become other users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Stage {
    /// As whoever runs the tests.
    pub fn own() -> Self {
        Self::make(None)
    }

    /// As a fresh ordinary user; none (and a word about it) if we may not become one.
    pub fn ordinary() -> Option<Self> {
        if !is_root() {
            println!("skipped: becoming a fresh ordinary user needs root");
            return None;
        }
        Some(Self::make(Some(41_000 + std::process::id() % 10_000)))
    }

    fn make(uid: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let exe = dir.path().join("casemate");
        std::fs::copy(env!("CARGO_BIN_EXE_casemate"), &exe).unwrap();
        std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(uid) = uid {
            chown(dir.path(), Some(uid), Some(uid)).unwrap();
        }
        Self { dir, exe, uid }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("TMPDIR", self.path());
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    pub fn run(&self, dir: &str, args: &[&str]) -> Output {
        self.command(args).current_dir(self.path().join(dir)).output().unwrap()
    }

    /// Runs and demands success; the standard output.
    pub fn good(&self, dir: &str, args: &[&str]) -> String {
        let output = self.run(dir, args);
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "casemate {}\n{out}{err}", args.join(" "));
        out.into_owned()
    }
}
