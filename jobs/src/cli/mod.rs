//! The command line: what was said. What is meant by it is done by the rooms beside this one.

mod capture;
mod check;
pub mod list;
mod post;
mod spool;
mod state;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use crate::{error::Error, logging, runner};

/// Runs one job from one XML file, and tells about kinds of jobs
#[derive(Debug, Parser)]
#[command(name = "jobs", version, disable_help_subcommand = true)]
struct Cli {
    /// The home folder: job files, settings, state (default: /etc/procctl if it exists, else ./etc)
    #[arg(long, global = true, env = "PROCCTL_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a job once, in the foreground
    Run {
        /// A job file, the XML itself, or - for standard input
        #[arg(value_name = "FILE|XML|-")]
        job: OsString,
        /// Change a value of the job file: output.rows=5, table[2].name=x (counted from 1)
        #[arg(long, value_name = "PATH=VALUE", value_parser = assignment)]
        set: Vec<(String, String)>,
        /// Tell what would be done, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Stay, and run every so often as the job file says; SIGUSR1 = now
        #[arg(long, hide = true)]
        resident: bool,
    },
    /// List the kinds of jobs
    List,
    /// Tell every parameter of a kind, with defaults and an example
    Describe {
        /// The root element of such jobs
        kind: String,
    },
    /// Print a commented job file to start from
    New {
        /// The root element of such jobs
        kind: String,
    },
    /// Tell what is wrong with job files, and with the world that they mean
    ///
    /// Ends with 78 when a file has to be changed, else with the code that a run would have: 69 for a server that is not reachable,
    /// 77 for a wrong password.
    Check {
        /// Job files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Do not connect, list or look at anything but the files
        #[arg(long)]
        offline: bool,
        /// Tell also what was found in order
        #[arg(long, short)]
        verbose: bool,
    },
    /// Show or change what a job remembers
    State {
        /// The job's name
        job: String,
        #[command(subcommand)]
        action: StateAction,
    },
    /// Make, look at or take away the change logs of a sync that captures
    Capture {
        #[command(subcommand)]
        action: capture::CaptureAction,
    },
    /// Look at the spool of a forward, or have it delivered again
    Spool {
        #[command(subcommand)]
        action: spool::SpoolAction,
    },
    /// Print an XML schema (XSD 1.0) of all kinds
    Schema,
    /// Post standard input to a URL
    #[command(hide = true)]
    Post {
        /// Where to; `-`: where the variable PROCCTL_POST_URL says, which shows in no list of processes
        url: String,
    },
    /// Print completions for a shell
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Subcommand)]
enum StateAction {
    /// Print all that is remembered
    Show,
    /// Change one value; it is JSON, or else taken as a string
    Set {
        /// The name that `show` prints
        name: String,
        /// The new value
        value: String,
    },
    /// Forget everything
    Reset,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        _ => Err("PATH=VALUE is wanted".to_owned()),
    }
}

/// The program: does what the command line says, prints an error once, gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // One provider of TLS for all who need one; there is none yet, so this cannot fail.
    let _there = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match obey(cli) {
        Ok(code) => code,
        Err(error) => {
            tell(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Help and version are answers (0); anything else is a misuse (64).
fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell that telling failed.
    let _unheard = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(64),
    }
}

/// Prints an error where people look for it: in the log once there is one.
fn tell(error: &Error) {
    let text = error.chain();
    if log::log_enabled!(log::Level::Error) {
        log::error!("{text}");
    } else {
        let _unheard = writeln!(io::stderr().lock(), "jobs: {}", logging::redact(&text));
    }
}

fn obey(cli: Cli) -> Result<ExitCode, Error> {
    let home = cli.home.as_deref();
    match cli.command {
        Command::Run {
            job,
            set,
            dry_run,
            resident,
        } => runner::run(&runner::Order {
            source: runner::Source::named(job),
            home: cli.home,
            set,
            dry_run,
            resident,
        }),
        Command::List => say(&list::list(home)?),
        Command::Describe { kind } => say(&list::describe(&kind)?),
        Command::New { kind } => say(&list::new(&kind)?),
        Command::Schema => say(&list::schema()),
        Command::Check {
            files,
            offline,
            verbose,
        } => check::check(home, &files, offline, verbose),
        Command::State { job, action } => say(&match action {
            StateAction::Show => state::show(home, &job)?,
            StateAction::Set { name, value } => state::set(home, &job, &name, &value)?,
            StateAction::Reset => state::reset(home, &job)?,
        }),
        Command::Capture { action } => capture::obey(home, &action),
        Command::Spool { action } => spool::obey(home, action),
        Command::Post { url } => post::post(&url).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "jobs", &mut text);
            say(&String::from_utf8_lossy(&text))
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut text)
                .map_err(|error| Error::Internal(format!("write the manual page: {error}")))?;
            say(&String::from_utf8_lossy(&text))
        }
    }
}

/// Prints an answer. A reader that has seen enough is no error.
fn say(text: &str) -> Result<ExitCode, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("write", "standard output")(error))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
