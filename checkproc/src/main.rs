//! The watchdog program: `checkproc [LOGFILE]`, `checkproc list`, `checkproc beat NAME`.
//!
//! This folder's `program` reads the command line and prints; what a heartbeat is, and who is hung, the library knows.

use std::process::ExitCode;

mod program;

fn main() -> ExitCode {
    program::run()
}
