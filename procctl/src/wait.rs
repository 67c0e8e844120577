//! The one place where the supervisor waits: signals, timers, descriptors, in one epoll. Without an
//! event nothing here ever wakes up. What an event means is not decided here.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use chrono::{DateTime, Utc};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// What a descriptor that became ready belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Signals for the supervisor.
    Signals,
    /// The timer on the clock that counts since boot.
    SinceBoot,
    /// The timer on the calendar's clock; also ready after that clock was set.
    Calendar,
    /// Changes in the jobs folder.
    Folder,
    /// The listening control socket.
    Control,
    /// A connection on the control socket, by its number.
    Client(u32),
    /// The recorder's connection.
    Recorder,
    /// A process that is not our child has ended, by pid.
    Process(u32),
}

impl Source {
    fn to_word(self) -> u64 {
        let (kind, id) = match self {
            Source::Signals => (0u64, 0),
            Source::SinceBoot => (1, 0),
            Source::Calendar => (2, 0),
            Source::Folder => (3, 0),
            Source::Control => (4, 0),
            Source::Client(id) => (5, id),
            Source::Recorder => (6, 0),
            Source::Process(pid) => (7, pid),
        };
        kind << 32 | u64::from(id)
    }

    fn from_word(word: u64) -> Option<Source> {
        let [a, b, c, d, ..] = word.to_le_bytes();
        let id = u32::from_le_bytes([a, b, c, d]);
        Some(match word >> 32 {
            0 => Source::Signals,
            1 => Source::SinceBoot,
            2 => Source::Calendar,
            3 => Source::Folder,
            4 => Source::Control,
            5 => Source::Client(id),
            6 => Source::Recorder,
            7 => Source::Process(id),
            _ => return None,
        })
    }
}

/// A source with something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Which one.
    pub source: Source,
    /// There is something to read, or the other side has closed.
    pub readable: bool,
    /// There is room to write, asked for by [`Wait::add`] or [`Wait::change`].
    pub writable: bool,
}

/// The waiting place. One for a process, since it takes the process's signals.
pub struct Wait {
    epoll: OwnedFd,
    signals: SignalFd,
    since_boot: OwnedFd,
    calendar: OwnedFd,
    events: Vec<epoll::Event>,
    armed: (Option<Duration>, Option<DateTime<Utc>>),
}

/// Most events handed out at once; the rest comes with the next call.
const BATCH: usize = 256;

/// The signals that the supervisor hears. They stay blocked, also over an exec of itself,
/// so that none is lost and none is deadly in between.
pub fn heard_signals() -> SigSet {
    [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGPIPE,
    ]
    .into_iter()
    .collect()
}

impl Wait {
    /// Blocks the signals it hears and opens signalfd, timers and epoll.
    pub fn new() -> io::Result<Wait> {
        let mask = heard_signals();
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let wait = Wait {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            signals,
            since_boot: timerfd_create(TimerfdClockId::Boottime, flags)?,
            calendar: timerfd_create(TimerfdClockId::Realtime, flags)?,
            events: Vec::with_capacity(BATCH),
            armed: (None, None),
        };
        wait.add(&wait.signals, Source::Signals, false)?;
        wait.add(&wait.since_boot, Source::SinceBoot, false)?;
        wait.add(&wait.calendar, Source::Calendar, false)?;
        wait.arm_calendar(None)?;
        Ok(wait)
    }

    /// Waits for `descriptor` as `source`: for reading always, for room to write if asked.
    pub fn add(&self, descriptor: impl AsFd, source: Source, writing: bool) -> io::Result<()> {
        let data = EventData::new_u64(source.to_word());
        epoll::add(&self.epoll, descriptor, data, interest(writing))?;
        Ok(())
    }

    /// Turns waiting for room to write on or off.
    pub fn change(&self, descriptor: impl AsFd, source: Source, writing: bool) -> io::Result<()> {
        let data = EventData::new_u64(source.to_word());
        epoll::modify(&self.epoll, descriptor, data, interest(writing))?;
        Ok(())
    }

    /// Waits no longer for `descriptor`; call it before the descriptor is closed.
    pub fn remove(&self, descriptor: impl AsFd) {
        // it may have been closed by the other side and never added: nothing is left to undo
        if let Err(error) = epoll::delete(&self.epoll, descriptor) {
            log::debug!("take a descriptor off the waiting list: {error}");
        }
    }

