//! The spool on a fake disk: what was acknowledged is there afterwards, in order, once.

mod damage;
mod plain;
mod power;
mod room;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::*;
use crate::disk::{Disk, FakeDisk};

const DIR: &str = "/s/biz";

fn dir() -> PathBuf {
    PathBuf::from(DIR)
}

fn reopen(disk: &FakeDisk, segment: u64) -> Store {
    let face: Arc<dyn Disk> = Arc::new(disk.clone());
    open(&face, &dir(), segment).unwrap()
}

/// Batches of a sender that numbers its records, of a session that is opened with the first.
struct Sender {
    number: u64,
}

impl Sender {
    fn batch(&mut self, store: &Store, count: u64) -> Batch {
        let seal = &store.shelf().seal;
        let mut batch = Batch {
            first: store.next(),
            next: store.next(),
            ..Batch::default()
        };
        let session = Session {
            name: "one".into(),
            last: 0,
            used: 0,
        };
        if store.sessions().0.is_empty() && self.number == 0 {
            append_one(&mut batch.bytes, seal, (batch.next, 1), 1, &session);
            batch.news.push(News::Opened(1, session));
        }
        for _ in 0..count {
            self.number += 1;
            let head = Head {
                session: 1,
                seq: batch.next,
                time: 7_000_000,
                number: self.number,
            };
            seal.append(&mut batch.bytes, head, body(self.number).as_bytes());
            batch.next += 1;
        }
        batch.news.push(News::Reached(1, self.number, 7));
        batch
    }
}

fn body(number: u64) -> String {
    let length = usize::try_from(number % 97).unwrap();
    format!("{number}:{}", "x".repeat(length))
}

/// Every record there is from a number on: sequence number and the sender's number.
fn records(store: &Store, from: u64) -> Vec<(u64, u64)> {
    let mut reader = Reader::new(Arc::clone(store.shelf()), from);
    let mut all = Vec::new();
    loop {
        match reader.next().unwrap() {
            Next::Record(head, bytes) => {
                assert_eq!(bytes, body(head.number).as_bytes());
                all.push((head.seq, head.number));
            }
            Next::Lost(from, to) => assert!(from < to),
            Next::Nothing => return all,
        }
    }
}

/// Writes and syncs until that has succeeded, as the writer does.
fn insist(store: &mut Store, failures: u32) {
    for attempt in 0.. {
        let done = store.write().and_then(|()| store.sync());
        if done.is_ok() {
            return;
        }
        assert!(attempt < failures, "{}", done.unwrap_err().chain());
    }
}
