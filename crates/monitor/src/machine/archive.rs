//! The archive of machine images and of what is handed to a machine: cpio in the form the kernel unpacks (`newc`,
//! Documentation/driver-api/early-userspace/buffer-format.rst). Written, it depends on names and contents alone.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};

use thiserror::Error;

const MAGIC: &[u8; 6] = b"070701";
const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const DEVICE: u32 = 0o020_000;
const LINK: u32 = 0o120_000;
const TYPE: u32 = 0o170_000;
/// Longest name.
const NAME_MAX: usize = 4096;
/// Most names of an archive that is read.
const ENTRIES_MAX: usize = 200_000;
/// Most bytes of an archive that is read.
const BYTES_MAX: u64 = 4 << 30;

/// Why an archive is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It cannot be read or written.
    #[error("archive: {0}")]
    Io(#[from] io::Error),
    /// Not of the form.
    #[error("archive, entry {entry}: {why}; make it with `casemate image disk`")]
    Form {
        /// Which entry.
        entry: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A name that leads out of the directory it is unpacked into.
    #[error("archive: {0:?} is no plain path below the archive's root")]
    Name(String),
    /// More than the limit.
    #[error("archive: more than {ENTRIES_MAX} names or {BYTES_MAX} bytes")]
    TooLarge,
}

/// An archive being written.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    written: u64,
    entries: u32,
}

impl<W: Write> Writer<W> {
    /// An empty one.
    pub const fn new(out: W) -> Self {
        Self { out, written: 0, entries: 0 }
    }

    /// A directory.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn directory(&mut self, name: &str) -> Result<(), ArchiveError> {
        self.entry(name, DIRECTORY | 0o755, &[])
    }

    /// A file.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn file(&mut self, name: &str, bytes: &[u8], executable: bool) -> Result<(), ArchiveError> {
        self.entry(name, FILE | if executable { 0o555 } else { 0o444 }, bytes)
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn link(&mut self, name: &str, target: &str) -> Result<(), ArchiveError> {
        self.entry(name, LINK | 0o777, target.as_bytes())
    }

    /// A character device.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn device(&mut self, name: &str, major: u32, minor: u32) -> Result<(), ArchiveError> {
        self.put_entry(name, DEVICE | 0o600, &[], (major, minor))
    }

    /// A directory with everything in it, in the order of names; what is neither directory, file nor link is refused.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn tree(&mut self, name: &str, from: &Path) -> Result<(), ArchiveError> {
        self.directory(name)?;
        let mut all = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(fs::DirEntry::file_name);
        for entry in all {
            let path = entry.path();
            let own = entry.file_name().into_string();
            let own = own.map_err(|n| ArchiveError::Name(n.to_string_lossy().into_owned()))?;
            let inside = if name == "." { own } else { format!("{name}/{own}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.tree(&inside, &path)?;
            } else if kind.is_symlink() {
                let to = fs::read_link(&path)?.into_os_string().into_string();
                self.link(&inside, &to.map_err(|_| ArchiveError::Name(inside.clone()))?)?;
            } else if kind.is_file() {
                let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                self.file(&inside, &fs::read(&path)?, executable)?;
            } else {
                return Err(ArchiveError::Name(inside));
            }
        }
        Ok(())
    }

    /// Ends it, at a multiple of 512 bytes as disks have them.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        self.entry(TRAILER, 0, &[])?;
        self.pad(512)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.put_entry(name, mode, bytes, (0, 0))
    }

    fn put_entry(
        &mut self,
        name: &str,
        mode: u32,
        bytes: &[u8],
        (major, minor): (u32, u32),
    ) -> Result<(), ArchiveError> {
        self.entries = self.entries.checked_add(1).ok_or(ArchiveError::TooLarge)?;
        let len = |n: usize| u32::try_from(n).map_err(|_| ArchiveError::TooLarge);
        let inode = if name == TRAILER { 0 } else { self.entries };
        let (size, name_len) = (len(bytes.len())?, len(name.len().saturating_add(1))?);
        // inode, mode, uid, gid, links, time, size, device (two), its own device (two), name, checksum.
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_len, 0];
        self.put(MAGIC)?;
        for field in fields {
            self.put(format!("{field:08x}").as_bytes())?;
        }
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad(4)?;
        self.put(bytes)?;
        self.pad(4)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(bytes)?;
        self.written = self.written.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn pad(&mut self, to: u64) -> Result<(), ArchiveError> {
        while !self.written.is_multiple_of(to) {
            self.put(&[0])?;
        }
        Ok(())
    }
}

/// An archive being read.
struct Reader<R> {
    from: R,
    read: u64,
    entry: usize,
}

impl<R: Read> Reader<R> {
    const fn form(&self, why: &'static str) -> ArchiveError {
        ArchiveError::Form { entry: self.entry, why }
    }

    fn exact(&mut self, len: usize) -> Result<Vec<u8>, ArchiveError> {
        let wide = u64::try_from(len).unwrap_or(u64::MAX);
        self.read = self.read.saturating_add(wide);
        if self.read > BYTES_MAX {
            return Err(ArchiveError::TooLarge);
        }
        // Grows with what there is, not with what a header says.
        let mut bytes = Vec::new();
        (&mut self.from).take(wide).read_to_end(&mut bytes)?;
        if bytes.len() == len { Ok(bytes) } else { Err(self.form("it ends too early")) }
    }

    fn pad(&mut self) -> Result<(), ArchiveError> {
        while !self.read.is_multiple_of(4) {
            self.exact(1)?;
        }
        Ok(())
    }

