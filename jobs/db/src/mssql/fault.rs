//! From the server's error numbers to our error kinds. Looks at numbers, never at messages.
//! The numbers: <https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors>.

use crate::{Constraint, Error, ErrorKind};
use std::io;
use tiberius::error::Error as Driver;

/// What can go wrong between us and the server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused; the connection goes on.
    Refused {
        number: u32,
        /// Above 19 the server ends the connection.
        severity: u8,
        message: String,
    },
    /// A statement of ours that makes no sense: nothing was sent.
    Senseless(String),
    /// A value of this column that has no exact form.
    Damaged(String, &'static str),
    /// Stopped at its time limit, or on request.
    Stopped,
    /// The connection is over.
    Broken(ErrorKind, Box<dyn std::error::Error + Send + Sync>),
    /// The server neither answered in time nor ended the statement; the connection is over.
    Silent,
}

impl From<Driver> for Trouble {
    fn from(error: Driver) -> Self {
        match error {
            Driver::Server(told) => Trouble::Refused {
                number: told.code(),
                severity: told.class(),
                message: told.message().to_owned(),
            },
            Driver::Io { kind, message } => {
                let words = match kind {
                    io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
                    _ => message,
                };
                let kind = match kind {
                    // a foreign protocol: the same again would be the same again
                    io::ErrorKind::InvalidData => ErrorKind::Other,
                    _ => ErrorKind::Connect,
                };
                Trouble::Broken(kind, words.into())
            }
            Driver::BulkInput(why) => Trouble::Senseless(why.into_owned()),
            other => Trouble::Broken(ErrorKind::Other, other.into()),
        }
    }
}

