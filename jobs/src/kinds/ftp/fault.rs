//! What went wrong with the server, in the terms that the job acts on: is the connection still good, was it a refusal, may it
//! go better later.

use std::io;

use suppaftp::FtpError;
use suppaftp::types::Response;

use crate::error::Error;

/// The longest piece of a server's words that is repeated.
const LONGEST: usize = 200;

/// A step with the server that failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    /// The server's reply code, where it gave one.
    code: Option<u32>,
    /// The connection cannot be used any more.
    pub(super) broken: bool,
    /// Another try would come to the same.
    vain: bool,
    /// The server gave no answer: it may still do what it was asked, later.
    pub(super) unanswered: bool,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// What `action` came to.
    pub(super) fn of(action: &str, error: FtpError) -> Fault {
        match error {
            FtpError::ConnectionError(error) if error.kind() == io::ErrorKind::InvalidInput => {
                // the command was not sent: a name has no form in the server's encoding, or carries a line end
                Fault {
                    error: Error::Data(format!("{action}: {error}")),
                    code: None,
                    broken: false,
                    vain: true,
                    unanswered: false,
                }
            }
            FtpError::ConnectionError(error) => Fault::broken(action, error),
            FtpError::SecureError(said) => Fault::broken(action, io::Error::other(said)),
            FtpError::UnexpectedResponse(response) => Fault::refused(action, &response),
            other => Fault::broken(action, io::Error::other(other.to_string())),
        }
    }

    /// The connection is gone.
    pub(super) fn broken(action: &str, error: io::Error) -> Fault {
        let timed_out = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        );
        let vain = is_distrust(&error);
        let source = if timed_out {
            io::Error::other("the server is silent")
        } else {
            error
        };
        Fault {
            error: Error::Unreachable {
                what: action.to_owned(),
                source: Some(Box::new(source)),
            },
            code: None,
            broken: true,
            vain,
            unanswered: false,
        }
    }

    /// As it is on a connection that may have broken meanwhile.
    pub(super) fn on(self, broken: bool) -> Fault {
        Fault {
            broken: self.broken || broken,
            ..self
        }
    }

    /// As it is where the question is on its way, and nobody will hear the answer.
    pub(super) fn unheard(self) -> Fault {
        Fault {
            unanswered: self.broken,
            ..self
        }
    }

    /// A fault that leaves the connection as it is.
    pub(super) fn mild(error: Error) -> Fault {
        Fault {
            error,
            code: None,
            broken: false,
            vain: false,
            unanswered: false,
        }
    }

    fn refused(action: &str, response: &Response) -> Fault {
        let code = response.status.code();
        let code = code_of(&response.body).unwrap_or(code);
        let what = format!("{action}: {}", said(&response.body));
        let error = match code {
            400..=499 | 552 => Error::TryAgain(what),
            530..=535 | 550 | 551 | 553 | 521 => Error::Permission(what),
            _ => Error::Data(what),
        };
        Fault {
            error,
            code: Some(code),
            broken: matches!(code, 421 | 425 | 426),
            vain: false,
            unanswered: false,
        }
    }

    /// Whether the server said no, for good.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.code, Some(500..=599))
    }

    /// Whether the server does not know the command.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.code, Some(500..=504))
    }

    /// Whether the server only said no to this file: it is not there, or not ours.
    pub(super) fn is_of_the_file(&self) -> bool {
        self.code == Some(550)
    }

    /// As it is where it may have been our way of asking: another try may go better, on another connection.
    pub(super) fn passing(self) -> Fault {
        let error = match self.error {
            Error::Data(what) | Error::Permission(what) => Error::TryAgain(what),
            other => other,
        };
        Fault {
            error,
            broken: true,
            ..self
        }
    }

    /// Whether another try may go better.
    pub(super) fn is_passing(&self) -> bool {
        !self.vain && self.error.is_transient()
    }
}

impl From<Error> for Fault {
    /// A local fault. After it the connection is in the midst of something.
    fn from(error: Error) -> Fault {
        Fault {
            error,
            code: None,
            broken: true,
            vain: false,
            unanswered: false,
        }
    }
}

/// Whether the server's certificate proves nothing to us.
fn is_distrust(error: &io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

fn code_of(body: &[u8]) -> Option<u32> {
    std::str::from_utf8(body.get(..3)?).ok()?.parse().ok()
}

/// The server's words, fit to be shown.
pub(super) fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.trim().lines().last().unwrap_or_default();
    let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST).collect()
}
