//! Runs a job: reads its file, becomes who it should be, takes its lock and its heartbeat slot, makes its passes, and
//! tells how it ended. Loops, signals, secrets and exit codes are here, so that no kind has to know of them.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use checkproc::{Outcome, Pulse};
use jobfile::{Home, JobFile};

use crate::{
    context::Context,
    error::Error,
    external, home,
    hours::Hours,
    identity,
    job::{Report, Run},
    kinds,
    lock::Lock,
    logging::{self, Sink},
    notice::Notices,
    origin::Origin,
    passes,
    stop::Stop,
    world::World,
};

/// A job file that is larger is none; jobfile has the same limit for files.
const LIMIT: u64 = 1 << 20;

/// What is to be run, as the command line says it.
#[derive(Debug)]
pub struct Order {
    /// The job.
    pub source: Source,
    /// The home folder, if not the usual one.
    pub home: Option<PathBuf>,
    /// Values to change, by path.
    pub set: Vec<(String, String)>,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Stay and make passes until stopped.
    pub resident: bool,
}

/// Where a job comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The XML itself.
    Inline(String),
    /// Standard input.
    Stdin,
}

impl Source {
    /// What a word on the command line means.
    #[must_use]
    pub fn named(word: OsString) -> Source {
        match word.to_str() {
            Some("-") => Source::Stdin,
            Some(text) if text.trim_start().starts_with('<') => Source::Inline(text.to_owned()),
            _ => Source::File(PathBuf::from(word)),
        }
    }

    /// Reads the job; what came by standard input is kept, in case it is needed once more.
    fn read(&self) -> Result<(JobFile, Option<Vec<u8>>), Error> {
        match self {
            Source::File(path) => Ok((JobFile::read(path)?, None)),
            Source::Inline(text) => Ok((
                JobFile::from_text(Path::new("inline.xml"), text.as_bytes())?,
                None,
            )),
            Source::Stdin => {
                let mut text = Vec::new();
                let read = io::stdin().lock().take(LIMIT).read_to_end(&mut text);
                read.map_err(Error::io("read", "standard input"))?;
                Ok((
                    JobFile::from_text(Path::new("stdin.xml"), &text)?,
                    Some(text),
                ))
            }
        }
    }

    /// The name of a job whose file cannot even be read.
    fn stem(&self) -> String {
        match self {
            Source::File(path) => path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            Source::Inline(_) | Source::Stdin => "jobs".to_owned(),
        }
    }
}

/// Runs a job to its end and gives the exit code of the process.
///
/// # Errors
/// What kept the job from starting. How a job ends that has started is told in its log and by the exit code.
pub fn run(order: &Order) -> Result<ExitCode, Error> {
    let home = home::find(order.home.as_deref())?;
    let read = order.source.read();
    let name = match &read {
        Ok((file, _)) => file.name.clone(),
        Err(_) => order.source.stem(),
    };
    let supervised = is_supervised(&name);
    logging::install(
        &Sink::choose(&name, &home.log, supervised),
        &home.root.join("log4rs.yaml"),
    )?;
    let (mut file, input) = read?;
    let origin = match &order.source {
        Source::File(path) => Some(Origin::new(path, &home.root, &order.set)),
        Source::Inline(_) | Source::Stdin => None,
    };
    for (path, value) in &order.set {
        file.set(path, value)?;
    }
    logging::hide(file.resolve(&home.root)?);
    if !supervised {
        identity::enter_environment(&file.root, input.as_deref())?;
        identity::assume(&file.root, &home.root)?;
    }
    let Some(kind) = kinds::find(&file.kind) else {
        return run_external(order, &home, &file);
    };
    let job = (kind.make)(&file)?;
    if order.dry_run {
        return dry_run(job, &home, &file);
    }
    start(job, &home, &file, origin, order.resident)
}

/// Whether procctl started this process to run this job (and not a script that it runs, which calls us in turn).
fn is_supervised(name: &str) -> bool {
    std::env::var_os("PROCCTL_RUN").is_some()
        && std::env::var("PROCCTL_JOB").is_ok_and(|job| job == name)
}

fn start(
    mut job: Box<dyn Run>,
    home: &Home,
    file: &JobFile,
    origin: Option<Origin>,
    resident: bool,
) -> Result<ExitCode, Error> {
    let stop =
        Stop::by_signals().map_err(|error| Error::Internal(format!("take signals: {error}")))?;
    let _lock = Lock::take(&home.state, &file.name)?;
    let pulse = pulse(file, file.heartbeat())?;
    report_panics(&file.name, pulse.clone());
    let mut cx = Context::new(World {
        home: home.clone(),
        job: file.name.clone(),
        stop,
        pulse: Some(pulse.clone()),
        heartbeat: file.heartbeat(),
        stop_grace: file.root.stop_grace.0,
        looking: false,
        origin,
        notices: is_supervised(&file.name)
            .then(Notices::from_environment)
            .flatten(),
        hours: Hours::of(&file.root),
    });
    let result = passes::make(&mut *job, &mut cx, &file.root, resident);
    // Connections and files close before the last word, so that nothing comes after it.
    drop(job);
    cx.clear_screen();
    let result = result.map_err(|error| placed(error, file));
    Ok(close(&file.name, result, &pulse))
}

