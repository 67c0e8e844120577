//! `procctl status`: asks the supervisor, adds what only the heartbeat table knows, and shows it.
//! Changes nothing.

mod absent;
mod detail;
mod list;
mod slots;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jobfile::Home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

pub(crate) use self::detail::render as facts;
pub(crate) use self::list::{HEADINGS, cells, summary};
use crate::control::client::{Connection, Error};
use crate::face::terminal::{Screen, Terminal};
use crate::face::words;
use crate::plan::status::Status;
use crate::plan::{Answer, Request};

/// How long the supervisor may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How often `--watch` looks.
const LOOK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// What there is to show.
#[derive(Debug)]
pub struct View {
    /// The supervisor's answer, or what can be told without one.
    pub status: Status,
    /// Why the supervisor did not answer.
    pub absent: Option<Error>,
    /// A name was asked for and no job has it; these are near.
    pub unknown: Option<Vec<String>>,
}

/// Asks for one job, or all.
pub fn look(home: &Home, job: Option<&str>) -> View {
    let (mut status, absent) = match ask(home, job) {
        Ok(status) => (status, None),
        Err(error) => (absent::look(home), Some(error)),
    };
    slots::fill(&mut status, home);
    let mut unknown = None;
    if let Some(job) = job {
        let names: Vec<String> = status.jobs.iter().map(|row| row.job.to_string()).collect();
        status.jobs.retain(|row| *row.job == *job);
        if status.jobs.is_empty() {
            unknown = Some(words::nearest(job, &names));
        }
    }
    View {
        status,
        absent,
        unknown,
    }
}

/// The supervisor's answer. Asked for a job that it does not know it tells about all.
fn ask(home: &Home, job: Option<&str>) -> Result<Status, Error> {
    let mut connection = Connection::open(&home.run)?;
    let job = job.map(str::to_owned);
    let all = Request::Status { job: None };
    let answer = match connection.ask(&Request::Status { job: job.clone() }, Some(PATIENCE)) {
        Err(Error::Refused(_)) if job.is_some() => connection.ask(&all, Some(PATIENCE)),
        answer => answer,
    };
    match answer? {
        Answer::Status(status) => Ok(status),
        _ => Err(Error::Lost(io::ErrorKind::InvalidData.into())),
    }
}

/// The view as text: a table of all jobs, or everything about one.
pub fn render(view: &View, home: &Home, job: Option<&str>, terminal: &Terminal) -> String {
    match job {
        None => list::render(view, terminal),
        Some(_) => {
            let rows = view.status.jobs.iter();
            rows.map(|row| detail::render(row, view, home, terminal))
                .collect()
        }
    }
}

/// Shows the view anew each second until SIGINT or SIGTERM.
///
/// # Errors
/// Standard output is closed, or signals cannot be had.
pub fn watch(home: &Home, job: Option<&str>) -> io::Result<()> {
    let (ours, signals) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGINT, signals.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGTERM, signals)?;
    let mut screen = Screen::default();
    loop {
        let terminal = Terminal::of_stdout();
        let view = look(home, job);
        let mut text = String::new();
        if let Some(absent) = &view.absent {
            text.push_str(&format!("{absent}\n"));
        }
        if let (Some(_), Some(job)) = (&view.unknown, job) {
            text.push_str(&format!("no job is called {job}\n"));
        }
        text.push_str(&render(&view, home, job, &terminal));
        if terminal.width.is_some() {
            screen.draw(&text, &terminal)?;
        } else {
            writeln!(io::stdout().lock(), "{text}")?;
        }
        let mut wanted = [PollFd::from_borrowed_fd(ours.as_fd(), PollFlags::IN)];
        match poll(&mut wanted, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return screen.leave(),
            Err(error) => return Err(error.into()),
        }
    }
}
