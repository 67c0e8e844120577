//! The wish to stop, and the wish to run now: set by signals, seen by whoever works or waits.
//! A wait sleeps in `poll` on a socket that the signals write to, so it ends at once and costs nothing meanwhile.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    flag, low_level,
};

/// Shared by everyone in the process who has to notice a stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Wishes>);

#[derive(Debug)]
struct Wishes {
    /// The signal that asked for the stop; 0 = none did.
    asked: Arc<AtomicUsize>,
    /// A pass is wanted now (SIGUSR1 to a resident job).
    trigger: Arc<AtomicBool>,
    /// Becomes readable with every wish.
    wake: UnixStream,
    /// The other end, for wishes that come from this process.
    waker: UnixStream,
    /// Becomes readable when a stop is asked for, and stays so: for threads that wait for nothing else.
    halt: UnixStream,
    halter: UnixStream,
}

impl Stop {
    /// A stop that only [`Stop::ask`] can set.
    ///
    /// # Errors
    /// When the system gives no socket pair.
    pub fn new() -> io::Result<Stop> {
        let (wake, waker) = UnixStream::pair()?;
        let (halt, halter) = UnixStream::pair()?;
        for socket in [&wake, &waker, &halt, &halter] {
            socket.set_nonblocking(true)?;
        }
        Ok(Stop(Arc::new(Wishes {
            asked: Arc::default(),
            trigger: Arc::default(),
            wake,
            waker,
            halt,
            halter,
        })))
    }

    /// A stop set by SIGTERM and SIGINT; SIGUSR1 triggers a pass. A second SIGINT ends the process on the spot.
    ///
    /// # Errors
    /// When the system gives no socket pair or refuses a signal.
    pub fn by_signals() -> io::Result<Stop> {
        let stop = Stop::new()?;
        let wishes = &stop.0;
        let interrupted = Arc::new(AtomicBool::new(false));
        flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&interrupted))?;
        flag::register(SIGINT, interrupted)?;
        for (signal, number) in [(SIGTERM, 15), (SIGINT, 2)] {
            flag::register_usize(signal, Arc::clone(&wishes.asked), number)?;
            low_level::pipe::register(signal, wishes.waker.try_clone()?)?;
            low_level::pipe::register(signal, wishes.halter.try_clone()?)?;
        }
        flag::register(SIGUSR1, Arc::clone(&wishes.trigger))?;
        low_level::pipe::register(SIGUSR1, wishes.waker.try_clone()?)?;
        Ok(stop)
    }

    /// Asks for a stop as that signal would.
    pub fn ask(&self, signal: i32) {
        self.0
            .asked
            .store(usize::try_from(signal).unwrap_or(15), Ordering::Release);
        for mut socket in [&self.0.waker, &self.0.halter] {
            // A full socket wakes just as well.
            let _full = socket.write(&[1]);
        }
    }

    /// The signal that asked for a stop.
    #[must_use]
    pub fn asked(&self) -> Option<i32> {
        match self.0.asked.load(Ordering::Acquire) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Whether a pass is wanted now.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.0.trigger.load(Ordering::Acquire)
    }

    /// Wants a pass now, as SIGUSR1 does.
    pub fn trigger(&self) {
        self.0.trigger.store(true, Ordering::Release);
        // A full socket wakes just as well.
        let _full = (&self.0.waker).write(&[1]);
    }

    /// Takes the wish for a pass now, if there is one.
    #[must_use]
    pub fn take_trigger(&self) -> bool {
        self.0.trigger.swap(false, Ordering::AcqRel)
    }

    /// Sleeps so long at most; less when a wish comes in or one of the descriptors has something to read (or its far end is gone).
    pub fn sleep(&self, long: Duration, also: &[BorrowedFd<'_>]) {
        let deadline = Instant::now() + long;
        while self.asked().is_none() && !self.is_triggered() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let mut fds = vec![self.0.wake.as_fd()];
            fds.extend(also);
            let ready = readable(&fds, left);
            if ready.iter().skip(1).any(|ready| *ready) {
                return;
            }
            if self.asked().is_none() {
                self.drain();
            }
        }
    }

    /// Readable once a stop was asked for.
    #[must_use]
    pub fn asked_fd(&self) -> BorrowedFd<'_> {
        self.0.halt.as_fd()
    }

    /// Forgets wake-ups that were seen. A stop stays readable for ever: it is final.
    fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.0.wake).read(&mut bytes), Ok(n) if n > 0) {}
    }
}

/// Waits so long until one of these has something to read or its far end is gone; tells which.
#[must_use]
pub fn readable(fds: &[BorrowedFd<'_>], long: Duration) -> Vec<bool> {
    // A timespec holds more than any wait asks for; what does not fit waits for ever.
    let limit = Timespec::try_from(long).ok();
    let mut fds: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    // Interrupted by a signal: nothing is ready, and the caller looks at what the signal changed.
    let woken = poll(&mut fds, limit.as_ref()).is_ok();
    fds.iter()
        .map(|fd| woken && !fd.revents().is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_long_sleep() {
        let stop = Stop::new().unwrap();
        let other = stop.clone();
        let start = Instant::now();
        let thread = std::thread::spawn(move || other.ask(15));
        stop.sleep(Duration::from_secs(60), &[]);
        thread.join().unwrap();
        assert_eq!(stop.asked(), Some(15));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_short_sleep_ends_by_itself_and_input_ends_a_long_one() {
        let stop = Stop::new().unwrap();
        stop.sleep(Duration::from_millis(1), &[]);
        let (a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"x").unwrap();
        stop.sleep(Duration::from_secs(60), &[a.as_fd()]);
        assert_eq!(stop.asked(), None);
    }
}
