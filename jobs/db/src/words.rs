//! Names in an SQL text, changed by whoever knows others for them. A scanner for words outside strings and comments; it understands no SQL.

use crate::Dialect;
use crate::lexer::{Closed, closed, is_word};

/// The text with each name replaced for which `other` has another one; what `other` gives is put in as it is. A word before a bracket is
/// a function and no name, one after a dot or before one belongs to what is beside it and stays.
pub fn rename(
    sql: &str,
    dialect: &dyn Dialect,
    mut other: impl FnMut(&str) -> Option<String>,
) -> String {
    let mut result = String::with_capacity(sql.len());
    let (mut at, mut before) = (0, ' ');
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (length, name) = match closed(rest, before, dialect.lexis()) {
            Some(Closed::Quoted(length)) => (length, quoted(&rest[..length], dialect)),
            Some(Closed::Comment(length)) => (length, None),
            None if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (length, Some(rest[..length].to_owned()))
            }
            None => (c.len_utf8(), None),
        };
        let after = rest[length..].trim_start().chars().next();
        let alone = before != '.' && before != ':' && !matches!(after, Some('.' | '('));
        let renamed = name.filter(|_| alone).and_then(|name| other(&name));
        result.push_str(renamed.as_deref().unwrap_or(&rest[..length]));
        before = rest[..length].chars().next_back().unwrap_or(c);
        at += length;
    }
    result
}

/// The name within quotes of this database; `None` for a string.
fn quoted(text: &str, dialect: &dyn Dialect) -> Option<String> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    let mark = dialect.quote("x").chars().next()?;
    match text.chars().next()? {
        '[' => Some(inner.to_owned()),
        first if first == mark => {
            let twice: String = [mark, mark].into_iter().collect();
            Some(inner.replace(&twice, &mark.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect_of;

    fn renamed(scheme: &str, sql: &str) -> String {
        let dialect = dialect_of(&format!("{scheme}:x")).unwrap();
        super::rename(sql, dialect, |name| {
            name.eq_ignore_ascii_case("obtid")
                .then(|| dialect.quote("stid"))
        })
    }

    #[test]
    fn names_change_and_strings_do_not() {
        assert_eq!(
            renamed("postgres", "obtid LIKE '54%' AND OBTID <> 'obtid' -- obtid"),
            r#""stid" LIKE '54%' AND "stid" <> 'obtid' -- obtid"#
        );
        assert_eq!(renamed("postgres", r#""obtid" = 1"#), r#""stid" = 1"#);
        assert_eq!(
            renamed("mysql", r#"`obtid` = "obtid""#),
            r#"`stid` = "obtid""#
        );
        assert_eq!(
            renamed("sqlite", "[obtid] = obtid(1) + t.obtid + obtid.x + obtids"),
            r#""stid" = obtid(1) + t.obtid + obtid.x + obtids"#
        );
    }
}
