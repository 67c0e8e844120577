//! What of a record is its key. Pure.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    str::FromStr,
};

use regex::bytes::Regex;
use serde_json::Value;

/// The longest program a regular expression may become.
const REGEX_LIMIT: usize = 1 << 20;

/// How a key is picked.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// By a JSON pointer (RFC 6901).
    Pointer(String),
    /// The n-th of the fields that blanks separate, from 0.
    Field(usize),
    /// A member of a JSON object, or `word=value` in a text.
    Member(String),
    /// The first group of a regular expression, or all that it matches.
    Pattern(Regex),
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Key, String> {
        let word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.starts_with('/') {
            return Ok(Key::Pointer(text.to_owned()));
        }
        if let Ok(number) = text.parse::<usize>() {
            return match number {
                0 => Err("fields are counted from 1".to_owned()),
                number => Ok(Key::Field(number - 1)),
            };
        }
        if text.chars().all(word) {
            return Ok(Key::Member(text.to_owned()));
        }
        regex::bytes::RegexBuilder::new(text)
            .size_limit(REGEX_LIMIT)
            .build()
            .map(Key::Pattern)
            .map_err(|error| {
                // the error draws a picture of lines; its last one says what is wrong
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                format!("is no regular expression: {why}")
            })
    }
}

impl Key {
    /// A number that is the same for all records of one key. Records without a key have one in common.
    pub(super) fn of(&self, record: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Key::Pointer(pointer) => json(record)
                .and_then(|value| value.pointer(pointer).map(Value::to_string))
                .hash(&mut hasher),
            Key::Field(at) => field(record, *at).hash(&mut hasher),
            Key::Member(name) => match json(record) {
                Some(value) => value.get(name).map(Value::to_string).hash(&mut hasher),
                None => assigned(record, name).hash(&mut hasher),
            },
            Key::Pattern(pattern) => pattern
                .captures(record)
                .and_then(|found| found.get(1).or_else(|| found.get(0)))
                .map(|found| found.as_bytes())
                .hash(&mut hasher),
        }
        hasher.finish()
    }
}

fn json(record: &[u8]) -> Option<Value> {
    match record.trim_ascii_start().first() {
        Some(b'{' | b'[') => serde_json::from_slice(record).ok(),
        _ => None,
    }
}

fn field(record: &[u8], at: usize) -> Option<&[u8]> {
    record
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
        .nth(at)
}

/// The value of `name=value` or `name="value"`, up to the next blank or quote.
fn assigned<'a>(record: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let found = memchr::memmem::find_iter(record, name).find(|at| {
        let begins = *at == 0 || !record[at - 1].is_ascii_alphanumeric();
        begins && record.get(at + name.len()) == Some(&b'=')
    })?;
    let value = &record[found + name.len() + 1..];
    let (value, quoted) = match value.strip_prefix(b"\"") {
        Some(value) => (value, true),
        None => (value, false),
    };
    let ends = |byte: &u8| match quoted {
        true => *byte == b'"',
        false => byte.is_ascii_whitespace() || b",;&".contains(byte),
    };
    let end = value.iter().position(ends).unwrap_or(value.len());
    Some(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(key: &str, one: &str, other: &str) -> bool {
        let key: Key = key.parse().unwrap();
        key.of(one.as_bytes()) == key.of(other.as_bytes())
    }

    #[test]
    fn records_of_one_key_are_known() {
        for (key, one, like, unlike) in [
            (
                "st",
                r#"{"st":5,"x":1}"#,
                r#"{"x":2,"st":5}"#,
                r#"{"st":6}"#,
            ),
            (
                "/a/b",
                r#"{"a":{"b":"x"}}"#,
                r#"{"a":{"b":"x"},"c":1}"#,
                r#"{"a":{"b":"y"}}"#,
            ),
            ("2", "a b c", "x  b", "a c b"),
            ("k", "x k=1 y", "k=1", "k=2"),
            ("k", r#"k="a b" c"#, r#"z k="a b" d"#, r#"k="a c""#),
            (r"id:(\d+)", "x id:12 y", "id:12", "id:13"),
        ] {
            assert!(same(key, one, like), "{key}: {one} {like}");
            assert!(!same(key, one, unlike), "{key}: {one} {unlike}");
        }
        assert!(same("k", "nothing", r#"{"other":1}"#));
        assert!(!same("k", "xk=1", "k=1"));
    }

    #[test]
    fn what_picks_nothing_is_refused() {
        for bad in ["", "0", "(", "[a"] {
            let why = bad.parse::<Key>().unwrap_err();
            assert_eq!(why.lines().count(), 1, "{why}");
        }
    }
}
