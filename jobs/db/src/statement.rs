//! The first words of each statement of an SQL text: enough to see which of them would end the transaction they stand in.
//! A scanner for words outside strings, quoted names and comments; what a procedure does inside is out of its sight.

use crate::lexer::{Closed, closed, is_word};
use crate::{Dialect, Lexis};
use std::ops::Range;

/// So many words tell what a statement is: `CREATE OR REPLACE TEMPORARY TABLE`.
const WORDS: usize = 6;

/// What a statement begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Its first words in upper case, without quoted names and marks.
    pub words: Vec<String>,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.words.len().min(3);
        f.write_str(&self.words[..shown].join(" "))
    }
}

/// The first statement of the text that would end a transaction by itself.
pub fn ending_transaction(sql: &str, dialect: &dyn Dialect) -> Option<Head> {
    let ends = |head: &Head| {
        let words: Vec<&str> = head.words.iter().map(String::as_str).collect();
        dialect.ends_transaction(&words)
    };
    heads(sql, dialect.lexis()).into_iter().find(ends)
}

/// Whether a statement of these words begins or ends a transaction in every database.
pub(crate) fn controls(words: &[&str]) -> bool {
    match words {
        ["ROLLBACK", rest @ ..] => !rest.contains(&"TO"),
        ["COMMIT" | "END" | "ABORT" | "BEGIN", ..] | ["START" | "PREPARE", "TRANSACTION", ..] => {
            true
        }
        _ => false,
    }
}

/// The head of each statement, in order.
pub fn heads(sql: &str, lexis: Lexis) -> Vec<Head> {
    let text = opened(sql, lexis);
    let read = read(&text, lexis)
        .into_iter()
        .map(|(reading, _)| reading.head);
    read.filter(|head| !head.words.is_empty()).collect()
}

/// The text of each statement, without what ends it.
pub(crate) fn pieces(sql: &str, lexis: Lexis) -> Vec<&str> {
    let places = read(sql, lexis).into_iter().map(|(_, place)| place);
    places.map(|place| &sql[place]).collect()
}

/// Whether a statement of these words is a block of PL/SQL, or makes something that is one: its semicolons are its own.
pub(crate) fn is_block(words: &[&str]) -> bool {
    match words {
        ["BEGIN" | "DECLARE", ..] => true,
        ["CREATE", rest @ ..] => rest.iter().take(4).any(|word| {
            matches!(
                *word,
                "FUNCTION" | "PROCEDURE" | "TRIGGER" | "PACKAGE" | "TYPE"
            )
        }),
        _ => false,
    }
}

/// Each statement's reading, and its place in the text.
fn read(text: &str, lexis: Lexis) -> Vec<(Reading, Range<usize>)> {
    let begin = |at| {
        let reading = Reading {
            blocks: lexis.blocks,
            ..Reading::default()
        };
        (reading, at..text.len())
    };
    let mut found = vec![begin(0)];
    let (mut at, mut before) = (0, ' ');
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match closed(rest, before, lexis) {
            Some(Closed::Quoted(length) | Closed::Comment(length)) => length,
            None if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                if let Some((reading, _)) = found.last_mut() {
                    reading.take(&rest[..end]);
                }
                end
            }
            None => {
                let slash = c == '/' && lexis.blocks && is_alone(text, at);
                if let Some((reading, place)) = found.last_mut()
                    && (slash || c == ';' && !reading.goes_on())
                {
                    place.end = at;
                    found.push(begin(at + 1));
                }
                c.len_utf8()
            }
        };
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    found
}

/// Whether nothing else stands on the line of the character there.
fn is_alone(text: &str, at: usize) -> bool {
    let before = text[..at].rsplit('\n').next().unwrap_or_default();
    let after = text[at + 1..].split('\n').next().unwrap_or_default();
    before.trim().is_empty() && after.trim().is_empty()
}

/// A statement being read.
#[derive(Default)]
struct Reading {
    head: Head,
    /// How many `BEGIN … END` of a body are open, in which semicolons end nothing.
    depth: usize,
    /// Blocks go on to a line of `/` alone, or to the end of the text.
    blocks: bool,
}

impl Reading {
    /// Whether a semicolon ends nothing here.
    fn goes_on(&self) -> bool {
        if !self.blocks {
            return self.depth > 0;
        }
        let words: Vec<&str> = self.head.words.iter().map(String::as_str).collect();
        is_block(&words)
    }

