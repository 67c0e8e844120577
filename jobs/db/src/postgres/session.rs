//! One session with a server and the runtime that drives it: every wait has its limit here, and nothing else blocks.
//! Knows no SQL but that of its own settings.

use super::cancel::Key;
use super::fault::{Complaint, Trouble, io_error};
use super::watch::Watch;
use futures_util::future::join;
use futures_util::{FutureExt, Stream, StreamExt};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, Statement};

/// How long a server may take to end what it was asked to end.
const GRACE: Duration = Duration::from_secs(2);
/// How much longer than the server's own limit this side waits, where the server has one.
const SLACK: Duration = Duration::from_millis(250);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the session stands between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Idle,
    /// In a transaction.
    Open,
    /// In a transaction that only reads.
    Snapshot,
    /// In a transaction that the server has given up.
    Failed,
}

/// What the connection's task ends with.
pub(super) type Driver = JoinHandle<Option<Error>>;

pub(super) struct Session {
    /// Taken when the session ends, as is the client.
    runtime: Option<Runtime>,
    client: Option<Client>,
    driver: RefCell<Option<Driver>>,
    pub(super) watch: Arc<Watch>,
    pub(super) key: Arc<Key>,
    pub(super) standing: Standing,
    /// Whether this transaction checks at once what it would check at its end.
    pub(super) at_once: bool,
    /// Whether the server may send text that is not UTF-8.
    pub(super) any_bytes: bool,
    lost: Cell<bool>,
}

impl Session {
    pub(super) fn new(
        runtime: Runtime,
        client: Client,
        driver: Driver,
        watch: Watch,
        key: Key,
        any_bytes: bool,
    ) -> Self {
        Session {
            runtime: Some(runtime),
            client: Some(client),
            driver: RefCell::new(Some(driver)),
            watch: Arc::new(watch),
            key: Arc::new(key),
            standing: Standing::Idle,
            at_once: false,
            any_bytes,
            lost: Cell::new(false),
        }
    }

    pub(super) fn client(&self) -> &Client {
        self.client
            .as_ref()
            .expect("taken only when the session ends")
    }

    fn runtime(&self) -> &Runtime {
        self.runtime
            .as_ref()
            .expect("taken only when the session ends")
    }

    /// Waits for the server, for as long as a statement may take.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        if self.lost.get() {
            return Err(Trouble::Lost);
        }
        match self.runtime().block_on(self.limited(work)) {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(self.trouble(error)),
            None => {
                self.lost.set(true);
                Err(Trouble::Silent)
            }
        }
    }

    /// `None` if the server does not answer even a request to stop.
    async fn limited<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let Some(patience) = self.watch.patience() else {
            return Some(work.await);
        };
        if let Ok(done) = timeout(patience + SLACK, work.as_mut()).await {
            return Some(done);
        }
        self.watch.time_out();
        let asked = async {
            if let Err(error) = self.key.cancel().await {
                log::warn!("could not cancel a statement that takes too long: {error}");
            }
        };
        let both = timeout(GRACE, join(work, asked)).await;
        both.ok().map(|(done, ())| done)
    }

    /// Runs statements without parameters and drops their rows.
    pub(super) fn run(&self, sql: &str) -> Result<(), Trouble> {
        self.watch.start();
        let ended = self.wait(self.client().batch_execute(sql));
        self.watch.rest();
        ended
    }

    /// Statements that go with others where they are `wanted`.
    pub(super) async fn also(&self, wanted: bool, sql: &str) -> Result<(), Error> {
        if wanted {
            self.client().batch_execute(sql).await?;
        }
        Ok(())
    }

    /// Sends statements whose end nobody waits for: a later one tells if they failed.
    pub(super) fn send(&self, sql: &str) {
        if !self.lost.get() {
            drop(self.client().batch_execute(sql).now_or_never());
        }
    }

    /// Begins a transaction. Nobody waits for it: the next statement tells if it could not be.
    pub(super) fn begin(&mut self) -> Result<(), Trouble> {
        if self.lost.get() {
            return Err(Trouble::Lost);
        }
        self.send("BEGIN");
        self.standing = Standing::Open;
        self.at_once = false;
        Ok(())
    }

    /// The next of what the server streams; `None` at its end.
    pub(super) fn next<S, T>(&self, stream: &mut Pin<Box<S>>) -> Result<Option<T>, Trouble>
    where
        S: Stream<Item = Result<T, Error>>,
    {
        // what has come is taken without waking the runtime
        let mut context = Context::from_waker(Waker::noop());
        match stream.as_mut().poll_next(&mut context) {
            Poll::Ready(next) => next.transpose().map_err(|error| self.trouble(error)),
            Poll::Pending => self.wait(async { stream.next().await.transpose() }),
        }
    }

    /// Takes what is left of a stream for so long; whether it came to its end.
    pub(super) fn drain<S, T>(&self, stream: &mut Pin<Box<S>>, patience: Duration) -> bool
    where
        S: Stream<Item = Result<T, Error>>,
    {
        if self.lost.get() {
            return true;
        }
        let rest = async { while let Some(Ok(_)) = stream.next().await {} };
        let within = async { timeout(patience, rest).await };
        self.runtime().block_on(within).is_ok()
    }

    /// Cancels what runs and waits until the server has taken note.
    pub(super) fn cancel(&self) {
        let asked = async { timeout(GRACE, self.key.cancel()).await };
        match self.runtime().block_on(asked) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::warn!("could not cancel a query that is left early: {error}"),
            Err(_) => log::warn!("could not cancel a query that is left early: no answer"),
        }
    }

    /// Gives the connection up: nothing more can be said on it.
    pub(super) fn break_off(&self) {
        self.lost.set(true);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Prepares a statement, which must have so many parameters.
    pub(super) fn fit(&self, statement: &Statement, params: usize) -> Result<(), Trouble> {
        let wanted = statement.params().len();
        if wanted == params {
            return Ok(());
        }
        Err(Trouble::Unfit(format!(
            "{params} parameters for a statement of {wanted}"
        )))
    }

    /// What an error of the driver means for the session.
    pub(super) fn trouble(&self, error: Error) -> Trouble {
        if let Some(refusal) = error.as_db_error() {
            return Trouble::Refused(Box::new(Complaint::from(refusal)));
        }
        // what the driver does not even send: text with a NUL, too many parameters
        if let Some(cause) = io_error(&error)
            && cause.kind() == io::ErrorKind::InvalidInput
        {
            return Trouble::Unfit(cause.to_string());
        }
        let was_lost = self.lost.replace(true);
        let cause = if error.is_closed() && !was_lost {
            self.last_words().unwrap_or(error)
        } else {
            error
        };
        match cause.as_db_error() {
            Some(refusal) => Trouble::Refused(Box::new(Complaint::from(refusal))),
            None => Trouble::Broken(cause),
        }
    }

    /// What the connection died of.
    fn last_words(&self) -> Option<Error> {
        let driver = self.driver.borrow_mut().take()?;
        let within = async { timeout(FAREWELL, driver).await };
        self.runtime().block_on(within).ok()?.ok()?
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {:?})", self.key.address, self.standing)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.client.take());
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        if let Some(driver) = self.driver.get_mut().take().filter(|_| !self.lost.get()) {
            let within = async { timeout(FAREWELL, driver).await };
            if runtime.block_on(within).is_err() {
                log::debug!("postgres: the server does not say good-bye");
            }
        }
        runtime.shutdown_background();
    }
}
