//! The thread that a connection lives on: whatever is done with it is handed over, and waited for with a deadline.

use super::fault::Trouble;
use super::session::Session;
use super::stop::{Kill, Stop};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

type Request = Box<dyn FnOnce(&mut Session) + Send>;

/// A connection on its thread.
pub(super) struct Worker {
    requests: Sender<Request>,
    pub(super) stop: Arc<Stop>,
}

impl Worker {
    /// Starts a thread and opens a session there, within `reach`.
    pub(super) fn open(
        reach: Duration,
        limit: Duration,
        open: impl FnOnce() -> Result<(Session, Option<Kill>), Trouble> + Send + 'static,
    ) -> Result<Self, Trouble> {
        let (requests, waiting) = channel::<Request>();
        let (opened, opening) = channel();
        let begun = thread::Builder::new()
            .name("odbc".to_owned())
            .spawn(move || match open() {
                Ok((mut session, kill)) => {
                    // nobody waits for it any more when it came too late
                    if opened.send(Ok(kill)).is_ok() {
                        while let Ok(request) = waiting.recv() {
                            request(&mut session);
                        }
                    }
                    session.close();
                }
                Err(trouble) => {
                    opened.send(Err(trouble)).ok();
                }
            });
        if let Err(error) = begun {
            return Err(Trouble::Senseless(format!("no thread: {error}")));
        }
        let patience = Stop::new(None, reach);
        patience.start();
        let kill = patience.wait(&opening).unwrap_or(Err(Trouble::Silent))?;
        Ok(Worker {
            requests,
            stop: Arc::new(Stop::new(kill, limit)),
        })
    }

    /// Does something on the connection and waits for it.
    pub(super) fn call<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        self.begin()?;
        let answer = self.hand_over(work)?;
        let done = self.stop.wait(&answer).unwrap_or(Err(Trouble::Silent));
        self.stop.rest();
        done
    }

    /// A statement starts now: a stop that came too late for the last one is absorbed first.
    pub(super) fn begin(&mut self) -> Result<(), Trouble> {
        if self.stop.gone() {
            return Err(Trouble::Lost);
        }
        if self.stop.start() {
            self.stop.rest();
            let absorbed = self.hand_over(|session| session.say("SELECT 1"))?;
            // whether it was hit or not
            if self.stop.wait(&absorbed).is_none() {
                return Err(Trouble::Lost);
            }
            self.stop.start();
        }
        Ok(())
    }

    /// Hands work over; its answer comes by the channel.
    pub(super) fn hand_over<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<Receiver<Result<T, Trouble>>, Trouble> {
        let (done, answer) = channel();
        let request: Request = Box::new(move |session| {
            let result = session.minded(work);
            // the caller may have given up
            done.send(result).ok();
        });
        self.requests.send(request).map_err(|_| Trouble::Lost)?;
        Ok(answer)
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worker")
    }
}
