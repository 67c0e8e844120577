//! What `check`, `--dry-run` and the making of a job have to say. Nothing here depends on the rest of the house.

use std::fmt;

/// Parameters that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Which one: `output.rows`, `table[2].mode` (counted from 1), or empty for the job as a whole.
    pub at: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl Invalid {
    /// A complaint about the parameter at a path.
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Invalid {
        Invalid {
            at: at.into(),
            message: message.into(),
        }
    }
}

/// What `check` and `--dry-run` have to say.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong, each with the path of the parameter it comes from.
    pub problems: Vec<Invalid>,
    /// What everybody who asks shall see, a line each: what goes where, and what is doubtful about it.
    pub told: Vec<String>,
    /// What was seen, or would be done, a line each.
    pub notes: Vec<String>,
}

impl Report {
    /// Something is wrong with what the parameter at this path points to.
    pub fn problem(&mut self, at: impl Into<String>, message: impl fmt::Display) {
        self.problems.push(Invalid::new(at, message.to_string()));
    }

    /// Something that nobody should have to ask for twice, and that is not wrong by itself.
    pub fn tell(&mut self, message: impl fmt::Display) {
        self.told.push(message.to_string());
    }

    /// Something worth telling that is not wrong.
    pub fn note(&mut self, message: impl fmt::Display) {
        self.notes.push(message.to_string());
    }
}
