//! What can go wrong with a heartbeat table, said with what was being done on what.

use std::io;
use std::path::{Path, PathBuf};

/// An error of this crate. `Display` is a lower-case fragment that does not repeat its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on a file, a table or a process failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done: "open", "write evidence to".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Every slot is taken by a living process: the newcomer runs unwatched or not at all.
    #[error("heartbeat table {} is full: all {slots} slots belong to living processes", path.display())]
    Full {
        /// The table's file.
        path: PathBuf,
        /// How many slots it has.
        slots: u32,
    },
    /// The table's name is taken by a file of another user, which we may not replace.
    #[error("heartbeat table {} belongs to uid {owner}, not to uid {uid}: remove it as root", path.display())]
    Foreign {
        /// The table's file.
        path: PathBuf,
        /// Whose table it should be.
        uid: u32,
        /// Whose file it is.
        owner: u32,
    },
    /// A newer program made the table; replacing it would leave that program's jobs unwatched.
    #[error("heartbeat table {} has layout {found}, this program knows {known}: update it", path.display())]
    Newer {
        /// The table's file.
        path: PathBuf,
        /// The layout version found.
        found: u64,
        /// The layout version of this program.
        known: u64,
    },
    /// Others kept replacing the table while we tried to open it.
    #[error("heartbeat table {} does not come to rest: {why}", path.display())]
    Unsettled {
        /// The table's file.
        path: PathBuf,
        /// What was wrong with it the last time we looked.
        why: String,
    },
    /// A name that no slot can hold.
    #[error("`{name}` cannot name a slot: 1 to 63 of letters, digits, `.`, `_`, `-`")]
    Name {
        /// The name as given.
        name: String,
    },
    /// The process that a slot was asked for is not there.
    #[error("no process {pid}")]
    NoProcess {
        /// The process id as given.
        pid: u32,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done and on what.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Error {
        Error::Io {
            action,
            path: path.as_ref().to_path_buf(),
            source,
        }
    }
}
