//! What may stand in a job file, drawn from the `Params` types of the kinds: one source for `describe`, `new` and the XSD.
//! schemars tells names, types, defaults and doc comments as JSON Schema; here it becomes elements, fields and leaves as
//! XML has them. Whether a file is right is decided by jobfile and the types themselves, not here.

pub mod describe;
pub mod template;
pub mod xsd;

use schemars::Schema;
use serde_json::{Map, Value};

/// An element: what may stand in it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Element {
    /// Its documentation, for users.
    pub about: String,
    /// Attributes and child elements, in the order of the type.
    pub fields: Vec<Field>,
    /// Its own text, where it has a meaning.
    pub text: Option<Leaf>,
}

/// A named part of an element. A leaf may be written as an attribute or as a child element.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name in the file.
    pub name: String,
    /// Its documentation, for users.
    pub about: String,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it may be there several times (as child elements).
    pub many: bool,
    /// What is taken when it is left out, as it would be written.
    pub default: Option<String>,
    /// What it holds.
    pub content: Content,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A value.
    Leaf(Leaf),
    /// Fields of its own.
    Element(Element),
}

/// A value written as text.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Leaf {
    /// What it is, in a word: `text`, `number`, `interval`.
    pub kind: String,
    /// The words it may be, each with its documentation; empty = not a matter of choice.
    pub choices: Vec<(String, String)>,
    /// A regular expression that the whole text has to match.
    pub pattern: Option<String>,
}

/// The element that a type makes.
#[must_use]
pub fn element(schema: &Schema) -> Element {
    schema.as_object().map(element_of).unwrap_or_default()
}

/// What schemars wraps around a type that may be absent, taken off.
fn present(schema: &Map<String, Value>) -> &Map<String, Value> {
    let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    if let Some(Value::Array(alternatives)) = alternatives {
        let mut some = alternatives
            .iter()
            .filter_map(Value::as_object)
            .filter(|one| one.get("type").and_then(Value::as_str) != Some("null"));
        if let (Some(only), None) = (some.next(), some.next()) {
            return present(only);
        }
    }
    schema
}

fn element_of(schema: &Map<String, Value>) -> Element {
    let schema = present(schema);
    let mut element = Element {
        about: about(schema),
        ..Element::default()
    };
    for part in parts(schema) {
        let required: Vec<&str> = part
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let Some(Value::Object(properties)) = part.get("properties") else {
            continue;
        };
        for (name, property) in properties {
            let empty = Map::new();
            let property = property.as_object().unwrap_or(&empty);
            if name == "$text" {
                element.text = Some(leaf_of(present(property)));
                continue;
            }
            add(
                &mut element.fields,
                field_of(name, property, required.contains(&name.as_str())),
            );
        }
    }
    element
}

/// The schema itself and whatever it is put together from: variants of a tagged enum, flattened types.
fn parts(schema: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    let mut parts = vec![schema];
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(Value::Array(more)) = schema.get(key) {
            parts.extend(more.iter().filter_map(Value::as_object));
        }
    }
    parts
}

/// Adds a field; one that several variants have is the union of theirs.
fn add(fields: &mut Vec<Field>, new: Field) {
    let Some(old) = fields.iter_mut().find(|field| field.name == new.name) else {
        fields.push(new);
        return;
    };
    old.required &= new.required;
    if let (Content::Leaf(old), Content::Leaf(new)) = (&mut old.content, new.content) {
        for choice in new.choices {
            if !old.choices.contains(&choice) {
                old.choices.push(choice);
            }
        }
    }
}

fn field_of(name: &str, schema: &Map<String, Value>, required: bool) -> Field {
    let inner = present(schema);
    let items = inner.get("items").and_then(Value::as_object);
    let content = match items {
        Some(items) => content_of(present(items)),
        None => content_of(inner),
    };
    let mut text = about(schema);
    if text.is_empty() {
        text = match &content {
            Content::Element(element) => element.about.clone(),
            Content::Leaf(_) => about(items.map_or(inner, present)),
        };
    }
    Field {
        name: name.to_owned(),
        about: text,
        required,
        many: items.is_some(),
        default: schema.get("default").and_then(written),
        content,
    }
}

