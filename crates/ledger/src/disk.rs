//! The log on disk: `entries` (two bytes of length, then the entry, one after the other), `checkpoint`, and tiles.
//!
//! An append writes and syncs the entries, then replaces the checkpoint. A crash between leaves entries the checkpoint
//! does not count yet: they were not acknowledged, and the next start keeps the whole ones. A log with less than its
//! checkpoint says was cut or rolled back, and is refused.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use evidence::controls::holds;
use thiserror::Error;

use crate::note::{Checkpoint, NoteError, Signer, Verifier};
use crate::tree::{self, Hash, Tree};

/// Longest entry (C2SP tlog-tiles).
pub const ENTRY_MAX: usize = 65_535;
/// Hashes in a full tile, entries in a full bundle.
const TILE: usize = 256;

/// Why the log cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file cannot be read or written; what was acknowledged before is still there.
    #[error("log {}: {source}; free space or mend the disk, then start again: nothing acknowledged is lost", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than an entry may be.
    #[error("log entry of {0} bytes, at most {ENTRY_MAX} allowed")]
    TooLong(usize),
    /// The checkpoint does not hold.
    #[error("log: {0}")]
    Note(#[from] NoteError),
    /// Less than was acknowledged.
    #[error(
        "log has {got} entries, its checkpoint says {expected}: entries were cut off or the disk was rolled back; restore it whole"
    )]
    Shorter {
        /// By the checkpoint.
        expected: u64,
        /// Found.
        got: u64,
    },
    /// Not what was acknowledged.
    #[error(
        "log entries do not hash to the root of their checkpoint; an entry was changed, restore the file"
    )]
    Changed,
    /// The signing key does not work.
    #[error("log signing key is unusable")]
    Signer,
}

/// An open log.
pub struct Log {
    dir: PathBuf,
    entries: fs::File,
    signer: Signer,
    tree: Tree,
    /// Entries of the bundle that is not full yet.
    recent: Vec<Vec<u8>>,
    checkpoint: String,
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn disk(path: &Path) -> impl Fn(io::Error) -> LogError + '_ {
    move |source| LogError::Disk { path: path.to_owned(), source }
}

/// Splits whole entries off; returns them and the length they fill.
fn split(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while let Some((len, more)) = rest.split_first_chunk::<2>() {
        let Some((entry, more)) = more.split_at_checked(usize::from(u16::from_be_bytes(*len)))
        else {
            break;
        };
        entries.push(entry);
        rest = more;
    }
    (entries, bytes.len().saturating_sub(rest.len()))
}

/// Replaces a file whole: after a crash there is the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}

impl Log {
    /// Opens the log in `dir`, or begins one; `visit` sees every entry there is, oldest first.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(dir: &Path, signer: Signer, visit: impl FnMut(&[u8])) -> Result<Self, LogError> {
        fs::create_dir_all(dir).map_err(disk(dir))?;
        let path = dir.join("entries");
        let mut options = fs::OpenOptions::new();
        let entries =
            options.create(true).append(true).read(true).open(&path).map_err(disk(&path))?;
        let bytes = fs::read(&path).map_err(disk(&path))?;
        let (whole, len) = split(&bytes);
        if len < bytes.len() {
            // The torn end of an append that was never acknowledged.
            entries.set_len(count(len)).map_err(disk(&path))?;
        }
        let mut tree = Tree::default();
        whole.iter().for_each(|e| tree.push(tree::leaf(e)));
        let recent = whole.chunks(TILE).last().filter(|c| c.len() < TILE).unwrap_or_default();
        let recent = recent.iter().map(|e| e.to_vec()).collect();
        let mut log =
            Self { dir: dir.to_owned(), entries, signer, tree, recent, checkpoint: String::new() };
        let path = dir.join("checkpoint");
        match fs::read_to_string(&path) {
            Ok(note) => verify_beginning(&log.tree, &log.signer.verifier().verify(&note)?)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(disk(&path)(e)),
        }
        // Tiles that a crash kept from being written.
        for (n, bundle) in whole.chunks_exact(TILE).enumerate() {
            log.write_tile("entries", n, TILE, &bundled(bundle))?;
        }
        log.write_hash_tiles(0)?;
        whole.into_iter().for_each(visit);
        log.publish()?;
        Ok(log)
    }

    /// Appends entries; they are durable when it returns. The first one's index.
    ///
    /// # Errors
    /// [`LogError`]; then nothing of the batch counts.
    pub fn append(&mut self, batch: &[&[u8]]) -> Result<u64, LogError> {
        let path = self.dir.join("entries");
        let mut bytes = Vec::new();
        for entry in batch {
            let len = u16::try_from(entry.len()).map_err(|_| LogError::TooLong(entry.len()))?;
            bytes.extend(len.to_be_bytes());
            bytes.extend(*entry);
        }
        let before = self.entries.metadata().map_err(disk(&path))?.len();
        let written = self.entries.write_all(&bytes).and_then(|()| self.entries.sync_data());
        if let Err(e) = written {
            let _ = self.entries.set_len(before);
            return Err(disk(&path)(e));
        }
        let before = self.tree.len();
        for entry in batch {
            self.tree.push(tree::leaf(entry));
            self.recent.push(entry.to_vec());
            if self.recent.len() == TILE {
                let (n, full) = (self.tree.len() / TILE, std::mem::take(&mut self.recent));
                self.write_tile("entries", n.saturating_sub(1), TILE, &bundled(&full))?;
            }
        }
        self.write_hash_tiles(before)?;
        self.publish()?;
        Ok(count(before))
    }

    /// Signs and writes the checkpoint.
    fn publish(&mut self) -> Result<(), LogError> {
        let root = self.tree.root(self.tree.len()).ok_or(LogError::Changed)?;
        let checkpoint = Checkpoint { size: count(self.tree.len()), root };
        self.checkpoint = self.signer.sign(&checkpoint).ok_or(LogError::Signer)?;
        let path = self.dir.join("checkpoint");
        replace(&path, self.checkpoint.as_bytes()).map_err(disk(&path))
    }

    /// The newest checkpoint, a signed note.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Entries so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        count(self.tree.len())
    }

    /// Path of entry `index` to the newest root; none if there is no such entry.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        self.tree.inclusion(usize::try_from(index).ok()?, self.tree.len())
    }

    /// Proof that the first `old` entries are a beginning of the newest tree; none if there never were as many.
    #[must_use]
    pub fn consistency(&self, old: u64) -> Option<Vec<Hash>> {
        self.tree.consistency(usize::try_from(old).ok()?, self.tree.len())
    }

    /// A tile or bundle as `tlog-tiles` readers ask for it, `0/x001/234`, `entries/000.p/17`; none if there is none like it.
    #[must_use]
    pub fn tile(&self, path: &str) -> Option<Vec<u8>> {
        let (level, n, width) = parse_tile(path)?;
        let from = n.checked_mul(TILE)?;
        let to = from.checked_add(width)?;
        let Some(level) = level else {
            let full = self.tree.len() / TILE;
            return match (n.cmp(&full), width) {
                (core::cmp::Ordering::Less, TILE) => {
                    fs::read(self.dir.join(format!("tile/{path}"))).ok()
                }
                (core::cmp::Ordering::Equal, _) => self.recent.get(..width).map(bundled),
                _ => None,
            };
        };
        Some(self.tree.level(level.checked_mul(8)?).get(from..to)?.concat())
    }

    /// Writes the full tiles that appending made since there were `before` entries.
    fn write_hash_tiles(&self, before: usize) -> Result<(), LogError> {
        for l in 0_u32.. {
            let level = self.tree.level(usize::try_from(l.saturating_mul(8)).unwrap_or(usize::MAX));
            let done = before.checked_shr(l.saturating_mul(8)).unwrap_or(0) / TILE;
            for (n, tile) in level.chunks_exact(TILE).enumerate().skip(done) {
                self.write_tile(&l.to_string(), n, TILE, &tile.concat())?;
            }
            if level.len() < TILE {
                break;
            }
        }
        Ok(())
    }

    fn write_tile(
        &self,
        level: &str,
        n: usize,
        width: usize,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        let path = self.dir.join(tile_path(level, n, width));
        if path.exists() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(disk(parent))?;
        replace(&path, bytes).map_err(disk(&path))
    }
}

