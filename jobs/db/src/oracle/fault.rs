//! From the server's error numbers to our error kinds. Looks at numbers, never at messages.
//! The numbers: <https://docs.oracle.com/en/error-help/db/>.

use super::frame::Foreign;
use super::gate::Gate;
use crate::{Constraint, Error, ErrorKind};
use std::io;
use std::sync::Arc;

/// The transaction broke a deferred constraint at its end.
const ROLLED_BACK: usize = 2091;

/// Why the line to a server ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// The driver hung up.
    Closed,
    /// The server hung up.
    Hung,
    /// The listener let us not in: the number of its error, if it named one, and its words.
    Refused(Option<u32>, String),
    /// Who answers does not speak Oracle's protocol.
    Foreign,
    /// The server insists on an encryption that only Oracle's own libraries know.
    Encryption,
    /// The listener sends us on to a place with TLS, or to one without it, against what the URL says.
    OtherTls(bool),
    /// The server neither answered in time nor ended the statement.
    Silent,
    /// An answer came for what was not asked any more.
    Confused,
    Io(Arc<io::Error>),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Io(Arc::new(error))
    }
}

impl From<Foreign> for End {
    fn from(_: Foreign) -> Self {
        End::Foreign
    }
}

/// What can go wrong between us and the server.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refused; the connection goes on.
    Refused { code: usize, words: String },
    /// A statement of ours that makes no sense: nothing was sent.
    Senseless(String),
    /// The driver cannot do it; the connection goes on.
    Unable(String),
    /// The connection is over.
    Over(End),
}

impl Trouble {
    /// What the driver's error means, seen with what happened to the line.
    pub(super) fn of(error: &oracledb::Error, gate: &Gate) -> Trouble {
        use oracledb::ErrorKind as Driver;
        if let Some(end) = gate.end() {
            return Trouble::Over(end);
        }
        match error.kind() {
            Driver::DbError(told) => Trouble::Refused {
                code: told.code(),
                words: words(told.code(), told.message()),
            },
            Driver::WrongNumPositionalBinds(..)
            | Driver::InvalidBindName(_)
            | Driver::MissingBindValue(_)
            | Driver::ParseError(..) => Trouble::Senseless(error.to_string()),
            Driver::DeadConnection | Driver::NotConnected | Driver::UnableToRecover => {
                Trouble::Over(End::Hung)
            }
            Driver::StreamOperation => Trouble::Over(io::Error::other(error.to_string()).into()),
            _ => Trouble::Unable(error.to_string()),
        }
    }

    /// Whether the server refused a row for its content, so that other rows may still be good.
    pub(super) fn is_of_a_row(&self) -> bool {
        let Trouble::Refused { code, .. } = self else {
            return false;
        };
        matches!(
            kind_of(*code, ErrorKind::Cancelled),
            ErrorKind::Constraint(_) | ErrorKind::Type
        )
    }

    /// Whether the key was there already.
    pub(super) fn is_double(&self) -> bool {
        matches!(self, Trouble::Refused { code: 1, .. })
    }
}

/// The server's words without its number, which the error has already; the first line tells all but where in a procedure. That a
/// transaction was rolled back at its end has its reason in the second.
fn words(code: usize, message: &str) -> String {
    let line = usize::from(code == ROLLED_BACK && message.lines().count() > 1);
    let first = message.lines().nth(line).unwrap_or_default().trim();
    let tail = first.strip_prefix("ORA-").and_then(|rest| {
        let (code, words) = rest.split_once(':')?;
        code.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(words)
    });
    tail.unwrap_or(first).trim().to_owned()
}

/// An error of ours, while doing `action`; `verdict` is what an interrupted statement died of.
pub(super) fn fault(action: impl Into<String>, verdict: ErrorKind, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Refused { code, words } => Error::new(kind_of(code, verdict), action)
            .with_native(format!("ORA-{code:05}"))
            .because(words),
        Trouble::Senseless(why) => Error::new(ErrorKind::Syntax, action).because(why),
        Trouble::Unable(why) => Error::new(ErrorKind::Other, action).because(why),
        Trouble::Over(end) => ended(action.into(), verdict, end),
    }
}

fn ended(action: String, verdict: ErrorKind, end: End) -> Error {
    let connect = |why: &str| (ErrorKind::Connect, why.to_owned());
    let (kind, why) = match end {
        End::Closed => connect("the connection is closed"),
        End::Hung => connect("the server closed the connection"),
        End::Refused(code, words) => {
            let kind = code.map_or(ErrorKind::Connect, |code| {
                kind_of(usize::try_from(code).unwrap_or_default(), verdict)
            });
            let error = Error::new(kind, action).because(format!("the listener refuses: {words}"));
            return match code {
                Some(code) => error.with_native(format!("ORA-{code:05}")),
                None => error,
            };
        }
        End::Foreign => connect("who answers there does not speak Oracle's protocol"),
        End::Encryption => (
            ErrorKind::Invalid,
            "the server insists on its native network encryption, which this driver does not know; \
             tls=require where it has a port with TLS"
                .to_owned(),
        ),
        End::OtherTls(true) => (
            ErrorKind::Invalid,
            "the listener sends us on to a port with TLS: tls=require".to_owned(),
        ),
        End::OtherTls(false) => (
            ErrorKind::Permission,
            "the listener sends us on to a port without TLS".to_owned(),
        ),
        End::Silent => (
            verdict,
            "the server does not answer, also not the request to stop".to_owned(),
        ),
        End::Confused => connect("the connection was given up after a late request to stop"),
        End::Io(error) => match crate::broken::words(&*error) {
            Some((kind, words)) => (kind, words),
            None if error.kind() == io::ErrorKind::InvalidData => (
                ErrorKind::Connect,
                format!("no TLS can be agreed on: {error}"),
            ),
            None => connect(&error.to_string()),
        },
    };
    Error::new(kind, action).because(why)
}

