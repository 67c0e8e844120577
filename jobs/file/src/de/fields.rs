//! The parts of an element as serde's map, and elements of one name as its sequence.

use super::blank::Blank;
use super::flaw::Flaw;
use super::hint::{Kind, unknown};
use super::report::Report;
use super::trail::Trail;
use super::value::{Form, Value};
use crate::node::Node;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};
use std::cell::RefCell;
use std::collections::HashMap;
use std::vec;

/// Where a field's value comes from: the text, or nowhere because it is missing and has been reported.
enum Part<'a> {
    There(Form<'a>),
    Lacking,
}

/// Attributes, children grouped by name, and own text.
pub(super) struct Fields<'a, 't> {
    owner: &'a str,
    parts: vec::IntoIter<(&'a str, Part<'a>)>,
    current: Option<(&'a str, Part<'a>)>,
    trail: Trail<'t>,
    report: &'t RefCell<Report>,
}

impl<'a, 't> Fields<'a, 't> {
    /// Gathers the parts of a node. Names that are not among `known` are reported and passed over.
    pub(super) fn of(
        node: &'a Node,
        known: Option<&'static [&'static str]>,
        trail: Trail<'t>,
        report: &'t RefCell<Report>,
    ) -> Fields<'a, 't> {
        let mut parts = Gathering {
            node,
            known,
            at_root: trail.path().is_empty(),
            parts: Vec::new(),
            by_name: HashMap::new(),
        };
        parts.gather(&mut report.borrow_mut());
        let mut parts = parts.parts;
        let notes = report.borrow();
        parts.retain(|(name, _)| !notes.is_dropped(|| trail.field(name).path()));
        let missing = notes.missing(|| trail.path());
        parts.extend(missing.into_iter().map(|name| (name, Part::Lacking)));
        drop(notes);
        Fields {
            owner: &node.name,
            parts: parts.into_iter(),
            current: None,
            trail,
            report,
        }
    }
}

struct Gathering<'a> {
    node: &'a Node,
    known: Option<&'static [&'static str]>,
    at_root: bool,
    parts: Vec<(&'a str, Part<'a>)>,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Gathering<'a> {
    fn gather(&mut self, report: &mut Report) {
        let node = self.node;
        for attribute in &node.attributes {
            let name = attribute.name.as_str();
            // editors find the XSD by these
            if name == "xmlns" || name.starts_with("xmlns:") || name.starts_with("xsi:") {
                continue;
            }
            if !self.takes(name) {
                let message = self.unknown(Kind::Attribute, name, report);
                report.add(attribute.pos, message);
                continue;
            }
            self.by_name.insert(name, self.parts.len());
            self.parts
                .push((name, Part::There(Form::Attribute(attribute))));
        }
        for child in &node.children {
            self.add_child(child, report);
        }
        if self.known.is_some_and(|k| k.contains(&"$text")) {
            self.parts.push(("$text", Part::There(Form::Text(node))));
        } else if !node.text.trim().is_empty() {
            let message = format!("<{}> takes no text of its own", node.name);
            report.add(node.text_pos, message);
        }
    }

    fn add_child(&mut self, child: &'a Node, report: &mut Report) {
        let name = child.name.as_str();
        if !self.takes(name) {
            let message = self.unknown(Kind::Element, name, report);
            report.add(child.pos, message);
            return;
        }
        let Some(at) = self.by_name.get(name) else {
            self.by_name.insert(name, self.parts.len());
            self.parts.push((name, Part::There(Form::One(child))));
            return;
        };
        match &mut self.parts[*at].1 {
            Part::There(Form::Many(nodes)) => nodes.push(child),
            Part::There(Form::One(first)) => {
                self.parts[*at].1 = Part::There(Form::Many(vec![first, child]));
            }
            _ => {
                let owner = &self.node.name;
                let message =
                    format!("`{name}` is given twice in <{owner}>, as attribute and as element");
                report.add(child.pos, message);
            }
        }
    }

    fn takes(&self, name: &str) -> bool {
        self.known
            .is_none_or(|k| k.contains(&name) && name != "$text")
    }

    fn unknown(&self, kind: Kind, name: &str, report: &Report) -> String {
        let mut known = self.known.unwrap_or_default().to_vec();
        if self.at_root {
            known.extend(report.beside.iter().map(String::as_str));
        }
        unknown(kind, name, &self.node.name, &known)
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Flaw;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Flaw> {
        self.current = self.parts.next();
        let Some((name, _)) = &self.current else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Flaw> = (*name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Flaw> {
        let (name, part) = self
            .current
            .take()
            .expect("serde asks for a value only after its key");
        let trail = self.trail.field(name);
        let blank = self.report.borrow().blank(|| trail.path());
        match (part, blank) {
            (Part::There(form), None) => {
                let value = Value {
                    form,
                    owner: self.owner,
                    trail,
                    report: self.report,
                };
                // a type that is made of a text (`try_from`) complains when the value has been taken
                let known = value.clone();
                seed.deserialize(value).map_err(|flaw| known.locate(flaw))
            }
            (_, which) => seed.deserialize(Blank {
                trail,
                report: self.report,
                which: which.unwrap_or(0),
            }),
        }
    }
}

/// Elements of one name, in order.
pub(super) struct Items<'a, 't> {
    forms: vec::IntoIter<Form<'a>>,
    owner: &'a str,
    trail: Trail<'t>,
    report: &'t RefCell<Report>,
    count: usize,
}

impl<'a, 't> Items<'a, 't> {
    pub(super) fn of(
        forms: Vec<Form<'a>>,
        owner: &'a str,
        trail: Trail<'t>,
        report: &'t RefCell<Report>,
    ) -> Items<'a, 't> {
        Items {
            forms: forms.into_iter(),
            owner,
            trail,
            report,
            count: 0,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Flaw;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Flaw> {
        let Some(form) = self.forms.next() else {
            return Ok(None);
        };
        self.count += 1;
        let trail = self.trail.nth(self.count);
        let blank = self.report.borrow().blank(|| trail.path());
        match blank {
            None => seed.deserialize(Value {
                form,
                owner: self.owner,
                trail,
                report: self.report,
            }),
            Some(which) => seed.deserialize(Blank {
                trail,
                report: self.report,
                which,
            }),
        }
        .map(Some)
    }
}
