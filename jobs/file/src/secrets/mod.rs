//! `${env:NAME}` and `${file:PATH}`: values that are not in the file but put into it when the job starts.
//!
//! `$${` stands for a plain `${`. What was put in is remembered, so that it can be taken out of every
//! message. Nothing here is ever shown, `Debug` included.

mod reference;
mod resolver;

pub(crate) use reference::{check_references, has_reference, unescape};
pub(crate) use resolver::Resolver;

use std::fmt;

/// Shorter values are too common to be taken out of running text: redacting a `1` would garble all of it.
const SHORTEST: usize = 4;
const HIDDEN: &str = "***";

/// The values that were put in, for redaction.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// As put in and as a URL's parser gives them out, the longest first.
    values: Vec<String>,
}

impl Secrets {
    /// The text with every secret in it as `***`. Secrets shorter than 4 bytes are left.
    pub fn redact(&self, text: &str) -> String {
        let hide = |text: String, value: &String| match text.contains(value.as_str()) {
            true => text.replace(value.as_str(), HIDDEN),
            false => text,
        };
        self.values.iter().fold(text.to_string(), hide)
    }

    /// True if there is nothing to redact.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn remember(&mut self, value: &str) {
        let decoded = percent_decoded(value);
        let forms = value.lines().map(str::to_string).chain(decoded);
        self.values.extend(forms.filter(|v| v.len() >= SHORTEST));
        self.values
            .sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        self.values.dedup();
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

/// A password in a URL is written with `%40` for `@`; a driver's message may show it decoded.
fn percent_decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| {
            char::from(b)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                    continue;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8(bytes).ok().filter(|d| d != value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_secrets_go_first_and_short_ones_stay() {
        let mut secrets = Secrets::default();
        for value in ["word", "password", "1", "two\nlines"] {
            secrets.remember(value);
        }
        let text = "password word 1 two lines";
        assert_eq!(secrets.redact(text), "*** *** 1 two ***");
        assert!(!format!("{secrets:?}").contains("word"));
    }

    #[test]
    fn urls_give_passwords_out_decoded() {
        assert_eq!(percent_decoded("p%40ss%2F").as_deref(), Some("p@ss/"));
        assert_eq!(percent_decoded("plain"), None);
        assert_eq!(percent_decoded("100%"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }
}
