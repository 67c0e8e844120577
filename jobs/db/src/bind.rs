//! Named parameters: `:station` in SQL becomes the database's own placeholder.
//! A scanner that knows strings, quoted names, comments and casts; it understands no SQL beyond these.

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
        let length = match c {
            '\'' => {
                let escapes = lexis.backslash || (lexis.dollars && matches!(before, 'E' | 'e'));
                string(rest, '\'', escapes)
            }
            '"' => string(rest, '"', lexis.backslash),
            '`' => string(rest, '`', false),
            '[' if lexis.brackets => rest.find(']').map_or(rest.len(), |end| end + 1),
            '-' if rest.starts_with("--") => line(rest),
            '#' if lexis.hash_comments => line(rest),
            '/' if rest.starts_with("/*") => comment(rest, lexis.dollars),
            '$' if lexis.dollars && !is_word(before) => dollars(rest),
            ':' => {
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
            _ => c.len_utf8(),
        };
        result.sql.push_str(&rest[..length]);
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    result
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn name(rest: &str) -> &str {
    let name = &rest[1..];
    let end = name.find(|c| !is_word(c)).unwrap_or(name.len());
    match name.chars().next() {
        Some(c) if !c.is_numeric() => &name[..end],
        _ => "",
    }
}

fn line(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

fn string(rest: &str, quote: char, escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|&(_, next)| next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

fn comment(rest: &str, nests: bool) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") && (nests || depth == 0) {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of `$tag$…$tag$`, or 1 if this dollar begins none.
fn dollars(rest: &str) -> usize {
    let Some(end) = rest[1..].find('$') else {
        return 1;
    };
    let tag = &rest[..end + 2];
    let inner = &tag[1..=end];
    if !inner.chars().all(is_word) || inner.starts_with(|c: char| c.is_numeric()) {
        return 1;
    }
    rest[tag.len()..]
        .find(tag)
        .map_or(rest.len(), |close| close + 2 * tag.len())
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
            dollars: true,
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
            let lexis = Lexis { backslash, brackets, hash_comments, dollars };
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
