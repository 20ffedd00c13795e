//! From a configuration to every file of the root: the executable, its loader, what it is linked with transitively,
//! interpreters of scripts, and whole trees. What is not found here does not exist for the program: `dlopen`, preloads
//! and plugins find only these files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use super::config::{Config, Source};
use super::elf::{self, ElfError};
use super::manifest::peer_addresses;

/// Most names in one root.
pub const ENTRIES_MAX: usize = 200_000;
/// Most symbolic links followed for one path.
const LINKS_MAX: usize = 40;
/// Interpreters of interpreters, as the kernel allows.
const SCRIPTS_MAX: usize = 4;
/// Where Debian's loader looks without a cache; the root has none.
const LIBRARY_DIRS: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// Trees that an interpreter of the host needs: program name's beginning, tree, reason.
const TREES: [(&str, &str, &str); 6] = [
    ("/usr/bin/python3", "/usr/lib/python3", "packages Debian installs for every Python 3"),
    ("/usr/bin/python3", "/usr/lib/python3.*", "the standard library, with its dynamic modules"),
    ("/usr/bin/perl", "/usr/share/perl/5.*", "the standard library in Perl"),
    ("/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/perl/5.*", "the standard library in C"),
    ("/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/perl-base", "what Perl itself cannot do without"),
    ("/usr/bin/bash", "/usr/lib/bash", "loadable builtins"),
];
/// Compiled Python depends on the times of files, which are not measured: left out, Python compiles in memory.
const LEFT_OUT: &str = "__pycache__";

/// Directories every root has: mount points and places programs expect.
const SKELETON: [&str; 8] =
    ["/dev", "/proc", "/tmp", "/run", "/run/casemate", "/etc", "/usr", "/state"];

/// Where an executable is placed whose own place is mounted over inside.
const MOVED: &str = "/app";

/// True if a program's writable mounts would hide this path.
fn hidden(path: &str) -> bool {
    ["/tmp", "/run", "/dev", "/proc", "/state"]
        .iter()
        .any(|m| path.strip_prefix(m).is_some_and(|r| r.is_empty() || r.starts_with('/')))
}

/// One name of the root to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link(String),
    /// A file of the host.
    File(PathBuf),
    /// A file made by us.
    Generated(String),
}

/// Every name of the root to be, by absolute path inside.
#[derive(Debug, Default)]
pub struct Plan {
    /// Sorted by path.
    pub entries: BTreeMap<String, Planned>,
    /// The program inside, after a search in PATH.
    pub executable: String,
}

/// Why a root cannot be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The program is nowhere.
    #[error(
        "program {0:?} not found in /usr/local/bin, /usr/bin, /bin, /usr/sbin or /sbin; give its whole path"
    )]
    NotFound(String),
    /// A file cannot be read.
    #[error("{}: {source}; the program's user must be able to read every file it consists of", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A needed library is nowhere.
    #[error("{} needs {library}, which is in no library directory; install it or give its directory by --with", path.display())]
    MissingLibrary {
        /// Who needs it.
        path: PathBuf,
        /// What.
        library: String,
    },
    /// Not a form of program that can be run.
    #[error("{}: {source}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// A device, socket or pipe.
    #[error("{}: neither file, directory nor link; a root holds only these", .0.display())]
    Special(PathBuf),
    /// A chain that does not end.
    #[error("{}: too many links or interpreters in a row", .0.display())]
    Loop(PathBuf),
    /// A name that is not UTF-8.
    #[error("{}: the name is not UTF-8, so it cannot be measured; rename it", .0.display())]
    Name(PathBuf),
    /// Under a place that is mounted over.
    #[error("{}: a program's own /tmp, /run, /dev, /proc and /state are mounted over it; move the tree elsewhere", .0.display())]
    Hidden(PathBuf),
    /// More files than allowed.
    #[error("more than {ENTRIES_MAX} files; give a smaller tree by --with")]
    TooMany,
}

