//! The numbered marks of a dialect (`$1`, `?1`, `@P1`) in a statement: which parameters it names, and the same statement with the one mark
//! that ODBC knows, `?`. Pure.

use crate::Dialect;
use crate::lexer::{closed, is_word};

/// The statement with `?` for its numbered marks, and which parameter, from 0, each stands for; `None` where the marks have no numbers, and
/// stand for them in order.
pub(crate) fn translate(sql: &str, dialect: &dyn Dialect) -> (String, Option<Vec<usize>>) {
    let numbered = dialect.placeholder(1);
    let mark = numbered.trim_end_matches('1');
    let (mut text, mut order) = (String::with_capacity(sql.len()), Vec::new());
    let (mut at, mut before) = (0, ' ');
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        if let Some(closed) = closed(rest, before, dialect.lexis()) {
            text.push_str(&rest[..closed.length()]);
            at += closed.length();
            before = ' ';
            continue;
        }
        let number = rest
            .strip_prefix(mark)
            .filter(|_| mark != numbered && !is_word(before))
            .map(|after| &after[..digits(after)])
            .filter(|digits| !digits.is_empty());
        if let Some(number) = number {
            let place = number.parse::<usize>().unwrap_or(0);
            order.push(place.wrapping_sub(1));
            text.push('?');
            at += mark.len() + number.len();
            before = '?';
            continue;
        }
        text.push(c);
        before = c;
        at += c.len_utf8();
    }
    (text, Some(order).filter(|order| !order.is_empty()))
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect_of;

    fn on(scheme: &str, sql: &str) -> (String, Option<Vec<usize>>) {
        translate(sql, dialect_of(&format!("{scheme}:")).unwrap())
    }

    #[test]
    fn marks_become_what_odbc_knows() {
        assert_eq!(
            on("postgres", "SELECT $2, '$1', $$ $1 $$, a$1, $1::int"),
            (
                "SELECT ?, '$1', $$ $1 $$, a$1, ?::int".into(),
                Some(vec![1, 0])
            )
        );
        assert_eq!(
            on("sqlite", "SELECT ?1, ?2, ?1, '?1'"),
            ("SELECT ?, ?, ?, '?1'".into(), Some(vec![0, 1, 0]))
        );
        assert_eq!(on("mysql", "SELECT ?, `?`"), ("SELECT ?, `?`".into(), None));
        assert_eq!(on("postgres", "SELECT 1"), ("SELECT 1".into(), None));
        assert_eq!(on("postgres", "SELECT $0").1, Some(vec![usize::MAX]));
    }
}
