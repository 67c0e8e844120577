//! Who of the job's threads is alive. Each says until when it will have shown life again, as the heartbeat itself does; the main loop
//! beats for all only while nobody is late. So a thread that hangs is found as surely as a loop that hangs.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// All threads of the job.
#[derive(Debug)]
pub(crate) struct Vitals {
    begun: Instant,
    members: Mutex<Vec<(String, Weak<AtomicU64>)>>,
}

/// One thread's word.
#[derive(Debug)]
pub(crate) struct Vital {
    begun: Instant,
    /// Milliseconds from the beginning.
    until: Arc<AtomicU64>,
}

impl Vitals {
    pub(crate) fn new() -> Arc<Vitals> {
        Arc::new(Vitals {
            begun: Instant::now(),
            members: Mutex::default(),
        })
    }

    /// A new thread, which is alive for so long; it leaves by dropping this.
    pub(crate) fn join(&self, name: &str, long: Duration) -> Vital {
        let vital = Vital {
            begun: self.begun,
            until: Arc::default(),
        };
        vital.alive_for(long);
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|(_, member)| member.strong_count() > 0);
        members.push((name.to_owned(), Arc::downgrade(&vital.until)));
        vital
    }

    /// Somebody who should have shown life by now.
    pub(crate) fn late(&self) -> Option<String> {
        let now = millis(self.begun.elapsed());
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let late = members.iter().find(|(_, member)| {
            member
                .upgrade()
                .is_some_and(|until| until.load(Ordering::Relaxed) < now)
        });
        late.map(|(name, _)| name.clone())
    }
}

impl Vital {
    /// The thread will show life again within this.
    pub(crate) fn alive_for(&self, long: Duration) {
        let until = millis(self.begun.elapsed() + long);
        self.until.store(until, Ordering::Relaxed);
    }
}

fn millis(long: Duration) -> u64 {
    u64::try_from(long.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_late_is_known_by_name_and_who_left_is_not() {
        let vitals = Vitals::new();
        let one = vitals.join("one", Duration::from_secs(60));
        let two = vitals.join("two", Duration::from_secs(60));
        assert_eq!(vitals.late(), None);
        two.alive_for(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(vitals.late().as_deref(), Some("two"));
        drop(two);
        assert_eq!(vitals.late(), None);
        drop(one);
    }
}
