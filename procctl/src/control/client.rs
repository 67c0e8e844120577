//! The client side of the control socket: connects, asks, waits for the answer. Blocking, for
//! command lines.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::SocketType;

use crate::plan::{Answer, Request};

/// Longest answer in bytes: far above the status of a full heartbeat table.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no supervisor runs on this home ({} is not answered)", path.display())]
    NotRunning {
        /// The control socket.
        path: PathBuf,
    },
    /// The supervisor is another user's, or its folder is closed to us.
    #[error("may not speak to the supervisor at {}", path.display())]
    Denied {
        /// The control socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The supervisor did not accept the request.
    #[error("{0}")]
    Refused(String),
    /// It went away, or said something that is no answer.
    #[error("the supervisor did not answer")]
    Lost(#[source] io::Error),
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    /// Connects to the supervisor of the home whose run folder this is.
    ///
    /// # Errors
    /// Nobody listens there, or we may not speak.
    pub fn open(run_folder: &Path) -> Result<Connection, Error> {
        let path = super::path(run_folder);
        match crate::socket::connect(&path, SocketType::STREAM, false) {
            Ok(socket) => Ok(Connection {
                stream: BufReader::new(UnixStream::from(socket)),
            }),
            Err(source) => Err(match source.kind() {
                io::ErrorKind::PermissionDenied => Error::Denied { path, source },
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Error::NotRunning { path }
                }
                _ => Error::Lost(source),
            }),
        }
    }

    /// Asks and waits for the answer, at most for `patience` where one is given.
    ///
    /// # Errors
    /// The request was not accepted, or no answer came.
    pub fn ask(&mut self, request: &Request, patience: Option<Duration>) -> Result<Answer, Error> {
        let mut line = serde_json::to_vec(request).map_err(|error| Error::Lost(error.into()))?;
        line.push(b'\n');
        let stream = self.stream.get_mut();
        stream.set_read_timeout(patience).map_err(Error::Lost)?;
        stream.set_write_timeout(patience).map_err(Error::Lost)?;
        // a supervisor that refuses us closes at once, but says why first
        let sent = stream.write_all(&line);
        let mut answer = Vec::new();
        let read = (&mut self.stream)
            .take(LONGEST_ANSWER)
            .read_until(b'\n', &mut answer);
        read.map_err(|error| Error::Lost(if silent(&error) { silence() } else { error }))?;
        if answer.is_empty() {
            sent.map_err(Error::Lost)?;
            return Err(Error::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        understand(&answer)
    }

    /// Waits until the supervisor has closed the connection: it has ended.
    pub fn wait_for_end(mut self, patience: Duration) -> bool {
        let limited = self.stream.get_ref().set_read_timeout(Some(patience));
        let mut rest = Vec::new();
        // an error other than that of the patience is an end, too: a reset
        let ended =
            |read: io::Result<usize>| read.is_ok() || read.is_err_and(|error| !silent(&error));
        limited.is_ok() && ended(self.stream.read_to_end(&mut rest))
    }
}

fn silent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn silence() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "it is there, but says nothing: is it stopped?",
    )
}

fn understand(line: &[u8]) -> Result<Answer, Error> {
    /// What the server says to lines and callers that it does not accept.
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
    }
    if let Ok(Refusal { error }) = serde_json::from_slice(line) {
        return Err(Error::Refused(error));
    }
    match serde_json::from_slice(line) {
        Ok(Answer::Refused { text }) => Err(Error::Refused(text)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(Error::Lost(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::server::{self, Said};
    use std::os::fd::AsFd;

    const STATUS: Request = Request::Status { job: None };

    #[test]
    fn nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Connection::open(folder.path()).unwrap_err();
        assert!(matches!(missing, Error::NotRunning { .. }));
        drop(server::listen(folder.path()).unwrap());
        let stale = Connection::open(folder.path()).unwrap_err();
        assert!(matches!(stale, Error::NotRunning { .. }));
    }

    #[test]
    fn answers_refusals_and_silence() {
        let folder = tempfile::tempdir().unwrap();
        let listener = server::listen(folder.path()).unwrap();
        let mut connection = Connection::open(folder.path()).unwrap();
        let mut client = server::accept(listener.as_fd()).unwrap().unwrap();
        let supervisor = std::thread::spawn(move || {
            let answers = [
                Answer::Done {
                    text: "well".into(),
                },
                Answer::Refused { text: "no".into() },
            ];
            for answer in answers {
                let said = loop {
                    let said = client.readable::<Request>().unwrap();
                    if !said.is_empty() {
                        break said;
                    }
                    std::thread::yield_now();
                };
                assert_eq!(said, [Said::Request(STATUS)]);
                client.answer(&answer).unwrap();
            }
            client
        });
        let done = connection.ask(&STATUS, None).unwrap();
        assert_eq!(
            done,
            Answer::Done {
                text: "well".into()
            }
        );
        let refused = connection.ask(&STATUS, None).unwrap_err();
        assert_eq!(refused.to_string(), "no");
        let client = supervisor.join().unwrap();
        let silent = connection.ask(&STATUS, Some(Duration::from_millis(20)));
        assert!(
            matches!(silent, Err(Error::Lost(error)) if error.kind() == io::ErrorKind::TimedOut)
        );
        drop(client);
        assert!(connection.wait_for_end(Duration::from_secs(5)));
    }
}