    /// Name, mode and content of the next entry; none at the end.
    fn next(&mut self) -> Result<Option<(String, u32, Vec<u8>)>, ArchiveError> {
        self.entry = self.entry.saturating_add(1);
        if self.entry > ENTRIES_MAX {
            return Err(ArchiveError::TooLarge);
        }
        let header = self.exact(HEADER)?;
        if !header.starts_with(MAGIC) {
            return Err(self.form("it does not begin as one does"));
        }
        let field = |n: usize| {
            let at = n.saturating_mul(8).saturating_add(MAGIC.len());
            let digits = header.get(at..at.saturating_add(8))?;
            let text = core::str::from_utf8(digits).ok()?;
            let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
            u32::from_str_radix(text, 16).ok().filter(|_| hex)
        };
        let numbers = field(1).zip(field(6)).zip(field(11));
        let Some(((mode, size), name_len)) = numbers else {
            return Err(self.form("a field is no number"));
        };
        let long = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        if !(1..=NAME_MAX).contains(&long(name_len)) {
            return Err(self.form("its name is empty or too long"));
        }
        let mut name = self.exact(long(name_len))?;
        let ends = name.pop() == Some(0) && !name.contains(&0);
        let name = String::from_utf8(name).ok().filter(|_| ends);
        let name = name.ok_or_else(|| self.form("its name is no text"))?;
        self.pad()?;
        let content = self.exact(long(size))?;
        self.pad()?;
        Ok((name != TRAILER).then_some((name, mode, content)))
    }
}

/// Unpacks an archive into an empty directory that nobody else can write. Links are made as they are and never followed.
///
/// # Errors
/// [`ArchiveError`]; what was unpacked before stays.
pub fn unpack(from: impl Read, into: &Path) -> Result<(), ArchiveError> {
    let mut reader = Reader { from, read: 0, entry: 0 };
    while let Some((name, mode, content)) = reader.next()? {
        if name == "." {
            continue;
        }
        let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
        if name.is_empty() || !Path::new(&name).components().all(plain) {
            return Err(ArchiveError::Name(name));
        }
        let at = into.join(&name);
        // Whatever stands above an entry must be a directory that came before it: a link there would lead elsewhere.
        let above = at.parent().is_some_and(|p| below(into, p));
        if !above {
            return Err(ArchiveError::Name(name));
        }
        match mode & TYPE {
            DIRECTORY => fs::create_dir(&at)?,
            LINK => {
                let to = String::from_utf8(content);
                let to = to.map_err(|_| reader.form("a link leads to what is no text"))?;
                std::os::unix::fs::symlink(to, &at)?;
            }
            FILE => {
                let mode = if mode & 0o111 == 0 { 0o444 } else { 0o555 };
                let mut options = fs::OpenOptions::new();
                let mut out = options.write(true).create_new(true).mode(mode).open(&at)?;
                out.write_all(&content)?;
            }
            _ => return Err(reader.form("neither directory, file nor link")),
        }
    }
    Ok(())
}

/// True if every name from `root` down to `path` is a directory, and none a link.
fn below(root: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(root) else { return false };
    let mut at = root.to_owned();
    inside.components().all(|c| {
        at.push(c);
        fs::symlink_metadata(&at).is_ok_and(|m| m.is_dir())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(write: impl Fn(&mut Writer<Vec<u8>>) -> Result<(), ArchiveError>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        write(&mut writer).unwrap();
        writer.finish().unwrap()
    }

    fn good() -> Vec<u8> {
        made(|w| {
            w.directory("d")?;
            w.file("d/f", b"content", true)?;
            w.link("l", "d/f")
        })
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), ArchiveError>) {
        let dir = tempfile::tempdir().unwrap();
        let done = unpack(bytes, dir.path());
        (dir, done)
    }

    #[test]
    fn what_was_packed_is_unpacked_and_packs_the_same_again() {
        let bytes = good();
        let (dir, done) = unpacked(&bytes);
        done.unwrap();
        assert_eq!(fs::read(dir.path().join("l")).unwrap(), b"content");
        let again = made(|w| w.tree(".", dir.path()));
        let twice = made(|w| w.tree(".", dir.path()));
        assert_eq!(again, twice);
        let (_dir, done) = unpacked(&again);
        done.unwrap();
        assert_eq!(bytes.len() % 512, 0);
    }

    #[test]
    fn an_archive_that_leads_out_of_its_directory_is_refused() {
        for name in ["/etc/passwd", "../up", "d/../../up", "d/./f", ""] {
            let (_dir, done) = unpacked(&made(|w| w.file(name, b"x", false)));
            assert!(done.is_err(), "{name:?}");
        }
        let outside = tempfile::tempdir().unwrap();
        let to = outside.path().to_str().unwrap().to_owned();
        let through = made(|w| {
            w.link("d", &to)?;
            w.file("d/f", b"x", false)
        });
        let (_dir, done) = unpacked(&through);
        assert!(matches!(done, Err(ArchiveError::Name(_))), "{done:?}");
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    }

    #[test]
    fn every_truncation_and_a_name_that_comes_twice_are_refused() {
        let bytes = good();
        let end = bytes.len() - 512 + 300;
        for len in (0..bytes.len().min(end)).filter(|n| n % 7 == 0) {
            let whole = bytes[..len].windows(10).any(|w| w == TRAILER.as_bytes());
            assert!(whole || unpacked(&bytes[..len]).1.is_err(), "{len}");
        }
        let twice = made(|w| {
            w.file("f", b"1", false)?;
            w.file("f", b"2", false)
        });
        assert!(unpacked(&twice).1.is_err());
        let mut device = made(|w| w.file("f", b"", false));
        device[14..22].copy_from_slice(b"000021a4");
        assert!(matches!(unpacked(&device).1, Err(ArchiveError::Form { .. })));
    }
}
