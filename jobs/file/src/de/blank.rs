//! A stand-in for a value that is missing or wrong and has been reported: whatever the type asks for, so
//! that the rest of the file can still be looked at. What is read with it is thrown away.

use super::flaw::Flaw;
use super::report::{Report, STAND_INS};
use super::trail::Trail;
use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use std::cell::RefCell;

/// The stand-in at the end of a trail, and which of the stand-in texts it tries.
pub(super) struct Blank<'t> {
    pub(super) trail: Trail<'t>,
    pub(super) report: &'t RefCell<Report>,
    pub(super) which: usize,
}

impl Blank<'_> {
    fn locate(&self, mut flaw: Flaw) -> Flaw {
        if flaw.site.is_none() {
            flaw.site = Some(self.trail.path());
            flaw.silent = true;
        }
        flaw
    }
}

macro_rules! stand_in {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
            visitor.$visit($value).map_err(|f| self.locate(f))
        }
    )*};
}

impl<'de> Deserializer<'de> for Blank<'_> {
    type Error = Flaw;

    stand_in! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_char visit_char 'x';
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        let text = STAND_INS.get(self.which).copied().unwrap_or_default();
        visitor.visit_str(text).map_err(|f| self.locate(f))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        visitor.visit_none().map_err(|f| self.locate(f))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        let none: [&str; 0] = [];
        let items = serde::de::value::SeqDeserializer::new(none.into_iter());
        visitor.visit_seq(items).map_err(|f| self.locate(f))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        let none: [(&str, &str); 0] = [];
        visitor
            .visit_map(MapDeserializer::new(none.into_iter()))
            .map_err(|f| self.locate(f))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        let mut lacking = self.report.borrow().missing(|| self.trail.path());
        lacking.reverse();
        let fields = Lacking {
            names: lacking,
            current: None,
            trail: self.trail,
            report: self.report,
        };
        visitor.visit_map(fields).map_err(|f| self.locate(f))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        let first = variants.get(self.which).copied().unwrap_or_default();
        let word: StrDeserializer<'_, Flaw> = first.into_deserializer();
        visitor.visit_enum(word).map_err(|f| self.locate(f))
    }

    serde::forward_to_deserialize_any! {
        str string bytes byte_buf identifier ignored_any tuple tuple_struct
    }
}

/// The fields that a stand-in for a struct has been asked for in earlier passes.
struct Lacking<'t> {
    names: Vec<&'static str>,
    current: Option<&'static str>,
    trail: Trail<'t>,
    report: &'t RefCell<Report>,
}

impl<'de> MapAccess<'de> for Lacking<'_> {
    type Error = Flaw;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Flaw> {
        self.current = self.names.pop();
        let Some(name) = self.current else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Flaw> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Flaw> {
        let trail = self.trail.field(self.current.unwrap_or_default());
        let which = self.report.borrow().blank(|| trail.path()).unwrap_or(0);
        seed.deserialize(Blank {
            trail,
            report: self.report,
            which,
        })
    }
}