/// What a number means; `verdict` is what an interrupted statement died of.
pub(super) fn kind_of(code: usize, verdict: ErrorKind) -> ErrorKind {
    match code {
        1 => ErrorKind::Constraint(Constraint::Unique),
        1400 | 1407 => ErrorKind::Constraint(Constraint::NotNull),
        2290 => ErrorKind::Constraint(Constraint::Check),
        2291 | 2292 => ErrorKind::Constraint(Constraint::ForeignKey),
        1402 | ROLLED_BACK | 20000..=20999 => ErrorKind::Constraint(Constraint::Other),
        1401
        | 1426
        | 1438
        | 1455
        | 1461
        | 1465
        | 1489
        | 1722
        | 1830
        | 1839..=1891
        | 6502
        | 12704
        | 12899
        | 22835
        | 40441 => ErrorKind::Type,
        904 | 942 | 1418 | 1435 | 1918 | 2019 | 2289 | 4043 => ErrorKind::Missing,
        900..=954
        | 956..=999
        | 1006
        | 1008
        | 1036
        | 1740
        | 1747
        | 1756
        | 1789
        | 1790
        | 1810..=1829
        | 6550
        | 32795
        | 38104
        | 54013 => ErrorKind::Syntax,
        1005 | 1017 | 1031 | 1035 | 1045 | 1456 | 16000 | 28000 | 28001 | 28003 | 28040 | 41900 => {
            ErrorKind::Permission
        }
        51 | 54 | 60 | 1466 | 1555 | 1591 | 2049 | 2391 | 4020 | 4021 | 4031 | 4061 | 4068
        | 8177 | 30006 => ErrorKind::Busy,
        1013 => verdict,
        40 | 2393 => ErrorKind::Timeout,
        12504 => ErrorKind::Invalid,
        18
        | 20
        | 28
        | 1012
        | 1014
        | 1033
        | 1034
        | 1089
        | 1090
        | 1092
        | 2396
        | 2399
        | 3113
        | 3114
        | 3135
        | 3136
        | 12150..=12699
        | 25401..=25410 => ErrorKind::Connect,
        257
        | 1536
        | 1628
        | 1630..=1632
        | 1650..=1659
        | 1688
        | 1691..=1693
        | 4030
        | 12953
        | 19809
        | 30036
        | 65114 => ErrorKind::Full,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: usize) -> Trouble {
        let words = words(
            code,
            "ORA-00001: unique constraint (A.B) violated\nORA-06512: at line 1",
        );
        Trouble::Refused { code, words }
    }

    #[test]
    fn numbers_decide() {
        let error = fault("loading", ErrorKind::Timeout, refused(1));
        assert_eq!(
            error.to_string(),
            "loading: the key is there already (ORA-00001)"
        );
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("unique constraint (A.B) violated"));
        let kind = |code| kind_of(code, ErrorKind::Timeout);
        for (codes, wanted) in [
            (
                &[1400, 1407][..],
                ErrorKind::Constraint(Constraint::NotNull),
            ),
            (&[2290], ErrorKind::Constraint(Constraint::Check)),
            (&[2291, 2292], ErrorKind::Constraint(Constraint::ForeignKey)),
            (&[20001, 1402], ErrorKind::Constraint(Constraint::Other)),
            (&[12899, 1722, 1438, 1843, 1847, 1861], ErrorKind::Type),
            (&[942, 904, 2289], ErrorKind::Missing),
            (&[900, 933, 936, 1008, 6550], ErrorKind::Syntax),
            (&[1017, 28000, 1031, 1045], ErrorKind::Permission),
            (&[60, 54, 8177, 1555], ErrorKind::Busy),
            (&[1013], ErrorKind::Timeout),
            (
                &[3113, 3114, 12541, 1033, 1034, 12514, 28],
                ErrorKind::Connect,
            ),
            (&[1653, 1536, 30036], ErrorKind::Full),
            (&[600, 955], ErrorKind::Other),
        ] {
            for code in codes {
                assert_eq!(kind(*code), wanted, "ORA-{code:05}");
            }
        }
        let late = "ORA-02091: transaction rolled back\nORA-02291: no parent";
        assert_eq!(words(ROLLED_BACK, late), "no parent");
        assert!(refused(1722).is_of_a_row() && !refused(942).is_of_a_row());
        assert!(refused(1).is_double() && !refused(1400).is_double());
    }

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        let of = |end| fault("x", ErrorKind::Timeout, Trouble::Over(end));
        assert!(
            of(End::Hung).is_transient()
                && of(End::Refused(Some(12541), String::new())).is_transient()
        );
        assert!(!of(End::Encryption).is_transient() && !of(End::Silent).is_transient());
        let told = of(End::Refused(Some(12514), "(ERR=12514)".to_owned()));
        assert_eq!(told.native(), Some("ORA-12514"));
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(of(reset.into()).is_transient());
    }
}
