//! Order `key`: records that were read and not sent, a lane for each key. Pure. A load costs what it holds, however many records
//! wait for keys that are on their way.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::load::Load;
use crate::kinds::forward::spool::Head;

/// Records, and bytes of them, that may wait for their keys.
const MOST: usize = 16_384;
const MOST_BYTES: usize = 32 << 20;

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<u64, Lane>,
    /// First number and key of each lane that may go.
    free: BTreeMap<u64, u64>,
    /// Records in those.
    ready: usize,
    records: usize,
    bytes: usize,
}

/// The records of one key, in their order.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(Head, Box<[u8]>)>,
    /// Others of its key are on their way.
    busy: bool,
}

impl Lanes {
    /// Whether no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.records >= MOST || self.bytes >= MOST_BYTES
    }

    /// Records that may go now.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// Takes a record; its number is above all before it.
    pub(super) fn push(&mut self, key: u64, head: Head, body: &[u8]) {
        let lane = self.lanes.entry(key).or_default();
        if !lane.busy {
            self.ready += 1;
            if lane.waiting.is_empty() {
                self.free.insert(head.seq, key);
            }
        }
        lane.waiting.push_back((head, body.into()));
        self.records += 1;
        self.bytes += body.len();
    }

    /// What was sent of this key is confirmed: the next ones may go.
    pub(super) fn release(&mut self, key: u64) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.busy) else {
            return;
        };
        match lane.waiting.front() {
            Some((head, _)) => {
                lane.busy = false;
                self.ready += lane.waiting.len();
                self.free.insert(head.seq, key);
            }
            None => drop(self.lanes.remove(&key)),
        }
    }

    /// A load of the oldest records of a fair share of the keys that may go: each of so many workers should find some.
    pub(super) fn pick(&mut self, workers: usize, batch: usize, bytes: usize) -> Load {
        let mut share = self.free.len().div_ceil(workers.max(1));
        // the next number of each key that is in the load
        let mut begun: BTreeMap<u64, u64> = BTreeMap::new();
        let mut load = Load::default();
        while load.len() < batch && !load.is_scattered() {
            let fresh = self.free.first_key_value().filter(|_| share > 0);
            let next = fresh.into_iter().chain(begun.first_key_value()).min();
            let Some((&seq, &key)) = next else { break };
            let lane = self.lanes.get_mut(&key).expect("a listed key has a lane");
            let size = lane.waiting.front().map_or(0, |(_, body)| body.len());
            if !load.is_empty() && load.bytes() + size > bytes {
                break;
            }
            if begun.remove(&seq).is_none() {
                self.free.remove(&seq);
                share -= 1;
                lane.busy = true;
                self.ready -= lane.waiting.len();
            }
            let (head, body) = lane.waiting.pop_front().expect("a listed lane has records");
            self.records -= 1;
            self.bytes -= body.len();
            load.push(head, &body, Some(key));
            if let Some((next, _)) = lane.waiting.front() {
                begun.insert(next.seq, key);
            }
        }
        load
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn head(seq: u64) -> Head {
        Head {
            seq,
            ..Head::default()
        }
    }

    proptest! {
        /// Records come, loads go and come back at random: each key's records go in their order and in one load at a time,
        /// no load is out of order or too large, and in the end all have gone.
        #[test]
        fn keys_keep_their_order_and_never_overtake(
            keys in prop::collection::vec(0_u64..7, 1..120),
            turns in prop::collection::vec((0_u8..3, 1_usize..5), 0..200),
        ) {
            let (mut lanes, mut out) = (Lanes::default(), Vec::<Load>::new());
            let mut coming = (1_u64..).zip(&keys);
            let mut last: HashMap<u64, u64> = HashMap::new();
            let mut sent = 0;
            let rest = std::iter::repeat_n([(0, 1), (1, 1), (2, 1)], keys.len() * 2).flatten();
            for (act, number) in turns.into_iter().chain(rest) {
                match act {
                    0 => if let Some((seq, key)) = coming.next() {
                        lanes.push(*key, head(seq), b"body");
                    },
                    1 => {
                        let ready = lanes.ready();
                        let load = lanes.pick(number, 4, 1000);
                        prop_assert_eq!(load.is_empty(), ready == 0);
                        prop_assert!(load.len() <= 4 && load.heads.is_sorted_by(|a, b| a.seq < b.seq));
                        let under_way: HashSet<u64> = out.iter().flat_map(|load| load.keys.clone()).collect();
                        for (head, key) in load.heads.iter().zip(&load.keys) {
                            prop_assert!(!under_way.contains(key), "a key is in two loads");
                            prop_assert!(last.insert(*key, head.seq).unwrap_or(0) < head.seq);
                            prop_assert_eq!(keys[usize::try_from(head.seq).unwrap() - 1], *key);
                        }
                        sent += load.len();
                        if !load.is_empty() { out.push(load) }
                    }
                    _ => if !out.is_empty() {
                        let load = out.swap_remove(number % out.len());
                        load.keys.iter().for_each(|key| lanes.release(*key));
                    },
                }
            }
            prop_assert_eq!(sent, keys.len());
            prop_assert_eq!((lanes.records, lanes.bytes, lanes.ready, lanes.free.len()), (0, 0, 0, 0));
        }
    }

    #[test]
    fn a_load_holds_no_more_bytes_than_may_be() {
        let mut lanes = Lanes::default();
        for seq in 1..=4 {
            lanes.push(seq % 2, head(seq), &[b'x'; 10]);
        }
        let numbers = |load: Load| -> Vec<u64> { load.heads.iter().map(|head| head.seq).collect() };
        assert_eq!(numbers(lanes.pick(1, 100, 22)), [1, 2]);
        assert!(lanes.pick(1, 100, 22).is_empty());
        lanes.release(0);
        assert_eq!(numbers(lanes.pick(1, 100, 5)), [4]);
    }

    #[test]
    fn waiting_is_bounded_in_records_and_bytes() {
        let mut lanes = Lanes::default();
        for seq in 0..16_384 {
            assert!(!lanes.is_full());
            lanes.push(1, head(seq), b"");
        }
        assert!(lanes.is_full());
        let mut lanes = Lanes::default();
        lanes.push(1, head(1), &vec![0; 32 << 20]);
        assert!(lanes.is_full());
    }
}
