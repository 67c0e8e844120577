//! checkproc as the supervisor's child: started first, back at once when it ends, replaced when it has
//! not been heard of for long. Whom it kills is its own business.

use std::os::fd::AsFd;
use std::time::Duration;

use checkproc::Slot;

use super::Supervisor;
use super::children::describe;
use super::runs::Watched;
use crate::launch::{self, Launch, NOT_EXECUTED, c_string};
use crate::program;
use crate::spawn::{self, Reaped};
use crate::wait::since_boot;

/// Its name in the heartbeat table.
pub(super) const NAME: &str = "checkproc";

/// It pings every ten seconds; silence for this long means that it hangs.
const SILENCE: Duration = Duration::from_secs(35);

/// One that lived shorter than this is not replaced at once, but ever later.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// The first of these delays; it doubles.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest of these delays.
const LAST_DELAY: Duration = Duration::from_secs(60);

/// From SIGTERM to SIGKILL, should somebody find it hung.
const GRACE: Duration = Duration::from_secs(2);

/// The watchdog process, or when there will be one.
#[derive(Default)]
pub(super) struct Watchdog {
    pid: Option<i32>,
    slot: Option<Slot>,
    begun: Duration,
    heard: Duration,
    retry: Option<Duration>,
    delay: Duration,
}

impl Watchdog {
    /// One that runs already, as it comes through a restart.
    pub(super) fn resume(pid: Option<i32>, slot: Option<Slot>, now: Duration) -> Watchdog {
        Watchdog {
            pid,
            slot,
            begun: now,
            heard: now,
            retry: pid.is_none().then_some(now),
            delay: Duration::ZERO,
        }
    }

    /// Whether this process is the watchdog.
    pub(super) fn is(&self, pid: i32) -> bool {
        self.pid == Some(pid)
    }

    /// Process and slot, as a restart carries them over.
    pub(super) fn carry(&self) -> (Option<i32>, Option<(u32, u32)>) {
        (self.pid, self.slot.as_ref().map(Slot::handle))
    }

    /// It has given a sign of life.
    pub(super) fn pinged(&mut self, pid: u32, now: Duration) {
        if self.is(pid.cast_signed()) {
            self.heard = now;
        }
    }

    /// When to look after it.
    pub(super) fn due(&self) -> Option<Duration> {
        match self.pid {
            Some(_) => Some(self.heard + SILENCE),
            None => self.retry,
        }
    }
}

impl Supervisor {
    /// Starts the watchdog when there is none, ends one that hangs.
    pub(super) fn serve_watchdog(&mut self, now: Duration) {
        if self.watchdog.due().is_none_or(|due| due > now) {
            return;
        }
        match self.watchdog.pid {
            None => self.start_watchdog(now),
            Some(pid) => {
                let beats = self.watchdog.slot.as_ref().and_then(Slot::row);
                if beats.is_some_and(|row| row.last_beat_age < SILENCE / 2) {
                    // it scans, only its pings do not come through
                    self.watchdog.heard = now;
                    return;
                }
                log::error!("the watchdog has not been heard of for long: it is replaced");
                self.watchdog.heard = now;
                self.kill_watchdog(pid, rustix::process::Signal::KILL);
            }
        }
    }

