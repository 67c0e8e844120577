//! The command line: which of its forms is meant, and one place where errors are printed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

mod beat;
mod cli;
mod interval;
mod list;
mod logs;
mod resident;

/// Runs the program and prints what went wrong, with its chain of causes.
pub(crate) fn run() -> ExitCode {
    match dispatch(Cli::parse()) {
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
            // Where there is no stderr there is nobody to tell.
            writeln!(io::stderr().lock(), "{line}").ok();
            ExitCode::FAILURE
        }
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