    fn take(&mut self, word: &str) {
        let word = word.to_ascii_uppercase();
        let words = &mut self.head.words;
        let body = words.first().is_some_and(|first| first == "CREATE")
            && words
                .iter()
                .any(|known| matches!(known.as_str(), "TRIGGER" | "FUNCTION" | "PROCEDURE"));
        match word.as_str() {
            "BEGIN" | "CASE" if body => self.depth += 1,
            "END" if body => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if words.len() < WORDS {
            words.push(word);
        }
    }
}

/// The text with comments that the server executes (`/*!50001 … */`) opened.
fn opened(sql: &str, lexis: Lexis) -> String {
    if !lexis.code_in_comments {
        return sql.to_owned();
    }
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    let marks = ["/*!", "/*M!"];
    let next = |rest: &str| {
        let found = marks
            .iter()
            .filter_map(|mark| Some((rest.find(mark)?, mark.len())));
        found.min()
    };
    while let Some((at, mark)) = next(rest) {
        text.push_str(&rest[..at]);
        text.push(' ');
        let inside = &rest[at + mark..];
        let inside = inside.trim_start_matches(|c: char| c.is_ascii_digit());
        let end = inside.find("*/").unwrap_or(inside.len());
        text.push_str(&inside[..end]);
        text.push(' ');
        rest = inside.get(end + 2..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect_of;

    fn refused(scheme: &str, sql: &str) -> Option<String> {
        let dialect = dialect_of(&format!("{scheme}:x")).unwrap();
        ending_transaction(sql, dialect).map(|head| head.to_string())
    }

    #[test]
    fn what_ends_a_transaction_is_seen_in_every_database() {
        for scheme in ["sqlite", "postgres", "mysql"] {
            for sql in [
                "COMMIT",
                "UPDATE t SET a = 1; commit;",
                "-- first\nBEGIN",
                "/* x */ ROLLBACK",
                "START TRANSACTION READ ONLY",
            ] {
                assert!(refused(scheme, sql).is_some(), "{scheme}: {sql}");
            }
            for sql in [
                "",
                ";;",
                "DELETE FROM t",
                "SELECT 'x; COMMIT'",
                "SELECT 1 -- ; COMMIT",
                "ROLLBACK TO SAVEPOINT a",
                "SAVEPOINT a; RELEASE SAVEPOINT a",
                "UPDATE t SET a = CASE WHEN b THEN 1 END; DELETE FROM u",
                "DELETE FROM \"x;COMMIT\" WHERE a = 1",
                "CREATE TEMPORARY TABLE x (a INTEGER)",
            ] {
                assert_eq!(refused(scheme, sql), None, "{scheme}: {sql}");
            }
        }
    }

    #[test]
    fn tables_may_be_made_where_that_commits_nothing() {
        let sql = "CREATE TABLE t (a INTEGER); DROP INDEX i; TRUNCATE TABLE t";
        assert_eq!(refused("postgres", sql), None);
        assert_eq!(refused("sqlite", sql), None);
        assert_eq!(refused("mysql", sql).as_deref(), Some("CREATE TABLE T"));
        let trigger =
            "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = 1; END; DELETE FROM t";
        assert_eq!(refused("sqlite", trigger), None);
    }

    #[test]
    fn mysql_commits_at_much() {
        for sql in [
            "alter table t add b int",
            "DELETE FROM t; TRUNCATE t",
            "CREATE INDEX i ON t (a)",
            "DROP TABLE t",
            "SET autocommit = 1",
            "SET @@session.autocommit=1",
            "LOCK TABLES t WRITE",
            "SELECT 1 /*! ; DROP TABLE t */",
            "/*!50001 CREATE TABLE t (a int) */",
            "SELECT 'it\\'s'; RENAME TABLE a TO b",
        ] {
            assert!(refused("mysql", sql).is_some(), "{sql}");
        }
        for sql in [
            "CREATE OR REPLACE TEMPORARY TABLE x (a int)",
            "DROP TEMPORARY TABLE IF EXISTS x",
            "SET @a = 1",
            "SELECT `drop table`; # DROP TABLE t",
            "REPLACE INTO t VALUES ('DROP TABLE')",
            "CALL p()",
        ] {
            assert_eq!(refused("mysql", sql), None, "{sql}");
        }
    }
}
