//! Who is let in, and who has to go for another one: limits on connections and on login failures, by address. Pure.
//!
//! A connection that has not logged in costs a thread and a few kilobytes, and has ten seconds. When there are too many of
//! them, the oldest goes for the newest, those of the same address first: somebody who opens thousands of idle ones only
//! pushes out his own. Failed logins are answered the later the more there were from that address lately.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Connections that are not logged in, at most.
const STRANGERS: usize = 128;
/// Of these, from one address.
const STRANGERS_EACH: usize = 64;
/// Failures that cost nothing.
const FREE: u32 = 5;
/// What every further one costs, and all of them at most.
const COST: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_millis(200);
/// After so long without a failure an address is as good as new.
const FORGET: Duration = Duration::from_secs(60);
/// Addresses with failures that are remembered.
const REMEMBERED: usize = 4096;

/// A connection, by its number.
pub(super) type Number = u64;

struct Guest {
    address: IpAddr,
    known: bool,
}

/// The connections that are open.
pub(super) struct Door {
    connections: usize,
    per_address: usize,
    guests: std::collections::BTreeMap<Number, Guest>,
    failures: HashMap<IpAddr, (u32, Instant)>,
    next: Number,
}

impl Door {
    pub(super) fn new(connections: usize, per_address: usize) -> Door {
        Door {
            connections,
            per_address,
            guests: Default::default(),
            failures: HashMap::new(),
            next: 0,
        }
    }

    /// Lets a new connection in; also tells which one has to go for it.
    pub(super) fn enter(&mut self, address: IpAddr) -> (Number, Option<Number>) {
        let strangers = || self.guests.iter().filter(|(_, guest)| !guest.known);
        let own = || strangers().filter(|(_, guest)| guest.address == address);
        let goes = if own().count() >= STRANGERS_EACH {
            own().next()
        } else if strangers().count() >= STRANGERS {
            strangers().next()
        } else {
            None
        };
        let goes = goes.map(|(number, _)| *number);
        if let Some(number) = goes {
            self.guests.remove(&number);
        }
        self.next += 1;
        self.guests.insert(
            self.next,
            Guest {
                address,
                known: false,
            },
        );
        (self.next, goes)
    }

    /// A connection has logged in; `false` when there are too many of those.
    pub(super) fn known(&mut self, number: Number) -> bool {
        let Some(address) = self.guests.get(&number).map(|guest| guest.address) else {
            return false;
        };
        self.failures.remove(&address);
        let known = || self.guests.values().filter(|guest| guest.known);
        let room = known().count() < self.connections
            && known().filter(|guest| guest.address == address).count() < self.per_address;
        if let Some(guest) = self.guests.get_mut(&number).filter(|_| room) {
            guest.known = true;
        }
        room
    }

    /// A login failed: how long its answer is to be held back.
    pub(super) fn failed(&mut self, address: IpAddr, now: Instant) -> Duration {
        self.failures
            .retain(|_, (_, last)| now.saturating_duration_since(*last) < FORGET);
        if self.failures.len() >= REMEMBERED && !self.failures.contains_key(&address) {
            return MOST;
        }
        let (count, last) = self.failures.entry(address).or_insert((0, now));
        *count = count.saturating_add(1);
        *last = now;
        COST.saturating_mul(count.saturating_sub(FREE)).min(MOST)
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, number: Number) {
        self.guests.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn idle_strangers_push_out_their_own() {
        let mut door = Door::new(10, 10);
        let (other, _) = door.enter(address(2));
        let mut gone = Vec::new();
        for _ in 0..1000 {
            gone.extend(door.enter(address(1)).1);
        }
        assert_eq!(gone.len(), 1000 - STRANGERS_EACH);
        assert!(!gone.contains(&other) && door.known(other));
        assert!(!door.known(gone[0]), "it was shown out");
    }

    #[test]
    fn many_addresses_push_out_the_oldest() {
        let mut door = Door::new(10, 10);
        let first = door.enter(address(0)).0;
        let gone: Vec<_> = (1..=STRANGERS)
            .filter_map(|n| door.enter(address(u8::try_from(n).unwrap())).1)
            .collect();
        assert_eq!(gone, [first]);
    }

    #[test]
    fn those_who_are_known_are_counted_apart() {
        let mut door = Door::new(3, 2);
        let mut come = |n| {
            let number = door.enter(address(n)).0;
            door.known(number)
        };
        assert!(come(1) && come(1) && !come(1) && come(2) && !come(3));
    }

    #[test]
    fn failures_cost_more_and_more_and_are_forgotten() {
        let (mut door, now) = (Door::new(1, 1), Instant::now());
        let costs: Vec<_> = (0..1000).map(|_| door.failed(address(1), now)).collect();
        assert_eq!(
            (costs[4], costs[6], costs[999]),
            (Duration::ZERO, COST * 2, MOST)
        );
        assert_eq!(door.failed(address(2), now), Duration::ZERO);
        assert_eq!(door.failed(address(1), now + FORGET), Duration::ZERO);
    }
}
