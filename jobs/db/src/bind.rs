//! Named parameters: `:station` in SQL becomes the database's own placeholder.
//! It knows strings, quoted names, comments and casts, and understands no SQL beyond these.

use crate::lexer::{closed, is_word};
use crate::{Dialect, Lexis};

/// SQL with the database's placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The SQL.
    pub sql: String,
    /// The name of each placeholder's parameter, in the order of the placeholders; a name used twice stands twice.
    pub names: Vec<String>,
}

/// Replaces each `:name` outside strings, quoted names and comments. `::` is a cast, `:=` an assignment; a colon
/// after a letter, a digit or a closing bracket begins no name (array slices).
pub fn named(sql: &str, dialect: &dyn Dialect) -> Named {
    replace(sql, dialect.lexis(), |number, _| {
        dialect.placeholder(number)
    })
}

/// As [`named`], with each placeholder's text chosen by `place(number from 1, name)`: for values that need a cast.
pub fn named_with(
    sql: &str,
    dialect: &dyn Dialect,
    place: impl FnMut(usize, &str) -> String,
) -> Named {
    replace(sql, dialect.lexis(), place)
}

fn replace(sql: &str, lexis: Lexis, mut place: impl FnMut(usize, &str) -> String) -> Named {
    let mut result = Named {
        sql: String::with_capacity(sql.len()),
        names: Vec::new(),
    };
    let mut at = 0;
    let mut before = '\0';
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match (closed(rest, before, lexis), c) {
            (Some(closed), _) => closed.length(),
            (None, ':') => {
                let name = name(rest);
                if name.is_empty() || is_word(before) || matches!(before, ':' | ']' | ')') {
                    c.len_utf8()
                } else {
                    result.names.push(name.to_owned());
                    let text = place(result.names.len(), name);
                    result.sql.push_str(&text);
                    at += 1 + name.len();
                    before = 'x';
                    continue;
                }
            }
            (None, _) => c.len_utf8(),
        };
        result.sql.push_str(&rest[..length]);
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    result
}

fn name(rest: &str) -> &str {
    let name = &rest[1..];
    let end = name.find(|c| !is_word(c)).unwrap_or(name.len());
    match name.chars().next() {
        Some(c) if !c.is_numeric() => &name[..end],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on(sql: &str, lexis: Lexis) -> (String, Vec<String>) {
        let named = replace(sql, lexis, |number, _| format!("${number}"));
        (named.sql, named.names)
    }

    #[test]
    fn names_become_placeholders() {
        let plain = Lexis::default();
        assert_eq!(
            on("a=:station AND t>:from_1 OR b=:station", plain),
            (
                "a=$1 AND t>$2 OR b=$3".into(),
                vec!["station".into(), "from_1".into(), "station".into()]
            )
        );
        assert_eq!(on("站=:站号", plain), ("站=$1".into(), vec!["站号".into()]));
        assert_eq!(on(":a:b", plain).1, ["a"]);
    }

    #[test]
    fn strings_comments_and_casts_are_left_alone() {
        let all = Lexis {
            backslash: false,
            brackets: true,
            hash_comments: true,
            code_in_comments: true,
            dollars: true,
            blocks: true,
        };
        for sql in [
            "':x'",
            "'it''s :x'",
            "\":x\"",
            "`:x`",
            "[:x]",
            "-- :x\n",
            "/* :x */",
            "# :x",
            "a::text",
            "@v:=1",
            "12:30",
            "a[1:n]",
            "$$ :x $$",
            "$t$ :x $$ :y $t$",
            "/* /* */ :x */",
            "E'\\':x'",
            "':x",
            "/* :x",
            ": x",
            ":1",
            ":",
        ] {
            assert_eq!(on(sql, all), (sql.to_owned(), vec![]), "{sql}");
        }
        let mysql = Lexis {
            backslash: true,
            ..Lexis::default()
        };
        assert_eq!(on("'\\':x' :y", mysql).1, ["y"]);
        assert_eq!(on("'\\' :y", Lexis::default()).1, ["y"]);
        assert_eq!(on("--:a\n:b", Lexis::default()).1, ["b"]);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(sql: String, backslash: bool, brackets: bool, hash_comments: bool, dollars: bool) {
            let lexis = Lexis { backslash, brackets, hash_comments, dollars, ..Lexis::default() };
            let length = replace(&sql, lexis, |_, name| format!(":{name}")).sql.len();
            prop_assert_eq!(length, sql.len());
        }

        #[test]
        fn what_is_put_back_is_what_was_there(sql in "[:a$'\"/*\\-\n\\[\\]` ]{0,40}", dollars: bool) {
            let lexis = Lexis { dollars, brackets: true, ..Lexis::default() };
            prop_assert_eq!(replace(&sql, lexis, |_, name| format!(":{name}")).sql, sql);
        }
    }
}
