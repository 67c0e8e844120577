//! Why the load of a file ends early, and who is to blame.

use crate::error::Error;

/// Why a load was given up.
pub(super) enum Fault {
    /// A column turned up that the load was not opened for.
    Grown,
    /// The file is at fault.
    Refused(String),
    /// So is it, by a rule that was checked at the end only: which row it was, nobody said.
    Late(String),
    /// The file is not the one that it was.
    Changed,
    /// Something else is.
    Other(Error),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Grown => f.write_str("it has more columns than were seen"),
            Fault::Refused(reason) | Fault::Late(reason) => f.write_str(reason),
            Fault::Changed => f.write_str("it has changed"),
            Fault::Other(error) => write!(f, "{}", error.chain()),
        }
    }
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault::Other(error.into())
    }
}

/// What the database says of rows is the file's fault; the rest is not.
pub(super) fn of_rows(error: db::Error) -> Fault {
    if error.is_row_error() {
        Fault::Refused(Error::Database(error).chain())
    } else {
        Fault::Other(Error::Database(error))
    }
}

/// The same at the end of a transaction.
pub(super) fn of_its_end(error: db::Error) -> Fault {
    match of_rows(error) {
        Fault::Refused(reason) => Fault::Late(reason),
        other => other,
    }
}
