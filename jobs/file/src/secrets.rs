//! `${env:NAME}` and `${file:PATH}`: values that are not in the file but put into it when the job starts.
//!
//! `$${` stands for a plain `${`. What was put in is remembered, so that it can be taken out of every
//! message. Nothing here is ever shown, `Debug` included.

use crate::exec::IN_COMMAND;
use crate::node::Node;
use crate::problem::Pos;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest secret file, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// Shorter values are too common to be taken out of running text: redacting a `1` would garble all of it.
const SHORTEST: usize = 4;
const HIDDEN: &str = "***";

/// The values that were put in, for redaction.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// As put in and as a URL's parser gives them out, the longest first.
    values: Vec<String>,
}

impl Secrets {
    /// The text with every secret in it as `***`. Secrets shorter than 4 bytes are left.
    pub fn redact(&self, text: &str) -> String {
        let hide = |text: String, value: &String| match text.contains(value.as_str()) {
            true => text.replace(value.as_str(), HIDDEN),
            false => text,
        };
        self.values.iter().fold(text.to_string(), hide)
    }

    /// True if there is nothing to redact.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn remember(&mut self, value: &str) {
        let decoded = percent_decoded(value);
        let forms = value.lines().map(str::to_string).chain(decoded);
        self.values.extend(forms.filter(|v| v.len() >= SHORTEST));
        self.values
            .sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        self.values.dedup();
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

/// A password in a URL is written with `%40` for `@`; a driver's message may show it decoded.
fn percent_decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| {
            char::from(b)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                    continue;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8(bytes).ok().filter(|d| d != value)
}

/// One piece of a value.
enum Piece<'a> {
    Plain(&'a str),
    Env(&'a str),
    File(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
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

/// Puts values in the place of references.
pub(crate) struct Resolver<'a> {
    /// Where relative paths begin; none where files may not be referred to.
    pub(crate) home: Option<&'a Path>,
    /// The job's own variables, before those of the process.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secrets: Secrets,
    pub(crate) found: Vec<(Pos, String)>,
}

impl Resolver<'_> {
    /// Resolves every value of a tree in place. With `exec` the `<command>` of the root is left alone.
    pub(crate) fn resolve_tree(&mut self, node: &mut Node, exec: bool) {
        for attribute in &mut node.attributes {
            if exec && attribute.name == "command" {
                self.refuse_in_command(&attribute.value, attribute.pos);
            } else if let Some(value) = self.resolve(&attribute.value, attribute.pos) {
                attribute.secret |= value != unescape(&attribute.value);
                attribute.value = value;
            }
        }
        if let Some(text) = self.resolve(&node.text, node.text_pos) {
            node.secret |= text != unescape(&node.text);
            node.text = text;
        }
        for child in &mut node.children {
            if exec && child.name == "command" {
                self.refuse_in_command(&child.text, child.text_pos);
            } else {
                self.resolve_tree(child, false);
            }
        }
    }

    fn refuse_in_command(&mut self, text: &str, pos: Pos) {
        if has_reference(text) {
            self.found.push((pos, format!("<command>: {IN_COMMAND}")));
        }
    }

    /// The value with its references replaced; none if it stays as it is.
    pub(crate) fn resolve(&mut self, text: &str, pos: Pos) -> Option<String> {
        if !text.contains("${") {
            return None;
        }
        match pieces(text).and_then(|pieces| self.join(&pieces)) {
            Ok(value) => Some(value),
            Err(message) => {
                self.found.push((pos, message));
                None
            }
        }
    }

    fn join(&mut self, pieces: &[Piece<'_>]) -> Result<String, String> {
        let mut value = String::new();
        for piece in pieces {
            let secret = match piece {
                Piece::Plain(text) => {
                    value.push_str(text);
                    continue;
                }
                Piece::Env(name) => self.variable(name)?,
                Piece::File(path) => self.file(path)?,
            };
            self.secrets.remember(&secret);
            value.push_str(&secret);
        }
        Ok(value)
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        if let Some((_, value)) = self.env.iter().find(|(n, _)| n == name) {
            return Ok(value.clone());
        }
        std::env::var(name).map_err(|e| match e {
            std::env::VarError::NotPresent => format!("environment variable `{name}` is not set"),
            std::env::VarError::NotUnicode(_) => {
                format!("environment variable `{name}` is not UTF-8")
            }
        })
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let home = self.home.ok_or_else(|| {
            "`${file:…}` cannot stand in an attribute that says when and how a job runs: these are read \
             before it starts"
                .to_string()
        })?;
        let path = home.join(path);
        read_secret(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    }
}

fn read_secret(path: &PathBuf) -> Result<String, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let metadata = file.metadata().map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("is not a file".to_string());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is longer than {MAX_FILE} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_string())?;
    if text.contains('\0') {
        return Err("holds a NUL".to_string());
    }
    let one_line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(one_line.strip_suffix('\r').unwrap_or(one_line).to_string())
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

    fn resolver(home: &Path) -> Resolver<'_> {
        Resolver {
            home: Some(home),
            env: vec![("PW".into(), "s3cret".into())],
            secrets: Secrets::default(),
            found: Vec::new(),
        }
    }

    #[test]
    fn references_are_replaced_and_remembered() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("pw"), "p%40ss word\n").unwrap();
        let mut r = resolver(home.path());
        let url = r.resolve("pg://u:${file:pw}@h/${env:PW}?x=$${y}", Pos::default());
        assert_eq!(url.as_deref(), Some("pg://u:p%40ss word@h/s3cret?x=${y}"));
        assert_eq!(r.secrets.redact("bad p@ss word, s3cret"), "bad ***, ***");
        assert_eq!(format!("{:?}", r.secrets), "Secrets(3)");
        assert!(r.found.is_empty());
    }

    #[test]
    fn what_cannot_be_resolved_is_said() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("big"), vec![b'x'; 70_000]).unwrap();
        std::fs::write(home.path().join("bin"), b"\xff").unwrap();
        let mut r = resolver(home.path());
        for (text, why) in [
            ("${env:NOT_SET_ANYWHERE_9}", "is not set"),
            ("${file:none}", "cannot read"),
            ("${file:big}", "longer than"),
            ("${file:bin}", "not UTF-8"),
            ("${file:.}", "is not a file"),
            ("${foo:x}", "unknown reference `${foo:x}`"),
            ("${env:}", "unknown reference"),
            ("${env:PW", "without its `}`"),
        ] {
            assert_eq!(r.resolve(text, Pos::default()), None, "{text}");
            let (_, message) = r.found.pop().unwrap();
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn plain_text_is_left() {
        let home = tempfile::tempdir().unwrap();
        let mut r = resolver(home.path());
        assert_eq!(r.resolve("cost: 5$ {a}", Pos::default()), None);
        assert_eq!(unescape("$${a} $ $$"), "${a} $ $$");
    }
}
