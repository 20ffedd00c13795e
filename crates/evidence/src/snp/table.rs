//! The certificate table that comes with an extended report (GHCB 56421 section 4.1.8.1; the kernel's `auxblob`): entries of
//! (GUID, offset, length), ended by a zero GUID, then the certificates. Untrusted: it only brings what the chain is made of.

use super::refusal::SnpRefusal;

/// The table with everything in it; the kernel gives at most a few pages.
pub const LEN_MAX: usize = 256 * 1024;
/// Entries: five kinds are defined.
const ENTRIES_MAX: usize = 16;
const ENTRY: usize = 24;

/// What an entry holds, by its GUID in RFC 4122 byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The root.
    Ark,
    /// The intermediate of VCEKs.
    Ask,
    /// This chip's key at this TCB.
    Vcek,
    /// A provider's key at this TCB.
    Vlek,
    /// AMD's revocation list.
    Crl,
}

const KNOWN: [([u8; 16], Entry); 5] = [
    (*b"\xc0\xb4\x06\xa4\xa8\x03\x49\x52\x97\x43\x3f\xb6\x01\x4c\xd0\xae", Entry::Ark),
    (*b"\x4a\xb7\xb3\x79\xbb\xac\x4f\xe4\xa0\x2f\x05\xae\xf3\x27\xc7\x82", Entry::Ask),
    (*b"\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd", Entry::Vcek),
    (*b"\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1", Entry::Vlek),
    (*b"\x92\xf8\x1b\xc3\x58\x11\x4d\x3d\x97\xff\xd1\x9f\x88\xdc\x67\xea", Entry::Crl),
];

/// The entries with their bytes (DER, or PEM as some hosts store it), in the table's order. Unknown GUIDs are passed over:
/// they bring nothing that is looked at.
///
/// # Errors
/// [`SnpRefusal::Table`].
pub fn parse(table: &[u8]) -> Result<Vec<(Entry, &[u8])>, SnpRefusal> {
    let bad = |why| SnpRefusal::Table { len: table.len(), why };
    if table.len() > LEN_MAX {
        return Err(bad("longer than the limit"));
    }
    let (rows, _) = table.as_chunks::<ENTRY>();
    let mut out = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        let [guid @ .., _, _, _, _, _, _, _, _] = row;
        if guid.iter().all(|b| *b == 0) {
            return Ok(out);
        }
        if n >= ENTRIES_MAX {
            return Err(bad("more entries than the limit"));
        }
        let [.., a, b, c, d, e, f, g, h] = *row;
        let number = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
        let (offset, len) = (number([a, b, c, d]), number([e, f, g, h]));
        let content = offset.checked_add(len).and_then(|end| table.get(offset..end));
        let content = content.ok_or_else(|| bad("an entry points outside"))?;
        if let Some((_, entry)) = KNOWN.iter().find(|(g, _)| g == guid) {
            out.push((*entry, content));
        }
    }
    Err(bad("no zero GUID ends it"))
}
