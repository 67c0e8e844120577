//! Pools: how many of their jobs may run at once, and who is next (first come, first served).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// All pools. One that the settings do not name has no seats: its jobs wait, and say so.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pools {
    pools: BTreeMap<Arc<str>, Pool>,
    tickets: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pool {
    /// Seats by the settings; `None` = not in the settings.
    size: Option<u32>,
    /// Seats held. More than `size` after the pool shrank or runs were adopted.
    busy: u32,
    /// Waiting jobs by ticket.
    waiting: BTreeMap<u64, Arc<str>>,
}

impl Pool {
    fn is_free(&self) -> bool {
        self.busy < self.size.unwrap_or(0)
    }
}

impl Pools {
    /// Takes new sizes; gives the pools in which somebody may be called now.
    pub(super) fn configure(&mut self, sizes: &BTreeMap<Arc<str>, u32>) -> Vec<Arc<str>> {
        for pool in self.pools.values_mut() {
            pool.size = None;
        }
        for (name, size) in sizes {
            self.pools.entry(name.clone()).or_default().size = Some(*size);
        }
        self.pools
            .retain(|_, p| p.size.is_some() || p.busy > 0 || !p.waiting.is_empty());
        let callable = self.pools.iter().filter(|(_, p)| p.is_free());
        callable.map(|(name, _)| name.clone()).collect()
    }

    /// Takes a free seat. Nobody passes those who wait, but one who was called.
    pub(super) fn take(&mut self, name: &Arc<str>, called: bool) -> bool {
        let pool = self.pools.entry(name.clone()).or_default();
        let free = pool.is_free() && (called || pool.waiting.is_empty());
        if free {
            pool.busy += 1;
        }
        free
    }

    /// Takes a seat whether or not there is one: for a run that is found alive.
    pub(super) fn occupy(&mut self, name: &Arc<str>) {
        self.pools.entry(name.clone()).or_default().busy += 1;
    }

    /// Gives a seat back.
    pub(super) fn leave(&mut self, name: &str) {
        if let Some(pool) = self.pools.get_mut(name) {
            pool.busy = pool.busy.saturating_sub(1);
        }
    }

    /// Queues a job; gives its ticket.
    pub(super) fn wait(&mut self, name: &Arc<str>, job: &Arc<str>) -> u64 {
        self.tickets += 1;
        let pool = self.pools.entry(name.clone()).or_default();
        pool.waiting.insert(self.tickets, job.clone());
        self.tickets
    }

    /// Takes a job out of the queue.
    pub(super) fn cancel(&mut self, name: &str, ticket: u64) {
        if let Some(pool) = self.pools.get_mut(name) {
            pool.waiting.remove(&ticket);
        }
    }

    /// The job whose turn it is, taken out of the queue; `None` without a free seat or a waiter.
    pub(super) fn call(&mut self, name: &str) -> Option<Arc<str>> {
        let pool = self.pools.get_mut(name)?;
        if !pool.is_free() {
            return None;
        }
        pool.waiting.pop_first().map(|(_, job)| job)
    }

    /// What a waiting job waits for, for people.
    pub(super) fn describe(&self, name: &str, ticket: u64) -> String {
        let Some(pool) = self.pools.get(name) else {
            return format!("waits for pool {name}");
        };
        let Some(size) = pool.size else {
            return format!("pool {name} is not in procctl.xml");
        };
        let place = pool.waiting.range(..=ticket).count();
        let busy = pool.busy;
        format!("waits for a seat in pool {name} ({busy} of {size} taken), place {place}")
    }

    /// Seats held and seats there are.
    #[cfg(test)]
    pub(super) fn seats(&self, name: &str) -> (u32, u32) {
        let pool = self.pools.get(name);
        pool.map_or((0, 0), |p| (p.busy, p.size.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(size: u32) -> BTreeMap<Arc<str>, u32> {
        BTreeMap::from([("db".into(), size)])
    }

    #[test]
    fn first_come_first_served() {
        let mut pools = Pools::default();
        let (db, a, b): (Arc<str>, Arc<str>, Arc<str>) = ("db".into(), "a".into(), "b".into());
        pools.configure(&sizes(1));
        assert!(pools.take(&db, false));
        assert!(!pools.take(&db, false));
        let first = pools.wait(&db, &a);
        let second = pools.wait(&db, &b);
        assert!(pools.describe("db", second).contains("place 2"));
        assert_eq!(pools.call("db"), None);
        pools.leave("db");
        assert!(!pools.take(&db, false), "nobody passes those who wait");
        assert_eq!(pools.call("db"), Some(a));
        assert!(pools.take(&db, true));
        pools.cancel("db", first);
        pools.cancel("db", second);
        pools.leave("db");
        assert_eq!(pools.call("db"), None);
        assert_eq!(pools.seats("db"), (0, 1));
    }

    #[test]
    fn sizes_change_under_their_runs() {
        let mut pools = Pools::default();
        let (db, a): (Arc<str>, Arc<str>) = ("db".into(), "a".into());
        assert!(!pools.take(&db, false), "an unknown pool has no seats");
        let ticket = pools.wait(&db, &a);
        assert_eq!(
            pools.describe("db", ticket),
            "pool db is not in procctl.xml"
        );
        assert_eq!(pools.configure(&sizes(2)).len(), 1);
        assert_eq!(pools.call("db"), Some(a));
        assert!(pools.take(&db, true) && pools.take(&db, false));
        assert!(pools.configure(&sizes(1)).is_empty());
        pools.leave("db");
        assert!(!pools.take(&db, false), "still one over");
        pools.leave("db");
        assert!(pools.take(&db, false));
        pools.occupy(&db);
        assert_eq!(pools.seats("db"), (2, 1));
    }
}
