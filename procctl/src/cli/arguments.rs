//! What may be said on the command line, and its help. Every text here is read by users.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Both forms of the command line.
pub(super) const USAGE: &str =
    "procctl [--home DIR] COMMAND …\n       procctl SECONDS PROGRAM [ARG…]";

/// What stands below the help.
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
pub(super) struct Cli {
    /// The home folder: settings, job files, state, logs [env: PROCCTL_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    ///
    /// A service that runs is stopped; the run of a scheduled job may finish.
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
    /// Show all jobs on the whole screen, live: how they stand, how fast rows and bytes move
    ///
    /// Keys: up and down choose a job, Enter shows everything about it, Esc goes back, s changes the order, q ends.
    Top,
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