impl Trouble {
    /// Whether the connection is over.
    pub(super) fn is_end(&self) -> bool {
        match self {
            Trouble::Refused { severity, .. } => *severity >= 20,
            Trouble::Broken(..) | Trouble::Silent => true,
            Trouble::Senseless(_) | Trouble::Damaged(..) | Trouble::Stopped => false,
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
        Trouble::Refused {
            number,
            severity,
            message,
        } => {
            let kind = match kind_of(number) {
                ErrorKind::Other if severity >= 20 => ErrorKind::Connect,
                kind => kind,
            };
            Error::new(kind, action)
                .with_native(format!("mssql {number}"))
                .because(Words(message))
        }
        Trouble::Senseless(why) => Error::new(ErrorKind::Syntax, action).because(why),
        Trouble::Damaged(column, why) => Error::new(ErrorKind::Type, action)
            .at_column(column)
            .because(why),
        Trouble::Stopped => Error::new(verdict, action).because("the statement was ended"),
        Trouble::Broken(kind, error) => Error::new(kind, action).because(error),
        Trouble::Silent => Error::new(verdict, action)
            .because("the server does not answer, also not the request to stop"),
    }
}

/// Whether the refusal speaks of a row's content, so that other rows may still be good.
pub(super) fn is_of_a_row(number: u32) -> bool {
    matches!(kind_of(number), ErrorKind::Constraint(_) | ErrorKind::Type)
}

/// What the server's error number means.
pub(crate) fn kind_of(number: u32) -> ErrorKind {
    match number {
        2601 | 2627 => ErrorKind::Constraint(Constraint::Unique),
        515 => ErrorKind::Constraint(Constraint::NotNull),
        // a check or a foreign key: one number for both
        547 => ErrorKind::Constraint(Constraint::Other),
        // a rule; WITH CHECK OPTION of a view; RAISERROR and THROW of triggers
        513 | 550 | 50_000..=59_999 => ErrorKind::Constraint(Constraint::Other),
        206
        | 220
        | 232
        | 235
        | 236
        | 241
        | 242
        | 244
        | 245
        | 248
        | 256
        | 257
        | 293
        | 295
        | 296
        | 529
        | 2628
        | 8114
        | 8115
        | 8152
        | 8169
        | 9400..=9459
        | 13_608..=13_620 => ErrorKind::Type,
        102
        | 103
        | 105
        | 107
        | 111
        | 119
        | 121
        | 128
        | 132..=139
        | 142
        | 145..=148
        | 156
        | 164
        | 170
        | 178
        | 189
        | 201
        | 213
        | 214
        | 264
        | 271
        | 273
        | 319
        | 334
        | 402
        | 8120
        | 8144
        | 8145
        | 8155
        | 8156
        | 8178
        | 11_501 => ErrorKind::Syntax,
        207 | 208 | 911 | 2706 | 2812 | 3701 | 4060 | 4121 | 4902 | 4922 | 7202 | 15_151 => {
            ErrorKind::Missing
        }
        229 | 230 | 262 | 297 | 300 | 916 | 978 | 1088 | 2557 | 3906 | 4064 | 18_401 | 18_450
        | 18_452 | 18_456 | 18_470 | 18_486 | 18_487 | 18_488 | 15_247 | 40_532 => {
            ErrorKind::Permission
        }
        // deadlock, lock timeout, snapshot conflicts, log throttling, moved databases
        1204
        | 1205
        | 1222
        | 1421
        | 3960
        | 3961
        | 8645
        | 8651
        | 8628
        | 10_928
        | 10_929
        | 40_501
        | 41_301
        | 41_302
        | 41_305
        | 41_325
        | 41_839
        | 49_918..=49_920 => ErrorKind::Busy,
        596 | 597 | 904 | 921 | 922 | 924 | 927 | 942 | 945 | 983 | 3980 | 4014 | 6005 | 10_053
        | 10_054 | 10_060 | 17_142 | 18_461 | 40_197 | 40_540 | 40_613 => ErrorKind::Connect,
        1101..=1106 | 9002 | 40_544 | 40_549..=40_553 => ErrorKind::Full,
        // snapshot isolation is not allowed in the database
        3952 => ErrorKind::Invalid,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_decide() {
        use Constraint::{NotNull, Other, Unique};
        for (number, kind) in [
            (2627, ErrorKind::Constraint(Unique)),
            (2601, ErrorKind::Constraint(Unique)),
            (515, ErrorKind::Constraint(NotNull)),
            (547, ErrorKind::Constraint(Other)),
            (50_000, ErrorKind::Constraint(Other)),
            (8152, ErrorKind::Type),
            (2628, ErrorKind::Type),
            (245, ErrorKind::Type),
            (8114, ErrorKind::Type),
            (8115, ErrorKind::Type),
            (102, ErrorKind::Syntax),
            (137, ErrorKind::Syntax),
            (207, ErrorKind::Missing),
            (208, ErrorKind::Missing),
            (4060, ErrorKind::Missing),
            (229, ErrorKind::Permission),
            (18_456, ErrorKind::Permission),
            (1205, ErrorKind::Busy),
            (1222, ErrorKind::Busy),
            (3960, ErrorKind::Busy),
            (40_613, ErrorKind::Connect),
            (1105, ErrorKind::Full),
            (9002, ErrorKind::Full),
            (99_999, ErrorKind::Other),
        ] {
            assert_eq!(kind_of(number), kind, "{number}");
        }
        assert!(is_of_a_row(2627) && !is_of_a_row(1205));
    }

    #[test]
    fn a_refusal_says_its_number_and_a_grave_one_ends_the_connection() {
        let refused = |number, severity| Trouble::Refused {
            number,
            severity,
            message: "said".to_owned(),
        };
        let error = fault("loading", ErrorKind::Timeout, refused(1205, 13));
        assert_eq!(error.to_string(), "loading: locked by others (mssql 1205)");
        assert!(error.is_transient() && !refused(1205, 13).is_end());
        let error = fault("loading", ErrorKind::Timeout, refused(99_999, 21));
        assert!(error.is_transient() && refused(99_999, 21).is_end());
    }

    #[test]
    fn a_broken_line_is_transient_and_a_foreign_protocol_is_not() {
        let of = |kind| {
            let message = "x".to_owned();
            let trouble = Trouble::from(Driver::Io { kind, message });
            fault("x", ErrorKind::Timeout, trouble).is_transient()
        };
        assert!(of(io::ErrorKind::ConnectionReset) && of(io::ErrorKind::UnexpectedEof));
        assert!(!of(io::ErrorKind::InvalidData));
        let odd = Trouble::from(Driver::Protocol("odd".into()));
        assert!(odd.is_end() && !fault("x", ErrorKind::Timeout, odd).is_transient());
    }
}
