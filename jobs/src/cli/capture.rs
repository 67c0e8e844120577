//! `jobs capture …`: an operator's hand on the change logs of a `sync`.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{
    error::Error,
    kinds::sync::capture::operate::{self, Order},
};

/// What is wanted of change logs.
#[derive(Debug, Subcommand)]
pub(super) enum CaptureAction {
    /// Make the change logs of a job's tables, and the triggers that fill them, in its source
    Install {
        /// A sync's job file
        file: PathBuf,
    },
    /// Take them away again
    Remove {
        /// A sync's job file
        file: PathBuf,
    },
    /// Tell how many changes wait, since when, and whether the triggers are there
    Show {
        /// A sync's job file
        file: PathBuf,
    },
    /// Have the next run copy the whole tables before it goes on with changes
    Resync {
        /// A sync's job file
        file: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// When the file is no sync that captures, or a database is against it.
pub(super) fn obey(home: Option<&Path>, action: &CaptureAction) -> Result<ExitCode, Error> {
    let (order, file) = match action {
        CaptureAction::Install { file } => (Order::Install, file),
        CaptureAction::Remove { file } => (Order::Remove, file),
        CaptureAction::Show { file } => (Order::Show, file),
        CaptureAction::Resync { file } => (Order::Resync, file),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let done = operate::obey(home, file, order, &mut out);
    let flushed = out.flush().map_err(Error::io("write", "standard output"));
    match done.and(flushed) {
        // a reader that has seen enough is no error
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome.map(|()| ExitCode::SUCCESS),
    }
}
