//! From the server's error numbers to our error kinds. Looks at numbers, never at messages.
//! The numbers: <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

use crate::{Constraint, Error, ErrorKind};
use mysql_async::{DriverError, IoError, ServerError};
use std::io;

/// What can go wrong between us and the server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused; the connection goes on.
    Refused(ServerError),
    /// A statement of ours that makes no sense: nothing was sent.
    Senseless(String),
    /// The connection is over.
    Broken(ErrorKind, Box<dyn std::error::Error + Send + Sync>),
    /// The server neither answered in time nor ended the statement; the connection is over.
    Silent,
}

impl From<mysql_async::Error> for Trouble {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::Error as Driver;
        let kind = match &error {
            Driver::Server(refused) => return Trouble::Refused(refused.clone()),
            Driver::Driver(DriverError::MixedParams) => {
                return Trouble::Senseless("named and numbered parameters in one".to_owned());
            }
            Driver::Driver(DriverError::NoClientSslFlagFromServer) => ErrorKind::Invalid,
            Driver::Driver(DriverError::UnknownAuthPlugin { .. }) => ErrorKind::Permission,
            Driver::Driver(DriverError::ConnectionClosed) => ErrorKind::Connect,
            // a foreign protocol or certificate: the same again would be the same again
            Driver::Io(IoError::Tls(_)) => ErrorKind::Other,
            Driver::Io(IoError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                ErrorKind::Other
            }
            Driver::Io(_) => ErrorKind::Connect,
            _ => ErrorKind::Other,
        };
        let within: Option<&(dyn std::error::Error + 'static)> = match &error {
            Driver::Io(IoError::Io(error)) => Some(error),
            Driver::Io(IoError::Tls(error)) => Some(error),
            _ => None,
        };
        if let Some((kind, words)) = within.and_then(crate::broken::words) {
            return Trouble::Broken(kind, words.into());
        }
        // how the driver's framing tells of an end amid a message
        if let Driver::Io(IoError::Io(error)) = &error
            && error.kind() == io::ErrorKind::Other
            && error.raw_os_error().is_none()
        {
            let words = "the server closed the connection in the middle of an answer";
            return Trouble::Broken(ErrorKind::Connect, words.into());
        }
        match error {
            Driver::Io(IoError::Io(error)) => Trouble::Broken(kind, error.into()),
            error => Trouble::Broken(kind, error.into()),
        }
    }
}

/// The server's words, without the number that the error has already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Words(String);

/// An error of ours, while doing `action`; `verdict` is what an interrupted statement died of.
pub(super) fn fault(action: impl Into<String>, verdict: ErrorKind, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Refused(refused) => Error::new(kind_of(refused.code, verdict), action)
            .with_native(format!("mysql {}", refused.code))
            .because(Words(refused.message)),
        Trouble::Senseless(why) => Error::new(ErrorKind::Syntax, action).because(why),
        Trouble::Broken(kind, error) => Error::new(kind, action).because(error),
        Trouble::Silent => Error::new(verdict, action)
            .because("the server does not answer, also not the request to stop"),
    }
}

/// The thread of a load is gone, and the connection with it.
pub(super) fn lost_thread(action: &str) -> Error {
    Error::new(ErrorKind::Connect, action)
        .because("the thread of the load is gone, and its connection with it")
}

/// Whether the refusal speaks of a row's content, so that other rows may still be good.
pub(super) fn is_of_a_row(code: u16) -> bool {
    matches!(
        kind_of(code, ErrorKind::Cancelled),
        ErrorKind::Constraint(_) | ErrorKind::Type
    )
}

/// Whether the server does not let this client send rows as a file.
pub(super) fn forbids_local(code: u16) -> bool {
    matches!(code, 1148 | 3948 | 4166 | 2068 | 1045 | 1227)
}

pub(crate) fn kind_of(code: u16, verdict: ErrorKind) -> ErrorKind {
    match code {
        1022 | 1062 | 1169 | 1586 => ErrorKind::Constraint(Constraint::Unique),
        1048 | 1263 | 1364 => ErrorKind::Constraint(Constraint::NotNull),
        3819 | 4025 => ErrorKind::Constraint(Constraint::Check),
        1216 | 1217 | 1451 | 1452 => ErrorKind::Constraint(Constraint::ForeignKey),
        1369 | 1644 => ErrorKind::Constraint(Constraint::Other),
        1264 | 1265 | 1292 | 1300 | 1366 | 1367 | 1406 | 1411 | 1416 | 1425 | 1441 | 1690
        | 3140 | 3141 | 3156 | 4038 => ErrorKind::Type,
        1064 | 1149 | 1210 | 1295 | 1065 => ErrorKind::Syntax,
        1049 | 1051 | 1054 | 1091 | 1146 | 1305 => ErrorKind::Missing,
        1044 | 1045 | 1130 | 1142 | 1143 | 1148 | 1227 | 1290 | 1370 | 1698 | 1792 | 1836
        | 3948 | 4166 => ErrorKind::Permission,
        // 1020: a row was changed after the transaction began (MariaDB, innodb_snapshot_isolation)
        1020 | 1205 | 1213 | 3058 | 3572 => ErrorKind::Busy,
        1317 => verdict,
        1969 | 3024 => ErrorKind::Timeout,
        1040 | 1053 | 1077..=1080 | 1158..=1161 | 1203 | 1226 | 1927 => ErrorKind::Connect,
        1021 | 1037 | 1038 | 1041 | 1114 => ErrorKind::Full,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> Trouble {
        let (message, state) = ("said".to_owned(), "HY000".to_owned());
        Trouble::from(mysql_async::Error::Server(ServerError {
            code,
            message,
            state,
        }))
    }

    #[test]
    fn numbers_decide() {
        let error = fault("loading", ErrorKind::Timeout, server(1062));
        assert_eq!(
            error.to_string(),
            "loading: the key is there already (mysql 1062)"
        );
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("said"));
        let kind = |code| fault("x", ErrorKind::Timeout, server(code)).kind();
        assert_eq!(
            (kind(1317), kind(1213)),
            (ErrorKind::Timeout, ErrorKind::Busy)
        );
        assert!(is_of_a_row(1366) && !is_of_a_row(1064));
    }

    #[test]
    fn a_broken_line_is_transient_and_a_wrong_certificate_is_not() {
        let of = |kind: io::ErrorKind| {
            let error = mysql_async::Error::Io(IoError::Io(kind.into()));
            fault("x", ErrorKind::Timeout, Trouble::from(error)).is_transient()
        };
        assert!(of(io::ErrorKind::ConnectionReset) && !of(io::ErrorKind::InvalidData));
        let cut = mysql_async::Error::Io(IoError::Io(io::Error::other("bytes left")));
        let error = fault("x", ErrorKind::Timeout, Trouble::from(cut));
        let told = std::error::Error::source(&error).map(ToString::to_string);
        assert!(error.is_transient() && told.is_some_and(|told| told.contains("closed")));
    }
}
