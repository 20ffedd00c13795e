//! From a pinned root to the key that signed a report: device identity CA, product, provisioner, boot ROM, firmware; and
//! what the last certificate says about device and firmware (TCG DICE Attestation Architecture; DSP0274 section 10.6.1).

use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Sequence, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::layout::Device;
use super::refusal::NvidiaRefusal;
use crate::bytes::RootDigest;
use crate::time::Time;
use crate::x509::path::{Path, order_path, verify_path};
use crate::x509::{Certificate, Scheme, X509Error};

/// NVIDIA signs certificates, reports, manifests and revocation statuses in one way.
pub(super) const SCHEMES: [Scheme; 1] = [Scheme::EcdsaP384Sha384];
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const DEVICE_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.412.274.1");
/// TCG DICE: Hopper and its switches have a composite device id under the first, Blackwell a TCB info under the second.
const DICE: [&str; 2] = ["2.23.133.5.4.1", "2.23.133.5.4.1.1"];
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");

/// Certificates of a list, DER to structure.
pub(super) fn certificates<R>(
    list: &[Vec<u8>],
    refuse: impl Fn(usize, X509Error) -> R,
) -> Result<Vec<Certificate>, R> {
    let numbered = list.iter().zip(1_usize..);
    numbered.map(|(der, number)| Certificate::parse(der).map_err(|e| refuse(number, e))).collect()
}

/// The first certificate is the device's; the others may come in any order, and need not all belong to it.
pub(super) fn verify_chain(
    list: &[Vec<u8>],
    roots: &[RootDigest],
    at: Time,
) -> Result<Path, NvidiaRefusal> {
    let refuse = |number, source| NvidiaRefusal::Certificate { number, source };
    let all = certificates(list, refuse)?;
    let (leaf, others) = all.split_first().ok_or(NvidiaRefusal::NoChain)?;
    let path = order_path(leaf.clone(), others, &SCHEMES)?;
    Ok(verify_path(path, roots, &SCHEMES, at)?)
}

/// The device a leaf is about: `NVIDIA:product:serial`.
pub(super) fn device(leaf: &Certificate) -> Option<Device> {
    let names = SubjectAltName::from_der(leaf.extension(SUBJECT_ALT_NAME)?).ok()?;
    let text = names.0.iter().find_map(|name| match name {
        GeneralName::OtherName(other) if other.type_id == DEVICE_INFO => {
            core::str::from_utf8(other.value.value()).ok()
        }
        _ => None,
    })?;
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["NVIDIA", product, serial] => {
            Some(Device { product: (*product).to_owned(), serial: (*serial).to_owned() })
        }
        _ => None,
    }
}

/// The firmware a leaf is about: the SHA-384 of the first firmware id in its DICE extension.
pub(super) fn fwid(leaf: &Certificate) -> Option<[u8; 48]> {
    let der = DICE.iter().find_map(|oid| leaf.extension(oid))?;
    let items = Vec::<Any>::from_der(der).ok()?;
    // A composite id is version, key, firmware id; a TCB info has tagged parts, of which the seventh lists firmware ids.
    let first = match items.as_slice() {
        [version, _key, fwid] if version.tag() == Tag::Integer => fwid.to_der().ok()?,
        parts => {
            let listed = parts.iter().find(|p| is_seventh(p.tag()))?;
            let (len, _) = crate::x509::element(listed.value())?;
            listed.value().get(..len)?.to_vec()
        }
    };
    let fwid = Fwid::from_der(&first).ok().filter(|f| f.hash == SHA_384)?;
    fwid.digest.as_bytes().try_into().ok()
}

fn is_seventh(tag: Tag) -> bool {
    matches!(tag, Tag::ContextSpecific { constructed: true, number } if number.value() == 6)
}

#[derive(Sequence)]
struct Fwid {
    hash: ObjectIdentifier,
    digest: OctetString,
}
