//! `procctl check`: everything that is wrong with job files and settings, in one go; runs no job.
//! What belongs to a kind is checked by `jobs check --offline`, since only `jobs` knows kinds.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use jobfile::{Exec, Home, JobFile, Loaded, Problem};

use crate::cli::Failure;

/// Files handed to one `jobs check`: their paths must fit a command line.
const AT_ONCE: usize = 200;

/// Exit code of `jobs check` when files are wrong.
const WRONG: i32 = 78;

/// Checks `files`, or the whole home where none are given, and prints every problem a line.
///
/// # Errors
/// Only for what keeps it from checking at all.
pub fn check(home: Option<&Path>, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let (lines, count) = if files.is_empty() {
        check_home(home)?
    } else {
        // files may be checked without any home
        let found = Home::find(home).ok();
        (check_loaded(load(files), found.as_ref())?, files.len())
    };
    let plural = if count == 1 { "" } else { "s" };
    let text = match lines.is_empty() {
        true => format!("{count} file{plural}, no problems\n"),
        false => lines.iter().map(|line| format!("{line}\n")).collect(),
    };
    crate::cli::print(text.as_bytes())?;
    Ok(ExitCode::from(if lines.is_empty() { 0 } else { 78 }))
}

/// The settings and all job files.
fn check_home(home: Option<&Path>) -> Result<(Vec<String>, usize), Failure> {
    let home = match Home::find(home) {
        Ok(home) => home,
        // the job files are looked at all the same when only the settings are wrong
        Err(problems) => {
            let mut lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
            let root = problems.0.first().and_then(|problem| problem.file.parent());
            let files = root.map(|root| jobfile::load_folder(&root.join("jobs")));
            if let Some(Ok(files)) = files {
                lines.extend(check_loaded(files, None)?);
            }
            return Ok((lines, 1));
        }
    };
    let files =
        jobfile::load_folder(&home.jobs).map_err(|problem| Failure::Problems(problem.into()))?;
    let count = files.len();
    Ok((check_loaded(files, Some(&home))?, count))
}

/// Reads files; of two with one job name the later is at fault.
fn load(files: &[PathBuf]) -> Vec<Loaded> {
    let mut owners: HashMap<String, PathBuf> = HashMap::new();
    let read = files.iter().map(|path| {
        let outcome = JobFile::read(path).and_then(|job| match owners.get(&job.name) {
            Some(owner) if owner != path => {
                let message = format!("name `{}` is taken by {}", job.name, owner.display());
                Err(Problem::new(path, job.locate("name"), message).into())
            }
            _ => {
                owners.insert(job.name.clone(), path.clone());
                Ok(job)
            }
        });
        Loaded {
            path: path.clone(),
            outcome,
        }
    });
    read.collect()
}

/// All problems, in the order of the files.
fn check_loaded(files: Vec<Loaded>, home: Option<&Home>) -> Result<Vec<String>, Failure> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut others = Vec::new();
    for (place, file) in files.into_iter().enumerate() {
        let checked = file.outcome.and_then(|job| match job.kind.as_str() {
            "exec" => job.params::<Exec>().map(drop),
            _ => {
                others.push((place, file.path));
                Ok(())
            }
        });
        let problems = checked.err().unwrap_or_default();
        lines.push(problems.0.iter().map(ToString::to_string).collect());
    }
    for some in others.chunks(AT_ONCE) {
        check_kinds(some, home, &mut lines)?;
    }
    Ok(lines.into_iter().flatten().collect())
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
            write("c.xml", "<exec spaly='1s'>\n<comand>true</comand></exec>"),
            write("d.xml", "<exec><command>true</exec>"),
        ];
        let lines = check_loaded(load(&files), None).unwrap();
        let of = |name: &str| {
            let start = format!("{}:", folder.path().join(name).display());
            lines.iter().filter(|line| line.starts_with(&start)).count()
        };
        assert_eq!(of("a.xml"), 0, "{lines:#?}");
        assert_eq!(of("b.xml"), 1, "{lines:#?}");
        assert!(of("c.xml") >= 2, "{lines:#?}");
        assert_eq!(of("d.xml"), 1, "{lines:#?}");
        let same_twice = [files[0].clone(), files[0].clone()];
        assert!(check_loaded(load(&same_twice), None).unwrap().is_empty());
    }
}
