//! A document's bytes to its members: presence, types, lengths and counts as AWS fixes them; nothing is judged.

use std::collections::BTreeMap;

use super::layout::{DEBUG_PCRS, DOCUMENT_MAX, Document, DocumentKind, SIGNATURE_LEN, TPM_PCRS};
use super::refusal::NitroRefusal;
use crate::cbor::members::{MemberError, Members};
use crate::cbor::vendor::{self, Item, Key, Lengths, Rules};
use crate::cose::vendor::{Signed, TAG_SIGN1};

/// The hypervisor writes some maps with a length and some without.
const RULES: Rules = Rules { len_max: DOCUMENT_MAX, lengths: Lengths::DefiniteOrNot };

/// Reads a document of either kind.
///
/// # Errors
/// [`NitroRefusal::Cose`], [`NitroRefusal::Header`], [`NitroRefusal::Payload`], [`NitroRefusal::Member`].
pub fn parse(bytes: &[u8]) -> Result<Document<'_>, NitroRefusal> {
    let signed = Signed::parse(bytes, DOCUMENT_MAX)?;
    if !matches!(signed.tag, None | Some(TAG_SIGN1)) || !signed.unprotected_empty {
        return Err(NitroRefusal::Header);
    }
    if signed.signature.len() != SIGNATURE_LEN {
        return Err(NitroRefusal::SignatureLength(signed.signature.len()));
    }
    let form = MemberError::Form { name: "the payload", expected: "a map" };
    let mut m = vendor::decode(signed.payload, &RULES)?.members().ok_or(form)?;
    let kind = match (m.has("pcrs"), m.has("nitrotpm_pcrs")) {
        (true, true) => return Err(NitroRefusal::TwoKinds),
        (false, true) => DocumentKind::Tpm,
        _ => DocumentKind::Enclave,
    };
    let document = Document {
        module_id: m.must("module_id", "module_id", "text that is not empty", |i| {
            i.text().filter(|t| !t.is_empty())
        })?,
        timestamp_ms: m.must("timestamp", "timestamp", "milliseconds above 0", |i| {
            i.int().filter(|n| *n > 0).and_then(|n| u64::try_from(n).ok())
        })?,
        pcrs: pcrs(&mut m, kind)?,
        certificate: m
            .must("certificate", "certificate", "1 to 1024 bytes", |i| certificate(&i))?,
        cabundle: m.must("cabundle", "cabundle", "certificates of 1 to 1024 bytes", |i| {
            let all = i.array().filter(|a| !a.is_empty())?;
            all.iter().map(certificate).collect::<Option<Vec<_>>>()
        })?,
        public_key: optional(&mut m, "public_key", "1 to 1024 bytes", 1, 1024)?,
        user_data: optional(&mut m, "user_data", "at most 512 bytes", 0, 512)?,
        nonce: optional(&mut m, "nonce", "at most 512 bytes", 0, 512)?,
        kind,
        signed,
    };
    m.must("digest", "digest", "\"SHA384\"", |i| i.text().filter(|t| *t == "SHA384"))?;
    m.finish()?;
    Ok(document)
}

fn certificate<'a>(item: &Item<'a>) -> Option<&'a [u8]> {
    item.bytes().filter(|b| (1..=1024).contains(&b.len()))
}

/// AWS says absent; its hypervisor writes null.
fn optional<'a>(
    m: &mut Members<'a>,
    name: &'static str,
    expected: &'static str,
    least: usize,
    most: usize,
) -> Result<Option<&'a [u8]>, MemberError> {
    let read = |item: Item<'a>| match item {
        Item::Null => Some(None),
        Item::Bytes(b) if (least..=most).contains(&b.len()) => Some(Some(b)),
        _ => None,
    };
    Ok(m.may(name, name, expected, read)?.flatten())
}

/// 1 to 32 registers of an enclave, of which the three of its image must be there; all 24 of a TPM.
fn pcrs<'a>(
    m: &mut Members<'a>,
    kind: DocumentKind,
) -> Result<BTreeMap<u8, &'a [u8]>, MemberError> {
    let expected = match kind {
        DocumentKind::Enclave => {
            "1 to 32 registers with index 0 to 31 of 32, 48 or 64 bytes, among them 0 to 2"
        }
        DocumentKind::Tpm => "the 24 registers 0 to 23 of 32, 48 or 64 bytes",
    };
    let register = |(key, value): (Key<'a>, Item<'a>)| {
        let Key::Int(index) = key else { return None };
        let index = u8::try_from(index).ok().filter(|n| *n < 32)?;
        Some((index, value.bytes().filter(|b| matches!(b.len(), 32 | 48 | 64))?))
    };
    m.must(kind.pcrs(), kind.pcrs(), expected, |item| {
        let Item::Map(pairs) = item else { return None };
        let all = pairs.into_iter().map(register).collect::<Option<BTreeMap<_, _>>>()?;
        let complete = match kind {
            DocumentKind::Enclave => DEBUG_PCRS.iter().all(|n| all.contains_key(n)),
            DocumentKind::Tpm => {
                all.len() == TPM_PCRS && all.keys().all(|n| usize::from(*n) < TPM_PCRS)
            }
        };
        complete.then_some(all)
    })
}
