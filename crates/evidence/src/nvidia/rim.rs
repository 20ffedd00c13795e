//! A manifest (TCG RIM Information Model, as a SWID tag of ISO/IEC 19770-2:2015): which values NVIDIA's firmware has at
//! which index. Nothing is read before the signer's chain, the signature and the digest hold.
//!
//! A manifest names product and version, not the board: NVIDIA's service files it under a name with project and SKUs,
//! which the document itself does not repeat.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::chain::{SCHEMES, certificates};
use super::layout::{FieldId, is_vbios};
use super::refusal::RimRefusal;
use super::{dsig, xml};
use crate::authentic::{Authentic, Check};
use crate::bytes::RootDigest;
use crate::controls::holds;
use crate::time::{Time, Window};
use crate::x509::path::{Path, order_path, verify_path};

/// SHA-256 of the DER of "NVIDIA CoRIM signing Root CA".
pub const PINNED_RIM_ROOTS: [RootDigest; 1] =
    [RootDigest::pinned(b"12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1")];

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const SHA384: &str = "http://www.w3.org/2001/04/xmlenc#sha384";
/// Attributes of records about opaque data rather than measurements.
const OPAQUE: &str = "https://docs.nvidia.com/attestation/specs/latest/opaque-data.html";
/// From here on an index is this number plus that of an opaque field.
const OPAQUE_BASE: u32 = 0x1000;
/// A report has at most 255 measurement blocks.
const INDEX_MAX: u32 = 254;
/// Values one index may have; four were seen.
const ALTERNATIVES_MAX: u32 = 64;

/// What a manifest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A GPU's driver.
    Driver,
    /// A GPU's VBIOS, or a switch's BIOS.
    Vbios,
}

impl Firmware {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Vbios => "VBIOS",
        }
    }
}

/// A least value for a security version in the opaque data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinSvn {
    /// The opaque field.
    pub field: FieldId,
    /// Its name in the manifest.
    pub name: String,
    /// The least value taken.
    pub least: u64,
}

/// What an authentic manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rim {
    /// tagId of the SWID tag.
    pub tag_id: String,
    /// Meta product, e.g. `GH100`.
    pub product: String,
    /// Meta edition, `GPU` or `SWITCH`.
    pub edition: String,
    /// Meta colloquialVersion: the driver's or the VBIOS's.
    pub version: String,
    /// Active measurements: index to the values taken there.
    pub active: BTreeMap<u16, Vec<[u8; 48]>>,
    /// Least security versions.
    pub min_svns: Vec<MinSvn>,
    /// Subject of the signer.
    pub signer: String,
    /// Where the windows of the signer and all above it overlap.
    pub window: Window,
}

impl Rim {
    /// Driver or VBIOS, by the form of the version; the manifest has no other word for it.
    #[must_use]
    pub fn firmware(&self) -> Firmware {
        if is_vbios(&self.version) { Firmware::Vbios } else { Firmware::Driver }
    }
}

/// An authentic manifest, if somebody whose chain ends in one of `roots` signed all of it.
///
/// 1. form and limits, 2. form of the signature, 3. the signer's chain and windows, 4. the signature over the
///    references, 5. the digest of the whole document, 6. content.
///
/// # Errors
/// [`RimRefusal`], the first that applies.
pub fn verify_rim(
    bytes: &[u8],
    roots: &[RootDigest],
    at: Time,
) -> Result<Authentic<Rim>, RimRefusal> {
    let (rim, path) = verify(bytes, roots, at)?;
    let checks = vec![
        Check::passed("rim_chain", format!("{} under {}", rim.signer, path.root)),
        Check::passed("rim_signature", "one enveloped signature over the whole document"),
    ];
    Ok(Authentic::new(rim, at, path.window.not_after, checks))
}

/// The same, with the signer's path.
pub(super) fn verify(
    bytes: &[u8],
    roots: &[RootDigest],
    at: Time,
) -> Result<(Rim, Path), RimRefusal> {
    // 1
    let document = xml::parse(bytes)?;
    // 2
    let signature = dsig::read(&document)?;
    // 3
    let refuse = |number, source| RimRefusal::Certificate { number, source };
    let all = certificates(&signature.certificates, refuse)?;
    let (leaf, others) =
        all.split_first().ok_or(RimRefusal::SignatureForm("it has no signer's certificate"))?;
    let path = verify_path(order_path(leaf.clone(), others, &SCHEMES)?, roots, &SCHEMES, at)?;
    // 4
    if !holds("rim_signature", signature.is_by(leaf.key())?) {
        return Err(RimRefusal::Signature(leaf.subject_text().to_owned()));
    }
    // 5
    if !holds("rim_digest", signature.covers(&document)?) {
        return Err(RimRefusal::Digest);
    }
    // 6
    let rim = content(document.root_element(), signature.node, leaf.subject_text(), path.window)?;
    Ok((rim, path))
}

fn refuse(node: Node<'_, '_>, why: &'static str) -> RimRefusal {
    RimRefusal::Content { element: xml::name(node), why }
}

