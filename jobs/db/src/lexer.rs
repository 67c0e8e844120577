//! What of an SQL text must not be looked into: strings, quoted names, comments. Knows nothing else of SQL.

use crate::Lexis;

/// A piece of text that stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A string or a quoted name, so many bytes long.
    Quoted(usize),
    /// A comment, so many bytes long.
    Comment(usize),
}

impl Closed {
    pub(crate) fn length(self) -> usize {
        let (Closed::Quoted(length) | Closed::Comment(length)) = self;
        length
    }
}

/// The closed piece that `rest` begins with, if it does; `before` is the character in front of it.
pub(crate) fn closed(rest: &str, before: char, lexis: Lexis) -> Option<Closed> {
    Some(match rest.chars().next()? {
        '\'' => {
            let escapes = lexis.backslash || (lexis.dollars && matches!(before, 'E' | 'e'));
            Closed::Quoted(string(rest, '\'', escapes))
        }
        '"' => Closed::Quoted(string(rest, '"', lexis.backslash)),
        '`' => Closed::Quoted(string(rest, '`', false)),
        '[' if lexis.brackets => Closed::Quoted(rest.find(']').map_or(rest.len(), |end| end + 1)),
        '-' if rest.starts_with("--") => Closed::Comment(line(rest)),
        '#' if lexis.hash_comments => Closed::Comment(line(rest)),
        '/' if rest.starts_with("/*") => Closed::Comment(comment(rest, lexis.dollars)),
        '$' if lexis.dollars && !is_word(before) => match dollars(rest) {
            1 => return None,
            length => Closed::Quoted(length),
        },
        _ => return None,
    })
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
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
