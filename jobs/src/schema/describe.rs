//! `jobs describe KIND`: every parameter with type, default and meaning, as text for a terminal.

use std::fmt::Write as _;

use super::{Content, Element, Field, Leaf};

/// Columns of a line.
const WIDTH: usize = 96;

/// The lines that describe what may stand in an element, indented by so many steps.
#[must_use]
pub fn fields(element: &Element, depth: usize) -> String {
    let mut out = String::new();
    for field in &element.fields {
        describe(&mut out, field, depth);
    }
    if let Some(text) = &element.text {
        let field = Field {
            name: "(its text)".to_owned(),
            about: String::new(),
            required: false,
            many: false,
            default: None,
            content: Content::Leaf(text.clone()),
        };
        describe(&mut out, &field, depth);
    }
    out
}

fn describe(out: &mut String, field: &Field, depth: usize) {
    let pad = "  ".repeat(depth);
    let name = match &field.content {
        Content::Element(_) => format!("<{}>", field.name),
        Content::Leaf(_) => field.name.clone(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{pad}{name:<18} {}", facts(field));
    paragraphs(out, &field.about, depth + 2);
    match &field.content {
        Content::Leaf(leaf) => {
            for (word, about) in leaf.choices.iter().filter(|(_, about)| !about.is_empty()) {
                paragraphs(out, &format!("{word}: {about}"), depth + 3);
            }
        }
        Content::Element(element) => out.push_str(&fields(element, depth + 1)),
    }
}

/// Type, default and whether it must be there: `interval, default 30s`.
pub(super) fn facts(field: &Field) -> String {
    let mut facts = match &field.content {
        Content::Leaf(leaf) => type_of(leaf),
        Content::Element(_) => "element".to_owned(),
    };
    if field.many {
        facts.push_str(", repeatable");
    }
    if field.required {
        facts.push_str(", required");
    }
    if let Some(default) = &field.default {
        let _ = write!(
            facts,
            ", default {}",
            if default.is_empty() { "\"\"" } else { default }
        );
    }
    facts
}

fn type_of(leaf: &Leaf) -> String {
    if leaf.choices.is_empty() {
        return leaf.kind.clone();
    }
    let words: Vec<&str> = leaf.choices.iter().map(|(word, _)| word.as_str()).collect();
    words.join("|")
}

/// Adds text, wrapped and indented, paragraph by paragraph.
pub(crate) fn paragraphs(out: &mut String, text: &str, depth: usize) {
    let pad = "  ".repeat(depth);
    for paragraph in text.lines() {
        let mut line = pad.clone();
        for word in paragraph.split(' ') {
            if line.len() > pad.len() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                out.push_str(&line);
                out.push('\n');
                line.clone_from(&pad);
            }
            if line.len() > pad.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
        out.push_str(&line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::schema_of;

    #[test]
    fn each_parameter_has_its_line() {
        let text = fields(
            &super::super::element(&schema_of::<super::super::tests::Params>()),
            0,
        );
        assert!(
            text.contains(
                "<source>           element, required\n    Where the things come from.\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("\n  url                text, required\n"),
            "{text}"
        );
        assert!(
            text.contains("rows-per-part      count, default 10"),
            "{text}"
        );
        assert!(
            text.contains("quiet              true|false, default false"),
            "{text}"
        );
        assert!(text.contains("insert: Adds rows."), "{text}");
        assert!(
            text.contains("<table>            element, repeatable"),
            "{text}"
        );
        assert!(text.contains("(its text)"), "{text}");
    }

    #[test]
    fn long_text_is_wrapped() {
        let mut out = String::new();
        paragraphs(&mut out, &"word ".repeat(60), 2);
        assert!(out.lines().count() > 2 && out.lines().all(|line| line.len() <= WIDTH));
    }
}