/// Entries as a bundle has them.
fn bundled<E: AsRef<[u8]>>(entries: &[E]) -> Vec<u8> {
    let len = |e: &[u8]| u16::try_from(e.len()).unwrap_or(u16::MAX).to_be_bytes();
    entries.iter().flat_map(|e| [&len(e.as_ref())[..], e.as_ref()].concat()).collect()
}

/// Path of a tile or bundle: `tile/L/x001/234` with `.p/W` for partial ones.
fn tile_path(level: &str, n: usize, width: usize) -> String {
    let mut name = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE {
        format!("tile/{level}/{name}.p/{width}")
    } else {
        format!("tile/{level}/{name}")
    }
}

/// Level (none for bundles of entries), number and width of a tile, in the one spelling [`tile_path`] gives it.
fn parse_tile(path: &str) -> Option<(Option<usize>, usize, usize)> {
    if path.len() > 64 {
        return None;
    }
    let (level, name) = path.split_once('/')?;
    let (name, width) = match name.split_once(".p/") {
        Some((name, width)) => (name, width.parse().ok().filter(|w| (1..TILE).contains(w))?),
        None => (name, TILE),
    };
    let mut n = 0_usize;
    for part in name.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        n = n.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    let number =
        if level == "entries" { None } else { Some(level.parse().ok().filter(|l| *l < 8)?) };
    (format!("tile/{path}") == tile_path(level, n, width)).then_some((number, n, width))
}

fn verify_beginning(tree: &Tree, checkpoint: &Checkpoint) -> Result<(), LogError> {
    let got = count(tree.len());
    let root = usize::try_from(checkpoint.size).ok().and_then(|n| tree.root(n));
    let Some(root) = root else {
        return Err(LogError::Shorter { expected: checkpoint.size, got });
    };
    if !holds("log_root", root == checkpoint.root) {
        return Err(LogError::Changed);
    }
    Ok(())
}

/// Checks a log directory offline against the log's public key: every entry under the signed root. The entries.
///
/// # Errors
/// [`LogError`].
pub fn audit(dir: &Path, verifier: &Verifier) -> Result<Vec<Vec<u8>>, LogError> {
    let (entries, note) = (dir.join("entries"), dir.join("checkpoint"));
    let bytes = fs::read(&entries).map_err(disk(&entries))?;
    let note = fs::read_to_string(&note).map_err(disk(&note))?;
    let checkpoint = verifier.verify(&note)?;
    let (all, _) = split(&bytes);
    let mut tree = Tree::default();
    all.iter().for_each(|e| tree.push(tree::leaf(e)));
    verify_beginning(&tree, &checkpoint)?;
    let counted = usize::try_from(checkpoint.size).unwrap_or(usize::MAX);
    Ok(all.into_iter().take(counted).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests;
