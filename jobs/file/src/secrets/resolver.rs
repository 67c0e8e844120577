//! From references to what they stand for: looks into the environment and into files.

use super::Secrets;
use super::reference::{Piece, has_reference, pieces, unescape};
use crate::exec::Words;
use crate::node::Node;
use crate::problem::Pos;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest secret file, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Puts values in the place of references.
pub(crate) struct Resolver<'a> {
    /// Where relative paths begin; none where files may not be referred to.
    pub(crate) home: Option<&'a Path>,
    /// The job's own variables, before those of the process.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secrets: Secrets,
    pub(crate) found: Vec<(Pos, String)>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(home: Option<&'a Path>) -> Resolver<'a> {
        Resolver {
            home,
            env: Vec::new(),
            secrets: Secrets::default(),
            found: Vec::new(),
        }
    }

    /// Resolves every value of a tree in place. With `exec` the `<command>` of the root is split into words first.
    pub(crate) fn resolve_tree(&mut self, node: &mut Node, exec: bool) {
        for attribute in &mut node.attributes {
            if exec && attribute.name == "command" {
                if let Some(value) = self.resolve_command(&attribute.value, attribute.pos) {
                    attribute.secret = true;
                    attribute.value = value;
                }
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
                if let Some(text) = self.resolve_command(&child.text, child.text_pos) {
                    child.secret = true;
                    child.text = text;
                }
            } else {
                self.resolve_tree(child, false);
            }
        }
    }

    /// The command with its references replaced; none if it has none, or is no command line, which shows later.
    fn resolve_command(&mut self, text: &str, pos: Pos) -> Option<String> {
        let words: Words = text.parse().ok().filter(|_| has_reference(text))?;
        Some(words.resolved_text(self, pos))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(home: &Path) -> Resolver<'_> {
        Resolver {
            env: vec![("PW".into(), "s3cret".into())],
            ..Resolver::new(Some(home))
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
    }
}
