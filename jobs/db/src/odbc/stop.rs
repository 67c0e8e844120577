//! Waiting for the driver's thread, and ending a statement early: at its time limit, or at the request of another thread.
//!
//! No driver's call can be interrupted from safe code. PostgreSQL and MySQL end a statement when a second connection tells
//! them to; where there is no such word the connection is left to its thread, which closes it when the driver comes back.

use crate::ErrorKind;
use odbc_api::{ConnectionOptions, environment};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to end a statement that it was told to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often a wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The word that ends what a connection runs, said by another connection.
#[derive(Clone)]
pub(super) struct Kill {
    /// The connection string, with its password.
    pub(super) string: String,
    pub(super) sql: String,
}

/// Shared by a connection and its cancellers.
pub(super) struct Stop {
    kill: Option<Kill>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limit: Duration,
    running: bool,
    timed_out: bool,
    cancelled: bool,
    gone: bool,
}

impl Stop {
    pub(super) fn new(kill: Option<Kill>, limit: Duration) -> Self {
        let state = State {
            limit,
            ..State::default()
        };
        Stop {
            kill,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the statement timeout; zero is for ever.
    pub(super) fn limit(&self, limit: Duration) {
        self.state().limit = limit;
    }

    /// A statement starts: what was asked of an earlier one is over. Whether a stop may still be on its way.
    pub(super) fn start(&self) -> bool {
        let mut state = self.state();
        let late = (state.cancelled || state.timed_out) && self.kill.is_some();
        *state = State {
            limit: state.limit,
            gone: state.gone,
            running: true,
            ..State::default()
        };
        late
    }

    /// Nothing runs any more.
    pub(super) fn rest(&self) {
        self.state().running = false;
    }

    /// Whether the connection was given up.
    pub(super) fn gone(&self) -> bool {
        self.state().gone
    }

    pub(super) fn give_up(&self) {
        self.state().gone = true;
    }

    /// What a statement died of that was interrupted.
    pub(super) fn verdict(&self) -> ErrorKind {
        if self.state().timed_out {
            ErrorKind::Timeout
        } else {
            ErrorKind::Cancelled
        }
    }

    /// Stops what runs, if something does; from any thread.
    pub(super) fn cancel(&self) {
        let mut state = self.state();
        if !state.running || state.timed_out {
            return;
        }
        state.cancelled = true;
        // the lock is kept meanwhile: the connection's next statement waits until this stop has been said
        self.kill();
    }

    /// Tells the server to end the statement, where there is a word for that.
    fn kill(&self) {
        let Some(kill) = self.kill.clone() else {
            return;
        };
        let (said, saying) = channel();
        let begun = thread::Builder::new()
            .name("odbc-stop".to_owned())
            .spawn(move || {
                let options = ConnectionOptions {
                    login_timeout_sec: Some(5),
                    ..ConnectionOptions::default()
                };
                let done = environment()
                    .and_then(|known| known.connect_with_connection_string(&kill.string, options))
                    .and_then(|other| other.execute(&kill.sql, (), None).map(drop));
                // nobody listens any more when it took too long
                said.send(done.map_err(|error| error.to_string())).ok();
            });
        if begun.is_err() {
            log::warn!("no thread to stop a statement by");
            return;
        }
        match saying.recv_timeout(GRACE) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => log::debug!("could not stop a statement: {why}"),
            Err(_) => log::warn!("could not stop a statement: the server does not answer"),
        }
    }

    /// Waits for an answer as long as a statement may take; then has it stopped. `None` when the connection was given up.
    pub(super) fn wait<T>(&self, answer: &Receiver<T>) -> Option<T> {
        let begun = Instant::now();
        let mut stopped: Option<Instant> = None;
        let grace = if self.kill.is_some() {
            GRACE
        } else {
            Duration::ZERO
        };
        loop {
            let limit = self.state().limit;
            let left = match limit {
                Duration::ZERO => LOOK,
                limit => limit.saturating_sub(begun.elapsed()).min(LOOK),
            };
            let pause = if stopped.is_some() { LOOK } else { left };
            match answer.recv_timeout(pause) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stopped.is_none() {
                let cancelled = self.state().cancelled;
                if !cancelled && !limit.is_zero() && begun.elapsed() >= limit {
                    self.state().timed_out = true;
                    self.kill();
                    stopped = Some(Instant::now());
                } else if cancelled {
                    stopped = Some(Instant::now());
                }
            }
            if stopped.is_some_and(|since| since.elapsed() >= grace) {
                break;
            }
        }
        self.give_up();
        None
    }

    /// As [`Stop::wait`], for the end of a result that nobody wants any more.
    pub(super) fn leave(&self, answer: &Receiver<()>) {
        let soon = match self.kill {
            Some(_) => Duration::from_secs(1),
            None => GRACE,
        };
        if answer.recv_timeout(soon) == Err(RecvTimeoutError::Timeout) {
            self.state().cancelled = true;
            self.kill();
            if self.kill.is_none() || answer.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                self.give_up();
            }
        }
        self.rest();
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_ended_is_given_up() {
        let stop = Stop::new(None, Duration::from_millis(20));
        stop.start();
        let (_kept, answer) = channel::<()>();
        assert_eq!(stop.wait(&answer), None);
        assert_eq!((stop.gone(), stop.verdict()), (true, ErrorKind::Timeout));
    }

    #[test]
    fn a_cancelled_wait_ends_soon() {
        let stop = Stop::new(None, Duration::ZERO);
        stop.cancel();
        assert!(!stop.start() && !stop.gone());
        stop.cancel();
        let (_kept, answer) = channel::<()>();
        let begun = Instant::now();
        assert_eq!(stop.wait(&answer), None);
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(stop.verdict(), ErrorKind::Cancelled);
    }
}
