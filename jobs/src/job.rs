//! What a kind of job is: the trait its author writes, and the entry by which the runner knows it.
//! Here the author's types are forgotten, once, in [`Kind::of`]; nothing else in the house needs to know them.
//! Nothing in this file touches the outside world.

use std::fmt;

use jobfile::{JobFile, Problems};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use crate::{context::Context, error::Error};

/// A kind of job: what its author writes. One value is one job, made from one job file.
pub trait Job: Sized + 'static {
    /// The name of the root element, in kebab-case.
    const KIND: &'static str;
    /// What it does, in one line without a full stop.
    const ABOUT: &'static str;
    /// A job file that shows it at work: `include_str!` of its file in `etc/jobs/`.
    const SAMPLE: &'static str;
    /// The parameters: fields by kebab-case name, doc comments for users, unknown names refused.
    type Params: DeserializeOwned + JsonSchema;

    /// Makes the job from its parameters. It is pure: it opens nothing and looks at nothing outside.
    ///
    /// # Errors
    /// [`Invalid`] when parameters that are fine one by one do not fit together.
    fn new(params: Self::Params) -> Result<Self, Invalid>;

    /// Does the work once. The runner, not the kind, sees to loops, signals, locks and exit codes.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Stopped`] after a stop at a safe point.
    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error>;

    /// Looks at the outside world for `jobs check`: connects, lists, reads dictionaries. It changes nothing.
    ///
    /// # Errors
    /// What kept it from looking; what it found wrong goes into the report.
    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        let _ = (cx, report);
        Ok(())
    }

    /// Tells what a run would do now, for `jobs run --dry-run`. It changes nothing.
    ///
    /// # Errors
    /// As [`Job::check`], which it is unless the kind knows better.
    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        self.check(cx, report)
    }
}

/// A job whose type is forgotten: what the runner drives. Every [`Job`] is one.
pub trait Run {
    /// As [`Job::run`].
    ///
    /// # Errors
    /// As [`Job::run`].
    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error>;
    /// As [`Job::check`].
    ///
    /// # Errors
    /// As [`Job::check`].
    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error>;
    /// As [`Job::dry_run`].
    ///
    /// # Errors
    /// As [`Job::dry_run`].
    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error>;
}

impl<J: Job> Run for J {
    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        Job::run(self, cx)
    }
    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        Job::check(self, cx, report)
    }
    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        Job::dry_run(self, cx, report)
    }
}

/// An entry in the list of kinds.
pub struct Kind {
    /// The root element, [`Job::KIND`].
    pub name: &'static str,
    /// One line, [`Job::ABOUT`].
    pub about: &'static str,
    /// A whole job file, [`Job::SAMPLE`].
    pub sample: &'static str,
    /// Makes the job that a file describes, or says everything that is wrong with its parameters.
    pub make: fn(&JobFile) -> Result<Box<dyn Run>, Problems>,
    /// The schema of the parameters, with nested schemas in place.
    pub schema: fn() -> Schema,
}

impl Kind {
    /// Makes the entry of a kind; the only place where its type is forgotten.
    #[must_use]
    pub const fn of<J: Job>() -> Kind {
        Kind {
            name: J::KIND,
            about: J::ABOUT,
            sample: J::SAMPLE,
            make: make::<J>,
            schema: schema_of::<J::Params>,
        }
    }
}

fn make<J: Job>(file: &JobFile) -> Result<Box<dyn Run>, Problems> {
    let job =
        J::new(file.params()?).map_err(|Invalid { at, message }| file.problem_at(&at, &message))?;
    Ok(Box::new(job))
}

/// The JSON Schema of a type, with nested schemas in place instead of references.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Schema {
    schemars::generate::SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

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

/// What a pass did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows (or records, or whatever the kind counts) taken in.
    pub read: u64,
    /// Rows that reached their target.
    pub written: u64,
    /// Rows put aside as bad.
    pub rejected: u64,
    /// Bytes read or written, whichever the kind is about.
    pub bytes: u64,
    /// Files worked on to the end.
    pub files: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.read += other.read;
        self.written += other.written;
        self.rejected += other.rejected;
        self.bytes += other.bytes;
        self.files += other.files;
    }
}

impl fmt::Display for Tally {
    /// `read 26115, written 26115, rejected 0, 3 files, 1.9 MB`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "read {}, written {}, rejected {}, {}, {}",
            self.read,
            self.written,
            self.rejected,
            Count(self.files, "file"),
            Bytes(self.bytes)
        )
    }
}

/// So many of something, by the name of one: `1 file`, `0 files`.
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{ending}", self.0, self.1)
    }
}

/// A number of bytes for people: `812 B`, `1.9 MB` (powers of 1000).
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
        let (mut whole, mut rest, mut unit) = (self.0, 0, 0);
        while whole >= 1000 && unit + 1 < UNITS.len() {
            rest = whole % 1000 / 100;
            whole /= 1000;
            unit += 1;
        }
        if unit == 0 {
            write!(f, "{whole} B")
        } else {
            write!(f, "{whole}.{rest} {}", UNITS[unit])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        let shown: Vec<String> = [0, 999, 1000, 1_940_000, 1_000_000_000, u64::MAX]
            .into_iter()
            .map(|n| Bytes(n).to_string())
            .collect();
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.0 kB", "1.9 MB", "1.0 GB", "18446.7 PB"]
        );
    }

    #[test]
    fn one_is_not_many() {
        let shown = [0, 1, 2].map(|n| Count(n, "row").to_string());
        assert_eq!(shown, ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn tallies_add_up() {
        let mut sum = Tally {
            read: 3,
            files: 1,
            ..Tally::default()
        };
        sum += Tally {
            read: 2,
            written: 5,
            ..Tally::default()
        };
        assert_eq!(
            sum.to_string(),
            "read 5, written 5, rejected 0, 1 file, 0 B"
        );
    }
}
