//! `procctl check`: everything that is wrong with job files and settings, in one go; runs no job.
//! What belongs to a kind is checked by `jobs check --offline`, since only `jobs` knows kinds.

mod between;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use jobfile::{Exec, Home, JobFile, Problem};

use crate::cli::{failure::Failure, shown::print};

/// Files handed to one `jobs check`: their paths must fit a command line.
const AT_ONCE: usize = 200;

/// Exit code of `jobs check` when files are wrong.
const WRONG: i32 = 78;

/// Checks `files`, or the whole home where none are given, and prints every problem a line.
///
/// # Errors
/// Only for what keeps it from checking at all.
pub fn check(home: Option<&Path>, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let (lines, count) = match files {
        [] => check_home(home)?,
        // files may be checked without any home
        files => (
            check_files(files, Home::find(home).ok().as_ref(), Scope::Some)?,
            files.len(),
        ),
    };
    let plural = if count == 1 { "" } else { "s" };
    let text = match lines.is_empty() {
        true => format!("{count} file{plural}, no problems\n"),
        false => lines.iter().map(|line| format!("{line}\n")).collect(),
    };
    print(text.as_bytes())?;
    Ok(ExitCode::from(if lines.is_empty() { 0 } else { 78 }))
}

/// The settings and all job files.
fn check_home(home: Option<&Path>) -> Result<(Vec<String>, usize), Failure> {
    let (folder, found, mut lines) = match Home::find(home) {
        Ok(home) => (home.jobs.clone(), Some(home), Vec::new()),
        // the job files are looked at all the same where only the settings are wrong
        Err(problems) => {
            let settings = problems.0.first().map(|problem| problem.file.clone());
            let settings = settings.filter(|file| file.ends_with("procctl.xml"));
            let Some(settings) = settings else {
                return Err(Failure::Problems(problems));
            };
            let lines = problems.0.iter().map(ToString::to_string).collect();
            (settings.with_file_name("jobs"), None, lines)
        }
    };
    let files = jobfile::job_files(&folder).map_err(|problem| Failure::Problems(problem.into()))?;
    lines.extend(check_files(&files, found.as_ref(), Scope::All)?);
    Ok((lines, files.len()))
}

/// Whether the files are all that a home has, so that names in them can be looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Some,
}

/// All problems, in the order of the files and their lines. Of two files with one job name the later is at fault.
fn check_files(
    files: &[PathBuf],
    home: Option<&Home>,
    scope: Scope,
) -> Result<Vec<String>, Failure> {
    let mut owners: HashMap<String, &PathBuf> = HashMap::new();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut others = Vec::new();
    let mut jobs: Vec<(usize, JobFile)> = Vec::new();
    for (place, path) in files.iter().enumerate() {
        let (job, mut problems) = inspect(path);
        if let Some(job) = job {
            let owner = *owners.entry(job.name.clone()).or_insert(path);
            if owner != path {
                let message = format!("name `{}` is taken by {}", job.name, owner.display());
                problems.push(Problem::new(path, job.locate("name"), message));
            }
            if job.kind == "exec" {
                problems.extend(job.params::<Exec>().err().unwrap_or_default().0);
            } else {
                others.push((place, path.clone()));
            }
            jobs.push((place, job));
        }
        lines.push(problems.iter().map(ToString::to_string).collect());
    }
    if let (Scope::All, Some(home)) = (scope, home) {
        let known: Vec<&JobFile> = jobs.iter().map(|(_, job)| job).collect();
        let pools: HashSet<&str> = home
            .settings
            .pools
            .iter()
            .map(|pool| pool.name.as_str())
            .collect();
        for (at, problem) in between::problems(&known, &pools) {
            lines[jobs[at].0].push(problem.to_string());
        }
    }
    for some in others.chunks(AT_ONCE) {
        check_kinds(some, home, &mut lines)?;
    }
    for (path, lines) in files.iter().zip(&mut lines) {
        lines.sort_by_key(|line| place(path, line));
        lines.dedup();
    }
    Ok(lines.into_iter().flatten().collect())
}

/// Reads a file as far as that goes: there may be a job beside the problems.
fn inspect(path: &Path) -> (Option<JobFile>, Vec<Problem>) {
    if let Err(problem) = jobfile::check_trust(path) {
        return (None, vec![problem]);
    }
    match std::fs::read(path) {
        Ok(text) => {
            let (job, problems) = JobFile::inspect(path, &text);
            (job, problems.0)
        }
        Err(error) => (
            None,
            vec![Problem::whole(path, format!("cannot read: {error}"))],
        ),
    }
}

/// Line and column of `path:line:column: message`; zeros where it has none.
fn place(path: &Path, line: &str) -> (u32, u32) {
    let rest = line.strip_prefix(&format!("{}:", path.display()));
    let mut numbers = rest
        .unwrap_or_default()
        .split(':')
        .map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Has `jobs` look at files whose kinds only it knows; its lines go to the places of their files.
fn check_kinds(
    files: &[(usize, PathBuf)],
    home: Option<&Home>,
    lines: &mut [Vec<String>],
) -> Result<(), Failure> {
    let program = jobs_program();
    let mut command = Command::new(&program);
    if let Some(home) = home {
        command.arg("--home").arg(&home.root);
    }
    command.args(["check", "--offline", "--"]);
    command.args(files.iter().map(|(_, path)| path));
    let fail = |source| Failure::Check {
        program: program.clone(),
        source,
    };
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(fail)?;
    match output.status.code() {
        Some(0) => return Ok(()),
        Some(WRONG) => {}
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let text = format!("{}: {}", output.status, said.trim());
            return Err(fail(io::Error::other(text)));
        }
    }
    let mut place = files.first().map_or(0, |(place, _)| *place);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // a line without a file of its own belongs to the one before
        let named = files
            .iter()
            .find(|(_, path)| line.starts_with(&format!("{}:", path.display())));
        place = named.map_or(place, |(place, _)| *place);
        lines[place].push(line.to_owned());
    }
    Ok(())
}

/// The program beside this one, else whatever `PATH` has.
fn jobs_program() -> PathBuf {
    let beside = std::env::current_exe().map(|own| own.with_file_name("jobs"));
    match beside {
        Ok(path) if path.is_file() => path,
        _ => PathBuf::from("jobs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_problems_of_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let files = [
            write("a.xml", "<exec name='x'><command>true</command></exec>"),
            write("b.xml", "<exec name='x'><command>true</command></exec>"),
            write(
                "c.xml",
                "<exec every='soon' spaly='1s'>\n<comand>true</comand></exec>",
            ),
            write("d.xml", "<exec><command>true</exec>"),
        ];
        let lines = check_files(&files, None, Scope::Some).unwrap();
        let of = |name: &str| {
            let start = format!("{}:", folder.path().join(name).display());
            lines.iter().filter(|line| line.starts_with(&start)).count()
        };
        assert_eq!(of("a.xml"), 0, "{lines:#?}");
        assert_eq!(of("b.xml"), 1, "{lines:#?}");
        assert!(of("c.xml") >= 3, "{lines:#?}");
        assert_eq!(of("d.xml"), 1, "{lines:#?}");
        let same_twice = [files[0].clone(), files[0].clone()];
        assert!(
            check_files(&same_twice, None, Scope::Some)
                .unwrap()
                .is_empty()
        );
    }
}
