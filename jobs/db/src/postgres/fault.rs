//! From SQLSTATE to our error kinds. Looks at codes, never at messages.
//! The codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use super::watch::Watch;
use crate::{Constraint, Error, ErrorKind};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use tokio_postgres::error::DbError;

/// insufficient_privilege: what a policy says of a row, too.
pub(super) const POLICY: &str = "42501";

/// What the server says of an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: String,
    /// Where it happened; within a COPY it tells the line.
    pub(super) context: String,
    pub(super) column: String,
    pub(super) constraint: String,
}

impl From<&DbError> for Complaint {
    fn from(error: &DbError) -> Self {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        Complaint {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: text(error.detail()),
            context: text(error.where_()),
            column: text(error.column()),
            constraint: text(error.constraint()),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl StdError for Complaint {}

/// What can go wrong between us and a server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused; the connection goes on.
    Refused(Box<Complaint>),
    /// It could not be said to the server, or not be understood; the connection goes on.
    Unfit(String),
    /// The connection is over.
    Broken(tokio_postgres::Error),
    /// No answer in time, and none to a request to stop: the connection is over.
    Silent,
    /// The connection was over before.
    Lost,
}

/// An error of ours, while doing `action`.
pub(super) fn fault(action: impl Into<String>, watch: &Watch, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Refused(complaint) => {
            let kind = kind_of(&complaint.code, || watch.verdict());
            let error = Error::new(kind, action).with_native(&complaint.code);
            let error = if complaint.column.is_empty() {
                error
            } else {
                error.at_column(&complaint.column)
            };
            error.because(*complaint)
        }
        Trouble::Unfit(why) => Error::new(ErrorKind::Syntax, action).because(why),
        Trouble::Broken(error) => match crate::broken::words(&error) {
            Some((kind, words)) => Error::new(kind, action).because(words),
            None => Error::new(kind_of_break(&error), action).because(error),
        },
        Trouble::Silent => {
            Error::new(ErrorKind::Timeout, action).because("the server gave no answer")
        }
        Trouble::Lost => {
            Error::new(ErrorKind::Connect, action).because("the connection was lost before")
        }
    }
}

/// What a broken connection means; foreign protocols and certificates would be the same again.
fn kind_of_break(error: &tokio_postgres::Error) -> ErrorKind {
    match io_error(error).map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData) => ErrorKind::Other,
        Some(_) => ErrorKind::Connect,
        None if error.is_closed() => ErrorKind::Connect,
        None => ErrorKind::Other,
    }
}

/// The system's error behind one of the driver's.
pub(super) fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source().and_then(|cause| cause.downcast_ref())
}

/// Whether the refusal speaks of a row's content, so that other rows may still be good.
pub(super) fn is_of_a_row(code: &str) -> bool {
    matches!(
        kind_of(code, || ErrorKind::Cancelled),
        ErrorKind::Constraint(_) | ErrorKind::Type
    )
}

pub(crate) fn kind_of(code: &str, verdict: impl FnOnce() -> ErrorKind) -> ErrorKind {
    match code {
        "23505" => ErrorKind::Constraint(Constraint::Unique),
        "23502" => ErrorKind::Constraint(Constraint::NotNull),
        "23514" => ErrorKind::Constraint(Constraint::Check),
        "23503" | "23001" => ErrorKind::Constraint(Constraint::ForeignKey),
        // a trigger's RAISE; WITH CHECK OPTION of a view
        "P0001" | "44000" => ErrorKind::Constraint(Constraint::Other),
        "57014" => verdict(),
        POLICY | "25006" => ErrorKind::Permission,
        "42P01" | "42703" | "42704" | "42883" | "3D000" | "3F000" => ErrorKind::Missing,
        // wrong number of parameters
        "08P01" => ErrorKind::Syntax,
        "55P03" | "55006" => ErrorKind::Busy,
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" => ErrorKind::Connect,
        _ => match code.get(..2).unwrap_or_default() {
            "08" => ErrorKind::Connect,
            "22" | "54" => ErrorKind::Type,
            "23" => ErrorKind::Constraint(Constraint::Other),
            "28" => ErrorKind::Permission,
            "40" => ErrorKind::Busy,
            "42" => ErrorKind::Syntax,
            "53" => ErrorKind::Full,
            _ => ErrorKind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_the_cause() {
        let complaint = Complaint {
            message: "duplicate key".to_owned(),
            detail: "Key (id)=(1)".to_owned(),
            ..Complaint::default()
        };
        assert_eq!(complaint.to_string(), "duplicate key (Key (id)=(1))");
    }

    #[test]
    fn codes_tell_what_to_do() {
        let kind = |code| kind_of(code, || ErrorKind::Timeout);
        assert_eq!(kind("40P01"), ErrorKind::Busy);
        assert_eq!(kind("22P02"), ErrorKind::Type);
        assert_eq!(kind("57P01"), ErrorKind::Connect);
        assert_eq!(kind("57014"), ErrorKind::Timeout);
        assert_eq!(kind(""), ErrorKind::Other);
        assert!(is_of_a_row("23514") && !is_of_a_row("42601") && !is_of_a_row("57014"));
    }
}
