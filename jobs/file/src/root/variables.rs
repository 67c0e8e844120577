//! Environment variables of a job. Passwords live in them, so `Debug` shows the names alone.

use crate::problem::Pos;
use crate::secrets::Resolver;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::slice;

/// Names and values, in the order of the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(pub Vec<(String, String)>);

/// An environment variable.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Variable {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}

impl Variables {
    /// The same with what `${env:NAME}` (the variables themselves first) and `${file:PATH}` stand for put in, as
    /// `JobFile::resolve` does for a whole file. The error says what cannot be put in, one reference a line.
    pub fn resolve(&self, home: &Path) -> Result<Variables, String> {
        let mut resolver = Resolver::new(Some(home));
        let mut resolved = self.clone();
        for (_, value) in &mut resolved.0 {
            if let Some(new) = resolver.resolve(value, Pos::default()) {
                *value = new;
            }
        }
        if resolver.found.is_empty() {
            return Ok(resolved);
        }
        let all: Vec<String> = resolver.found.into_iter().map(|(_, text)| text).collect();
        Err(all.join("\n"))
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Variables, D::Error> {
        let all = Vec::<Variable>::deserialize(deserializer)?;
        Ok(Variables(
            all.into_iter().map(|v| (v.name, v.value)).collect(),
        ))
    }
}

impl JsonSchema for Variables {
    fn schema_name() -> Cow<'static, str> {
        "Variables".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Variable>::json_schema(generator)
    }
}

impl Deref for Variables {
    type Target = Vec<(String, String)>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Variables {
    type Item = &'a (String, String);
    type IntoIter = slice::Iter<'a, (String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}
