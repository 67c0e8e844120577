//! Takes a text of several statements apart, which most drivers do not. Pure.

use crate::Dialect;
use crate::lexer::{Closed, closed};

/// Each statement of a text. One that makes a trigger, function or procedure has semicolons of its own: it goes to the end.
pub(super) fn statements<'s>(sql: &'s str, dialect: &dyn Dialect) -> Vec<&'s str> {
    let (mut found, mut start) = (Vec::new(), 0);
    let (mut at, mut before) = (0, ' ');
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match closed(rest, before, dialect.lexis()) {
            Some(closed) => closed.length(),
            None => {
                if c == ';' && !has_body(&sql[start..at], dialect) {
                    found.push(&sql[start..at]);
                    start = at + 1;
                }
                c.len_utf8()
            }
        };
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    found.push(&sql[start..]);
    found.retain(|text| !crate::statement::heads(text, dialect.lexis()).is_empty());
    found.into_iter().map(|text| bare(text, dialect)).collect()
}

/// The statement without comments in front of it, which some drivers look for semicolons in.
fn bare<'s>(sql: &'s str, dialect: &dyn Dialect) -> &'s str {
    let text = sql.trim();
    match closed(text, ' ', dialect.lexis()) {
        Some(Closed::Comment(length)) => bare(&text[length..], dialect),
        _ => text,
    }
}

fn has_body(sql: &str, dialect: &dyn Dialect) -> bool {
    let heads = crate::statement::heads(sql, dialect.lexis());
    let words = heads.first().map(|head| head.words.as_slice());
    words.is_some_and(|words| {
        words.first().is_some_and(|first| first == "CREATE")
            && words
                .iter()
                .any(|word| matches!(word.as_str(), "TRIGGER" | "FUNCTION" | "PROCEDURE"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect_of;

    #[test]
    fn statements_are_taken_apart() {
        let of = |sql: &'static str| statements(sql, dialect_of("sqlite:").unwrap());
        assert_eq!(
            of("INSERT INTO t VALUES ('a;b'); -- ;\nDELETE FROM t;;"),
            ["INSERT INTO t VALUES ('a;b')", "DELETE FROM t"]
        );
        let trigger = "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM u; END";
        assert_eq!(of(trigger), [trigger]);
        assert!(of(" ; -- nothing\n").is_empty());
    }
}
