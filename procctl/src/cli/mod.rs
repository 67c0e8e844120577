//! The command line: what was said. What is meant by it is done by the rooms beside this one.

mod arguments;
mod commands;
pub(crate) mod failure;
mod manual;
pub(crate) mod shown;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use jobfile::Home;

use crate::check;
use crate::plan::Request;
use crate::{classic, recorder};
use arguments::{Cli, Command, USAGE};
use commands::ask_for_jobs;
use failure::Failure;

/// The program: does what the command line says, prints an error once, gives the exit code.
pub fn main() -> ExitCode {
    match obey(std::env::args_os().collect()) {
        Ok(code) => code,
        Err(failure) => {
            // nobody is left to tell that telling failed
            drop(writeln!(
                std::io::stderr().lock(),
                "procctl: {}",
                failure.chain()
            ));
            failure.exit_code()
        }
    }
}

fn obey(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    if let Some(pause) = words.get(1).and_then(seconds) {
        return match words.get(2..) {
            Some(command) if !command.is_empty() => {
                classic::run(pause, command)?;
                Ok(ExitCode::SUCCESS)
            }
            _ => Err(Failure::Usage(format!(
                "a program is missing\n\nUsage: {USAGE}"
            ))),
        };
    }
    if let [_, command, option, home] = words.as_slice()
        && command == "recorder"
        && option == "--home"
    {
        return record(Path::new(home));
    }
    match Cli::try_parse_from(words) {
        Ok(cli) => carry_out(cli),
        Err(error) => {
            // as above
            drop(error.print());
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            Ok(ExitCode::from(if asked { 0 } else { 64 }))
        }
    }
}

/// `procctl recorder --home DIR`, by which the supervisor starts the process that keeps pipes, logs and
/// history. It is no command for people, and must stay small: the machinery for those is not even touched.
fn record(home: &Path) -> Result<ExitCode, Failure> {
    let home = Home::find(Some(home)).map_err(Failure::Problems)?;
    recorder::run(&home).map_err(Failure::Recorder)?;
    Ok(ExitCode::SUCCESS)
}

/// The pause of the classic form; anything else than a plain number begins another form.
fn seconds(word: &OsString) -> Option<Duration> {
    let text = word.to_str()?;
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = text.parse().ok().filter(|_| plain)?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn carry_out(cli: Cli) -> Result<ExitCode, Failure> {
    let home = || Home::find(cli.home.as_deref()).map_err(Failure::Problems);
    match cli.command {
        Command::Run => commands::run(&home()?),
        Command::Start { jobs } if jobs.is_empty() => commands::start(&home()?),
        Command::Start { jobs } => ask_for_jobs(&home()?, &Request::Start { jobs }),
        Command::Stop { jobs } if jobs.is_empty() => commands::stop(&home()?),
        Command::Stop { jobs } => ask_for_jobs(&home()?, &Request::Stop { jobs }),
        Command::Restart { jobs } if jobs.is_empty() => commands::restart(&home()?),
        Command::Restart { jobs } => ask_for_jobs(&home()?, &Request::Restart { jobs }),
        Command::Reload { jobs } => commands::reload(&home()?, jobs),
        Command::Trigger { jobs, wait } => ask_for_jobs(&home()?, &Request::Trigger { jobs, wait }),
        Command::Enable { jobs } => ask_for_jobs(&home()?, &Request::Enable { jobs }),
        Command::Disable { jobs } => ask_for_jobs(&home()?, &Request::Disable { jobs }),
        Command::Status { job, json, watch } => {
            shown::status(&home()?, job.as_deref(), json, watch)
        }
        Command::Top => shown::top(&home()?),
        Command::History { job, json, count } => {
            shown::history(&home()?, job.as_deref(), json, count)
        }
        Command::Logs { job, follow, count } => shown::logs(&home()?, &job, follow, count),
        Command::Check { files } => check::check(cli.home.as_deref(), &files),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "procctl", &mut text);
            shown::print(&text)
        }
        Command::Man => {
            let page = manual::page(Cli::command());
            shown::print(&page.map_err(|error| Failure::Output(error.to_string()))?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_number_begins_the_classic_form() {
        let seconds = |text: &str| seconds(&OsString::from(text));
        assert_eq!(seconds("10"), Some(Duration::from_secs(10)));
        assert_eq!(seconds("0.5"), Some(Duration::from_millis(500)));
        for other in [
            "run",
            "-1",
            "1e3",
            "inf",
            "",
            ".",
            "10s",
            "99999999999999999999999",
        ] {
            assert_eq!(seconds(other), None, "{other}");
        }
        assert!(matches!(
            obey(vec!["procctl".into(), "10".into()]),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn home_stands_anywhere() {
        for words in ["procctl --home /x status a", "procctl status a --home /x"] {
            let cli = Cli::try_parse_from(words.split(' ')).unwrap();
            assert_eq!(cli.home, Some(PathBuf::from("/x")));
        }
    }

    #[test]
    fn every_public_command_is_in_the_help() {
        let help = Cli::command().render_long_help().to_string();
        let commands =
            "run start stop restart reload trigger enable disable status history logs check";
        for command in commands.split(' ') {
            assert!(
                help.contains(&format!("\n  {command} ")),
                "{command}: {help}"
            );
        }
        assert!(!help.contains("recorder "), "{help}");
    }
}