    fn kill_watchdog(&self, pid: i32, signal: rustix::process::Signal) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid)
            // our child and not waited for yet: its number is its own
            && let Err(error) = rustix::process::kill_process(pid, signal)
        {
            log::warn!("signal the watchdog: {error}");
        }
    }

    /// Ends the watchdog: the supervisor goes.
    pub(super) fn dismiss_watchdog(&mut self) {
        if let Some(pid) = self.watchdog.pid.take() {
            self.kill_watchdog(pid, rustix::process::Signal::TERM);
        }
        if let Some(slot) = self.watchdog.slot.take() {
            slot.release();
        }
        self.watchdog.retry = None;
    }

    /// The watchdog has ended.
    pub(super) fn watchdog_ended(&mut self, reaped: Reaped) {
        let now = since_boot();
        if let Some(slot) = self.watchdog.slot.take() {
            slot.release();
        }
        self.watchdog.pid = None;
        if reaped.status == NOT_EXECUTED << 8 {
            log::error!("there is no watchdog: checkproc cannot be executed");
        } else {
            log::error!(
                "the watchdog has ended ({}): it is started again",
                describe(reaped.status)
            );
        }
        let short = now < self.watchdog.begun + SHORT_LIFE;
        self.watchdog.delay = match (short, self.watchdog.delay) {
            (false, _) => Duration::ZERO,
            (true, Duration::ZERO) => FIRST_DELAY,
            (true, delay) => (delay * 2).min(LAST_DELAY),
        };
        self.watchdog.retry = Some(now + self.watchdog.delay);
        self.serve_watchdog(now);
    }

    fn start_watchdog(&mut self, now: Duration) {
        self.watchdog.begun = now;
        match self.fork_watchdog() {
            Ok((pid, slot)) => {
                self.watchdog.pid = Some(pid);
                self.watchdog.slot = slot;
                self.watchdog.heard = now;
                self.watchdog.retry = None;
            }
            Err(why) => {
                log::error!("start the watchdog: {why}");
                let delay = (self.watchdog.delay * 2).clamp(FIRST_DELAY, LAST_DELAY);
                self.watchdog.delay = delay;
                self.watchdog.retry = Some(now + delay);
            }
        }
    }

    fn fork_watchdog(&mut self) -> Result<(i32, Option<Slot>), String> {
        let run = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(1);
        let watch = Watched {
            table: nix::unistd::geteuid().as_raw(),
            // it judges others; its own silence is noticed here
            heartbeat: None,
            hang_grace: GRACE,
            attaches: true,
        };
        let slot = self
            .tables
            .claim(NAME, run, &watch)
            .inspect_err(|error| log::warn!("no slot for the watchdog: {error}"))
            .ok();
        let mut environment = self.starter.environment.clone();
        environment.set("PROCCTL_HOME", &self.home.root);
        environment.set("PROCCTL_JOB", NAME);
        environment.set("PROCCTL_RUN", run.to_string());
        if let Some((index, generation)) = slot.as_ref().map(Slot::handle) {
            environment.set("PROCCTL_SLOT", format!("{index}:{generation}"));
        }
        let every = self.home.settings.scan_every.to_string();
        let words = [
            NAME.to_string(),
            "--home".to_string(),
            self.home.root.display().to_string(),
            "--every".to_string(),
            every,
            "--control".to_string(),
            crate::control::path(&self.home.run).display().to_string(),
            self.home.log.join("checkproc.log").display().to_string(),
        ];
        let path = environment.value("PATH").map(|path| path.to_string_lossy());
        let program = program::beside(NAME).display().to_string();
        let programs = launch::candidates(&program, path.as_deref(), &self.home.root);
        let zero = || "a zero byte in its words".to_string();
        let stderr = std::io::stderr();
        let born = spawn::launch(&Launch {
            run: 0,
            programs: programs.iter().filter_map(c_string).collect(),
            arguments: words
                .iter()
                .map(c_string)
                .collect::<Option<_>>()
                .ok_or_else(zero)?,
            environment: environment.strings()?,
            folder: c_string(&self.home.root).ok_or_else(zero)?,
            umask: None,
            nice: None,
            limits: Vec::new(),
            identity: None,
            input: self.starter.null.as_fd(),
            output: self.starter.null.as_fd(),
            errors: stderr.as_fd(),
            third: None,
            cgroup: None,
            failures: self.starter.failures(),
        })
        .map_err(|error| format!("fork: {error}"))?;
        if let Some(slot) = &slot {
            let pid = born.pid.unsigned_abs();
            slot.activate(pid, checkproc::process::start_time(pid).unwrap_or(0));
        }
        Ok((born.pid, slot))
    }
}