    /// Sets both timers; `None` = none. Only a change costs a system call.
    pub fn arm(
        &mut self,
        since_boot: Option<Duration>,
        calendar: Option<DateTime<Utc>>,
    ) -> io::Result<()> {
        if self.armed.0 != since_boot {
            // an instant of zero would disarm
            let at = since_boot.map(|at| timespec(at.max(Duration::from_nanos(1))));
            let flags = TimerfdTimerFlags::ABSTIME;
            timerfd_settime(&self.since_boot, flags, &once(at.unwrap_or(NEVER)))?;
            self.armed.0 = since_boot;
        }
        if self.armed.1 != calendar {
            self.arm_calendar(calendar)?;
            self.armed.1 = calendar;
        }
        Ok(())
    }

    /// Armed even without a time of its own: far away, but told when the clock is set.
    fn arm_calendar(&self, at: Option<DateTime<Utc>>) -> io::Result<()> {
        let at = at.map_or(FAR_AWAY, |at| Timespec {
            tv_sec: at.timestamp().max(1),
            tv_nsec: at.timestamp_subsec_nanos().into(),
        });
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&self.calendar, flags, &once(at)) {
            // the clock was set in between; the timer is armed all the same and reports it
            Ok(_) | Err(rustix::io::Errno::CANCELED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sleeps until something is ready and appends it to `ready`. Drained timers are reported
    /// once; a set clock as `writable` of [`Source::Calendar`].
    pub fn wait(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let (data, flags) = (event.data, event.flags);
            let Some(source) = Source::from_word(data.u64()) else {
                continue;
            };
            let mut one = Ready {
                source,
                readable: flags.intersects(
                    EventFlags::IN | EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP,
                ),
                writable: flags.contains(EventFlags::OUT),
            };
            match source {
                Source::SinceBoot => {
                    drain(&self.since_boot);
                    self.armed.0 = None;
                }
                Source::Calendar => {
                    one.writable = drain(&self.calendar);
                    self.armed.1 = None;
                    self.arm_calendar(None)?;
                }
                Source::Signals
                | Source::Folder
                | Source::Control
                | Source::Client(_)
                | Source::Recorder
                | Source::Process(_) => {}
            }
            ready.push(one);
        }
        Ok(())
    }

    /// The next signal that has come, as its number.
    pub fn next_signal(&self) -> Option<Signal> {
        loop {
            match self.signals.read_signal() {
                Ok(Some(info)) => {
                    let number = i32::try_from(info.ssi_signo).ok()?;
                    return Signal::try_from(number).ok();
                }
                Err(nix::errno::Errno::EINTR) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

const NEVER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The year 4000 or so: no plan reaches it.
const FAR_AWAY: Timespec = Timespec {
    tv_sec: 1 << 36,
    tv_nsec: 0,
};

fn once(at: Timespec) -> Itimerspec {
    Itimerspec {
        it_interval: NEVER,
        it_value: at,
    }
}

fn timespec(at: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: at.subsec_nanos().into(),
    }
}

fn interest(writing: bool) -> EventFlags {
    if writing {
        EventFlags::IN | EventFlags::OUT
    } else {
        EventFlags::IN
    }
}

/// Reads a timer's count away; true when it was cancelled because the clock was set.
fn drain(timer: &OwnedFd) -> bool {
    let mut count = [0; 8];
    rustix::io::read(timer, &mut count) == Err(rustix::io::Errno::CANCELED)
}

/// Time since boot, suspend included; what the plan calls `mono`.
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_keep_their_names_through_the_kernel() {
        for source in [
            Source::Signals,
            Source::Calendar,
            Source::Client(u32::MAX),
            Source::Process(77),
        ] {
            assert_eq!(Source::from_word(source.to_word()), Some(source));
        }
        assert_eq!(Source::from_word(u64::MAX), None);
    }

    #[test]
    fn timers_pipes_and_signals_wake_it() {
        let mut wait = Wait::new().unwrap();
        let mut ready = Vec::new();
        wait.arm(Some(since_boot()), None).unwrap();
        wait.wait(&mut ready).unwrap();
        assert_eq!(ready[0].source, Source::SinceBoot);

        ready.clear();
        wait.arm(None, Some(Utc::now())).unwrap();
        wait.wait(&mut ready).unwrap();
        assert_eq!(ready[0].source, Source::Calendar);
        assert!(!ready[0].writable);

        ready.clear();
        let (read, write) = std::io::pipe().unwrap();
        wait.add(&read, Source::Client(3), false).unwrap();
        drop(write);
        wait.wait(&mut ready).unwrap();
        assert_eq!(ready[0].source, Source::Client(3));
        wait.remove(&read);

        ready.clear();
        nix::sys::signal::raise(Signal::SIGUSR1).unwrap();
        wait.wait(&mut ready).unwrap();
        assert_eq!(ready[0].source, Source::Signals);
        assert_eq!(wait.next_signal(), Some(Signal::SIGUSR1));
        assert_eq!(wait.next_signal(), None);
    }
}
