//! What a statement is by its words: whether it only reads, whether its count is one of changes. Pure text; a guess errs
//! only where a statement hides what it does, and then the server refuses it.

use crate::Lexis;
use crate::lexer::{closed, is_word};

const LEXIS: Lexis = Lexis {
    blocks: false,
    backslash: false,
    brackets: false,
    hash_comments: false,
    code_in_comments: false,
    dollars: true,
};

/// What begins a statement that writes.
const WRITES: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "MERGE"];

/// Whether a cursor can run it: a SELECT in any of its dresses.
pub(super) fn reads(sql: &str) -> bool {
    let words = words(sql);
    match words.first().map(String::as_str) {
        Some("SELECT" | "VALUES" | "TABLE") => true,
        Some("WITH") => !writes(&words),
        _ => false,
    }
}

/// Whether COPY takes its rows to this side: a SELECT that makes no table.
pub(super) fn copies(sql: &str) -> bool {
    reads(sql) && !sql.contains(';') && !words(sql).iter().any(|word| word == "INTO")
}

/// Whether the number that the server tells is that of changed rows.
pub(super) fn changes(sql: &str) -> bool {
    let words = words(sql);
    match words.first().map(String::as_str) {
        Some("COPY") => true,
        Some("WITH") => writes(&words),
        Some(first) => WRITES.contains(&first),
        None => false,
    }
}

/// `FOR UPDATE` locks rows, `FOR NO KEY UPDATE` too; any other such word is a statement of its own.
fn writes(words: &[String]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let lock = at > 0 && matches!(words[at - 1].as_str(), "FOR" | "KEY");
        WRITES.contains(&word.as_str()) && !lock
    })
}

/// Words outside strings, quoted names and comments, in upper case.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut at, mut before) = (0, ' ');
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match closed(rest, before, LEXIS) {
            Some(closed) => closed.length(),
            None if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                words.push(rest[..end].to_ascii_uppercase());
                end
            }
            None => c.len_utf8(),
        };
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_is_seen() {
        for sql in [
            " select 1",
            "-- x\n(SELECT 1) UNION SELECT 2",
            "WITH q AS (SELECT 'insert' AS \"update\") SELECT * FROM q FOR NO KEY UPDATE",
            "values (1)",
        ] {
            assert!(reads(sql) && !changes(sql), "{sql}");
        }
        assert!(copies("SELECT 1 -- x") && copies("TABLE t"));
        for sql in [
            "SELECT 1;",
            "SELECT 1 INTO t",
            "SHOW x",
            "INSERT INTO t VALUES (1)",
        ] {
            assert!(!copies(sql), "{sql}");
        }
        for sql in [
            "",
            "SHOW x",
            "EXPLAIN SELECT 1",
            "CREATE TABLE x AS SELECT 1",
        ] {
            assert!(!reads(sql) && !changes(sql), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES (1) RETURNING id",
            "WITH q AS (DELETE FROM t RETURNING *) SELECT * FROM q",
            "/* a */ update t set a = 1",
        ] {
            assert!(!reads(sql) && changes(sql), "{sql}");
        }
    }
}
