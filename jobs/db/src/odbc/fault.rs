//! From SQLSTATE and native codes to our error kinds. Looks at codes, never at messages.
//! The states: <https://learn.microsoft.com/sql/odbc/reference/appendixes/appendix-a-odbc-error-codes>.

use super::engine::Engine;
use crate::{Constraint, Error, ErrorKind};
use odbc_api::Error as Driver;
use odbc_api::handles::Record;
use std::fmt;

/// What a driver says of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) state: String,
    pub(super) native: i32,
    pub(super) message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Complaint {}

/// What can go wrong between us and a driver.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The driver or the server refused.
    Refused(Box<Complaint>),
    /// A statement or value of ours that makes no sense: nothing was sent.
    Senseless(String),
    /// A value of the column of this number, from 0, that does not come through whole.
    Damaged(usize, String),
    /// The connection was given up: no answer in time, and none to a request to stop.
    Silent,
    /// The connection was given up before.
    Lost,
}

impl From<Driver> for Trouble {
    fn from(error: Driver) -> Self {
        match error {
            Driver::Diagnostics { record, .. }
            | Driver::UnsupportedOdbcApiVersion(record)
            | Driver::InvalidRowArraySize { record, .. }
            | Driver::UnableToRepresentNull(record)
            | Driver::OracleOdbcDriverDoesNotSupport64Bit(record) => {
                Trouble::Refused(told(&record))
            }
            Driver::TooLargeValueForBuffer { buffer_index, .. } => Trouble::Damaged(
                buffer_index,
                "the value is longer than the driver said the column's values are".to_owned(),
            ),
            other => {
                let message = other.to_string();
                let (state, native) = ("HY000".to_owned(), 0);
                Trouble::Refused(Box::new(Complaint {
                    state,
                    native,
                    message,
                }))
            }
        }
    }
}

fn told(record: &Record) -> Box<Complaint> {
    // drivers write lines, some with a NUL at the end
    let text = String::from_utf16_lossy(&record.message);
    let lines = text.trim_matches('\0').lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    Box::new(Complaint {
        state: record.state.as_str().to_owned(),
        native: record.native_error,
        message: lines.join("; "),
    })
}

/// An error of ours, while doing `action`; `verdict` is what an interrupted statement died of.
pub(super) fn fault(
    action: impl Into<String>,
    engine: Engine,
    verdict: ErrorKind,
    trouble: Trouble,
) -> Error {
    match trouble {
        Trouble::Refused(complaint) => {
            let native = format!("odbc {}, {}", complaint.state, complaint.native);
            Error::new(kind_of(engine, &complaint, verdict), action)
                .with_native(native)
                .because(*complaint)
        }
        Trouble::Senseless(why) => Error::new(ErrorKind::Syntax, action).because(why),
        Trouble::Damaged(_, why) => Error::new(ErrorKind::Type, action).because(why),
        Trouble::Silent => Error::new(verdict, action)
            .because("the driver did not end the statement; its connection was given up"),
        Trouble::Lost => {
            Error::new(ErrorKind::Connect, action).because("the connection was given up before")
        }
    }
}

/// Whether the refusal speaks of a row's content, so that other rows may still be good.
pub(super) fn is_of_a_row(engine: Engine, complaint: &Complaint) -> bool {
    matches!(
        kind_of(engine, complaint, ErrorKind::Cancelled),
        ErrorKind::Constraint(_) | ErrorKind::Type
    )
}

/// Whether the connection is over.
pub(super) fn is_dead(engine: Engine, trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Refused(complaint) => {
            kind_of(engine, complaint, ErrorKind::Cancelled) == ErrorKind::Connect
        }
        Trouble::Silent | Trouble::Lost => true,
        Trouble::Senseless(_) | Trouble::Damaged(..) => false,
    }
}

