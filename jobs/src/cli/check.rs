//! `jobs check`: what is wrong with job files, all of it in one go, a line each; offline the files alone, else also with
//! the world that they mean. Changes nothing. The exit code tells whether a file has to be changed or only the world.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use jobfile::{Home, JobFile, Problem, Problems};

use crate::{
    context::Context,
    error::Error,
    external, home,
    job::{Count, Report, Run},
    kinds, logging,
    world::World,
};

/// Exit codes, what weighs most first: a file that has to be changed, what somebody has to look into, what may pass by itself.
const WEIGHTS: [u8; 7] = [78, 70, 65, 77, 74, 69, 75];

/// Looks at every file. The exit code is 78 for a file that is wrong or does not fit the world, else the one that a run would end
/// with: 69 for a server that is not reachable, 77 for a wrong password.
///
/// # Errors
/// Only for what keeps it from looking at all; what is wrong with files is its answer.
pub(super) fn check(
    home: Option<&Path>,
    files: &[PathBuf],
    offline: bool,
    verbose: bool,
) -> Result<ExitCode, Error> {
    let home = home::find(home)?;
    let mut check = Check {
        home,
        offline,
        names: HashMap::new(),
        told: Vec::new(),
        notes: Vec::new(),
        wrong: Vec::new(),
    };
    for path in files {
        if let Err(Problems(found)) = check.file(path) {
            let of_the_file = found.into_iter().map(|problem| (problem, 78));
            check.wrong.extend(of_the_file);
        }
    }
    let (problems, codes): (Vec<Problem>, Vec<u8>) = check.wrong.into_iter().unzip();
    let notes = if verbose { check.notes } else { Vec::new() };
    let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
    let last = problems
        .is_empty()
        .then(|| format!("{}, no problems", Count(count, "file")));
    let told = check.told.into_iter();
    let lines = told
        .chain(notes)
        .chain(problems.iter().map(ToString::to_string))
        .chain(last);
    let mut out = io::stdout().lock();
    for line in lines {
        // A reader that has seen enough changes nothing in the verdict.
        let _gone = writeln!(out, "{}", logging::redact(&line));
    }
    Ok(ExitCode::from(heaviest(&codes)))
}

/// The exit code for all that is wrong.
fn heaviest(codes: &[u8]) -> u8 {
    let known = WEIGHTS.into_iter().find(|code| codes.contains(code));
    known.unwrap_or(if codes.is_empty() { 0 } else { 78 })
}

struct Check {
    home: Home,
    offline: bool,
    /// Where each name was seen first.
    names: HashMap<String, PathBuf>,
    /// What is told to all, and what only to those who want to know more.
    told: Vec<String>,
    notes: Vec<String>,
    /// What is wrong, with the exit code that it alone would give.
    wrong: Vec<(Problem, u8)>,
}

impl Check {
    fn file(&mut self, path: &Path) -> Result<(), Problems> {
        let (mut file, mut problems) = read(path)?;
        problems.extend(self.name(&file).err().into_iter().flat_map(|found| found.0));
        let Some(kind) = kinds::find(&file.kind) else {
            problems.extend(
                self.external(&file)
                    .err()
                    .into_iter()
                    .flat_map(|found| found.0),
            );
            return none(problems);
        };
        problems.extend(
            (kind.make)(&file)
                .err()
                .into_iter()
                .flat_map(|found| found.0),
        );
        if self.offline || !problems.is_empty() {
            return none(problems);
        }
        logging::hide(file.resolve(&self.home.root)?);
        let job = (kind.make)(&file)?;
        self.world(job, &file);
        Ok(())
    }

    /// Two jobs of one name would share their state.
    fn name(&mut self, file: &JobFile) -> Result<(), Problems> {
        match self.names.insert(file.name.clone(), file.path.clone()) {
            Some(first) if first != file.path => Err(Problem::new(
                &file.path,
                file.locate("name"),
                format!("name `{}` is taken by {}", file.name, first.display()),
            )
            .into()),
            _ => Ok(()),
        }
    }

    fn external(&mut self, file: &JobFile) -> Result<(), Problems> {
        let Some(program) = external::find(&self.home, &file.kind)? else {
            return Err(external::unknown(file).into());
        };
        let (path, program) = (file.path.display(), program.display());
        self.notes.push(format!(
            "{path}: its parameters are not checked, they are the matter of {program}"
        ));
        Ok(())
    }

    /// Lets the job look at the world.
    fn world(&mut self, mut job: Box<dyn Run>, file: &JobFile) {
        let mut report = Report::default();
        let looked = World::to_look_at(&self.home, &file.name)
            .map(Context::new)
            .and_then(|mut cx| job.check(&mut cx, &mut report));
        let path = file.path.display();
        self.told
            .extend(report.told.iter().map(|line| format!("{path}: {line}")));
        self.notes
            .extend(report.notes.iter().map(|note| format!("{path}: {note}")));
        let found = report.problems.iter();
        let misfits = found.map(|wrong| (file.problem_at(&wrong.at, &wrong.message), 78));
        self.wrong.extend(misfits);
        if let Err(error) = looked {
            let whole = file.problem_at("", &error.chain());
            self.wrong.push((whole, error.exit_code()));
        }
    }
}

/// Reads a file as far as that goes: what its attributes lack does not hide what its parameters lack.
fn read(path: &Path) -> Result<(JobFile, Vec<Problem>), Problems> {
    jobfile::check_trust(path)?;
    let text = std::fs::read(path)
        .map_err(|error| Problem::whole(path, format!("cannot read: {error}")))?;
    match JobFile::inspect(path, &text) {
        (Some(file), problems) => Ok((file, problems.0)),
        (None, problems) => Err(problems),
    }
}

fn none(problems: Vec<Problem>) -> Result<(), Problems> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weighs_most_gives_the_code() {
        assert_eq!(heaviest(&[]), 0);
        assert_eq!(heaviest(&[69]), 69);
        assert_eq!(heaviest(&[75, 69, 77]), 77);
        assert_eq!(heaviest(&[69, 78]), 78);
    }
}
