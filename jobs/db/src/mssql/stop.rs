//! Ending a statement early: its time limit, and requests from other threads. The waiting side notices either, drops its wait and has the
//! server end the statement by the protocol's attention signal.

use crate::ErrorKind;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a server may take to end a statement that it was told to end, before the connection is given up.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Shared by a connection and its cancellers.
#[derive(Debug, Default)]
pub(super) struct Stopper {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    limit: Duration,
    running: bool,
    timed_out: bool,
    cancelled: bool,
    /// A result was left before its end: what still flows has to be stopped first.
    left: bool,
}

impl Stopper {
    pub(super) fn new(limit: Duration) -> Self {
        let stopper = Stopper::default();
        stopper.limit(limit);
        stopper
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the statement timeout; zero is for ever.
    pub(super) fn limit(&self, limit: Duration) {
        self.state().limit = limit;
    }

    /// A statement starts: what was asked of an earlier one is over. Whether an earlier result was left before its end.
    pub(super) fn start(&self) -> bool {
        let mut state = self.state();
        let left = state.left;
        *state = State {
            limit: state.limit,
            running: true,
            ..State::default()
        };
        left
    }

    /// Nothing runs any more.
    pub(super) fn rest(&self) {
        self.state().running = false;
    }

    /// A result was left before its end.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.left = true;
        state.running = false;
    }

    /// What an interrupted statement died of.
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
        if state.running {
            state.cancelled = true;
            self.bell.notify_one();
        }
    }

    /// Waits for an exchange with the server for as long as a statement may take; `None` when it has to be stopped.
    pub(super) async fn within<T>(&self, exchange: impl Future<Output = T>) -> Option<T> {
        let limit = Some(self.state().limit).filter(|limit| !limit.is_zero());
        let cancelled = async {
            // a ring may be left over from a statement before
            while !self.state().cancelled {
                self.bell.notified().await;
            }
        };
        let stopped = async {
            match limit {
                Some(limit) => {
                    if timeout(limit, cancelled).await.is_err() {
                        self.state().timed_out = true;
                    }
                }
                None => cancelled.await,
            }
        };
        match select(pin!(exchange), pin!(stopped)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn on<T>(stopper: &Stopper, exchange: impl Future<Output = T>) -> Option<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(stopper.within(exchange))
    }

    #[test]
    fn what_takes_too_long_is_stopped() {
        let stopper = Stopper::new(Duration::from_millis(20));
        assert!(!stopper.start());
        assert_eq!(on(&stopper, ready(1)), Some(1));
        assert_eq!(on(&stopper, pending::<()>()), None);
        assert_eq!(stopper.verdict(), ErrorKind::Timeout);
    }

    #[test]
    fn a_cancel_hits_what_runs_and_nothing_later() {
        let stopper = Stopper::new(Duration::ZERO);
        stopper.cancel();
        stopper.start();
        stopper.cancel();
        assert_eq!(on(&stopper, pending::<()>()), None);
        assert_eq!(stopper.verdict(), ErrorKind::Cancelled);
        stopper.start();
        stopper.cancel();
        stopper.leave();
        assert!(stopper.start());
        stopper.limit(Duration::from_millis(20));
        assert_eq!(on(&stopper, pending::<()>()), None);
        assert_eq!(stopper.verdict(), ErrorKind::Timeout);
    }
}
