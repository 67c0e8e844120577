//! What a session waits for and for how long, shared by the session, its relay and its cancellers. Holds no socket.
//!
//! The driver waits for ever while it connects and when it says good-bye, and cannot be interrupted from outside. So patience is
//! kept here and the relay acts on it: first the server is asked to end the statement, then the line is cut.

use super::fault::End;
use crate::ErrorKind;
use futures_util::future::select;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a server may take to end a statement that it was told to end, before the line is cut.
const GRACE: Duration = Duration::from_secs(3);

/// Shared by a session, its relay and its cancellers.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How long a statement may take; zero is for ever.
    limit: Duration,
    running: bool,
    /// When patience ends.
    until: Option<Instant>,
    /// Why what runs is to end.
    stopping: Option<ErrorKind>,
    /// The server is to be told so.
    wanted: bool,
    /// The server has been told so.
    told: bool,
    /// The line is cut, and why.
    end: Option<End>,
}

/// What the relay does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Asks the server to end the statement.
    Stop,
    /// Waits, at most until then.
    Wait(Option<Instant>),
    /// Cuts the line.
    Cut,
}

impl Gate {
    pub(super) fn new(limit: Duration) -> Self {
        let gate = Gate::default();
        gate.limit(limit);
        gate
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the statement timeout; zero is for ever.
    pub(super) fn limit(&self, limit: Duration) {
        self.state().limit = limit;
    }

    /// An exchange with the server begins: what was asked of an earlier one is over.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        let limit = Some(state.limit).filter(|limit| !limit.is_zero());
        *state = State {
            limit: state.limit,
            running: true,
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
            end: state.end.take(),
            ..State::default()
        };
        drop(state);
        self.changed.notify_one();
    }

    /// An exchange begins that cannot be interrupted: after `limit` the line is cut.
    pub(super) fn begin_or_cut(&self, limit: Duration) {
        self.begin();
        let mut state = self.state();
        state.until = Instant::now().checked_add(limit);
        state.stopping = Some(ErrorKind::Timeout);
        drop(state);
        self.changed.notify_one();
    }

    /// The exchange is over. Whether the server was told to end it, so that a late answer may still come.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.state();
        state.running = false;
        state.until = None;
        state.wanted = false;
        let told = state.told;
        drop(state);
        self.changed.notify_one();
        told
    }

    /// Stops what runs, if something does; from any thread.
    pub(super) fn cancel(&self) {
        self.stop(ErrorKind::Cancelled);
    }

    fn stop(&self, why: ErrorKind) {
        let mut state = self.state();
        if !state.running || state.stopping.is_some() {
            return;
        }
        state.stopping = Some(why);
        state.wanted = true;
        state.until = Instant::now().checked_add(GRACE);
        drop(state);
        self.changed.notify_one();
    }

    /// What an interrupted statement died of.
    pub(super) fn verdict(&self) -> ErrorKind {
        self.state().stopping.unwrap_or(ErrorKind::Cancelled)
    }

    /// Whether the server is to be told to end what runs, and has not been told yet.
    pub(super) fn wants_stop(&self) -> bool {
        let state = self.state();
        state.stopping.is_some() && !state.told
    }

    /// The server has been told to end the statement.
    pub(super) fn told(&self) {
        self.state().told = true;
    }

    /// The line is cut; the first reason counts.
    pub(super) fn cut(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_one();
    }

    /// Why the line is cut.
    pub(super) fn end(&self) -> Option<End> {
        self.state().end.clone()
    }

    /// What the relay is to do at this moment.
    fn duty(&self) -> Duty {
        let mut state = self.state();
        if state.end.is_some() {
            return Duty::Cut;
        }
        if std::mem::take(&mut state.wanted) {
            return Duty::Stop;
        }
        match state.until {
            Some(until) if until <= Instant::now() && state.stopping.is_some() => {
                state.end = Some(End::Silent);
                Duty::Cut
            }
            Some(until) if until <= Instant::now() => {
                drop(state);
                self.stop(ErrorKind::Timeout);
                self.state().wanted = false;
                Duty::Stop
            }
            until => Duty::Wait(until),
        }
    }

    /// Waits until there is something to do: [`Duty::Stop`] or [`Duty::Cut`].
    pub(super) async fn next(&self) -> Duty {
        loop {
            let changed = self.changed.notified();
            match self.duty() {
                Duty::Wait(None) => changed.await,
                Duty::Wait(Some(until)) => {
                    let over = tokio::time::sleep_until(until);
                    select(pin!(changed), pin!(over)).await;
                }
                duty => return duty,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_told_once_and_then_the_line_is_cut() {
        let gate = Gate::new(Duration::ZERO);
        gate.cancel();
        assert_eq!(gate.duty(), Duty::Wait(None));
        gate.begin();
        assert_eq!(gate.duty(), Duty::Wait(None));
        gate.cancel();
        gate.cancel();
        assert_eq!(gate.duty(), Duty::Stop);
        assert!(matches!(gate.duty(), Duty::Wait(Some(_))));
        assert_eq!(gate.verdict(), ErrorKind::Cancelled);
        assert!(gate.wants_stop());
        gate.told();
        assert!(gate.rest());
        gate.begin();
        assert!(!gate.wants_stop() && !gate.rest());
    }

    #[test]
    fn patience_ends() {
        let gate = Gate::new(Duration::from_nanos(1));
        gate.begin();
        assert_eq!(gate.duty(), Duty::Stop);
        assert_eq!(gate.verdict(), ErrorKind::Timeout);
        gate.begin_or_cut(Duration::ZERO);
        assert_eq!(gate.duty(), Duty::Cut);
        assert!(matches!(gate.end(), Some(End::Silent)));
        gate.begin();
        assert_eq!(gate.duty(), Duty::Cut);
    }
}
