//! How references are written in a value.

use crate::node::Node;
use crate::problem::Pos;

/// One piece of a value.
pub(super) enum Piece<'a> {
    Plain(&'a str),
    Env(&'a str),
    File(&'a str),
}

pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Plain(&rest[..at - 1]));
            pieces.push(Piece::Plain("${"));
            rest = &rest[at + 2..];
            continue;
        }
        pieces.push(Piece::Plain(&rest[..at]));
        let inside = &rest[at + 2..];
        let end = inside
            .find('}')
            .ok_or("`${` without its `}`; write `$${` for a plain `${`")?;
        let reference = &inside[..end];
        rest = &inside[end + 1..];
        pieces.push(match reference.split_once(':') {
            Some(("env", name)) if !name.trim().is_empty() => Piece::Env(name.trim()),
            Some(("file", path)) if !path.trim().is_empty() => Piece::File(path.trim()),
            _ => {
                return Err(format!(
                    "unknown reference `${{{reference}}}`; known are ${{env:NAME}} and ${{file:PATH}}, and `$${{` for a plain `${{`"
                ));
            }
        });
    }
    pieces.push(Piece::Plain(rest));
    Ok(pieces)
}

/// True if a value holds a reference, or what looks like a broken one.
pub(crate) fn has_reference(text: &str) -> bool {
    match pieces(text) {
        Ok(pieces) => pieces.iter().any(|p| !matches!(p, Piece::Plain(_))),
        Err(_) => true,
    }
}

/// The text with `$${` as `${`; unchanged if it holds anything else.
pub(crate) fn unescape(text: &str) -> String {
    let plain = |p: &Piece<'_>| match p {
        Piece::Plain(text) => Some(text.to_string()),
        _ => None,
    };
    pieces(text)
        .ok()
        .and_then(|all| all.iter().map(plain).collect())
        .unwrap_or_else(|| text.to_string())
}

/// Says what is wrong with references, without looking at what they refer to.
pub(crate) fn check_references(node: &Node, found: &mut Vec<(Pos, String)>) {
    let values = node.attributes.iter().map(|a| (&a.value, a.pos));
    for (value, pos) in values.chain([(&node.text, node.text_pos)]) {
        if let Err(message) = pieces(value) {
            found.push((pos, message));
        }
    }
    for child in &node.children {
        check_references(child, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_left() {
        assert_eq!(unescape("$${a} $ $$"), "${a} $ $$");
        assert_eq!(unescape("${env:A}"), "${env:A}");
        assert!(!has_reference("5$ {a} $${b}"));
        assert!(has_reference("$${a} ${env:A}"));
        assert!(has_reference("${broken"));
    }
}
