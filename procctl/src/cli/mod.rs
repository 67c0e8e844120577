//! The command line: what was said. What is meant by it is done by the rooms beside this one.

mod commands;
mod failure;
mod manual;
mod shown;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use jobfile::Home;

use crate::check;
use crate::plan::Request;
use crate::{classic, recorder};
use commands::ask_for_jobs;
pub use failure::Failure;
pub(crate) use shown::print;

const USAGE: &str = "procctl [--home DIR] COMMAND …\n       procctl SECONDS PROGRAM [ARG…]";

const AFTER: &str = "\
The classic form, procctl SECONDS PROGRAM [ARG…], detaches and for ever runs PROGRAM, waits for \
its end and sleeps SECONDS. It ignores signals; kill -9 ends it and leaves PROGRAM alone.

Job files are HOME/jobs/*.xml; `jobs describe KIND` and `jobs new KIND` tell what stands in them. \
The home is --home, else PROCCTL_HOME, else /etc/procctl if it exists, else ./etc.

Exit codes: 0 done, 1 a job is not as was asked, 64 usage or no such job, 69 no supervisor answers, \
70 internal error, 74 input or output failed, 75 another supervisor has the home, 77 not permitted, \
78 a job file or the settings are wrong.";

/// Decides what runs when: starts, stops, restarts and watches jobs, one XML file each
#[derive(Debug, Parser)]
#[command(
    name = "procctl",
    version,
    override_usage = USAGE,
    after_help = AFTER,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Cli {
    /// The home folder: settings, job files, state, logs [env: PROCCTL_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Supervise every job of the home, in the foreground
    ///
    /// A lock on the home keeps a second supervisor out. SIGTERM and SIGINT stop all jobs and then
    /// the supervisor; after kill -9 the jobs go on, and the next supervisor takes them over.
    Run,
    /// Start jobs; without JOB start the supervisor, detached
    ///
    /// A started job is put to work: services run, `every` jobs start now, cron and `after` jobs wait
    /// for their time. It lifts an earlier `stop`.
    Start {
        /// Jobs by name
        #[arg(value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Stop jobs with their whole process trees; without JOB all of them and the supervisor
    ///
    /// SIGTERM, then after the job's `stop-grace` SIGKILL. Comes back when everything is gone.
    Stop {
        /// Jobs by name
        #[arg(value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Stop and start jobs; without JOB the supervisor is replaced by a new one, and jobs notice nothing
    Restart {
        /// Jobs by name
        #[arg(value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Read job files and settings again now (changed files are noticed without this, too)
    Reload {
        /// Jobs by name
        #[arg(value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Run jobs now, whatever their schedule says
    Trigger {
        /// Jobs by name
        #[arg(value_name = "JOB", required = true)]
        jobs: Vec<String>,
        /// Come back when the runs have ended, with their results
        #[arg(long)]
        wait: bool,
    },
    /// Let disabled jobs run again; survives restarts
    Enable {
        /// Jobs by name
        #[arg(value_name = "JOB", required = true)]
        jobs: Vec<String>,
    },
    /// Keep jobs from starting but by `trigger`; survives restarts
    Disable {
        /// Jobs by name
        #[arg(value_name = "JOB", required = true)]
        jobs: Vec<String>,
    },
    /// Show how jobs stand, a line each; with JOB everything about it
    Status {
        /// A job by name
        job: Option<String>,
        /// As one JSON object
        #[arg(long)]
        json: bool,
        /// Show it anew each second, until Ctrl-C
        #[arg(long, short, conflicts_with = "json")]
        watch: bool,
    },
    /// Show past runs, newest first
    History {
        /// A job by name
        job: Option<String>,
        /// As JSON, one object a line, all runs unless -n says otherwise
        #[arg(long)]
        json: bool,
        /// How many runs [default: 20]
        #[arg(short = 'n', value_name = "N")]
        count: Option<u32>,
    },
    /// Show the end of a job's log
    Logs {
        /// A job by name; also procctl, recorder and checkproc
        job: String,
        /// Go on showing what is appended, over rotations, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
        /// How many lines
        #[arg(short = 'n', value_name = "N", default_value_t = 20)]
        count: usize,
    },
    /// Tell everything that is wrong with job files, as file:line:column: message; runs nothing
    Check {
        /// Job files; all of the home and its procctl.xml if none is given
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

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
        Command::Reload { jobs } => ask_for_jobs(&home()?, &Request::Reload { jobs }),
        Command::Trigger { jobs, wait } => ask_for_jobs(&home()?, &Request::Trigger { jobs, wait }),
        Command::Enable { jobs } => ask_for_jobs(&home()?, &Request::Enable { jobs }),
        Command::Disable { jobs } => ask_for_jobs(&home()?, &Request::Disable { jobs }),
        Command::Status { job, json, watch } => {
            shown::status(&home()?, job.as_deref(), json, watch)
        }
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
