//! Whether a query orders its rows, or joins several queries into one: what cuts its rows off depends on it. Pure.

use crate::Lexis;
use crate::lexer::{closed, is_word};

/// What stands at the top of a query, outside brackets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) ordered: bool,
    /// UNION, EXCEPT or INTERSECT.
    pub(super) joined: bool,
}

/// Reads a query's words.
pub(super) fn top(query: &str, lexis: Lexis) -> Top {
    let mut top = Top::default();
    let (mut at, mut before, mut depth) = (0, ' ', 0_usize);
    while let Some(c) = query[at..].chars().next() {
        let rest = &query[at..];
        let length = match closed(rest, before, lexis) {
            Some(closed) => closed.length(),
            None if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let word = rest[..end].to_ascii_uppercase();
                if depth == 0 {
                    top.ordered |= word == "ORDER";
                    top.joined |= matches!(word.as_str(), "UNION" | "EXCEPT" | "INTERSECT");
                }
                end
            }
            None => {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                c.len_utf8()
            }
        };
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_top_counts() {
        let of = |query| {
            let lexis = Lexis {
                brackets: true,
                ..Lexis::default()
            };
            let top = top(query, lexis);
            (top.ordered, top.joined)
        };
        assert_eq!(of("SELECT a FROM t ORDER BY a"), (true, false));
        assert_eq!(
            of("SELECT row_number() OVER (ORDER BY a), [order] FROM t -- ORDER BY"),
            (false, false)
        );
        assert_eq!(of("SELECT 'x UNION y' UNION ALL SELECT 1"), (false, true));
        assert_eq!(
            of("SELECT a FROM (SELECT 1 UNION SELECT 2) q"),
            (false, false)
        );
    }
}
