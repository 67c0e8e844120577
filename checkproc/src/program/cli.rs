//! What may stand on the command line. The man page and the shell completions come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::interval;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 64 usage, a name that no slot can have or no such process, 70 internal error, \
74 input or output failed, 75 the table is full, 77 not permitted.";

/// Watches heartbeats and kills what hangs.
///
/// Every watched process moves a deadline in a shared-memory table as it works. checkproc scans the tables, and a process that
/// has missed its deadline gets SIGTERM and, after its hang-grace, SIGKILL, with its whole tree; before that its state is
/// written down. With a LOGFILE alone it scans once and ends, to be run by `procctl 10 checkproc LOGFILE`; else it stays.
/// As root it watches the tables of all users, else that of its own user.
#[derive(Parser)]
#[command(
    name = "checkproc",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The watchdog's own options.
#[derive(Args)]
pub(crate) struct Watch {
    /// Scan once, wait for the end of what was found hung, and exit
    #[arg(long, conflicts_with = "every")]
    pub(crate) once: bool,
    /// Distance of scans (default 1s)
    #[arg(long, value_name = "INTERVAL", value_parser = interval::parse)]
    pub(crate) every: Option<Duration>,
    /// Judge only the jobs of this home, and those without a home
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Socket of the procctl to ping (default: run/control.sock in the home)
    #[arg(long, value_name = "SOCKET", hide = true)]
    pub(crate) control: Option<PathBuf>,
    /// Log file, rotated (default: stderr); evidence goes to the folder `evidence` beside it
    pub(crate) logfile: Option<PathBuf>,
}

impl Watch {
    /// One scan, or on and on? A LOGFILE and nothing that speaks of staying is the classic form.
    pub(crate) fn is_single(&self) -> bool {
        self.once || self.logfile.is_some() && self.every.is_none() && self.home.is_none()
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the heartbeat table
    List {
        /// As JSON, an array with an object a slot
        #[arg(long)]
        json: bool,
    },
    /// Beat for a script: takes a slot at the first call, beats it at each further one
    Beat {
        /// Name of the slot
        name: String,
        /// Hung when there is no beat for this long (default 60s); ignored in a job that procctl runs
        #[arg(long, value_name = "INTERVAL", value_parser = interval::parse)]
        heartbeat: Option<Duration>,
        /// The process that is alive by this beat (default: the caller)
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Print shell completions
    #[command(hide = true)]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    #[command(hide = true)]
    Man,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn single(line: &str) -> bool {
        Cli::try_parse_from(line.split(' '))
            .expect("a good line")
            .watch
            .is_single()
    }

    #[test]
    fn the_classic_form_scans_once_and_all_others_stay() {
        assert!(single("checkproc /tmp/log/checkproc.log"));
        assert!(single("checkproc --once"));
        assert!(single("checkproc --once --home /etc/procctl x.log"));
        assert!(!single("checkproc"));
        assert!(!single("checkproc --every 1s x.log"));
        assert!(!single("checkproc --home /etc/procctl x.log"));
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["checkproc", "--every", "0s"]).is_err());
        assert!(Cli::try_parse_from(["checkproc", "--once", "--every", "1s"]).is_err());
    }
}
