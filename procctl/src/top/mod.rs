//! `procctl top`: all jobs on the whole screen, looked at anew each second, with keys to move about. Changes nothing.

mod keys;
mod page;
mod rates;

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use jobfile::Home;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};

use self::keys::keys;
use self::page::Page;
use self::rates::Rates;
use crate::face::terminal::{Screen, Terminal, Undisturbed};
use crate::status;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// What has happened while nobody looked.
struct Happened {
    ends: bool,
    typed: Vec<u8>,
}

/// Signals and keys, as something to wait for.
struct Ears {
    ends: UnixStream,
    resized: UnixStream,
    listens: bool,
}

impl Ears {
    fn open() -> io::Result<Ears> {
        let (ends, signals) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, signals.try_clone()?)?;
        }
        let (resized, signals) = UnixStream::pair()?;
        resized.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGWINCH, signals)?;
        Ok(Ears {
            ends,
            resized,
            listens: io::stdin().is_terminal(),
        })
    }

    /// Waits so long for anything.
    fn wait(&mut self, most: Duration) -> io::Result<Happened> {
        let stdin = io::stdin();
        let mut wanted = vec![
            PollFd::from_borrowed_fd(self.ends.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.resized.as_fd(), PollFlags::IN),
        ];
        if self.listens {
            wanted.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        let most = Timespec::try_from(most).map_err(io::Error::other)?;
        match poll(&mut wanted, Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [ends, resized, typed] =
            [0, 1, 2].map(|at| wanted.get(at).is_some_and(|one| !one.revents().is_empty()));
        let mut buffer = [0; 256];
        if resized {
            // how often it was is of no interest
            rustix::io::read(&self.resized, &mut buffer)?;
        }
        let mut happened = Happened {
            ends,
            typed: Vec::new(),
        };
        if typed {
            match rustix::io::read(&stdin, &mut buffer)? {
                // nobody is there any more
                0 => happened.ends = true,
                length => happened.typed.extend_from_slice(&buffer[..length]),
            }
        }
        Ok(happened)
    }
}

/// Shows all jobs until somebody has seen enough, or SIGINT, SIGTERM or SIGHUP comes.
///
/// # Errors
/// The terminal cannot be had, or has gone.
pub fn run(home: &Home) -> io::Result<()> {
    let mut ears = Ears::open()?;
    // ends by itself, on every way out
    let _undisturbed = Undisturbed::begin()?;
    let (mut screen, mut page, mut rates) = (Screen::default(), Page::default(), Rates::default());
    let mut view = status::look(home, None);
    let mut next = Instant::now() + LOOK;
    rates.look(&view.status);
    loop {
        let terminal = Terminal::of_stdout();
        page.arrange(&mut view, &rates);
        screen.draw(&page.render(&view, &rates, home, &terminal), &terminal)?;
        let happened = ears.wait(next.saturating_duration_since(Instant::now()))?;
        for key in keys(&happened.typed) {
            if !page.press(key, &view, &terminal) {
                return Ok(());
            }
        }
        if happened.ends {
            return Ok(());
        }
        if Instant::now() >= next {
            view = status::look(home, None);
            rates.look(&view.status);
            next = Instant::now() + LOOK;
        }
    }
}
