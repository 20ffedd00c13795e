//! The one kind of XML signature manifests have (W3C XML Signature Syntax and Processing 1.1): enveloped, one reference
//! to the whole document, Canonical XML 1.1, SHA-384, ECDSA P-384, the signer's chain beside it.
//!
//! Every algorithm is fixed; none is chosen by the document. Signature wrapping has no room: there is one signature, it
//! is a child of the document's element, and what it covers is everything but itself. What is read later is read from
//! the tree whose canonical form was digested here.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use roxmltree::{Document, Node};

use super::layout::SIGNATURE_LEN;
use super::refusal::RimRefusal;
use super::{c14n, xml};
use crate::bytes::sha384;
use crate::controls::holds;

const NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N_1_1: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
/// A signer's chain has four.
const CERTIFICATES_MAX: usize = 8;

/// A signature as it stands.
pub(super) struct Signature<'a, 'i> {
    /// The element.
    pub(super) node: Node<'a, 'i>,
    /// The signer's chain, DER, leaf first. Not signed: whether it leads anywhere is for the chain's own check.
    pub(super) certificates: Vec<Vec<u8>>,
    info: Node<'a, 'i>,
    digest: [u8; 48],
    value: [u8; SIGNATURE_LEN],
}

/// Finds the signature and takes it apart; its form is exactly the known one.
pub(super) fn read<'a, 'i>(document: &'a Document<'i>) -> Result<Signature<'a, 'i>, RimRefusal> {
    let root = document.root_element();
    let all = document.descendants().filter(|n| n.has_tag_name((NAMESPACE, "Signature")));
    let all = all.collect::<Vec<_>>();
    let [node] = all.as_slice() else { return Err(RimRefusal::Signatures(all.len())) };
    if !holds("rim_signature_place", node.parent() == Some(root)) {
        return Err(RimRefusal::Signatures(0));
    }
    let [info, value, key] = children(*node, ["SignedInfo", "SignatureValue", "KeyInfo"])?;
    let [c14n, method, reference] =
        children(info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
    algorithm(c14n, C14N_1_1)?;
    algorithm(method, ECDSA_SHA384)?;
    if !holds("rim_reference", has_only(reference, "URI", "")) {
        return Err(form("its reference is not to the whole document"));
    }
    let [transforms, digest_method, digest] =
        children(reference, ["Transforms", "DigestMethod", "DigestValue"])?;
    let [enveloped, canonical] = children(transforms, ["Transform", "Transform"])?;
    algorithm(enveloped, ENVELOPED)?;
    algorithm(canonical, C14N_1_1)?;
    algorithm(digest_method, SHA384)?;
    let [data] = children(key, ["X509Data"])?;
    Ok(Signature {
        node: *node,
        certificates: certificates(data)?,
        info,
        digest: binary(digest)?,
        value: binary(value)?,
    })
}

impl Signature<'_, '_> {
    /// True if `key`, a P-384 point, signed the references.
    pub(super) fn is_by(&self, key: &[u8]) -> Result<bool, RimRefusal> {
        let signed = c14n::subtree(self.info)?;
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key);
        Ok(key.verify(signed.as_bytes(), &self.value).is_ok())
    }

    /// True if the document is the one referred to.
    pub(super) fn covers(&self, document: &Document<'_>) -> Result<bool, RimRefusal> {
        let covered = c14n::document(document, Some(self.node))?;
        Ok(sha384(covered.as_bytes()) == self.digest)
    }
}

fn form(what: &'static str) -> RimRefusal {
    RimRefusal::SignatureForm(what)
}

/// The children of a node, if they are exactly these and it has nothing else.
fn children<'a, 'i, const N: usize>(
    node: Node<'a, 'i>,
    names: [&str; N],
) -> Result<[Node<'a, 'i>; N], RimRefusal> {
    let bare = node.attributes().len() == 0 || node.has_tag_name((NAMESPACE, "Reference"));
    let found = xml::elements(node)?;
    let expected = found.iter().map(|n| (n.tag_name().namespace(), n.tag_name().name()));
    if !bare || !expected.eq(names.map(|name| (Some(NAMESPACE), name))) {
        return Err(form("its elements are not the known ones"));
    }
    found.try_into().map_err(|_| form("its elements are not the known ones"))
}

/// An element that names an algorithm and has nothing else.
fn algorithm(node: Node<'_, '_>, expected: &str) -> Result<(), RimRefusal> {
    let known = has_only(node, "Algorithm", expected) && node.first_child().is_none();
    if holds("rim_algorithm", known) {
        Ok(())
    } else {
        Err(form("an algorithm is not the known one"))
    }
}

/// True if an element has this attribute, of no namespace, and no other.
fn has_only(node: Node<'_, '_>, name: &str, value: &str) -> bool {
    let stated = node.attributes().map(|a| (a.namespace(), a.name(), a.value()));
    stated.eq([(None, name, value)])
}

fn certificates(data: Node<'_, '_>) -> Result<Vec<Vec<u8>>, RimRefusal> {
    let nodes = xml::elements(data)?;
    if nodes.is_empty() || nodes.len() > CERTIFICATES_MAX {
        return Err(form("it has no signer's certificate, or too many"));
    }
    let certificate = |node: Node<'_, '_>| {
        let known = node.has_tag_name((NAMESPACE, "X509Certificate"));
        known.then(|| base64(node)).flatten().ok_or(form("a signer's certificate is not base64"))
    };
    nodes.into_iter().map(certificate).collect()
}

fn binary<const N: usize>(node: Node<'_, '_>) -> Result<[u8; N], RimRefusal> {
    let bytes = base64(node).and_then(|b| b.try_into().ok());
    bytes.ok_or(form("a digest or signature value has another length"))
}

/// Base64 with line ends and nothing else, in an element without attributes.
fn base64(node: Node<'_, '_>) -> Option<Vec<u8>> {
    let text = xml::text(node).filter(|_| node.attributes().len() == 0)?;
    BASE64_STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).ok()
}
