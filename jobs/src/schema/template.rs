//! `jobs new KIND`: a job file to start from. It is the kind's sample, written out again with a comment at each element
//! about what else may stand there, so it is valid as it is.

use std::fmt::Write as _;

use jobfile::Node;

use super::{Content, Element, Field, describe, xsd::escape};

/// Writes the file: `kind` and `about` for its head, `params` and `root` for the comments, `sample` for the job itself.
#[must_use]
pub fn write(kind: &str, about: &str, params: &Element, root: &Element, sample: &Node) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let head = format!(
        "{kind}: {about}\n\
         Save it as NAME.xml in the jobs folder. `jobs check NAME.xml` tells whether all is well, \
         `jobs run NAME.xml` runs it once, `jobs describe {kind}` explains every word."
    );
    comment(&mut out, &head, "", 0);
    open(&mut out, sample, 0);
    let absent = absent(root, sample);
    comment(
        &mut out,
        "When it runs and how it is watched; attributes of every kind:",
        &absent,
        1,
    );
    body(&mut out, sample, params, 0);
    out
}

/// Writes the start tag; the element is empty or not, the tag stays open.
fn open(out: &mut String, node: &Node, depth: usize) {
    let _ = write!(out, "{}<{}", "  ".repeat(depth), node.name);
    for attribute in &node.attributes {
        let _ = write!(out, " {}=\"{}\"", attribute.name, escape(&attribute.value));
    }
    out.push_str(">\n");
}

/// Writes what is inside an element, with comments, and its end tag.
fn body(out: &mut String, node: &Node, element: &Element, depth: usize) {
    comment(
        out,
        "May also be given here:",
        &absent(element, node),
        depth + 1,
    );
    for (i, child) in node.children.iter().enumerate() {
        // What is said at the first of a name holds for the others.
        let first = node.children[..i]
            .iter()
            .all(|other| other.name != child.name);
        let field = element
            .fields
            .iter()
            .find(|field| field.name == child.name && first);
        if let Some(field) = field {
            out.push('\n');
            comment(out, &field.about, "", depth + 1);
        }
        child_element(out, child, field, depth + 1);
    }
    let _ = writeln!(out, "{}</{}>", "  ".repeat(depth), node.name);
}

fn child_element(out: &mut String, node: &Node, field: Option<&Field>, depth: usize) {
    let text = node.text.trim();
    match field.map(|field| &field.content) {
        Some(Content::Element(element))
            if !element.fields.is_empty()
                && text.is_empty()
                && !absent(element, node).is_empty() =>
        {
            open(out, node, depth);
            body(out, node, element, depth);
        }
        _ => {
            open(out, node, depth);
            out.pop();
            if node.children.is_empty() && text.is_empty() {
                out.pop();
                out.push_str("/>\n");
                return;
            }
            out.push_str(&escape(text).replace("&quot;", "\""));
            if !node.children.is_empty() {
                out.push('\n');
                for child in &node.children {
                    child_element(out, child, None, depth + 1);
                }
                out.push_str(&"  ".repeat(depth));
            }
            let _ = writeln!(out, "</{}>", node.name);
        }
    }
}

/// Lines about the fields of an element that the sample does without.
fn absent(element: &Element, node: &Node) -> String {
    let mut rest = Element {
        fields: element
            .fields
            .iter()
            .filter(|field| node.attribute(&field.name).is_none())
            .filter(|field| node.children_named(&field.name).next().is_none())
            .cloned()
            .collect(),
        ..Element::default()
    };
    for field in &mut rest.fields {
        field.about = field.about.lines().next().unwrap_or_default().to_owned();
    }
    describe::fields(&rest, 0)
}

/// Writes a comment: a text that is wrapped, then lines that stand as they are. Nothing to say, no comment.
fn comment(out: &mut String, text: &str, lines: &str, depth: usize) {
    if lines.is_empty() && (text.is_empty() || text.ends_with(':')) {
        return;
    }
    let pad = "  ".repeat(depth);
    let mut inner = String::new();
    describe::paragraphs(&mut inner, text, 0);
    for line in lines.lines() {
        let _ = writeln!(inner, "  {line}");
    }
    // Two hyphens would end the comment before its end.
    let inner = inner.trim_end().replace("--", "- -");
    let inner = inner.replace('\n', &format!("\n{pad}     "));
    let _ = writeln!(out, "{pad}<!-- {inner} -->");
}
