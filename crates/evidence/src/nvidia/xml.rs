//! XML as manifests use it: parsed once into a tree that the signature is checked over and the values are read from.
//!
//! Refused: document types (entities, default attributes), comments and processing instructions (they split values in
//! other readers), and everything that would cost more than a manifest: the limits are checked over the bytes before the
//! parser sees them.

use roxmltree::{Document, Node, NodeType, ParsingOptions};

use super::refusal::RimRefusal;
use crate::controls::holds;

/// Manifests have 26 KiB.
pub(super) const LEN_MAX: usize = 256 * 1024;
/// Elements and texts; a manifest has some 160.
const NODES_MAX: u32 = 4096;
/// Nesting; a manifest has six levels.
const DEPTH_MAX: usize = 16;
/// Attributes of one element: the parser compares every two of them.
const ATTRIBUTES_MAX: usize = 128;
/// Namespace declarations of a document: the parser copies those in scope to every element that adds one.
const NAMESPACES_MAX: usize = 32;

/// The tree of a document.
pub(super) fn parse(bytes: &[u8]) -> Result<Document<'_>, RimRefusal> {
    if bytes.len() > LEN_MAX {
        return Err(RimRefusal::TooLong(bytes.len()));
    }
    // An attribute needs an equals sign and lies between one `<` and the next; a declaration needs the letters.
    let crowded = |tag: &[u8]| tag.iter().filter(|b| **b == b'=').count() > ATTRIBUTES_MAX;
    if bytes.split(|b| *b == b'<').any(crowded) {
        return Err(RimRefusal::Limit("attributes of one element"));
    }
    if bytes.windows(5).filter(|w| w == b"xmlns").count() > NAMESPACES_MAX {
        return Err(RimRefusal::Limit("namespace declarations"));
    }
    let text = core::str::from_utf8(bytes).map_err(|e| RimRefusal::Form(e.to_string()))?;
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| match e {
        roxmltree::Error::DtdDetected => RimRefusal::Dtd,
        roxmltree::Error::NodesLimitReached => RimRefusal::Limit("nodes"),
        other => RimRefusal::Form(other.to_string()),
    })?;
    check(&document)?;
    Ok(document)
}

/// Only elements and text, no deeper than the limit. Walks without recursion.
fn check(document: &Document<'_>) -> Result<(), RimRefusal> {
    let mut depth = 0_usize;
    let mut node = document.root();
    loop {
        let markup = match node.node_type() {
            NodeType::Comment => "comment",
            NodeType::PI => "processing instruction",
            NodeType::Root | NodeType::Element | NodeType::Text => "",
        };
        if !holds("rim_markup", markup.is_empty()) {
            return Err(RimRefusal::Markup(markup));
        }
        if !holds("rim_depth", depth <= DEPTH_MAX) {
            return Err(RimRefusal::Limit("nesting"));
        }
        if let Some(child) = node.first_child() {
            depth = depth.saturating_add(1);
            node = child;
            continue;
        }
        loop {
            if let Some(next) = node.next_sibling() {
                node = next;
                break;
            }
            let Some(parent) = node.parent() else { return Ok(()) };
            depth = depth.saturating_sub(1);
            node = parent;
        }
    }
}

/// The elements of a node; text between them may only be white space.
pub(super) fn elements<'a, 'i>(node: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>, RimRefusal> {
    let blank = |n: &Node<'_, '_>| n.text().is_some_and(|t| t.trim_ascii().is_empty());
    if node.children().any(|n| n.is_text() && !blank(&n)) {
        return Err(RimRefusal::Content {
            element: name(node),
            why: "it has text where none belongs",
        });
    }
    Ok(node.children().filter(Node::is_element).collect())
}

/// The text of an element that has nothing else.
pub(super) fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let mut children = node.children();
    let only = children.next().filter(Node::is_text)?;
    if children.next().is_some() { None } else { only.text() }
}

/// An element's name, for people.
pub(super) fn name(node: Node<'_, '_>) -> String {
    node.tag_name().name().to_owned()
}
