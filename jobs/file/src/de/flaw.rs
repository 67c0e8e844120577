//! The error that travels through serde: what is wrong, and, once an element or attribute has put itself
//! to it, where.

use super::hint::{hint, quoted};
use crate::problem::Pos;
use serde::de::{Expected, Unexpected};
use std::fmt::{self, Display};

/// What a flaw is about, which decides how reading goes on after it.
#[derive(Debug, PartialEq)]
pub(super) enum About {
    /// The value itself.
    Value,
    /// A field that is not there.
    Missing(&'static str),
    /// A field that came under two names.
    Twice(&'static str),
}

/// One error of a pass.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(super) message: String,
    pub(super) about: About,
    /// The path of the value, or of the struct for a missing field; none until it is known.
    pub(super) site: Option<String>,
    pub(super) pos: Pos,
    /// True for what went wrong with a stand-in: not the writer's fault.
    pub(super) silent: bool,
}

impl Flaw {
    pub(super) fn new(about: About, message: String) -> Flaw {
        Flaw {
            message,
            about,
            site: None,
            pos: Pos::default(),
            silent: false,
        }
    }

    pub(super) fn value(message: impl Into<String>) -> Flaw {
        Flaw::new(About::Value, message.into())
    }
}

impl Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Flaw {}

fn found(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(s) => format!("`{s}`"),
        other => other.to_string(),
    }
}

impl serde::de::Error for Flaw {
    fn custom<T: Display>(message: T) -> Flaw {
        Flaw::value(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Flaw {
        Flaw::value(format!("expected {expected}, found {}", found(&unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Flaw {
        Flaw::value(format!("expected {expected}, found {}", found(&unexpected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Flaw {
        let known = quoted(expected);
        let near = hint(variant, expected, &|n| format!("`{n}`"), false);
        Flaw::value(format!("expected one of {known}, found `{variant}`{near}"))
    }

    fn missing_field(field: &'static str) -> Flaw {
        Flaw::new(About::Missing(field), String::new())
    }

    fn duplicate_field(field: &'static str) -> Flaw {
        let message = format!("`{field}` is given twice, under two names");
        Flaw::new(About::Twice(field), message)
    }
}
