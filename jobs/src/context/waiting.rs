//! The clock of a job, and waits during which it still beats and hears a stop.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Clock, Context};
use crate::error::Error;

/// The longest sleep between two beats of a wait.
const NAP: Duration = Duration::from_secs(5);

impl Context {
    /// Waits, beating.
    ///
    /// # Errors
    /// [`Error::Stopped`] as soon as a stop is asked for.
    pub fn wait(&self, long: Duration) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            self.checkpoint()?;
            let left = long.saturating_sub(start.elapsed());
            if left.is_zero() || self.skip(left) {
                return Ok(());
            }
            self.world.stop.sleep(left.min(self.nap()), &[]);
            if self.world.stop.is_triggered() {
                // Not ours to take; the sleep would return at once.
                std::thread::park_timeout(left.min(Duration::from_millis(100)));
            }
        }
    }

    /// Waits for the next pass, beating; `true` when one was triggered meanwhile.
    ///
    /// # Errors
    /// [`Error::Stopped`] as soon as a stop is asked for.
    pub fn wait_or_trigger(&self, long: Duration) -> Result<bool, Error> {
        let start = Instant::now();
        loop {
            self.checkpoint()?;
            let left = long.saturating_sub(start.elapsed());
            let triggered = self.world.stop.is_triggered();
            if triggered || left.is_zero() || self.skip(left) {
                return Ok(triggered);
            }
            self.world.stop.sleep(left.min(self.nap()), &[]);
        }
    }

    /// Says what the job waits for until its next pass, where that is more than time; empty: nothing. For `status`.
    pub fn wait_for(&self, what: &str) {
        what.clone_into(&mut self.awaited.borrow_mut());
    }

    /// What is waited for between two passes.
    pub(crate) fn awaited(&self) -> String {
        let awaited = self.awaited.borrow();
        if awaited.is_empty() {
            return "waiting".to_owned();
        }
        awaited.clone()
    }

    /// Lets a fake clock skip a wait.
    fn skip(&self, long: Duration) -> bool {
        let Clock::Fake(ahead) = &self.clock else {
            return false;
        };
        let long = TimeDelta::from_std(long).unwrap_or(TimeDelta::MAX);
        ahead.set(ahead.get().checked_add(&long).unwrap_or(TimeDelta::MAX));
        true
    }

    /// As long as one may sleep without being taken for hung.
    fn nap(&self) -> Duration {
        self.world
            .heartbeat
            .map_or(NAP, |heartbeat| (heartbeat / 4).min(NAP))
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.clock {
            Clock::System => Utc::now(),
            Clock::Fake(ahead) => Utc::now() + ahead.get(),
        }
    }

    /// Whether this is only a look at the world (`check`, `--dry-run`): nothing may be changed.
    #[must_use]
    pub fn looking(&self) -> bool {
        self.world.looking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_told_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let cx = Context::fake(dir.path());
        assert_eq!(cx.awaited(), "waiting");
        cx.wait_for("2 gaps");
        assert_eq!(cx.awaited(), "2 gaps");
        cx.wait_for("");
        assert_eq!(cx.awaited(), "waiting");
    }
}