/// A complaint about a parameter, with the place where it stands.
fn placed(error: Error, file: &JobFile) -> Error {
    match error {
        Error::Parameter(wrong) => file.problem_at(&wrong.at, &wrong.message).into(),
        error => error,
    }
}

/// Says how it ended: in the log, in the slot, by the exit code.
fn close(name: &str, result: Result<(), Error>, pulse: &Pulse) -> ExitCode {
    // The hook holds the slot, which is let go when the last one does.
    drop(std::panic::take_hook());
    match result {
        Ok(()) => {
            pulse.end(Outcome::Done);
            ExitCode::SUCCESS
        }
        Err(error @ Error::Stopped(_)) => {
            log::info!("{name}: {error}");
            pulse.end(Outcome::Stopped);
            ExitCode::from(error.exit_code())
        }
        Err(error) => {
            let exit = error.exit_code();
            log::error!("{name}: {}", error.chain());
            pulse.end(Outcome::Failed { exit });
            ExitCode::from(exit)
        }
    }
}

/// A fault of the program ends it at once, with a line in the log, word in the slot and the code for it.
fn report_panics(name: &str, pulse: Pulse) {
    let name = name.to_owned();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.to_string().replace('\n', " ");
        log::error!("{name}: internal error: {text}");
        pulse.end(Outcome::Failed { exit: 70 });
        #[expect(
            clippy::exit,
            reason = "the one way out of a panic hook that keeps the exit code"
        )]
        std::process::exit(70);
    }));
}

fn pulse(file: &JobFile, heartbeat: Option<Duration>) -> Result<Pulse, Error> {
    Pulse::attach_or_claim(&file.name, heartbeat, file.root.hang_grace.0).map_err(Error::Table)
}

fn dry_run(mut job: Box<dyn Run>, home: &Home, file: &JobFile) -> Result<ExitCode, Error> {
    let mut cx = Context::new(World::to_look_at(home, &file.name)?);
    let mut report = Report::default();
    job.dry_run(&mut cx, &mut report)?;
    let mut out = io::stdout().lock();
    for note in report.told.iter().chain(&report.notes) {
        let _gone = writeln!(out, "{}: {}", file.name, logging::redact(note));
    }
    for problem in &report.problems {
        let problem = file.problem_at(&problem.at, &problem.message);
        let _gone = writeln!(out, "{}", logging::redact(&problem.to_string()));
    }
    Ok(ExitCode::from(if report.problems.is_empty() {
        0
    } else {
        78
    }))
}

/// Hands the job to a program of its own, in place of this one.
fn run_external(order: &Order, home: &Home, file: &JobFile) -> Result<ExitCode, Error> {
    let Some(program) = external::find(home, &file.kind)? else {
        return Err(external::unknown(file).into());
    };
    let (Source::File(path), true) = (&order.source, order.set.is_empty()) else {
        return Err(Error::Usage(format!(
            "an external kind ({}) reads its job file itself: it takes a file, and no --set",
            file.kind
        )));
    };
    if order.dry_run {
        return Err(Error::Usage(format!(
            "the external kind {} has no dry run",
            file.kind
        )));
    }
    let path = fs::canonicalize(path).map_err(Error::io("find", path))?;
    let lock = Lock::take(&home.state, &file.name)?;
    lock.keep_over_exec()?;
    // The slot is bound to the pid, which stays; so does the slot, since nothing is dropped.
    // Run by hand, it is only watched if its file says so: nothing is known of its beats.
    let heartbeat = file.root.heartbeat.and(file.heartbeat());
    let pulse = pulse(file, heartbeat)?;
    match external::become_program(&program, home, &path, pulse.slot().handle())? {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn words_name_sources() {
        assert_eq!(Source::named("-".into()), Source::Stdin);
        assert_eq!(Source::named("a.xml".into()), Source::File("a.xml".into()));
        assert!(matches!(
            Source::named(" <exec/>".into()),
            Source::Inline(_)
        ));
    }

    /// The child of the test below: panics as a kind might.
    #[test]
    fn panics_if_asked() {
        if std::env::var_os("JOBS_TEST_PANIC").is_some() {
            let pulse = Pulse::attach_or_claim("panicking", None, Duration::from_secs(1)).unwrap();
            report_panics("panicking", pulse);
            panic!("as a kind might");
        }
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        let table = format!("panic{}", std::process::id());
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "runner::tests::panics_if_asked"])
            .env("JOBS_TEST_PANIC", "1")
            .env("PROCCTL_TABLE", &table)
            .output()
            .unwrap()
            .status;
        let shm = fs::read_dir("/dev/shm").unwrap().flatten();
        for entry in shm.filter(|entry| entry.file_name().to_string_lossy().ends_with(&table)) {
            fs::remove_file(entry.path()).unwrap();
        }
        assert_eq!(status.code(), Some(70));
    }
}
