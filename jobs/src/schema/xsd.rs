//! `jobs schema`: an XSD 1.0 of every kind, for editors that complete and check while one types.
//! It allows at least what the programs accept: order of children is free, a leaf may be an attribute or a child
//! element, and `${env:…}` may stand anywhere. Unknown names and words are refused.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Content, Element, Field, Leaf};

/// A value that holds something resolved when the job starts.
const REFERENCE: &str = r"[\s\S]*[$]\{[^}]*\}[\s\S]*";

/// Writes the XSD.
#[derive(Debug, Default)]
pub struct Xsd {
    /// Simple types by name, each with its body; gathered while elements are written.
    types: BTreeMap<String, String>,
    elements: String,
}

impl Xsd {
    /// Adds a kind: its parameters, and what every kind's root element may carry besides.
    pub fn kind(&mut self, name: &str, about: &str, params: &Element, root: &Element) {
        let mut element = params.clone();
        about.clone_into(&mut element.about);
        element.fields.extend(root.fields.iter().cloned());
        let body = self.element(name, "", &element, 1, true);
        self.elements.push_str(&body);
    }

    /// The whole document.
    #[must_use]
    pub fn finish(self) -> String {
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!-- Made by `jobs schema`. -->\n\
             <xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">\n",
        );
        for (name, body) in &self.types {
            let _ = write!(
                out,
                "  <xs:simpleType name=\"{name}\">\n{body}  </xs:simpleType>\n"
            );
        }
        out.push_str(&self.elements);
        out.push_str("</xs:schema>\n");
        out
    }

    /// An element declaration. `root` leaves out leaf children that only make sense as attributes.
    fn element(
        &mut self,
        name: &str,
        occurs: &str,
        element: &Element,
        depth: usize,
        root: bool,
    ) -> String {
        let pad = "  ".repeat(depth);
        let mut out = format!("{pad}<xs:element name=\"{name}\"{occurs}>\n");
        document(&mut out, &element.about, depth + 1);
        let children = self.children(element, depth + 2, root);
        let attributes = self.attributes(element, depth + 2);
        match &element.text {
            Some(text) if children.is_empty() => {
                let base = self.simple(text);
                let _ = write!(
                    out,
                    "{pad}  <xs:complexType>\n{pad}    <xs:simpleContent>\n{pad}      <xs:extension base=\"{base}\">\n\
                     {attributes}{pad}      </xs:extension>\n{pad}    </xs:simpleContent>\n"
                );
            }
            text => {
                let mixed = if text.is_some() {
                    " mixed=\"true\""
                } else {
                    ""
                };
                let _ = write!(
                    out,
                    "{pad}  <xs:complexType{mixed}>\n{children}{attributes}"
                );
            }
        }
        let _ = write!(out, "{pad}  </xs:complexType>\n{pad}</xs:element>\n");
        out
    }

    /// Children in any order: `xs:all` where each comes once, else a choice as often as one likes.
    fn children(&mut self, element: &Element, depth: usize, root: bool) -> String {
        let fields: Vec<&Field> = element.fields.iter().collect();
        if fields.is_empty()
            || (element.text.is_some() && fields.iter().all(|field| is_leaf(field)))
        {
            return String::new();
        }
        let pad = "  ".repeat(depth);
        let free = root || fields.iter().any(|field| field.many);
        let mut out = if free {
            format!("{pad}<xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">\n")
        } else {
            format!("{pad}<xs:all>\n")
        };
        for field in fields {
            let occurs = if free || (field.required && !is_leaf(field)) {
                ""
            } else {
                " minOccurs=\"0\""
            };
            match &field.content {
                Content::Element(inner) => {
                    let mut inner = inner.clone();
                    inner.about.clone_from(&field.about);
                    out.push_str(&self.element(&field.name, occurs, &inner, depth + 1, false));
                }
                Content::Leaf(leaf) => {
                    let kind = self.simple(leaf);
                    let _ = writeln!(
                        out,
                        "{pad}  <xs:element name=\"{}\" type=\"{kind}\"{occurs}>",
                        field.name
                    );
                    document(&mut out, &field.about, depth + 2);
                    let _ = writeln!(out, "{pad}  </xs:element>");
                }
            }
        }
        let _ = writeln!(out, "{pad}</xs:{}>", if free { "choice" } else { "all" });
        out
    }

    fn attributes(&mut self, element: &Element, depth: usize) -> String {
        let pad = "  ".repeat(depth);
        let mut out = String::new();
        for field in element.fields.iter().filter(|field| !field.many) {
            let Content::Leaf(leaf) = &field.content else {
                continue;
            };
            let kind = self.simple(leaf);
            let _ = writeln!(
                out,
                "{pad}<xs:attribute name=\"{}\" type=\"{kind}\">",
                field.name
            );
            document(&mut out, &field.about, depth + 1);
            let _ = writeln!(out, "{pad}</xs:attribute>");
        }
        out
    }

    /// The name of the simple type of a leaf; the type is defined on the way.
    fn simple(&mut self, leaf: &Leaf) -> String {
        let body = match (&leaf.choices[..], &leaf.pattern, leaf.kind.as_str()) {
            ([], None, "count") => patterns(&[r"\s*[0-9]+\s*"]),
            ([], None, "integer") => patterns(&[r"\s*[+\-]?[0-9]+\s*"]),
            ([], None, "number") => {
                patterns(&[r"\s*[+\-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+\-]?[0-9]+)?\s*"])
            }
            ([], None, _) => return "xs:string".to_owned(),
            ([], Some(pattern), _) => patterns(&[&as_xsd_pattern(pattern)]),
            (words, _, _) => {
                let words: Vec<String> = words.iter().map(|(word, _)| literal(word)).collect();
                patterns(&[&format!(r"\s*({})\s*", words.join("|"))])
            }
        };
        let known = self.types.iter().find(|(_, known)| **known == body);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let stem = if leaf.choices.is_empty() || leaf.kind == "bool" {
            leaf.kind.as_str()
        } else {
            "words"
        };
        let mut name = stem.to_owned();
        let mut n = 1;
        while self.types.contains_key(&name) {
            n += 1;
            name = format!("{stem}-{n}");
        }
        self.types.insert(name.clone(), body);
        name
    }
}

