//! What is wrong with a file, and where: the only error type of this crate.
//!
//! A file is read to its end whatever is found, so errors come as a list. They speak to the person who
//! wrote the file: lower case, naming element and attribute, with the nearest known name where there is one.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a text, both counted from 1; columns count characters, not bytes. `0:0` is the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos {
    /// The line, from 1.
    pub line: u32,
    /// The character within the line, from 1.
    pub column: u32,
}

/// One thing wrong in one file. Displays as `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named when it was read.
    pub file: PathBuf,
    /// Where in the file.
    pub pos: Pos,
    /// What is wrong, with a hint where one is known.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(file: &Path, pos: Pos, message: impl Into<String>) -> Problem {
        Problem {
            file: file.to_path_buf(),
            pos,
            message: message.into(),
        }
    }

    /// A problem of the file as a whole, such as one that cannot be opened.
    pub fn whole(file: &Path, message: impl Into<String>) -> Problem {
        Problem::new(file, Pos::default(), message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.pos {
            Pos { line: 0, .. } => write!(f, "{file}: {}", self.message),
            Pos { line, column } => write!(f, "{file}:{line}:{column}: {}", self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// Everything wrong with a file, in the order of the text. Displays one problem a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The list for one file, sorted by place.
    pub(crate) fn of(file: &Path, mut found: Vec<(Pos, String)>) -> Problems {
        found.sort_by_key(|(pos, _)| *pos);
        found.dedup();
        let each = found.into_iter();
        Problems(
            each.map(|(pos, message)| Problem::new(file, pos, message))
                .collect(),
        )
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}
