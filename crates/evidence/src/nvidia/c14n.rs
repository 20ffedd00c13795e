//! Canonical XML 1.1, without comments (W3C Recommendation of 2 May 2008), as far as manifests need it: a whole document
//! without one of its elements, and one element with the namespaces it stands in.
//!
//! Comments and processing instructions never arrive here. Attributes of the xml namespace would be inherited by a
//! subset under rules of their own (section 2.4); a document that has one is refused instead.

use std::collections::BTreeMap;

use roxmltree::{Attribute, Document, Node};

use super::refusal::RimRefusal;

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Namespaces written so far: prefix (empty for the default) to name.
type Rendered<'a> = BTreeMap<&'a str, &'a str>;

/// The document as it is digested, with the element `without` left out (the enveloped signature transform).
pub(super) fn document(
    document: &Document<'_>,
    without: Option<Node<'_, '_>>,
) -> Result<String, RimRefusal> {
    let mut out = String::new();
    element(document.root_element(), &Rendered::new(), without, &mut out)?;
    Ok(out)
}

/// One element as it is signed: every namespace in scope is written at its top.
pub(super) fn subtree(node: Node<'_, '_>) -> Result<String, RimRefusal> {
    let mut out = String::new();
    element(node, &Rendered::new(), None, &mut out)?;
    Ok(out)
}

/// Writes an element; `above` is what its nearest written ancestor has in scope. Depth is bounded by the parser's limit.
fn element(
    node: Node<'_, '_>,
    above: &Rendered<'_>,
    without: Option<Node<'_, '_>>,
    out: &mut String,
) -> Result<(), RimRefusal> {
    let source = node.document().input_text();
    let name = name_at(source, node.range().start.saturating_add(1));
    out.push('<');
    out.push_str(name);
    // Namespaces by prefix, the default one first; each only where it differs from what is in scope already.
    let scope = scope(node)?;
    for (prefix, uri) in &scope {
        if above.get(prefix).copied().unwrap_or_default() != *uri {
            out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            out.push_str(prefix);
            value(uri, out);
        }
    }
    // Attributes by namespace, then by local name.
    let mut attributes = node.attributes().collect::<Vec<_>>();
    attributes.sort_by_key(|a| (a.namespace().unwrap_or_default(), a.name()));
    for attribute in attributes {
        if attribute.namespace() == Some(XML) {
            return Err(RimRefusal::Content {
                element: name.to_owned(),
                why: "it has an attribute of the xml namespace",
            });
        }
        out.push(' ');
        out.push_str(qualified(source, &attribute));
        value(attribute.value(), out);
    }
    out.push('>');
    for child in node.children().filter(|c| Some(*c) != without) {
        if child.is_element() {
            element(child, &scope, without, out)?;
        } else if let Some(text) = child.text().filter(|_| child.is_text()) {
            escape(text, &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('\r', "&#xD;")], out);
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Ok(())
}

/// The namespaces in scope. The parser lets an element declare its default namespace twice; no document may.
fn scope<'a>(node: Node<'a, '_>) -> Result<Rendered<'a>, RimRefusal> {
    let mut scope = Rendered::new();
    for namespace in node.namespaces() {
        if scope.insert(namespace.name().unwrap_or_default(), namespace.uri()).is_some() {
            return Err(RimRefusal::Form(
                "a namespace is declared twice on one element".to_owned(),
            ));
        }
    }
    Ok(scope)
}

fn qualified<'a>(source: &'a str, attribute: &Attribute<'_, '_>) -> &'a str {
    name_at(source, attribute.range().start)
}

