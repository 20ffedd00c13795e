//! Images: a program's files copied into memory that only the launcher can write, hashed while they are copied.
//! The program runs from the copy, so what runs is what was measured, whatever happens to the host's files
//! meanwhile. An image already held starts again without a look at the host.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::digest;
use evidence::{ContentDigest, Measurement};
use thiserror::Error;

use super::config::Config;
use super::manifest::{Entry, Manifest};
use super::resolve::{self, Plan, Planned, ResolveError};

/// Most bytes of one program's files.
pub const IMAGE_MAX: u64 = 4 << 30;
const CHUNK: usize = 256 * 1024;

/// Why an image cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The files could not be found.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A file could not be copied.
    #[error("{}: {source}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More than the limit.
    #[error("the program's files are larger than {IMAGE_MAX} bytes; give smaller trees")]
    TooLarge,
    /// The files are not those that were added.
    #[error(
        "the program measures {got}, but {expected} was added; a file of it changed since: `casemate add` it again, or restore the file"
    )]
    Changed {
        /// What the configuration expects.
        expected: Measurement,
        /// What was measured.
        got: Measurement,
    },
}

/// A program ready to run.
#[derive(Clone, Debug)]
pub struct Image {
    /// What was measured.
    pub manifest: Manifest,
    /// Its digest.
    pub measurement: Measurement,
    /// Root directory.
    pub root: PathBuf,
    /// The program inside.
    pub executable: String,
}

/// Images held by this launcher.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    held: Vec<(Config, Image)>,
    made: u64,
}

impl Store {
    /// A store in a directory that only we can write.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir, held: Vec::new(), made: 0 }
    }

    /// The program's image: held, if this very configuration with the measurement it expects was loaded before, else
    /// copied and measured now.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn load(
        &mut self,
        config: &Config,
        expected: Option<Measurement>,
    ) -> Result<Image, ImageError> {
        let held = |(c, i): &&(Config, Image)| c == config && Some(i.measurement) == expected;
        if let Some((_, image)) = self.held.iter().find(held) {
            return Ok(image.clone());
        }
        let plan = resolve::resolve(config)?;
        self.made = self.made.saturating_add(1);
        let root = self.dir.join(format!("{}", self.made));
        let entries = assemble(&plan, Some(&root))?;
        let manifest = Manifest::new(config, entries);
        let got = manifest.measurement();
        if let Some(expected) = expected
            && !evidence::controls::holds("image_expected", expected == got)
        {
            let _ = fs::remove_dir_all(&root);
            return Err(ImageError::Changed { expected, got });
        }
        let image = Image { manifest, measurement: got, root, executable: plan.executable };
        self.held.push((config.clone(), image.clone()));
        Ok(image)
    }
}

/// What a launcher would measure, without keeping a copy.
///
/// # Errors
/// [`ImageError`].
pub fn measure(config: &Config) -> Result<Manifest, ImageError> {
    let plan = resolve::resolve(config)?;
    Ok(Manifest::new(config, assemble(&plan, None)?))
}

/// Threads that copy and hash: reading and hashing share the work of few cores, more would only wait for the disk.
const COPIERS_MAX: usize = 4;

/// One file to be copied or hashed: its place among the entries, where it is, where it goes.
type Job<'a> = (usize, &'a Path, Option<PathBuf>);

/// Copies (or only hashes) every planned name; parents come before children because paths are sorted. Files are independent of each
/// other, so several threads take them.
fn assemble(plan: &Plan, root: Option<&Path>) -> Result<Vec<(String, Entry)>, ImageError> {
    let copy = |path: &Path, source| ImageError::Copy { path: path.to_owned(), source };
    if let Some(root) = root {
        fs::create_dir(root).map_err(|e| copy(root, e))?;
    }
    let (mut entries, mut jobs) = (Vec::with_capacity(plan.entries.len()), Vec::<Job<'_>>::new());
    for (path, planned) in &plan.entries {
        let to = root.map(|r| r.join(path.trim_start_matches('/')));
        let entry = match planned {
            _ if path == "/" => continue,
            Planned::Directory => {
                if let Some(to) = &to {
                    fs::create_dir(to).map_err(|e| copy(to, e))?;
                }
                Entry::Directory
            }
            Planned::Link(target) => {
                if let Some(to) = &to {
                    std::os::unix::fs::symlink(target, to).map_err(|e| copy(to, e))?;
                }
                Entry::Link(target.clone())
            }
            Planned::Generated(text) => {
                if let Some(to) = &to {
                    fs::write(to, text).map_err(|e| copy(to, e))?;
                }
                let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
                Entry::File { executable: false, digest: ContentDigest::of(text.as_bytes()), len }
            }
            Planned::File(host) => {
                jobs.push((entries.len(), host, to));
                // Replaced by what is found.
                Entry::Directory
            }
        };
        entries.push((path.clone(), entry));
    }
    let generated =
        entries.iter().map(|(_, e)| if let Entry::File { len, .. } = e { *len } else { 0 });
    let total = AtomicU64::new(generated.fold(0, u64::saturating_add));
    let mut done = 0_usize;
    for (at, host, found) in copy_all(&jobs, &total) {
        done = done.saturating_add(1);
        let entry = found.map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => ImageError::TooLarge,
            _ => copy(host, e),
        })?;
        if let Some((_, place)) = entries.get_mut(at) {
            *place = entry;
        }
    }
    // A file nobody came to has no entry of its own: without this it would be measured as something else.
    if let Some((_, host, _)) = jobs.get(done) {
        return Err(copy(host, io::Error::other("a copying thread died")));
    }
    Ok(entries)
}