/// Every file of the program's root.
///
/// # Errors
/// [`ResolveError`].
pub fn resolve(config: &Config) -> Result<Plan, ResolveError> {
    let mut r = Resolver {
        root: PathBuf::from("/"),
        moved: None,
        plan: Plan::default(),
        seen: BTreeSet::new(),
    };
    for dir in SKELETON {
        r.plan.entries.insert(dir.to_owned(), Planned::Directory);
    }
    let program = config.args.first().map_or("", String::as_str);
    match &config.source {
        Source::Directory(dir) => {
            r.root = PathBuf::from(dir);
            r.tree(Path::new("/"))?;
            r.plan.executable = r.search(program)?;
        }
        Source::Executable => {
            let found = r.search(program)?;
            let executable = r.visible(&found)?;
            r.program(Path::new(&executable), 0)?;
            for tree in &config.trees {
                if hidden(tree) {
                    return Err(ResolveError::Hidden(tree.into()));
                }
                r.tree(Path::new(tree))?;
            }
            r.plan.executable = executable;
        }
    }
    r.generate(config);
    Ok(r.plan)
}

struct Resolver {
    root: PathBuf,
    /// An executable that is elsewhere inside than on the host.
    moved: Option<(PathBuf, PathBuf)>,
    plan: Plan,
    seen: BTreeSet<PathBuf>,
}

impl Resolver {
    /// Where a path inside is on the host.
    fn host(&self, inside: &Path) -> PathBuf {
        if let Some((_, host)) = self.moved.as_ref().filter(|(place, _)| place == inside) {
            return host.clone();
        }
        let mut host = self.root.clone();
        host.extend(inside.components().filter(|c| matches!(c, Component::Normal(_))));
        host
    }

    fn search(&self, program: &str) -> Result<String, ResolveError> {
        if program.starts_with('/') {
            return Ok(program.to_owned());
        }
        ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
            .into_iter()
            .map(|dir| format!("{dir}/{program}"))
            .find(|p| !program.contains('/') && self.host(Path::new(p)).is_file())
            .ok_or_else(|| ResolveError::NotFound(program.to_owned()))
    }

    /// The path an executable has inside: its own, or one of the same name where its own is mounted over.
    fn visible(&mut self, found: &str) -> Result<String, ResolveError> {
        if !hidden(found) {
            return Ok(found.to_owned());
        }
        let host = fs::canonicalize(found)
            .map_err(|source| ResolveError::Unreadable { path: found.into(), source })?;
        let name = host
            .file_name()
            .and_then(|n| n.to_str())
            .ok_or_else(|| ResolveError::Name(host.clone()))?;
        let inside = format!("{MOVED}/{name}");
        self.moved = Some((PathBuf::from(&inside), host));
        Ok(inside)
    }

    /// Adds `path` with every link and directory on the way; returns where it really is inside.
    fn add(&mut self, path: &Path) -> Result<PathBuf, ResolveError> {
        if self.moved.as_ref().is_some_and(|(place, _)| place == path) {
            self.insert(Path::new(MOVED), Planned::Directory)?;
            self.insert(path, Planned::File(self.host(path)))?;
            return Ok(path.to_owned());
        }
        let mut rest =
            path.components().rev().map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
        let (mut at, mut links) = (PathBuf::from("/"), 0);
        while let Some(part) = rest.pop() {
            match Path::new(&part).components().next() {
                Some(Component::Normal(name)) => at.push(name),
                Some(Component::ParentDir) => {
                    at.pop();
                    continue;
                }
                _ => continue,
            }
            let host = self.host(&at);
            let meta = fs::symlink_metadata(&host)
                .map_err(|source| ResolveError::Unreadable { path: host.clone(), source })?;
            if meta.file_type().is_symlink() {
                links += 1;
                if links > LINKS_MAX {
                    return Err(ResolveError::Loop(path.to_owned()));
                }
                let target = fs::read_link(&host)
                    .map_err(|source| ResolveError::Unreadable { path: host, source })?;
                self.insert(&at, Planned::Link(utf8(&target)?))?;
                at.pop();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(target.components().rev().map(|c| c.as_os_str().to_owned()));
            } else if meta.is_dir() {
                self.insert(&at, Planned::Directory)?;
            } else if meta.is_file() {
                self.insert(&at, Planned::File(host))?;
            } else {
                return Err(ResolveError::Special(host));
            }
        }
        Ok(at)
    }

