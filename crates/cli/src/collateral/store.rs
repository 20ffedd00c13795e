//! The store: a folder of vendors' signed objects, each in a file named by its SHA-256 (`docs/formats/collateral-store.md`).
//!
//! It is not trusted. Whatever is read is hashed and verified under the pinned roots again; one entry that is damaged, truncated or not
//! authentic refuses the whole, by name: leaving out a damaged revocation list would be to ignore it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use evidence::bytes::sha256;
use evidence::controls::holds;
use evidence::snp::{Endorsement, EndorsementRefusal, PINNED_ROOTS};
use thiserror::Error;

/// No certificate or list is larger.
pub const OBJECT_MAX: u64 = 4 * 1024 * 1024;
/// No store has more entries.
const ENTRIES_MAX: usize = 4096;
/// A root, what it signed, and what that signed.
const RANKS: usize = 3;

/// Why a store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Of what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A name that is no digest, or no ordinary file.
    #[error("{}: expected a file named by its SHA-256; remove it", .0.display())]
    Stranger(PathBuf),
    /// More than any store has.
    #[error("{}: more than {ENTRIES_MAX} entries; expected fewer, remove old ones", .0.display())]
    TooMany(PathBuf),
    /// Too long for any object.
    #[error("{}: expected at most {OBJECT_MAX} bytes, got more; remove it", .0.display())]
    TooLong(PathBuf),
    /// The content is not what the name says.
    #[error("{}: damaged or truncated, its SHA-256 is {got}; remove it and import the object again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Of the content.
        got: String,
    },
    /// Its content is nobody's.
    #[error("{}: not authentic: {why}; remove it", path.display())]
    NotAuthentic {
        /// Which.
        path: PathBuf,
        /// Why.
        why: EndorsementRefusal,
    },
}

/// An authentic object and its name.
pub struct Entry {
    /// SHA-256, hex.
    pub digest: String,
    /// What it is.
    pub object: Endorsement,
}

/// A store, read whole.
pub struct Store {
    dir: PathBuf,
    /// Every entry; issuers before what they signed.
    pub entries: Vec<Entry>,
}

impl Store {
    /// Reads the store at `dir`; one that does not exist yet is empty.
    ///
    /// # Errors
    /// [`StoreError`], of the first entry that is wrong.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let objects = dir.join("objects");
        let mut store = Self { dir: dir.to_owned(), entries: Vec::new() };
        let listing = match fs::read_dir(&objects) {
            Ok(listing) => listing,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(store),
            Err(source) => return Err(StoreError::Io { path: objects, source }),
        };
        let mut read = Vec::new();
        for file in listing {
            let file = file.map_err(|source| StoreError::Io { path: objects.clone(), source })?;
            if read.len() >= ENTRIES_MAX {
                return Err(StoreError::TooMany(objects));
            }
            read.push(object(&file.path())?);
        }
        read.sort();
        if let Some((digest, why)) = store.take(read).into_iter().next() {
            return Err(StoreError::NotAuthentic { path: objects.join(digest), why });
        }
        Ok(store)
    }

    /// Takes what is authentic, in as many rounds as a chain has ranks; the rest comes back with the reason.
    fn take(&mut self, all: Vec<(String, Vec<u8>)>) -> Vec<(String, EndorsementRefusal)> {
        let mut waiting = all;
        let mut refused = Vec::new();
        for _ in 0..RANKS {
            refused.clear();
            let known = self.entries.iter().map(|e| e.object.clone()).collect::<Vec<_>>();
            let mut next = Vec::new();
            for (digest, der) in waiting {
                match Endorsement::verify(&der, &known, &PINNED_ROOTS) {
                    Ok(object) => self.entries.push(Entry { digest, object }),
                    Err(why) => {
                        refused.push((digest.clone(), why));
                        next.push((digest, der));
                    }
                }
            }
            waiting = next;
        }
        refused
    }

    /// Keeps what is authentic and new, and says what was kept and what refused why, by digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn import(&mut self, all: Vec<Vec<u8>>) -> Result<Imported, StoreError> {
        let mut fresh = all.into_iter().map(|o| (hex::encode(sha256(&o)), o)).collect::<Vec<_>>();
        fresh.sort();
        fresh.dedup();
        fresh.retain(|(digest, _)| !self.entries.iter().any(|e| e.digest == *digest));
        let before = self.entries.len();
        let refused = self.take(fresh);
        if self.entries.len() > ENTRIES_MAX {
            return Err(StoreError::TooMany(self.dir.join("objects")));
        }
        for entry in self.entries.iter().skip(before) {
            self.write(entry)?;
        }
        Ok(Imported { kept: self.entries.len().saturating_sub(before), refused })
    }

    /// A whole file, or none: written beside, forced to disk, and renamed.
    fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        let objects = self.dir.join("objects");
        let beside = self.dir.join(format!("incoming-{}", std::process::id()));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { path, source }
        };
        fs::create_dir_all(&objects).map_err(io(&objects))?;
        let mut file = File::create(&beside).map_err(io(&beside))?;
        file.write_all(entry.object.der()).map_err(io(&beside))?;
        file.sync_all().map_err(io(&beside))?;
        let place = objects.join(&entry.digest);
        fs::rename(&beside, &place).map_err(io(&place))?;
        File::open(&objects).and_then(|d| d.sync_all()).map_err(io(&objects))
    }
}

/// What came of an import.
pub struct Imported {
    /// How many objects are new.
    pub kept: usize,
    /// Digests of the others, with the reason.
    pub refused: Vec<(String, EndorsementRefusal)>,
}

/// One entry: its name and its content, which belong together.
fn object(path: &Path) -> Result<(String, Vec<u8>), StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let is_digest = name.len() == 64 && name.bytes().all(|b| b"0123456789abcdef".contains(&b));
    if !is_digest || !fs::symlink_metadata(path).map_err(io)?.is_file() {
        return Err(StoreError::Stranger(path.to_owned()));
    }
    let bytes = read_bounded(path)?;
    let got = hex::encode(sha256(&bytes));
    if !holds("collateral_digest", got == name) {
        return Err(StoreError::Damaged { path: path.to_owned(), got });
    }
    Ok((name.to_owned(), bytes))
}

/// A file within the limit, whatever its size was said to be.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(OBJECT_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n <= OBJECT_MAX) {
        Ok(bytes)
    } else {
        Err(StoreError::TooLong(path.to_owned()))
    }
}

#[cfg(test)]
mod tests;