/// What became of every file, in their order.
fn copy_all<'a>(jobs: &[Job<'a>], total: &AtomicU64) -> Vec<(usize, &'a Path, io::Result<Entry>)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(COPIERS_MAX);
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut buffer, mut done) = (vec![0; CHUNK], Vec::new());
        while let Some((at, host, to)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = copy_file(host, to.as_deref(), &mut buffer, total);
            let failed = found.is_err();
            done.push((*at, *host, found));
            if failed {
                // Nothing after it is worth the time; the others stop at their next file.
                next.store(jobs.len(), Ordering::Relaxed);
            }
        }
        done
    };
    let mut all = std::thread::scope(|scope| {
        let others = (1..threads).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        let own = work();
        let others = others.into_iter().flat_map(|t| t.join().unwrap_or_default());
        own.into_iter().chain(others).collect::<Vec<_>>()
    });
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// Copies one file, hashing the bytes that are written. Only the executable bit of its mode is kept.
fn copy_file(
    host: &Path,
    to: Option<&Path>,
    buffer: &mut [u8],
    total: &AtomicU64,
) -> io::Result<Entry> {
    let mut from = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(host)?;
    let meta = from.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let executable = meta.mode() & 0o111 != 0;
    let mut out = to.map(fs::File::create_new).transpose()?;
    let (mut hash, mut len) = (digest::Context::new(&digest::SHA384), 0_u64);
    loop {
        let n = from.read(buffer)?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        hash.update(bytes);
        if let Some(out) = &mut out {
            out.write_all(bytes)?;
        }
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        len = len.saturating_add(n);
        if total.fetch_add(n, Ordering::Relaxed).saturating_add(n) > IMAGE_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
    }
    if let Some(out) = out {
        out.set_permissions(fs::Permissions::from_mode(if executable { 0o555 } else { 0o444 }))?;
    }
    let digest =
        ContentDigest::from_slice(hash.finish().as_ref()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Entry::File { executable, digest, len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::config::Source;

    /// A root of its own: a program, a library beside it, a plugin.
    fn root(content: &[u8]) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        for name in ["bin/program", "library.so", "plugin.so"] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let mut config = Config::new(vec!["/bin/program".into()]);
        config.source = Source::Directory(dir.path().to_str().unwrap().to_owned());
        (dir, config)
    }

    #[test]
    fn the_same_files_elsewhere_measure_the_same() {
        let ((_a, one), (b, two)) = (root(b"x"), root(b"x"));
        let old = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(b.path().join("library.so")).unwrap().set_modified(old).unwrap();
        let (one, two) = (measure(&one).unwrap(), measure(&two).unwrap());
        assert_eq!(one.entries, two.entries);
        assert_eq!(one.measurement(), two.measurement());
    }

    #[test]
    fn the_launcher_measures_what_the_command_line_measures() {
        let (_dir, config) = root(b"x");
        let into = tempfile::tempdir().unwrap();
        let image = Store::new(into.path().to_owned()).load(&config, None).unwrap();
        assert_eq!(image.measurement, measure(&config).unwrap().measurement());
    }

    #[test]
    fn one_changed_byte_in_program_library_or_plugin_changes_the_measurement() {
        let (dir, config) = root(b"x");
        let before = measure(&config).unwrap().measurement();
        for name in ["bin/program", "library.so", "plugin.so"] {
            fs::write(dir.path().join(name), b"y").unwrap();
            assert_ne!(measure(&config).unwrap().measurement(), before, "{name}");
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        assert_eq!(measure(&config).unwrap().measurement(), before);
    }

    #[test]
    fn a_file_swapped_after_measuring_is_not_what_runs() {
        let (dir, config) = root(b"honest");
        let into = tempfile::tempdir().unwrap();
        let mut store = Store::new(into.path().to_owned());
        let image = store.load(&config, None).unwrap();
        for name in ["bin/program", "library.so", "plugin.so"] {
            fs::write(dir.path().join(name), b"evil").unwrap();
        }
        let again = store.load(&config, Some(image.measurement)).unwrap();
        for name in ["bin/program", "library.so", "plugin.so"] {
            assert_eq!(fs::read(again.root.join(name)).unwrap(), b"honest", "{name}");
        }
    }

    #[test]
    fn a_file_swapped_before_measuring_is_refused_by_the_expected_measurement() {
        let (dir, config) = root(b"honest");
        let expected = Some(measure(&config).unwrap().measurement());
        fs::write(dir.path().join("library.so"), b"evil").unwrap();
        let into = tempfile::tempdir().unwrap();
        let load = || Store::new(into.path().to_owned()).load(&config, expected);
        assert!(matches!(load(), Err(ImageError::Changed { .. })));
        assert!(evidence::controls::without("image_expected", load).is_ok());
    }

    #[test]
    fn a_link_put_in_a_files_place_is_not_followed() {
        let (dir, config) = root(b"x");
        let plan = resolve::resolve(&config).unwrap();
        fs::remove_file(dir.path().join("plugin.so")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("plugin.so")).unwrap();
        assert!(matches!(assemble(&plan, None), Err(ImageError::Copy { .. })));
    }
}
