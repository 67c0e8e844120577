//! Who an end of a transfer works for: it is told of signs of life and of bytes that moved, and may stop the work.

use crate::{error::Error, stop::Stop};

/// The one on whose behalf a side works.
pub(crate) trait Host {
    /// A sign of life, given at least a few times a second while there is work or waiting.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the work has to end.
    fn tick(&self) -> Result<(), Error>;

    /// So many files and bytes have come further.
    fn moved(&self, files: u64, bytes: u64) {
        let _ = (files, bytes);
    }

    /// What is being worked on.
    fn doing(&self, what: &str) {
        let _ = what;
    }
}

/// The host of threads that help: they hear a stop, and say nothing.
pub(crate) struct Silent(pub(crate) Stop);

impl Host for Silent {
    fn tick(&self) -> Result<(), Error> {
        match self.0.asked() {
            None => Ok(()),
            Some(signal) => Err(Error::Stopped(signal)),
        }
    }
}