/// The qualified name that begins there. The tree knows namespaces and local names only; the prefix is the source's.
fn name_at(source: &str, at: usize) -> &str {
    let rest = source.get(at..).unwrap_or_default();
    let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/' | '>'));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

fn value(text: &str, out: &mut String) {
    out.push_str("=\"");
    let pairs = [
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('"', "&quot;"),
        ('\t', "&#x9;"),
        ('\n', "&#xA;"),
        ('\r', "&#xD;"),
    ];
    escape(text, &pairs, out);
    out.push('"');
}

fn escape(text: &str, pairs: &[(char, &str)], out: &mut String) {
    for c in text.chars() {
        match pairs.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push_str(to),
            None => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn canonical(text: &str) -> String {
        document(&Document::parse(text).unwrap(), None).unwrap()
    }

    fn inner(text: &str, name: &str) -> String {
        let parsed = Document::parse(text).unwrap();
        let node = parsed.descendants().find(|n| n.has_tag_name(name)).unwrap();
        subtree(node).unwrap()
    }

    #[test]
    fn white_space_inside_the_document_stays_and_outside_goes() {
        assert_eq!(
            canonical("<?xml version=\"1.0\"?>\n\n<a  >\n  <b/> c </a >\n"),
            "<a>\n  <b></b> c </a>"
        );
    }

    #[test]
    fn attributes_are_sorted_by_namespace_then_name_and_namespaces_by_prefix() {
        let text =
            r#"<e c="3" b:c="2" a="1" xmlns:b="urn:z" xmlns:a="urn:a" xmlns="urn:d" a:z="0"/>"#;
        let wanted =
            r#"<e xmlns="urn:d" xmlns:a="urn:a" xmlns:b="urn:z" a="1" c="3" a:z="0" b:c="2"></e>"#;
        assert_eq!(canonical(text), wanted);
    }

    #[test]
    fn a_namespace_is_written_where_it_changes_only_whether_used_or_not() {
        let text = r#"<a xmlns="urn:1" xmlns:p="urn:2"><p:b xmlns:p="urn:2" xmlns="urn:1"><c xmlns=""><d xmlns="urn:1"/></c></p:b></a>"#;
        let wanted = r#"<a xmlns="urn:1" xmlns:p="urn:2"><p:b><c xmlns=""><d xmlns="urn:1"></d></c></p:b></a>"#;
        assert_eq!(canonical(text), wanted);
    }

    #[test]
    fn an_empty_default_namespace_at_the_top_is_not_written() {
        assert_eq!(canonical(r#"<a xmlns=""><b xmlns=""/></a>"#), "<a><b></b></a>");
    }

    #[test]
    fn characters_are_written_in_one_way() {
        let text = "<a x='&quot;&#9;&#xD;&lt;&amp;&gt;&apos;' y=\"a\n\tb\">&gt;&lt;&amp;&quot;'\r\n&#13;<![CDATA[<&>]]></a>";
        let wanted = "<a x=\"&quot;&#x9;&#xD;&lt;&amp;>'\" y=\"a  b\">&gt;&lt;&amp;\"'\n&#xD;&lt;&amp;&gt;</a>";
        assert_eq!(canonical(text), wanted);
    }

    #[test]
    fn two_prefixes_of_one_namespace_stay_two() {
        let text = r#"<a xmlns="urn:1" xmlns:p="urn:1"><p:b/><b/></a>"#;
        let wanted = r#"<a xmlns="urn:1" xmlns:p="urn:1"><p:b></p:b><b></b></a>"#;
        assert_eq!(canonical(text), wanted);
    }

    #[test]
    fn a_subtree_carries_every_namespace_in_scope_which_exclusive_canonicalisation_would_not() {
        let text = r#"<a xmlns="urn:1" xmlns:unused="urn:2" k="v"><b><c xmlns:p="urn:3"/></b></a>"#;
        let wanted = r#"<b xmlns="urn:1" xmlns:unused="urn:2"><c xmlns:p="urn:3"></c></b>"#;
        assert_eq!(inner(text, "b"), wanted);
    }

    #[test]
    fn an_element_left_out_leaves_the_text_around_it() {
        let parsed = Document::parse("<a>1<b>2</b>3</a>").unwrap();
        let b = parsed.descendants().find(|n| n.has_tag_name("b"));
        assert_eq!(document(&parsed, b).unwrap(), "<a>13</a>");
    }

    #[test]
    fn attributes_of_the_xml_namespace_and_twofold_declarations_are_refused() {
        let refused = |text| document(&Document::parse(text).unwrap(), None).is_err();
        assert!(refused(r#"<a xml:lang="en"/>"#));
        assert!(refused(r#"<a><b xml:id="x"/></a>"#));
        assert!(refused(r#"<a xmlns="urn:1" xmlns="urn:2"/>"#));
    }
}
