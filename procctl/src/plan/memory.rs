//! What must outlive a procctl: enabled or disabled by an operator, stopped by one, the last cron
//! time honoured, the end of the last run of jobs with a long `every`.
//!
//! A file of JSON lines, one job a line, the last line of a job counts. The loop reads it at its
//! start, appends the lines of [`Action::Remember`](super::Action::Remember), and now and then (at
//! its start, and when the file has grown past [`LARGE`]) replaces it by [`Memory::text`].

/// Bytes from which the loop should replace the file by [`Memory::text`].
pub const LARGE: u64 = 1 << 20;

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {}

impl Memory {
    /// Reads the file's text. Lines that are torn or not understood are left out.
    pub fn parse(_text: &str) -> Memory {
        Memory {}
    }

    /// The whole memory, one line a job.
    pub fn text(&self) -> String {
        String::new()
    }
}
