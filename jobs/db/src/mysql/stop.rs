//! Ending a statement early: its time limit, and requests from other threads. MySQL ends a statement by KILL QUERY on a
//! second connection, and calls it interrupted whoever asked: only this side knows why.

use super::fault::Trouble;
use crate::ErrorKind;
use futures_util::future::join;
use mysql_async::{Conn, Opts, prelude::Queryable};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to end a statement that it was told to end, before the connection is given up.
const GRACE: Duration = Duration::from_secs(5);

/// Shared by a connection and its cancellers.
pub(super) struct Stopper {
    opts: Opts,
    thread: u32,
    reach: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limit: Duration,
    running: bool,
    timed_out: bool,
    /// How many stops were sent since the last statement began. One that comes late would hit the next statement.
    sent: u32,
    /// A deadlock has undone the whole transaction.
    undone: bool,
    /// The server did not even end what it was told to end.
    gone: bool,
}

impl Stopper {
    /// For the connection that the server calls `thread`; `reach` is how long a second connection may take.
    pub(super) fn new(opts: Opts, thread: u32, reach: Duration, limit: Duration) -> Self {
        let state = State {
            limit,
            ..State::default()
        };
        Stopper {
            opts,
            thread,
            reach: reach.min(GRACE),
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

    /// How long to wait for the server; `None` is for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        Some(self.state().limit).filter(|limit| !limit.is_zero())
    }

    /// A statement starts: what was asked of an earlier one is over. Whether a stop may still be on its way.
    pub(super) fn start(&self) -> bool {
        let mut state = self.state();
        let late = state.sent > 0;
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

    /// Whether the last statement's error ended the transaction.
    pub(super) fn undone(&self) -> bool {
        self.state().undone
    }

    /// Whether the connection was given up.
    pub(super) fn gone(&self) -> bool {
        self.state().gone
    }

    /// What a statement died of that the server calls interrupted.
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
        if !state.running {
            return;
        }
        state.sent += 1;
        // the lock is kept meanwhile: the connection's next statement waits until this stop has hit
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime.map(|runtime| runtime.block_on(self.kill())) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => log::warn!("could not stop a statement: {why}"),
            Err(error) => log::warn!("could not stop a statement: {error}"),
        }
    }

    /// Tells the server to end the statement.
    async fn kill(&self) -> Result<(), String> {
        let killed = timeout(self.reach, async {
            let mut other = Conn::new(self.opts.clone()).await?;
            let sql = format!("KILL QUERY {}", self.thread);
            let killed = other.query_drop(sql).await;
            other.disconnect().await?;
            killed
        });
        match killed.await {
            Ok(Ok(())) => Ok(()),
            // the connection is gone, and its statement with it
            Ok(Err(mysql_async::Error::Server(error))) if error.code == 1094 => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the server does not answer".to_owned()),
        }
    }

    /// Stops a result that nobody wants to the end.
    pub(super) async fn leave<T>(&self, rest: impl Future<Output = T>) -> Option<T> {
        self.state().sent += 1;
        let (killed, rest) = join(self.kill(), timeout(GRACE, rest)).await;
        if let Err(why) = killed {
            log::debug!("could not stop a query: {why}");
        }
        self.state().gone |= rest.is_err();
        rest.ok()
    }

    /// Waits for an exchange with the server for as long as a statement may take, and `more`; then has it stopped, and
    /// gives up a server that does not even do that.
    pub(super) async fn within<T>(
        &self,
        more: Duration,
        exchange: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let done = self.limited(more, exchange).await;
        self.state().undone |= matches!(&done, Err(Trouble::Refused(error)) if error.code == 1213);
        done
    }

    async fn limited<T>(
        &self,
        more: Duration,
        exchange: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let mut exchange = pin!(exchange);
        let Some(limit) = self.patience() else {
            return exchange.await;
        };
        if let Ok(done) = timeout(limit + more, &mut exchange).await {
            return done;
        }
        self.state().timed_out = true;
        self.leave(exchange).await.unwrap_or(Err(Trouble::Silent))
    }
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stopper({})", self.thread)
    }
}