    fn insert(&mut self, at: &Path, planned: Planned) -> Result<(), ResolveError> {
        if self.plan.entries.len() >= ENTRIES_MAX {
            return Err(ResolveError::TooMany);
        }
        self.plan.entries.insert(utf8(at)?, planned);
        Ok(())
    }

    /// An executable with its interpreter, loader, libraries and standard trees.
    fn program(&mut self, path: &Path, depth: usize) -> Result<(), ResolveError> {
        if depth > SCRIPTS_MAX {
            return Err(ResolveError::Loop(path.to_owned()));
        }
        let real = self.add(path)?;
        self.standard_trees(&real)?;
        let bytes = self.read(&real)?;
        if let Some(line) = bytes.strip_prefix(b"#!") {
            let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line).into_owned();
            let mut words = line.split_whitespace();
            if let Some(interpreter) = words.next() {
                self.program(Path::new(interpreter), depth.saturating_add(1))?;
                // `#!/usr/bin/env NAME` finds NAME in PATH.
                if interpreter.ends_with("/env")
                    && let Some(name) = words.find(|w| !w.starts_with('-'))
                {
                    let found = self.search(name)?;
                    self.program(Path::new(&found), depth.saturating_add(1))?;
                }
            }
            return Ok(());
        }
        self.linked(&real, &bytes)
    }

    /// What an ELF file is linked with.
    fn linked(&mut self, real: &Path, bytes: &[u8]) -> Result<(), ResolveError> {
        if !self.seen.insert(real.to_owned()) {
            return Ok(());
        }
        let elf = elf::parse(bytes)
            .map_err(|source| ResolveError::Elf { path: real.to_owned(), source })?;
        if let Some(loader) = &elf.interpreter {
            self.add(Path::new(loader))?;
        }
        for name in &elf.needed {
            let found = self.library(real, name, &elf.search)?;
            let library = self.add(&found)?;
            // Found where the loader inside would not look without a cache: give it a link where it does.
            let on_path =
                found.parent().and_then(Path::to_str).is_some_and(|d| LIBRARY_DIRS.contains(&d));
            if !on_path && elf.search.is_empty() {
                let place = Path::new("/usr/lib/x86_64-linux-gnu").join(name);
                self.insert(&place, Planned::Link(utf8(&library)?))?;
            }
            let bytes = self.read(&library)?;
            self.linked(&library, &bytes)?;
        }
        Ok(())
    }

    fn library(&self, real: &Path, name: &str, search: &[String]) -> Result<PathBuf, ResolveError> {
        if name.contains('/') {
            return Ok(PathBuf::from(name));
        }
        let origin = real.parent().and_then(Path::to_str).unwrap_or("/");
        let stated =
            search.iter().map(|d| d.replace("$ORIGIN", origin).replace("${ORIGIN}", origin));
        stated
            .chain(LIBRARY_DIRS.map(str::to_owned))
            .chain(self.configured_dirs())
            .map(|dir| Path::new(&dir).join(name))
            .find(|p| self.host(p).is_file())
            .ok_or_else(|| ResolveError::MissingLibrary {
                path: real.to_owned(),
                library: name.to_owned(),
            })
    }

    /// Directories that ld.so.conf adds.
    fn configured_dirs(&self) -> Vec<String> {
        let mut files = vec![self.host(Path::new("/etc/ld.so.conf"))];
        if let Ok(dir) = fs::read_dir(self.host(Path::new("/etc/ld.so.conf.d"))) {
            files.extend(dir.flatten().map(|e| e.path()));
        }
        files.sort();
        let text =
            files.iter().filter_map(|f| fs::read_to_string(f).ok()).collect::<Vec<_>>().join("\n");
        text.lines().map(str::trim).filter(|l| l.starts_with('/')).map(str::to_owned).collect()
    }

    fn standard_trees(&mut self, real: &Path) -> Result<(), ResolveError> {
        let name = utf8(real)?;
        for (program, tree, _) in TREES {
            if !name.starts_with(program) {
                continue;
            }
            let (dir, prefix) = tree.rsplit_once('/').unwrap_or(("", tree));
            let wanted =
                |n: &str| prefix.strip_suffix('*').map_or(n == prefix, |p| n.starts_with(p));
            let Ok(found) = fs::read_dir(self.host(Path::new(dir))) else { continue };
            let names = found
                .flatten()
                .filter_map(|e| e.file_name().into_string().ok())
                .filter(|n| wanted(n));
            for n in names.collect::<BTreeSet<_>>() {
                self.tree(&Path::new(dir).join(n))?;
            }
        }
        Ok(())
    }

    /// A directory whole, with what the ELF files in it are linked with.
    fn tree(&mut self, path: &Path) -> Result<(), ResolveError> {
        let real = self.add(path)?;
        let host = self.host(&real);
        let mut names = fs::read_dir(&host)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| ResolveError::Unreadable { path: host, source })?
            .into_iter()
            .map(|e| e.file_name())
            .collect::<Vec<_>>();
        names.sort();
        for name in names {
            let child = real.join(&name);
            let host = self.host(&child);
            let meta = fs::symlink_metadata(&host)
                .map_err(|source| ResolveError::Unreadable { path: host.clone(), source })?;
            if meta.file_type().is_symlink() {
                let target = fs::read_link(&host)
                    .map_err(|source| ResolveError::Unreadable { path: host, source })?;
                self.insert(&child, Planned::Link(utf8(&target)?))?;
            } else if meta.is_dir() {
                if name != LEFT_OUT {
                    self.tree(&child)?;
                }
            } else if meta.is_file() {
                self.insert(&child, Planned::File(host))?;
                let library = utf8(&child)?.contains(".so") || meta.mode() & 0o111 != 0;
                if library {
                    let bytes = self.read(&child)?;
                    if elf::is_elf(&bytes) {
                        // A module of another architecture, or one whose library nobody installed, is data.
                        let _ = self.linked(&child, &bytes);
                    }
                }
            } else {
                return Err(ResolveError::Special(host));
            }
        }
        Ok(())
    }

    fn read(&self, inside: &Path) -> Result<Vec<u8>, ResolveError> {
        let path = self.host(inside);
        fs::read(&path).map_err(|source| ResolveError::Unreadable { path, source })
    }

    /// The few files under /etc that a C library looks at.
    fn generate(&mut self, config: &Config) {
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for p in peer_addresses(config) {
            let [a, b, c, d] = p.address;
            hosts.push_str(&format!("{a}.{b}.{c}.{d} {}\n", p.role));
        }
        for (path, text) in [
            ("/etc/hosts", hosts.as_str()),
            ("/etc/passwd", "root:x:0:0::/:/nonexistent\nprogram:x:1000:1000::/tmp:/nonexistent\n"),
            ("/etc/group", "root:x:0:\nprogram:x:1000:\n"),
            ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
            ("/etc/resolv.conf", "# no name service: peers are in /etc/hosts\n"),
        ] {
            self.plan.entries.insert(path.to_owned(), Planned::Generated(text.to_owned()));
        }
    }
}

fn utf8(path: &Path) -> Result<String, ResolveError> {
    path.to_str().map(str::to_owned).ok_or_else(|| ResolveError::Name(path.to_owned()))
}

#[cfg(test)]
mod tests;
