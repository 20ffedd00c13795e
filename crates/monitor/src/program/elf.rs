//! As much of an ELF file as the loader looks at: interpreter, needed libraries, search paths.
//! 64-bit little-endian only. The file is hostile: every offset is checked, every count bounded.

use thiserror::Error;

/// Why a file is no ELF file of ours.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElfError {
    /// Not 64-bit little-endian ELF.
    #[error("not a 64-bit little-endian ELF file")]
    Form,
    /// An offset or count points outside the file.
    #[error("damaged ELF file: an offset or count points outside it")]
    Damaged,
}

/// What the loader will look for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// PT_INTERP.
    pub interpreter: Option<String>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// DT_RUNPATH, else DT_RPATH, split at colons.
    pub search: Vec<String>,
}

const SEGMENTS_MAX: u64 = 256;
const DYNAMIC_MAX: u64 = 4096;
const TEXT_MAX: usize = 4096;

/// True if the bytes begin as an ELF file does.
#[must_use]
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Reads what the loader would.
///
/// # Errors
/// [`ElfError`].
pub fn parse(bytes: &[u8]) -> Result<Elf, ElfError> {
    let file = File(bytes);
    if !is_elf(bytes) || file.bytes(4, 2)? != [2, 1] {
        return Err(ElfError::Form);
    }
    let (table, size, count) = (file.u64(32)?, u64::from(file.u16(54)?), u64::from(file.u16(56)?));
    if count > SEGMENTS_MAX || (count > 0 && size < 56) {
        return Err(ElfError::Damaged);
    }
    let mut elf = Elf::default();
    let (mut loads, mut dynamic) = (Vec::new(), None);
    for i in 0..count {
        let at = i.checked_mul(size).and_then(|o| o.checked_add(table)).ok_or(ElfError::Damaged)?;
        let (kind, offset, address, len) = (
            file.u32(at)?,
            file.u64(plus(at, 8)?)?,
            file.u64(plus(at, 16)?)?,
            file.u64(plus(at, 32)?)?,
        );
        match kind {
            1 => loads.push((address, offset, len)),
            2 => dynamic = Some((offset, len)),
            3 => elf.interpreter = Some(file.text(offset)?),
            _ => {}
        }
    }
    if let Some((offset, len)) = dynamic {
        read_dynamic(&file, offset, len, &loads, &mut elf)?;
    }
    Ok(elf)
}

fn read_dynamic(
    file: &File<'_>,
    offset: u64,
    len: u64,
    loads: &[(u64, u64, u64)],
    elf: &mut Elf,
) -> Result<(), ElfError> {
    let (mut needed, mut rpath, mut runpath, mut strings) = (Vec::new(), None, None, None);
    for i in 0..len.checked_div(16).unwrap_or(0).min(DYNAMIC_MAX) {
        let at = plus(offset, i.checked_mul(16).ok_or(ElfError::Damaged)?)?;
        let value = file.u64(plus(at, 8)?)?;
        match file.u64(at)? {
            0 => break,
            1 => needed.push(value),
            5 => strings = Some(value),
            15 => rpath = Some(value),
            29 => runpath = Some(value),
            _ => {}
        }
    }
    let Some(strings) = strings else { return Ok(()) };
    let strings = loads
        .iter()
        .find_map(|(address, offset, len)| {
            let within = strings.checked_sub(*address).filter(|d| d < len)?;
            offset.checked_add(within)
        })
        .ok_or(ElfError::Damaged)?;
    let text = |at: u64| file.text(plus(strings, at)?);
    elf.needed = needed.into_iter().map(text).collect::<Result<_, _>>()?;
    if let Some(path) = runpath.or(rpath) {
        elf.search = text(path)?.split(':').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    }
    Ok(())
}

fn plus(a: u64, b: u64) -> Result<u64, ElfError> {
    a.checked_add(b).ok_or(ElfError::Damaged)
}

struct File<'a>(&'a [u8]);

impl File<'_> {
    fn bytes(&self, at: u64, len: usize) -> Result<&[u8], ElfError> {
        let at = usize::try_from(at).map_err(|_| ElfError::Damaged)?;
        let end = at.checked_add(len).ok_or(ElfError::Damaged)?;
        self.0.get(at..end).ok_or(ElfError::Damaged)
    }

    fn array<const N: usize>(&self, at: u64) -> Result<[u8; N], ElfError> {
        self.bytes(at, N)?.try_into().map_err(|_| ElfError::Damaged)
    }

    fn u16(&self, at: u64) -> Result<u16, ElfError> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: u64) -> Result<u32, ElfError> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: u64) -> Result<u64, ElfError> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn text(&self, at: u64) -> Result<String, ElfError> {
        let at = usize::try_from(at).map_err(|_| ElfError::Damaged)?;
        let rest = self.0.get(at..).ok_or(ElfError::Damaged)?;
        let len = rest.iter().take(TEXT_MAX).position(|b| *b == 0).ok_or(ElfError::Damaged)?;
        let text = rest.get(..len).ok_or(ElfError::Damaged)?;
        String::from_utf8(text.to_vec()).map_err(|_| ElfError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_needs_its_loader_and_its_library() {
        let elf = parse(&std::fs::read("/bin/sh").unwrap()).unwrap();
        assert!(elf.interpreter.unwrap().contains("ld-linux"));
        assert!(elf.needed.iter().any(|n| n.starts_with("libc.so")));
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let good = std::fs::read("/bin/sh").unwrap();
        for len in 0..good.len().min(600) {
            let _ = parse(&good[..len]);
        }
        for at in 0..512 {
            for value in [0, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = parse(&bad);
            }
        }
    }
}
