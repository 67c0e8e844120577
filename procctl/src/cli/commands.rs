//! Commands that change something: all but `run` ask the supervisor, and show what it says.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use jobfile::Home;

use super::{Failure, shown};
use crate::control::client::{Connection, Error};
use crate::face::terminal::{Colour, Terminal};
use crate::face::words;
use crate::plan::request::JobAnswer;
use crate::plan::{Answer, Request};
use crate::status::PATIENCE;

/// How long a supervisor that has said its last word may take to end.
const ENDING: Duration = Duration::from_secs(30);

/// `procctl run`
pub(super) fn run(home: &Home) -> Result<ExitCode, Failure> {
    crate::supervisor::run(home)?;
    Ok(ExitCode::SUCCESS)
}

/// `procctl start` without jobs.
pub(super) fn start(home: &Home) -> Result<ExitCode, Failure> {
    crate::supervisor::start(home)?;
    Ok(ExitCode::SUCCESS)
}

/// `procctl stop` without jobs: comes back when the supervisor has ended.
pub(super) fn stop(home: &Home) -> Result<ExitCode, Failure> {
    let mut connection = Connection::open(&home.run)?;
    match connection.ask(&Request::Stop { jobs: Vec::new() }, None) {
        Ok(answer) => {
            let code = show(&answer)?;
            // the answer comes before the end; what follows may count on the end
            if !connection.wait_for_end(ENDING) {
                let text = "the supervisor has stopped all jobs but does not end";
                return Err(Error::Lost(io::Error::new(io::ErrorKind::TimedOut, text)).into());
            }
            Ok(code)
        }
        Err(error) => Err(error.into()),
    }
}

/// `procctl restart` without jobs: the new supervisor answers on the old one's connection, or on a new one.
pub(super) fn restart(home: &Home) -> Result<ExitCode, Failure> {
    let request = Request::Restart { jobs: Vec::new() };
    match Connection::open(&home.run)?.ask(&request, None) {
        Ok(answer) => show(&answer),
        Err(Error::Lost(_)) => {
            let status = Request::Status { job: None };
            Connection::open(&home.run)?.ask(&status, Some(PATIENCE))?;
            show(&Answer::Done {
                text: "restarted".to_owned(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Commands for jobs: asks, shows a line a job.
pub(super) fn ask_for_jobs(home: &Home, request: &Request) -> Result<ExitCode, Failure> {
    let mut connection = Connection::open(&home.run)?;
    let answer = connection.ask(request, None)?;
    let mut unknown = false;
    if let Answer::Jobs { jobs } = &answer
        && jobs.iter().any(|job| !job.ok)
    {
        unknown = hint(&mut connection, jobs);
    }
    let code = show(&answer)?;
    Ok(if unknown { ExitCode::from(64) } else { code })
}

/// `procctl reload`: beside what changed it says what is wrong with the jobs that were named.
pub(super) fn reload(home: &Home, jobs: Vec<String>) -> Result<ExitCode, Failure> {
    let mut connection = Connection::open(&home.run)?;
    let request = Request::Reload { jobs: jobs.clone() };
    let code = show(&connection.ask(&request, None)?)?;
    let status = Request::Status { job: None };
    let Answer::Status(status) = connection.ask(&status, Some(PATIENCE))? else {
        return Ok(code);
    };
    let mut text = String::new();
    for row in &status.jobs {
        let named = jobs.iter().any(|job| **job == *row.job);
        if let (true, Some(problem)) = (named, &row.problem) {
            text.push_str(&format!("{}  {problem}\n", row.job));
        }
    }
    shown::print(text.as_bytes())?;
    Ok(if text.is_empty() {
        code
    } else {
        ExitCode::FAILURE
    })
}

/// Says which names are near those that no job has; whether there are such names.
fn hint(connection: &mut Connection, jobs: &[JobAnswer]) -> bool {
    let status = Request::Status { job: None };
    let Ok(Answer::Status(status)) = connection.ask(&status, Some(PATIENCE)) else {
        return false;
    };
    let names: Vec<String> = status.jobs.iter().map(|row| row.job.to_string()).collect();
    let unknown = |job: &&JobAnswer| !job.ok && !names.contains(&job.job);
    for job in jobs.iter().filter(unknown) {
        let near = words::nearest(&job.job, &names);
        if !near.is_empty() {
            // the answer itself follows on standard output
            drop(writeln!(
                io::stderr().lock(),
                "procctl: {}{}",
                job.job,
                words::hint(&near)
            ));
        }
    }
    jobs.iter().any(|job| unknown(&job))
}

/// Shows an answer; the exit code says whether everything is as was asked.
fn show(answer: &Answer) -> Result<ExitCode, Failure> {
    let terminal = Terminal::of_stdout();
    let (text, ok) = match answer {
        Answer::Jobs { jobs } => {
            let width = jobs
                .iter()
                .map(|job| job.job.chars().count())
                .max()
                .unwrap_or(0);
            let line = |job: &JobAnswer| {
                let colour = if job.ok { Colour::Plain } else { Colour::Bad };
                format!(
                    "{:width$}  {}\n",
                    job.job,
                    terminal.paint(colour, &job.text)
                )
            };
            let text: String = jobs.iter().map(line).collect();
            (text, jobs.iter().all(|job| job.ok))
        }
        Answer::Done { text } => (format!("{text}\n"), true),
        Answer::Refused { text } => (format!("{text}\n"), false),
        Answer::Status(_) => (String::new(), false),
    };
    shown::print(text.as_bytes())?;
    Ok(ExitCode::from(u8::from(!ok)))
}
