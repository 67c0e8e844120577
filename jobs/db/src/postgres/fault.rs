//! From SQLSTATE to our error kinds. Looks at codes, never at messages.
//! The codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use crate::net::{Watch, is_timeout};
use crate::{Constraint, Error, ErrorKind};
use std::fmt;
use std::io;

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

impl Complaint {
    /// Reads the fields of an ErrorResponse or NoticeResponse.
    pub(super) fn read(mut body: &[u8]) -> Self {
        let mut complaint = Complaint::default();
        while let Some((&field, rest)) = body.split_first() {
            if field == 0 {
                break;
            }
            let end = rest
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(rest.len());
            let text = || String::from_utf8_lossy(&rest[..end]).into_owned();
            match field {
                b'C' => complaint.code = text(),
                b'M' => complaint.message = text(),
                b'D' => complaint.detail = text(),
                b'W' => complaint.context = text(),
                b'c' => complaint.column = text(),
                b'n' => complaint.constraint = text(),
                _ => {}
            }
            body = rest.get(end + 1..).unwrap_or_default();
        }
        complaint
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

impl std::error::Error for Complaint {}

/// What can go wrong on the wire.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused; the connection goes on.
    Refused(Box<Complaint>),
    /// The connection is over.
    Broken(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Broken(error)
    }
}

/// An error of ours, while doing `action`.
pub(super) fn fault(action: impl Into<String>, watch: &Watch, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Refused(complaint) => {
            let error =
                Error::new(kind_of(&complaint.code, watch), action).with_native(&complaint.code);
            let error = if complaint.column.is_empty() {
                error
            } else {
                error.at_column(&complaint.column)
            };
            error.because(*complaint)
        }
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
pub(super) fn is_of_a_row(code: &str) -> bool {
    matches!(
        kind_of(code, &Watch::default()),
        ErrorKind::Constraint(_) | ErrorKind::Type
    )
}

fn kind_of(code: &str, watch: &Watch) -> ErrorKind {
    match code {
        "23505" => ErrorKind::Constraint(Constraint::Unique),
        "23502" => ErrorKind::Constraint(Constraint::NotNull),
        "23514" => ErrorKind::Constraint(Constraint::Check),
        "23503" | "23001" => ErrorKind::Constraint(Constraint::ForeignKey),
        // a trigger's RAISE; WITH CHECK OPTION of a view
        "P0001" | "44000" => ErrorKind::Constraint(Constraint::Other),
        "57014" => watch.verdict(),
        "42501" | "25006" => ErrorKind::Permission,
        "42P01" | "42703" | "42704" | "42883" | "3D000" | "3F000" => ErrorKind::Missing,
        // wrong number of parameters
        "08P01" => ErrorKind::Syntax,
        "55P03" | "55006" => ErrorKind::Busy,
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" => ErrorKind::Connect,
        "25P02" => ErrorKind::Other,
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
    fn reads_the_fields_of_an_error() {
        let complaint =
            Complaint::read(b"SERROR\0C23505\0Mduplicate key\0DKey (id)=(1)\0nt_pkey\0\0");
        assert_eq!(
            (complaint.code.as_str(), complaint.constraint.as_str()),
            ("23505", "t_pkey")
        );
        assert_eq!(complaint.to_string(), "duplicate key (Key (id)=(1))");
        assert_eq!(Complaint::read(b""), Complaint::default());
        assert_eq!(Complaint::read(b"Cx").code, "x");
    }

    #[test]
    fn codes_tell_what_to_do() {
        let kind = |code| kind_of(code, &Watch::default());
        assert_eq!(kind("40P01"), ErrorKind::Busy);
        assert_eq!(kind("22P02"), ErrorKind::Type);
        assert_eq!(kind("57P01"), ErrorKind::Connect);
        assert_eq!(kind(""), ErrorKind::Other);
        assert!(is_of_a_row("23514") && !is_of_a_row("42601"));
    }
}
