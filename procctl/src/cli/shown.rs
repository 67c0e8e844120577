//! Commands that only look: status, history, logs. They work without a supervisor, too, as far as
//! files and the heartbeat table go.

use std::io::{self, Write};
use std::process::ExitCode;

use jobfile::Home;

use super::Failure;
use crate::face::terminal::Terminal;
use crate::face::words;
use crate::history::{History, list};
use crate::logs::{self, Tail};
use crate::{status, top};

/// Runs shown where nobody says how many.
const RUNS: u32 = 20;

/// Logs that are no job's.
const OWN_LOGS: [&str; 3] = ["procctl", "recorder", "checkproc"];

/// `procctl status`
pub(super) fn status(
    home: &Home,
    job: Option<&str>,
    json: bool,
    watch: bool,
) -> Result<ExitCode, Failure> {
    if watch {
        return match status::watch(home, job) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Output(error.to_string()))
            }
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    let view = status::look(home, job);
    if let (Some(near), Some(name)) = (&view.unknown, job) {
        return Err(Failure::NoSuchJob {
            name: name.to_owned(),
            hint: words::hint(near),
        });
    }
    let text = if json {
        let text = match (job, view.status.jobs.first()) {
            (Some(_), Some(row)) => serde_json::to_string(row),
            _ => serde_json::to_string(&view.status),
        };
        format!(
            "{}\n",
            text.map_err(|error| Failure::Output(error.to_string()))?
        )
    } else {
        status::render(&view, home, job, &Terminal::of_stdout())
    };
    print(text.as_bytes())?;
    match view.absent {
        None => Ok(ExitCode::SUCCESS),
        Some(absent) => Err(absent.into()),
    }
}

/// `procctl top`
pub(super) fn top(home: &Home) -> Result<ExitCode, Failure> {
    if Terminal::of_stdout().width.is_none() {
        return Err(Failure::Usage(
            "top needs a terminal; `procctl status --watch` writes to anything".to_owned(),
        ));
    }
    match top::run(home) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(error.to_string()))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// `procctl history`
pub(super) fn history(
    home: &Home,
    job: Option<&str>,
    json: bool,
    count: Option<u32>,
) -> Result<ExitCode, Failure> {
    let history = History::open(&home.state.join("history.db"))?;
    let limit = count.unwrap_or(if json { u32::MAX } else { RUNS });
    let entries = match &history {
        Some(history) => history.runs(job, limit)?,
        None => Vec::new(),
    };
    if entries.is_empty()
        && limit > 0
        && let Some(name) = job
    {
        require_job(home, name)?;
    }
    if json {
        let text = list::json(&entries).map_err(|error| Failure::Output(error.to_string()))?;
        return print(text.as_bytes());
    }
    if entries.is_empty() {
        return print(b"no runs yet\n");
    }
    print(list::table(&entries, job.is_some(), &Terminal::of_stdout()).as_bytes())
}

/// A name without any history must at least be that of a job.
fn require_job(home: &Home, name: &str) -> Result<(), Failure> {
    let files = jobfile::load_folder(&home.jobs).unwrap_or_default();
    let names = files.into_iter().map(|file| match file.outcome {
        Ok(job) => job.name,
        Err(_) => file
            .path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    });
    let mut names: Vec<String> = names.chain(logs::names(&home.log)).collect();
    if names.iter().any(|known| known == name) || OWN_LOGS.contains(&name) {
        return Ok(());
    }
    names.sort();
    names.dedup();
    Err(Failure::NoSuchJob {
        name: name.to_owned(),
        hint: words::hint(&words::nearest(name, &names)),
    })
}

/// `procctl logs`
pub(super) fn logs(
    home: &Home,
    job: &str,
    follow: bool,
    count: usize,
) -> Result<ExitCode, Failure> {
    let path = home.log.join(format!("{job}.log"));
    if job.contains('/') || !path.exists() {
        require_job(home, job)?;
    }
    let fail = |source| Failure::Log {
        path: path.clone(),
        source,
    };
    let mut out = Quiet::new();
    let newest = logs::tail(&path, count, &mut out).map_err(fail);
    let shown = match (newest, follow) {
        (Ok(Some(tail)), true) => tail.follow(&mut out).map_err(fail),
        (Ok(None), true) => Tail::wait_for(&path)
            .and_then(|tail| tail.follow(&mut out))
            .map_err(fail),
        (Ok(None), false) => {
            drop(writeln!(
                io::stderr().lock(),
                "procctl: {job} has not logged anything yet"
            ));
            Ok(())
        }
        (Ok(Some(_)), false) => Ok(()),
        (Err(failure), _) => Err(failure),
    };
    if out.closed {
        return Ok(ExitCode::SUCCESS);
    }
    shown?;
    out.flush()
        .map_err(|error| Failure::Output(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. A reader that has seen enough is no error.
pub(crate) fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(error.to_string()))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Standard output that remembers that its reader has gone.
struct Quiet {
    out: io::StdoutLock<'static>,
    closed: bool,
}

impl Quiet {
    fn new() -> Quiet {
        Quiet {
            out: io::stdout().lock(),
            closed: false,
        }
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        self.closed |= result.as_ref().is_err_and(broken);
        result
    }
}

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }
}