fn content(
    root: Node<'_, '_>,
    signature: Node<'_, '_>,
    signer: &str,
    window: Window,
) -> Result<Rim, RimRefusal> {
    if !root.has_tag_name((SWID, "SoftwareIdentity")) {
        return Err(refuse(root, "it is no SWID tag"));
    }
    let children = xml::elements(root)?;
    let is = |name| move |n: &&Node<'_, '_>| n.has_tag_name((SWID, name));
    let known = |n: &&Node<'_, '_>| {
        **n == signature || ["Entity", "Meta", "Payload"].iter().any(|name| is(name)(n))
    };
    if let Some(unknown) = children.iter().find(|n| !known(n)) {
        return Err(refuse(*unknown, "it does not belong into a manifest"));
    }
    let one = |name| {
        let mut found = children.iter().filter(is(name));
        let first = found.next().filter(|_| found.next().is_none());
        first.copied().ok_or_else(|| refuse(root, "it has not exactly one Meta and one Payload"))
    };
    let (meta, payload) = (one("Meta")?, one("Payload")?);
    let mut rim = Rim {
        tag_id: attribute(root, "tagId")?,
        product: attribute(meta, "product")?,
        edition: attribute(meta, "edition")?,
        version: attribute(meta, "colloquialVersion")?,
        active: BTreeMap::new(),
        min_svns: Vec::new(),
        signer: signer.to_owned(),
        window,
    };
    let mut seen = BTreeSet::new();
    for resource in xml::elements(payload)? {
        if !resource.has_tag_name((SWID, "Resource"))
            || attribute(resource, "type")? != "Measurement"
        {
            return Err(refuse(resource, "it is no measurement"));
        }
        let index = number(resource, "index")?;
        if !seen.insert(index) {
            return Err(refuse(resource, "its index occurs twice"));
        }
        let active = match attribute(resource, "active")?.as_str() {
            "True" => true,
            "False" => false,
            _ => return Err(refuse(resource, "active is neither True nor False")),
        };
        if let Some(field) = index.checked_sub(OPAQUE_BASE) {
            let svn = min_svn(resource, field)?;
            rim.min_svns.extend(active.then_some(svn));
            continue;
        }
        let values = values(resource)?;
        let index = u16::try_from(index).ok().filter(|_| index <= INDEX_MAX);
        let index =
            index.ok_or_else(|| refuse(resource, "no report has a measurement of this index"))?;
        if active {
            rim.active.insert(index, values);
        }
    }
    Ok(rim)
}

/// The values of a measurement: as many as it says, numbered from zero, and nothing else.
fn values(resource: Node<'_, '_>) -> Result<Vec<[u8; 48]>, RimRefusal> {
    only(resource, &["type", "index", "active", "alternatives", "name", "size"], SHA384)?;
    let count = number(resource, "alternatives")?;
    let stated = resource.attributes().filter(|a| a.namespace() == Some(SHA384)).count();
    if !(1..=ALTERNATIVES_MAX).contains(&count) || u32::try_from(stated).ok() != Some(count) {
        return Err(refuse(resource, "it has not as many values as it says"));
    }
    if number(resource, "size")? != 48 {
        return Err(refuse(resource, "its size is not that of SHA-384"));
    }
    let value = |n: u32| {
        let hex = resource.attribute((SHA384, format!("Hash{n}").as_str()))?;
        let mut out = [0; 48];
        hex::decode_to_slice(hex, &mut out).ok().map(|()| out)
    };
    let values = (0..count).map(value).collect::<Option<Vec<_>>>();
    values.ok_or_else(|| refuse(resource, "a value is missing or no SHA-384 in hex"))
}

fn min_svn(resource: Node<'_, '_>, field: u32) -> Result<MinSvn, RimRefusal> {
    only(resource, &["type", "index", "active", "alternatives", "name", "size"], OPAQUE)?;
    let least = resource.attribute((OPAQUE, "minSvn")).and_then(decimal);
    let field = u16::try_from(field).ok();
    let (Some(least), Some(field)) = (least, field) else {
        return Err(refuse(resource, "it states no least security version"));
    };
    Ok(MinSvn { field: FieldId(field), name: attribute(resource, "name")?, least })
}

/// Refuses attributes besides these and those of one namespace, and anything inside.
fn only(node: Node<'_, '_>, names: &[&str], namespace: &str) -> Result<(), RimRefusal> {
    let known = |a: roxmltree::Attribute<'_, '_>| match a.namespace() {
        None => names.contains(&a.name()),
        Some(other) => other == namespace,
    };
    if node.attributes().all(known) && node.first_child().is_none() {
        Ok(())
    } else {
        Err(refuse(node, "it has an attribute or content not understood"))
    }
}

/// An attribute of no namespace: the tree's own lookup would take one of any.
fn attribute(node: Node<'_, '_>, name: &str) -> Result<String, RimRefusal> {
    let mut named = node.attributes().filter(|a| a.namespace().is_none() && a.name() == name);
    let text = named.next().map(|a| a.value()).filter(|t| !t.is_empty());
    text.map(str::to_owned).ok_or_else(|| refuse(node, "an attribute is missing"))
}

fn number(node: Node<'_, '_>, name: &str) -> Result<u32, RimRefusal> {
    let n = decimal(&attribute(node, name)?).and_then(|n| u32::try_from(n).ok());
    n.ok_or_else(|| refuse(node, "a number is none"))
}

/// Decimal digits without sign or leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
