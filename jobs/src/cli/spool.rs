//! `jobs spool …`: an operator's look at the spool of a `forward`, and what he may ask of it.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{
    error::Error,
    kinds::forward::operate::{Span, Spool},
};

/// What is wanted of a spool.
#[derive(Debug, Subcommand)]
pub(super) enum SpoolAction {
    /// Tell segments, cursors, backlog and age
    Show {
        /// A forward's job file, or the spool's folder
        spool: PathBuf,
    },
    /// Print records, a line each
    Print {
        /// A forward's job file, or the spool's folder
        spool: PathBuf,
        /// The first number
        #[arg(long, value_name = "NUMBER")]
        from: Option<u64>,
        /// The last number
        #[arg(long, value_name = "NUMBER")]
        to: Option<u64>,
        /// Before each record its number, time, session and sender's number
        #[arg(long)]
        heads: bool,
        /// The dead letters of this deliver instead
        #[arg(long, value_name = "DELIVER")]
        dead: Option<String>,
    },
    /// Deliver again from a number on
    Replay {
        /// A forward's job file, or the spool's folder
        spool: PathBuf,
        /// The first number
        #[arg(value_name = "NUMBER")]
        from: u64,
        /// Which deliver, where there are several
        #[arg(long, value_name = "NAME")]
        deliver: Option<String>,
    },
    /// Read every record and tell what is damaged or missing (exit code 65 if anything is)
    Verify {
        /// A forward's job file, or the spool's folder
        spool: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// When there is no spool, or it cannot be read.
pub(super) fn obey(home: Option<&Path>, action: SpoolAction) -> Result<ExitCode, Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = act(home, action, &mut out);
    let flushed = out.flush().map_err(Error::io("write", "standard output"));
    match done.and_then(|code| flushed.map(|()| code)) {
        // a reader that has seen enough is no error
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome,
    }
}

fn act(
    home: Option<&Path>,
    action: SpoolAction,
    out: &mut dyn io::Write,
) -> Result<ExitCode, Error> {
    match action {
        SpoolAction::Show { spool } => Spool::open(home, &spool)?.show(out)?,
        SpoolAction::Print {
            spool,
            from,
            to,
            heads,
            dead,
        } => {
            let (spool, span) = (Spool::open(home, &spool)?, Span { from, to });
            match dead {
                Some(name) => spool.print_dead(out, &name, span, heads)?,
                None => spool.print(out, span, heads)?,
            }
        }
        SpoolAction::Replay {
            spool,
            from,
            deliver,
        } => {
            let told = Spool::open(home, &spool)?.replay(from, deliver.as_deref())?;
            out.write_all(told.as_bytes())
                .map_err(Error::io("write", "standard output"))?;
        }
        SpoolAction::Verify { spool } => {
            if Spool::open(home, &spool)?.verify(out)? > 0 {
                return Ok(ExitCode::from(65));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