pub(super) fn kind_of(engine: Engine, complaint: &Complaint, verdict: ErrorKind) -> ErrorKind {
    let native = u32::try_from(complaint.native).unwrap_or(0);
    let own = match engine {
        Engine::Postgres => crate::postgres::kind_of(&complaint.state, || verdict),
        Engine::Mysql => match native {
            2002..=2006 | 2013 | 2026 | 2055 => ErrorKind::Connect,
            code => u16::try_from(code).map_or(ErrorKind::Other, |code| {
                crate::mysql::kind_of(code, verdict)
            }),
        },
        Engine::Sqlite => of_sqlite(native & 0xff),
        Engine::Mssql => crate::mssql::kind_of(native),
        Engine::Other => ErrorKind::Other,
    };
    if own == ErrorKind::Other {
        of_state(&complaint.state, verdict)
    } else {
        own
    }
}

/// SQLite's result codes, without what extended ones would tell: <https://www.sqlite.org/rescode.html>.
fn of_sqlite(code: u32) -> ErrorKind {
    match code {
        1 => ErrorKind::Syntax,
        3 | 8 | 23 => ErrorKind::Permission,
        5 | 6 | 17 => ErrorKind::Busy,
        13 => ErrorKind::Full,
        14 => ErrorKind::Missing,
        18 | 20 => ErrorKind::Type,
        19 => ErrorKind::Constraint(Constraint::Other),
        _ => ErrorKind::Other,
    }
}

fn of_state(state: &str, verdict: ErrorKind) -> ErrorKind {
    match state {
        "HYT00" | "HYT01" => ErrorKind::Timeout,
        "HY008" => verdict,
        "42S02" | "42S22" | "42S12" => ErrorKind::Missing,
        "HY024" | "IM002" | "IM003" | "IM007" | "IM008" | "IM010" | "IM011" | "IM012" | "IM014" => {
            ErrorKind::Invalid
        }
        "07001" | "07002" | "07009" | "HY009" | "HY090" => ErrorKind::Syntax,
        "01004" => ErrorKind::Type,
        "40001" | "40P01" | "HY117" => ErrorKind::Busy,
        "22012" => ErrorKind::Other,
        _ => match state.get(..2) {
            Some("08") => ErrorKind::Connect,
            Some("22") => ErrorKind::Type,
            Some("23" | "44") => ErrorKind::Constraint(Constraint::Other),
            Some("28") => ErrorKind::Permission,
            Some("37" | "42") => ErrorKind::Syntax,
            Some("53") => ErrorKind::Full,
            _ => ErrorKind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(engine: Engine, state: &str, native: i32) -> ErrorKind {
        let complaint = Complaint {
            state: state.to_owned(),
            native,
            message: String::new(),
        };
        kind_of(engine, &complaint, ErrorKind::Timeout)
    }

    #[test]
    fn the_servers_own_code_goes_before_the_drivers_state() {
        let unique = ErrorKind::Constraint(Constraint::Unique);
        assert_eq!(kind(Engine::Mysql, "23000", 1062), unique);
        assert_eq!(kind(Engine::Postgres, "23505", 1), unique);
        assert_eq!(kind(Engine::Mysql, "HY000", 1317), ErrorKind::Timeout);
        assert_eq!(
            kind(Engine::Sqlite, "HY000", 19),
            ErrorKind::Constraint(Constraint::Other)
        );
        assert_eq!(kind(Engine::Sqlite, "HY000", 5), ErrorKind::Busy);
    }

    #[test]
    fn states_decide_for_databases_that_are_not_known() {
        assert_eq!(kind(Engine::Other, "42S02", 7), ErrorKind::Missing);
        assert_eq!(kind(Engine::Other, "08S01", 7), ErrorKind::Connect);
        assert_eq!(kind(Engine::Other, "22018", 7), ErrorKind::Type);
        assert_eq!(kind(Engine::Other, "IM002", 0), ErrorKind::Invalid);
        assert_eq!(kind(Engine::Other, "HY000", 0), ErrorKind::Other);
    }
}
