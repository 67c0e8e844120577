//! Names of files on the wire: relative paths that cannot lead out of a folder, whatever the other side says. Pure.
//!
//! What a name may not be is refused, never mended: absolute, empty parts, `.` and `..`, a part that begins with a dot
//! (temporary files do), control characters, parts of more than 255 bytes, more than 64 parts, more than 4096 bytes.

use std::fmt;

/// The longest name, in bytes.
pub(crate) const LONGEST: usize = 4096;
/// The longest part of a name, in bytes.
const PART: usize = 255;
/// Parts of a name at most.
const DEEPEST: usize = 64;

/// A checked name, relative to some folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(String);

impl Name {
    /// The name, or what is wrong with it.
    pub(crate) fn new(text: impl Into<String>) -> Result<Name, &'static str> {
        let text = text.into();
        if text.is_empty() {
            return Err("the name is empty");
        }
        check(&text)?;
        Ok(Name(text))
    }

    /// The folders on the way; empty for a file in the folder itself.
    pub(crate) fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The last part.
    pub(crate) fn leaf(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, leaf)| leaf)
    }

    /// As a text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in a folder below which it is; the folder is a checked one, or empty.
    pub(crate) fn below(&self, folder: &str) -> Result<Name, &'static str> {
        Name::new(join(folder, &self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A folder's path as the wire has it: checked as a name is, but it may be empty, `.` or begin with `./`, which all mean
/// the root, and it may end in a slash. A leading slash means the root too: a folder is never anything but relative.
pub(crate) fn folder(text: &str) -> Result<String, &'static str> {
    let text = text.trim_matches('/');
    let text = text.strip_prefix("./").unwrap_or(text);
    if text.is_empty() || text == "." {
        return Ok(String::new());
    }
    check(text)?;
    Ok(text.to_owned())
}

/// A path below a folder, which may be the root.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > LONGEST {
        return Err("the name is too long");
    }
    if text.chars().any(char::is_control) {
        return Err("the name holds control characters");
    }
    let mut parts = 0;
    for part in text.split('/') {
        parts += 1;
        match part {
            "" => return Err("the name is absolute or has an empty part"),
            "." | ".." => return Err("the name leads out of its folder"),
            part if part.starts_with('.') => return Err("the name has a part with a leading dot"),
            part if part.len() > PART => return Err("a part of the name is too long"),
            _ => {}
        }
    }
    if parts > DEEPEST {
        return Err("the name has too many parts");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_pass() {
        for (text, folder, leaf) in [
            ("a", "", "a"),
            ("a/b.xml", "a", "b.xml"),
            ("站/观 测.csv", "站", "观 测.csv"),
        ] {
            let name = Name::new(text).unwrap();
            assert_eq!((name.folder(), name.leaf()), (folder, leaf));
        }
        assert_eq!(
            Name::new("a").unwrap().below("x/y").unwrap().as_str(),
            "x/y/a"
        );
    }

    #[test]
    fn names_that_lead_out_or_hide_are_refused() {
        let long = "x".repeat(256);
        let deep = ["x"; 65].join("/");
        let huge = ["x".repeat(250).as_str(); 20].join("/");
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            ".ssh",
            "a/.b",
            "a\nb",
            "a\rb",
            "a\0b",
            "a\u{7f}",
            &long,
            &deep,
            &huge,
        ] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn folders_are_relative_whatever_is_written() {
        for root in ["", "/", ".", "./"] {
            assert_eq!(folder(root).unwrap(), "", "{root}");
        }
        assert_eq!(folder("/a/b/").unwrap(), "a/b");
        assert_eq!(folder("./vip").unwrap(), "vip");
        assert!(folder("..").is_err() && folder("a/../..").is_err());
    }

    proptest! {
        #[test]
        fn what_passes_stays_below(text in "[./a\\x00-]{0,12}") {
            if let Ok(name) = Name::new(text.as_str()) {
                prop_assert!(name.as_str().split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
            }
        }
    }
}
