//! What a kind of job is: the trait its author writes, and the entry by which the runner knows it.
//! Here the author's types are forgotten, once, in [`Kind::of`]; nothing else in the house needs to know them.
//! Nothing in this file touches the outside world.

use jobfile::{JobFile, Problems};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

pub use crate::report::{Invalid, Report};
pub use crate::tally::{Bytes, Count, Tally};
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