fn content_of(schema: &Map<String, Value>) -> Content {
    if parts(schema)
        .iter()
        .any(|part| part.contains_key("properties"))
    {
        Content::Element(element_of(schema))
    } else {
        Content::Leaf(leaf_of(schema))
    }
}

fn leaf_of(schema: &Map<String, Value>) -> Leaf {
    let format = schema.get("format").and_then(Value::as_str);
    let kind = match (type_of(schema), format) {
        ("boolean", _) => "bool",
        ("integer", _) => {
            if schema
                .get("minimum")
                .and_then(Value::as_i64)
                .is_some_and(|least| least >= 0)
            {
                "count"
            } else {
                "integer"
            }
        }
        ("number", _) => "number",
        (_, Some(format)) => format,
        _ => "text",
    };
    Leaf {
        kind: kind.to_owned(),
        choices: choices(schema),
        pattern: schema
            .get("pattern")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}

/// The JSON type of a leaf, that it may be absent left aside.
fn type_of(schema: &Map<String, Value>) -> &str {
    let found = match schema.get("type") {
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        _ => None,
    };
    found.unwrap_or("string")
}

fn choices(schema: &Map<String, Value>) -> Vec<(String, String)> {
    let mut choices = Vec::new();
    for part in parts(schema) {
        let words = part.get("const").into_iter().chain(
            part.get("enum")
                .and_then(Value::as_array)
                .into_iter()
                .flatten(),
        );
        let text = if part.contains_key("const") {
            about(part)
        } else {
            String::new()
        };
        choices.extend(words.filter_map(written).map(|word| (word, text.clone())));
    }
    if type_of(schema) == "boolean" {
        choices = ["true", "false"]
            .map(|word| (word.to_owned(), String::new()))
            .to_vec();
    }
    choices
}

/// A doc comment as paragraphs without line breaks inside.
fn about(schema: &Map<String, Value>) -> String {
    let text = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    paragraphs.join("\n")
}

/// A value as it is written in a job file; nothing where there is none.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if !items.is_empty() => {
            let words: Option<Vec<String>> = items.iter().map(written).collect();
            words.map(|words| words.join(","))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::job::schema_of;

    /// Copies things.
    #[derive(schemars::JsonSchema, serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    pub(crate) struct Params {
        /// Where the things
        /// come from.
        source: Source,
        #[serde(default, rename = "table")]
        tables: Vec<Table>,
        #[serde(default = "ten")]
        rows_per_part: u32,
        mode: Option<Mode>,
        spare: Option<Source>,
        #[serde(default)]
        quiet: bool,
    }

    fn ten() -> u32 {
        10
    }

    #[derive(schemars::JsonSchema, serde::Deserialize)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Source {
        url: String,
    }

    /// A table.
    #[derive(schemars::JsonSchema, serde::Deserialize)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Table {
        name: String,
        #[serde(rename = "$text")]
        note: Option<String>,
    }

    #[derive(schemars::JsonSchema, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        /// Adds rows.
        Insert,
        Skip,
    }

    #[test]
    fn a_type_becomes_an_element() {
        let element = element(&schema_of::<Params>());
        let names: Vec<&str> = element
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["source", "table", "rows-per-part", "mode", "spare", "quiet"]
        );
        assert_eq!(element.about, "Copies things.");
        assert_eq!(element.fields[0].about, "Where the things come from.");
        assert!(element.fields[0].required && !element.fields[4].required);
        assert!(
            matches!(&element.fields[4].content, Content::Element(inner) if inner.fields[0].name == "url")
        );
        assert!(element.fields[1].many);
        assert!(
            matches!(&element.fields[1].content, Content::Element(inner) if inner.text.is_some())
        );
        assert_eq!(element.fields[2].default.as_deref(), Some("10"));
        let Content::Leaf(mode) = &element.fields[3].content else {
            panic!("a mode is a leaf")
        };
        assert!(
            mode.choices
                .contains(&("insert".into(), "Adds rows.".into()))
        );
        assert!(mode.choices.contains(&("skip".into(), String::new())));
    }
}
