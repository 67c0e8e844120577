//! Files of an account that are coming in now. The same name, or the same content, comes in once at a time: later offers wait
//! for the end of the first, and are then judged anew. Pure.

use std::{collections::HashMap, sync::mpsc::Sender};

use crate::transfer::{message::Offer, proof::Digest};

/// What may be said of an offer, as far as files under way go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing like it is under way.
    Clear,
    /// A file of that size is: its hash would tell.
    Unsure,
    /// It is, or it may be.
    Wait,
}

#[derive(Debug)]
struct Flight {
    size: u64,
    hash: Option<Digest>,
}

struct Waiting {
    /// Waits for the end of this name, or of a file of the offer's size.
    name: String,
    /// Waits for the end of any file.
    any: bool,
    offer: Offer,
    back: Sender<Offer>,
}

/// The files under way.
#[derive(Default)]
pub(super) struct Flights {
    names: HashMap<String, Flight>,
    /// How many of each hash, and of each size with and without a known hash.
    hashes: HashMap<Digest, usize>,
    sizes: HashMap<(u64, bool), usize>,
    waiting: Vec<Waiting>,
}

impl Flights {
    /// What is under way that may be the offered file. `alike` asks for files of the same content, too.
    pub(super) fn look(&self, name: &str, offer: &Offer, alike: bool) -> Sight {
        if self.names.contains_key(name) {
            return Sight::Wait;
        }
        let open = alike && self.sizes.contains_key(&(offer.size, false));
        match offer.hash {
            Some(hash) if open || self.hashes.contains_key(&hash) => Sight::Wait,
            None if open || alike && self.sizes.contains_key(&(offer.size, true)) => Sight::Unsure,
            _ => Sight::Clear,
        }
    }

    /// Lets an offer wait; it comes back by `back`.
    pub(super) fn wait(&mut self, name: &str, offer: &Offer, back: &Sender<Offer>) {
        self.waiting.push(Waiting {
            name: name.to_owned(),
            any: false,
            offer: offer.clone(),
            back: back.clone(),
        });
    }

    /// Lets an offer wait for the end of any file; `false` when none is under way.
    pub(super) fn wait_for_any(&mut self, offer: &Offer, back: &Sender<Offer>) -> bool {
        if self.names.is_empty() {
            return false;
        }
        self.waiting.push(Waiting {
            name: String::new(),
            any: true,
            offer: offer.clone(),
            back: back.clone(),
        });
        true
    }

    /// A file is on its way from now on.
    pub(super) fn begin(&mut self, name: &str, offer: &Offer) {
        let flight = Flight {
            size: offer.size,
            hash: offer.hash,
        };
        *self
            .sizes
            .entry((flight.size, flight.hash.is_some()))
            .or_default() += 1;
        if let Some(hash) = flight.hash {
            *self.hashes.entry(hash).or_default() += 1;
        }
        self.names.insert(name.to_owned(), flight);
    }

    /// A file came in, or will not: those who wait for it hear of it. Tells whether it was under way.
    pub(super) fn end(&mut self, name: &str) -> bool {
        let Some(flight) = self.names.remove(name) else {
            return false;
        };
        let key = (flight.size, flight.hash.is_some());
        less(&mut self.sizes, &key);
        if let Some(hash) = flight.hash {
            less(&mut self.hashes, &hash);
        }
        let concerned = |waiting: &mut Waiting| {
            waiting.any || waiting.name == name || waiting.offer.size == flight.size
        };
        for waiting in self.waiting.extract_if(.., concerned) {
            // one whose session has ended waits for nothing
            let _ended = waiting.back.send(waiting.offer);
        }
        true
    }

    /// Whether a file of that name is on its way.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn offer(id: u32, size: u64, hash: Option<u8>) -> Offer {
        Offer {
            id,
            size,
            mtime: 0,
            mode: 0,
            hash: hash.map(|byte| [byte; 32]),
            name: String::new(),
        }
    }

    #[test]
    fn the_same_name_or_content_waits_and_hears_of_the_end() {
        let mut flights = Flights::default();
        let (back, heard) = mpsc::channel();
        flights.begin("a", &offer(1, 10, Some(1)));
        assert_eq!(flights.look("a", &offer(2, 99, Some(2)), true), Sight::Wait);
        assert_eq!(flights.look("b", &offer(2, 10, Some(1)), true), Sight::Wait);
        assert_eq!(
            flights.look("b", &offer(2, 10, Some(2)), true),
            Sight::Clear
        );
        assert_eq!(flights.look("b", &offer(2, 10, None), true), Sight::Unsure);
        assert_eq!(flights.look("b", &offer(2, 10, None), false), Sight::Clear);
        flights.wait("b", &offer(2, 10, Some(1)), &back);
        flights.wait("c", &offer(3, 77, Some(3)), &back);
        assert!(flights.wait_for_any(&offer(4, 1, None), &back));
        assert!(flights.has("a") && flights.end("a") && !flights.end("a"));
        assert_eq!(
            heard.try_iter().map(|offer| offer.id).collect::<Vec<_>>(),
            [2, 4]
        );
        assert!(!flights.wait_for_any(&offer(4, 1, None), &back));
        assert_eq!(
            flights.look("b", &offer(2, 10, Some(1)), true),
            Sight::Clear
        );
    }

    #[test]
    fn a_hash_that_is_not_known_yet_makes_others_wait() {
        let mut flights = Flights::default();
        flights.begin("a", &offer(1, 10, None));
        assert_eq!(flights.look("b", &offer(2, 10, None), true), Sight::Unsure);
        assert_eq!(flights.look("b", &offer(2, 10, Some(1)), true), Sight::Wait);
        assert_eq!(
            flights.look("b", &offer(2, 11, Some(1)), true),
            Sight::Clear
        );
    }
}
