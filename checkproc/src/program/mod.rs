//! The command line: which of its forms is meant, and one place where errors are printed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

mod beat;
mod cli;
mod interval;
mod list;
mod logs;
mod resident;

/// The exit code for words that make no sense.
const USAGE: u8 = 64;

/// Runs the program and prints what went wrong, with its chain of causes.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where there is no stderr there is nobody to tell.
            error.print().ok();
            let asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
            return ExitCode::from(if asked { 0 } else { USAGE });
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough is no trouble: `checkproc list | head`.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut line = format!("checkproc: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                line.push_str(&format!(": {error}"));
                cause = error.source();
            }
            // As above.
            writeln!(io::stderr().lock(), "{line}").ok();
            ExitCode::from(code(error.as_ref()))
        }
    }
}

/// The exit code of `sysexits.h` for an error. The help tells them all.
fn code(error: &(dyn Error + 'static)) -> u8 {
    let io = |error: &io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => 77,
        _ => 74,
    };
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io(error);
    }
    match error.downcast_ref::<checkproc::Error>() {
        Some(checkproc::Error::Name { .. } | checkproc::Error::NoProcess { .. }) => USAGE,
        Some(checkproc::Error::Full { .. } | checkproc::Error::Unsettled { .. }) => 75,
        Some(checkproc::Error::Foreign { .. }) => 77,
        Some(checkproc::Error::Io { source, .. }) => io(source),
        Some(_) => 70,
        // a log file that cannot be opened, or a wait that failed
        None => 74,
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn dispatch(cli: Cli) -> Result<(), Box<dyn Error>> {
    match cli.command {
        None => resident::watch(&cli.watch),
        Some(Command::List { json }) => list::print(json),
        Some(Command::Beat {
            name,
            heartbeat,
            pid,
        }) => beat::beat(&name, heartbeat, pid),
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "checkproc", &mut text);
            Ok(io::stdout().lock().write_all(&text)?)
        }
        Some(Command::Man) => {
            Ok(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout().lock())?)
        }
    }
}
