//! How a job comes by its connections: in a thread of its own, so that the wish to stop is heard while a server is silent.
//! No client library can be called off while it waits for one.

use std::{
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
    time::Duration,
};

use db::{Connection, Options};

use super::Context;
use crate::{error::Error, link::Link, stop::readable};

/// How long a connection may take to come about, all its hosts together, before the job counts as hung.
const CONNECT: Duration = Duration::from_secs(120);

impl Context {
    /// Connects to a database by its URL. A statement that still runs half a second after a stop was asked for is cancelled.
    ///
    /// # Errors
    /// What [`db::connect`] gives; [`Error::Stopped`] as soon as a stop is asked for.
    pub fn connect(&self, url: &str) -> Result<Link, Error> {
        self.link(url, !self.world.looking)
    }

    /// Connects to a database that is read from. As [`Context::connect`], but a file that is not there is not made.
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub fn connect_source(&self, url: &str) -> Result<Link, Error> {
        self.link(url, false)
    }

    fn link(&self, url: &str, create: bool) -> Result<Link, Error> {
        let options = Options {
            base: self.world.home.root.clone(),
            create,
            program: format!("jobs {}", self.job()),
            ..Options::default()
        };
        let step = self.step("connect", CONNECT);
        let connection = Attempt::begin(url, options).map_err(no_thread)?.end(self)?;
        drop(step);
        self.cancels
            .link(connection, &self.world.stop)
            .map_err(no_thread)
    }
}

fn no_thread(error: io::Error) -> Error {
    Error::Internal(format!("start a thread: {error}"))
}

/// A connection that is being made. One that nobody waits for any more is closed as soon as it is there.
struct Attempt {
    outcome: Receiver<db::Result<Box<dyn Connection>>>,
    /// Readable once there is an outcome.
    bell: UnixStream,
}

impl Attempt {
    fn begin(url: &str, options: Options) -> io::Result<Attempt> {
        let (tell, outcome) = channel();
        let (bell, mut rope) = UnixStream::pair()?;
        let url = url.to_owned();
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                let _given_up = tell.send(db::connect(&url, &options));
                // The end of this thread, by a fault of its own too, closes the rope, which is as good.
                let _given_up = rope.write(&[1]);
            })?;
        Ok(Attempt { outcome, bell })
    }

    /// Waits for the outcome or for a stop. After a stop the thread is left to itself: the process will end before it.
    fn end(self, cx: &Context) -> Result<Box<dyn Connection>, Error> {
        let stop = cx.stop();
        loop {
            match (self.outcome.try_recv(), stop.asked()) {
                (Ok(Ok(connection)), _) => return Ok(connection),
                (_, Some(signal)) => return Err(Error::Stopped(signal)),
                (Ok(Err(error)), None) => return Err(error.into()),
                (Err(TryRecvError::Disconnected), None) => {
                    let text = "the thread that connects has ended without a word";
                    return Err(Error::Internal(text.to_owned()));
                }
                (Err(TryRecvError::Empty), None) => {
                    let _woken = readable(&[stop.asked_fd(), self.bell.as_fd()], CONNECT);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Instant};

    use super::*;

    #[test]
    fn a_stop_is_heard_while_a_server_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        // it takes calls, and never says a word
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = silent.local_addr().unwrap();
        for scheme in ["postgres", "mysql", "mssql", "oracle"] {
            let cx = Context::fake(dir.path());
            let url = format!("{scheme}://me:secret@{place}/base?connect-timeout=100s");
            let asker = cx.stop().clone();
            let thread = thread::spawn(move || {
                thread::park_timeout(Duration::from_millis(100));
                asker.ask(15);
            });
            let begun = Instant::now();
            let result = cx.connect_source(&url).map(drop);
            assert!(matches!(result, Err(Error::Stopped(15))), "{result:?}");
            assert!(begun.elapsed() < Duration::from_secs(60));
            thread.join().unwrap();
        }
    }

    #[test]
    fn what_connecting_gives_is_handed_on() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        let missing = cx.connect_source("sqlite:a.db").map(drop).unwrap_err();
        assert_eq!(missing.exit_code(), 78, "{}", missing.chain());
        assert!(cx.connect("sqlite:a.db").is_ok());
    }
}
