//! A text of several statements, taken apart: the server runs one at a time. Pure text.

use super::dialect::Oracle;
use crate::{Dialect, statement};

/// The statements of a text, without the semicolons between them. A block of PL/SQL keeps its own: it goes on to the next line of `/`
/// alone, as the tools of Oracle have it, or to the end.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let pieces = statement::pieces(sql, Oracle.lexis()).into_iter();
    pieces
        .filter(|text| !statement::heads(text, Oracle.lexis()).is_empty())
        .map(single)
        .collect()
}

/// One statement as the server takes it: a block keeps its last semicolon, any other statement must not have one.
pub(super) fn single(sql: &str) -> &str {
    let text = sql.trim();
    let first = statement::heads(text, Oracle.lexis()).into_iter().next();
    let words = first.map(|head| head.words).unwrap_or_default();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if statement::is_block(&words) {
        text
    } else {
        text.trim_end_matches(|c: char| c == ';' || c.is_whitespace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_taken_apart_and_blocks_are_not() {
        assert_eq!(
            statements("DELETE FROM t;\n INSERT INTO t VALUES (';') ;; -- end\n"),
            ["DELETE FROM t", "INSERT INTO t VALUES (';')"]
        );
        let block = "BEGIN\n  UPDATE t SET a = 1;\n  IF SQL%ROWCOUNT = 0 THEN INSERT INTO t VALUES (1); END IF;\nEND;";
        assert_eq!(
            statements(&format!("{block}\n/\nDELETE FROM u;")),
            [block, "DELETE FROM u"]
        );
        let procedure = "CREATE OR REPLACE PROCEDURE p IS\n  n NUMBER;\nBEGIN\n  n := 1;\nEND p;";
        assert_eq!(
            statements(&format!("{procedure}\n/\nDROP TABLE t;")),
            [procedure, "DROP TABLE t"]
        );
        assert_eq!(statements("-- nothing\n;"), [""; 0]);
    }

    #[test]
    fn one_statement_loses_its_semicolon_and_a_block_keeps_it() {
        assert_eq!(single(" SELECT 1 FROM DUAL ; "), "SELECT 1 FROM DUAL");
        assert_eq!(
            single("DECLARE n NUMBER; BEGIN NULL; END;"),
            "DECLARE n NUMBER; BEGIN NULL; END;"
        );
    }
}