fn is_leaf(field: &Field) -> bool {
    matches!(field.content, Content::Leaf(_))
}

/// The body of a simple type: one of these patterns, or a reference.
fn patterns(patterns: &[&str]) -> String {
    let mut out = String::from("    <xs:restriction base=\"xs:string\">\n");
    for pattern in patterns.iter().chain([&REFERENCE]) {
        let _ = writeln!(out, "      <xs:pattern value=\"{}\"/>", escape(pattern));
    }
    out.push_str("    </xs:restriction>\n");
    out
}

/// A JSON Schema pattern in XSD's dialect: anchored by nature, no groups without capture. Space around a value is free.
fn as_xsd_pattern(pattern: &str) -> String {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').unwrap_or(inner).replace("(?:", "(");
    // In XSD a dot is no line break.
    let inner = if inner == ".+" { r"[\s\S]+" } else { &inner };
    format!(r"\s*({inner})\s*")
}

/// A word as a pattern that matches just it.
fn literal(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        if r".\?*+{}()[]|^-".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn document(out: &mut String, about: &str, depth: usize) {
    if about.is_empty() {
        return;
    }
    let pad = "  ".repeat(depth);
    let _ = writeln!(
        out,
        "{pad}<xs:annotation><xs:documentation>{}</xs:documentation></xs:annotation>",
        escape(about)
    );
}

/// Text as it stands in XML, in an element or in an attribute.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::schema_of;

    fn schema() -> String {
        let params = super::super::element(&schema_of::<super::super::tests::Params>());
        let mut xsd = Xsd::default();
        xsd.kind("copy", "copies", &params, &Element::default());
        xsd.finish()
    }

    #[test]
    fn types_are_defined_once_and_names_are_closed() {
        let text = schema();
        assert_eq!(
            text.matches("<xs:simpleType name=\"bool\">").count(),
            1,
            "{text}"
        );
        assert_eq!(
            text.matches("<xs:simpleType name=\"count\">").count(),
            1,
            "{text}"
        );
        assert!(!text.contains("xs:any"), "{text}");
    }

    #[test]
    fn patterns_are_translated() {
        assert_eq!(as_xsd_pattern("^(?:a|b)+$"), r"\s*((a|b)+)\s*");
        assert_eq!(literal("replace-hung"), r"replace\-hung");
    }
}
