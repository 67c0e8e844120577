//! One value of the tree as serde sees it: an attribute, an element or several of one name, or own text.

use super::fields::{Fields, Items};
use super::flaw::{About, Flaw};
use super::report::Report;
use super::trail::Trail;
use crate::node::{Attribute, Node};
use crate::problem::Pos;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use std::cell::RefCell;

/// Where a value is written.
#[derive(Clone)]
pub(super) enum Form<'a> {
    Attribute(&'a Attribute),
    /// An element that is alone by that name, or one of a list.
    One(&'a Node),
    /// Elements of one name: a list if the type takes one, else one too many.
    Many(Vec<&'a Node>),
    /// The element's own text, the field `$text`.
    Text(&'a Node),
}

/// A value, its owner's name for messages, and the way to it.
#[derive(Clone)]
pub(super) struct Value<'a, 't> {
    pub(super) form: Form<'a>,
    pub(super) owner: &'a str,
    pub(super) trail: Trail<'t>,
    pub(super) report: &'t RefCell<Report>,
}

impl<'a> Value<'a, '_> {
    /// The element, if it is one; of several the first, and the others are a problem.
    fn node(&self) -> Result<&'a Node, Flaw> {
        match &self.form {
            Form::One(node) | Form::Text(node) => Ok(node),
            Form::Many(nodes) => {
                for extra in &nodes[1..] {
                    let message =
                        format!("<{}> may stand only once in <{}>", extra.name, self.owner);
                    self.report.borrow_mut().add(extra.pos, message);
                }
                Ok(nodes[0])
            }
            Form::Attribute(a) => {
                let name = &a.name;
                Err(Flaw::value(format!(
                    "must be an element <{name} …/> of its own"
                )))
            }
        }
    }

    /// The text of a value that has no parts. Blanks round an element's text are layout, those in an
    /// attribute are meant.
    fn text(&self) -> Result<&'a str, Flaw> {
        if let Form::Attribute(attribute) = &self.form {
            return Ok(&attribute.value);
        }
        let node = self.node()?;
        let alone = node.attributes.is_empty() && node.children.is_empty();
        if !alone && !matches!(self.form, Form::Text(_)) {
            return Err(Flaw::value("takes text only, no attributes or elements"));
        }
        Ok(node.text.trim())
    }

    fn pos(&self) -> Pos {
        match &self.form {
            Form::Attribute(a) => a.pos,
            Form::One(n) => n.pos,
            Form::Many(nodes) => nodes[0].pos,
            Form::Text(n) => n.text_pos,
        }
    }

    /// Puts place and name to an error that has none yet, and hides a value that is not to be shown.
    pub(super) fn locate(&self, mut flaw: Flaw) -> Flaw {
        if flaw.site.is_some() {
            return flaw;
        }
        flaw.site = Some(self.trail.path());
        flaw.pos = self.pos();
        let (name, secret) = match &self.form {
            Form::Attribute(a) if self.owner.is_empty() => {
                (format!("attribute `{}`", a.name), a.secret)
            }
            Form::Attribute(a) => (
                format!("attribute `{}` of <{}>", a.name, self.owner),
                a.secret,
            ),
            Form::One(n) | Form::Text(n) => (format!("<{}>", n.name), n.secret),
            Form::Many(n) => (format!("<{}>", n[0].name), n[0].secret),
        };
        match flaw.about {
            About::Missing(field) => flaw.message = format!("{name} needs `{field}`"),
            About::Value | About::Twice(_) => {
                let text = self.text().unwrap_or_default();
                if secret && !text.is_empty() {
                    flaw.message = flaw.message.replace(text, "***");
                }
                flaw.message = format!("{name}: {}", flaw.message);
            }
        }
        flaw
    }

    fn parse<T: std::str::FromStr>(&self, expected: &str) -> Result<T, Flaw> {
        let text = self.text()?.trim();
        text.parse()
            .map_err(|_| Flaw::value(format!("expected {expected}, found `{text}`")))
    }

    /// Hands the parts of an element to the visitor; `known` are the names a struct takes, none for a map.
    fn visit_parts<'de, V: Visitor<'de>>(
        self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        let node = self.node().map_err(|f| self.locate(f))?;
        let fields = Fields::of(node, known, self.trail, self.report);
        visitor.visit_map(fields).map_err(|f| self.locate(f))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $expected:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
            self.parse::<$type>(&$expected)
                .and_then(|n| visitor.$visit(n))
                .map_err(|f| self.locate(f))
        }
    )*};
}

macro_rules! from_text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
            self.text()
                .and_then(|t| visitor.visit_str(t))
                .map_err(|f| self.locate(f))
        }
    )*};
}

macro_rules! whole {
    ($type:ty) => {
        format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
    };
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Flaw;

    numbers! {
        deserialize_bool visit_bool bool, "`true` or `false`";
        deserialize_i8 visit_i8 i8, whole!(i8);
        deserialize_i16 visit_i16 i16, whole!(i16);
        deserialize_i32 visit_i32 i32, whole!(i32);
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_u8 visit_u8 u8, whole!(u8);
        deserialize_u16 visit_u16 u16, whole!(u16);
        deserialize_u32 visit_u32 u32, whole!(u32);
        deserialize_u64 visit_u64 u64, "a whole number, not negative";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
        deserialize_char visit_char char, "one character";
    }

    from_text! { deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match &self.form {
            Form::Many(_) => self.deserialize_seq(visitor),
            Form::One(n) if !(n.attributes.is_empty() && n.children.is_empty()) => {
                self.visit_parts(None, visitor)
            }
            _ => self.deserialize_str(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        self.text()
            .and_then(|t| visitor.visit_bytes(t.as_bytes()))
            .map_err(|f| self.locate(f))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        let text = self.text().map_err(|f| self.locate(f))?;
        if !text.is_empty() {
            return Err(self.locate(Flaw::value("must be empty")));
        }
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        let forms = match self.form.clone() {
            Form::Many(nodes) => nodes.into_iter().map(Form::One).collect(),
            one => vec![one],
        };
        let items = Items::of(forms, self.owner, self.trail, self.report);
        visitor.visit_seq(items).map_err(|f| self.locate(f))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Flaw> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        self.visit_parts(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        self.visit_parts(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        self.text()
            .and_then(|t| {
                let word: StrDeserializer<'_, Flaw> = t.trim().into_deserializer();
                visitor.visit_enum(word)
            })
            .map_err(|f| self.locate(f))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        visitor.visit_unit()
    }
}
