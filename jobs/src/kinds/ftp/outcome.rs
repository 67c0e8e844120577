//! What a pass came to: what was moved, and what failed although the rest went on.

use crate::error::Error;
use crate::job::Tally;

/// The sum of a pass.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    failed: u64,
    first: Option<Error>,
    /// All of it was told before.
    silent: bool,
}

impl Outcome {
    /// Of another look at the same.
    pub(super) fn of_another_look() -> Outcome {
        Outcome {
            silent: true,
            ..Outcome::default()
        }
    }

    /// A file was moved.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.tally += Tally {
            read: 1,
            written: 1,
            files: 1,
            bytes,
            rejected: 0,
        };
    }

    /// Something failed that leaves the others alone; it is tried again in the next pass.
    pub(super) fn failed(&mut self, error: Error) {
        let level = if self.silent {
            log::Level::Debug
        } else {
            log::Level::Warn
        };
        log::log!(level, "{}", error.chain());
        self.failed += 1;
        self.first.get_or_insert(error);
    }

    /// How much has failed so far.
    pub(super) fn failures(&self) -> u64 {
        self.failed
    }

    /// Files whose names cannot be used.
    pub(super) fn refused(&mut self, folder: &str, names: &[String]) {
        for name in names {
            self.tally.rejected += 1;
            self.failed(Error::Data(format!(
                "a file in {folder} is refused: {name}"
            )));
        }
    }

    /// The pass's end: its tally, or the first thing that failed.
    pub(super) fn end(self) -> Result<Tally, Error> {
        match self.first {
            None => Ok(self.tally),
            Some(error) => {
                if self.failed > 1 {
                    log::error!(
                        "{} files failed, the first one: {}; {} were moved",
                        self.failed,
                        error.chain(),
                        self.tally.files
                    );
                }
                Err(error)
            }
        }
    }
}
