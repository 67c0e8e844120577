//! From the server's error numbers to our error kinds. Looks at numbers, never at messages.
//! The numbers: <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

use crate::net::{Watch, is_timeout};
use crate::{Constraint, Error, ErrorKind};
use std::fmt;
use std::io;

/// What the server says of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Complaint {
    /// Reads an ERR packet, without its mark.
    pub(super) fn read(body: &[u8]) -> Self {
        let (code, rest) = body.split_first_chunk::<2>().unwrap_or((&[0; 2], body));
        // a mark and five letters of SQLSTATE, which says less than the number
        let text = if rest.first() == Some(&b'#') {
            rest.get(6..).unwrap_or_default()
        } else {
            rest
        };
        Complaint {
            code: u16::from_le_bytes(*code),
            message: String::from_utf8_lossy(text).into_owned(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Complaint {}

/// What can go wrong on the wire.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused; the connection goes on.
    Refused(Complaint),
    /// A statement of ours that makes no sense: nothing was sent.
    Senseless(String),
    /// The connection is over.
    Broken(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Broken(error)
    }
}

/// The connection is over: what came is not of this protocol.
pub(super) fn foreign(why: &'static str) -> Trouble {
    Trouble::Broken(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// An error of ours, while doing `action`.
pub(super) fn fault(action: impl Into<String>, watch: &Watch, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Refused(complaint) => Error::new(kind_of(complaint.code, watch), action)
            .with_native(format!("mysql {}", complaint.code))
            .because(complaint),
        Trouble::Senseless(why) => Error::new(ErrorKind::Syntax, action).because(why),
        Trouble::Broken(error) => {
            let kind = match error.kind() {
                // a foreign protocol or certificate: the same again would be the same again
                io::ErrorKind::InvalidData => ErrorKind::Other,
                io::ErrorKind::Unsupported => ErrorKind::Invalid,
                _ if watch.asked() && is_timeout(&error) => watch.verdict(),
                _ => ErrorKind::Connect,
            };
            Error::new(kind, action).because(error)
        }
    }
}

/// Whether the refusal speaks of a row's content, so that other rows may still be good.
pub(super) fn is_of_a_row(code: u16) -> bool {
    matches!(
        kind_of(code, &Watch::default()),
        ErrorKind::Constraint(_) | ErrorKind::Type
    )
}

/// Whether the server does not let this client send rows as a file.
pub(super) fn forbids_local(code: u16) -> bool {
    matches!(code, 1148 | 3948 | 4166 | 2068 | 1045 | 1227)
}

fn kind_of(code: u16, watch: &Watch) -> ErrorKind {
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
        1205 | 1213 | 3058 | 3572 => ErrorKind::Busy,
        1317 => watch.verdict(),
        1969 | 3024 => ErrorKind::Timeout,
        1040 | 1053 | 1077..=1080 | 1158..=1161 | 1203 | 1226 | 1927 => ErrorKind::Connect,
        1021 | 1037 | 1038 | 1041 | 1114 => ErrorKind::Full,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_error() {
        let complaint = Complaint::read(b"\x26\x04#23000Duplicate entry");
        assert_eq!(
            (complaint.code, complaint.message.as_str()),
            (1062, "Duplicate entry")
        );
        assert_eq!(Complaint::read(b"\x10\x04Too many").message, "Too many");
        assert_eq!(Complaint::read(b"").code, 0);
        assert!(is_of_a_row(1366) && !is_of_a_row(1064));
    }
}
