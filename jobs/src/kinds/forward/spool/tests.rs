//! The spool on a disk that loses power at any operation, refuses syncs and is damaged: what was acknowledged is
//! there afterwards, in order, once.

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

#[test]
fn records_come_back_in_order_over_many_segments_and_starts() {
    let disk = FakeDisk::new();
    let mut sender = Sender { number: 0 };
    for count in [1, 30, 7, 100] {
        let mut store = reopen(&disk, 2_000);
        for _ in 0..5 {
            let batch = sender.batch(&store, count);
            store.push(batch);
            insist(&mut store, 0);
        }
    }
    let store = reopen(&disk, 2_000);
    let expected: Vec<_> = (1..=sender.number).map(|n| (n, n)).collect();
    assert_eq!(records(&store, 1), expected);
    assert_eq!(records(&store, 400)[0], (400, 400));
    assert_eq!(store.sessions().0[&1].last, sender.number);
    assert!(store.shelf().segments().len() > 10);
}

#[test]
fn a_reader_follows_the_writer_and_sees_nothing_that_is_not_durable() {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, 1_500), Sender { number: 0 });
    let mut reader = Reader::new(Arc::clone(store.shelf()), 1);
    let mut seen = 0;
    for count in [3, 1, 40, 2, 2, 60, 1] {
        let batch = sender.batch(&store, count);
        store.push(batch);
        store.write().unwrap();
        assert_eq!(reader.next().unwrap(), Next::Nothing);
        store.sync().unwrap();
        while let Next::Record(head, _) = reader.next().unwrap() {
            seen += 1;
            assert_eq!(head.seq, seen);
        }
        assert_eq!(seen, sender.number);
    }
}

#[test]
fn after_a_failed_sync_everything_is_written_anew_and_once() {
    for failures in 1..4 {
        let disk = FakeDisk::new();
        let (mut store, mut sender) = (reopen(&disk, 3_000), Sender { number: 0 });
        for round in 0..12 {
            let batch = sender.batch(&store, 5);
            store.push(batch);
            if round % 3 == 1 {
                store.write().unwrap();
                disk.fail_syncs(failures);
            }
            insist(&mut store, u32::try_from(failures).unwrap() + 1);
        }
        disk.reboot(failures);
        let store = reopen(&disk, 3_000);
        let expected: Vec<_> = (1..=60).map(|n| (n, n)).collect();
        assert_eq!(records(&store, 1), expected);
    }
}

/// What a life of the spool left behind when the power failed.
struct Life {
    /// The sender's number up to which its records were acknowledged.
    acked: u64,
    /// The cursor that was saved last, and the last one that was to be saved.
    saved: u64,
    wanted: u64,
}

/// Takes records in, confirms some, saves cursors, removes segments, until it is done or the power fails.
fn live(disk: &FakeDisk, sender: &mut Sender, life: &mut Life) -> Result<(), crate::error::Error> {
    let face: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut store = open(&face, &dir(), 900)?;
    let durable = store.sessions().0.get(&1).map_or(0, |session| session.last);
    assert!(durable >= life.acked, "{durable} < {}", life.acked);
    // as a sender does that is told the last number of its session
    sender.number = durable;
    life.acked = durable;
    let kept = cursor::load(disk, &dir(), "main")?.cursor;
    let mut turn = kept.as_ref().map_or(0, |cursor| cursor.turn);
    let next = kept.map_or(0, |cursor| cursor.next);
    assert!(next >= life.saved && next <= life.wanted);
    life.saved = next;
    for round in 0..6 {
        let batch = sender.batch(&store, 4);
        store.push(batch);
        store.write()?;
        store.sync()?;
        life.acked = sender.number;
        if round % 2 == 1 {
            let place = cursor::Cursor {
                spool: store.shelf().seal.id(),
                turn: turn + 1,
                next: store.shelf().durable() - 2,
                newest: store.shelf().newest(),
            };
            life.wanted = place.next;
            place.save(disk, &dir(), "main")?;
            (turn, life.saved) = (turn + 1, place.next);
            store.shelf().hold("main", place.next);
            store.shelf().reclaim(None)?;
        }
    }
    Ok(())
}

#[test]
fn power_loss_at_every_operation_loses_nothing_that_was_acknowledged() {
    let (mut lives, mut cut) = (0, 1);
    loop {
        let mut finished = true;
        for seed in 0..8_u64 {
            let disk = FakeDisk::new();
            let mut sender = Sender { number: 0 };
            let mut life = Life {
                acked: 0,
                saved: 0,
                wanted: 0,
            };
            // the second life is cut too, at another operation
            for at in [cut, cut / 2 + seed + 1] {
                disk.power().cut_at(disk.power().spent() + at);
                finished &= live(&disk, &mut sender, &mut life).is_ok();
                disk.reboot(seed.wrapping_mul(31) + cut);
                lives += 1;
            }
            check(&disk, &life);
        }
        if finished {
            break;
        }
        cut += 1;
    }
    assert!(lives > 500, "{lives}");
}

/// Everything from the cursor on that was acknowledged is there, in order, and no number of the sender's twice.
fn check(disk: &FakeDisk, life: &Life) {
    let store = reopen(disk, 900);
    let next = cursor::load(disk, &dir(), "main").unwrap().cursor;
    let next = next.map_or(1, |cursor| cursor.next);
    assert!(next >= life.saved && next <= life.wanted.max(1));
    let found = records(&store, store.shelf().oldest());
    assert!(found.windows(2).all(|two| two[0].0 < two[1].0), "{found:?}");
    let numbers: Vec<u64> = found.iter().map(|(_, number)| *number).collect();
    assert!(
        numbers.windows(2).all(|two| two[0] + 1 == two[1]),
        "{numbers:?}"
    );
    let from_cursor = found.iter().find(|(seq, _)| *seq >= next);
    if let Some((_, first)) = from_cursor {
        assert!(numbers.last() >= Some(&life.acked) && *first <= life.acked + 1);
    } else {
        assert!(numbers.last().is_none_or(|last| *last >= life.acked) || life.acked == 0);
    }
    if life.saved == 0 && life.acked > 0 {
        assert_eq!(
            numbers.first(),
            Some(&1),
            "{:?} {} {:?}",
            disk.files().keys(),
            life.acked,
            store.shelf().segments()
        );
        assert!(numbers.last() >= Some(&life.acked));
    }
}

/// A spool of three segments with ten records each, and the disk it is on.
fn three_segments() -> (FakeDisk, Vec<PathBuf>) {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, 1), Sender { number: 0 });
    for _ in 0..3 {
        let batch = sender.batch(&store, 10);
        store.push(batch);
        insist(&mut store, 0);
    }
    let place = cursor::Cursor {
        spool: store.shelf().seal.id(),
        turn: 1,
        next: 1,
        newest: store.shelf().newest(),
    };
    place.save(&disk, &dir(), "main").unwrap();
    let mut paths: Vec<PathBuf> = disk.files().into_keys().collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    assert_eq!(paths.len(), 3);
    (disk, paths)
}

fn copy_of(files: &BTreeMap<PathBuf, Vec<u8>>) -> FakeDisk {
    let disk = FakeDisk::new();
    disk.create_dirs(Path::new(DIR)).unwrap();
    for (path, bytes) in files {
        disk.put(path, bytes);
    }
    disk
}

#[test]
fn a_tail_torn_at_every_byte_is_cut_at_the_last_good_record() {
    let (disk, paths) = three_segments();
    let files = disk.files();
    let whole = files[&paths[2]].len();
    let last = whole - 40 - body(30).len();
    for cut in last..whole {
        let mut torn = files.clone();
        torn.get_mut(&paths[2]).unwrap().truncate(cut);
        let disk = copy_of(&torn);
        let mut store = reopen(&disk, 10_000);
        let numbers: Vec<u64> = records(&store, 1).iter().map(|(_, n)| *n).collect();
        assert_eq!(numbers, (1..=29).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(
            store.next() > 30,
            cut > last,
            "a torn number is not given out again"
        );
        let mut sender = Sender { number: 29 };
        let batch = sender.batch(&store, 1);
        store.push(batch);
        insist(&mut store, 0);
        drop(store);
        let store = reopen(&disk, 10_000);
        assert_eq!(records(&store, 1).last().map(|(_, n)| *n), Some(30));
    }
}

#[test]
fn a_bit_flipped_in_each_of_a_thousand_places_costs_one_record_at_most() {
    let (disk, paths) = three_segments();
    let files = disk.files();
    let places: Vec<(usize, usize)> = (0..3)
        .flat_map(|file| (0..files[&paths[file]].len()).map(move |at| (file, at)))
        .collect();
    let step = (places.len() / 1_000).max(1);
    let mut tried = 0;
    for (file, at) in places.into_iter().step_by(step) {
        let mut flipped = files.clone();
        flipped.get_mut(&paths[file]).unwrap()[at] ^= 1 << (at % 8);
        let disk = copy_of(&flipped);
        let store = reopen(&disk, 10_000);
        let found = records(&store, 1);
        assert!(found.len() >= 29, "{file} {at}: {}", found.len());
        assert!(found.windows(2).all(|two| two[0].0 < two[1].0));
        let seen: Vec<_> = found.iter().map(|(_, number)| *number).collect();
        assert!(seen.windows(2).all(|two| two[0] < two[1]));
        assert!(store.sessions().0[&1].last >= 29, "{file} {at}");
        if found.len() == 29 {
            let kept = disk.files().into_keys();
            assert!(
                kept.filter(|p| p.starts_with(dir().join("quarantine")))
                    .count()
                    >= 1
            );
        }
        tried += 1;
    }
    assert!(tried >= 1_000, "{tried}");
}

#[test]
fn with_both_cursors_damaged_everything_is_there_and_the_id_is_the_same() {
    let (disk, _) = three_segments();
    let id = reopen(&disk, 1).shelf().seal.id();
    for half in ["a", "b"] {
        disk.put(&dir().join(format!("main.cursor.{half}")), b"rubbish");
    }
    let store = reopen(&disk, 1);
    assert_eq!(store.shelf().seal.id(), id);
    assert_eq!(
        cursor::load(&disk, &dir(), "main").unwrap().damaged.len(),
        2
    );
    assert_eq!(records(&store, 1).len(), 30);
}

#[test]
fn a_missing_newest_segment_is_told_and_its_numbers_are_not_used_again() {
    let (disk, paths) = three_segments();
    disk.remove(&paths[2]).unwrap();
    let mut store = reopen(&disk, 1);
    assert_eq!(records(&store, 1).len(), 20);
    assert!(store.next() > 30);
    assert_eq!(store.sessions().0[&1].last, 20);
    let mut sender = Sender { number: 20 };
    let batch = sender.batch(&store, 1);
    let number = batch.first;
    store.push(batch);
    insist(&mut store, 0);
    drop(store);
    let store = reopen(&disk, 1);
    assert_eq!(records(&store, 1).last(), Some(&(number, 21)));
    assert!(store.next() > number);
}

#[test]
fn a_missing_middle_segment_is_passed() {
    let (disk, paths) = three_segments();
    disk.remove(&paths[1]).unwrap();
    let store = reopen(&disk, 1);
    assert_eq!(records(&store, 1).len(), 20);
}

#[test]
fn a_batch_that_finds_no_room_is_halved_and_its_sessions_stay_right() {
    let disk = FakeDisk::new();
    let (mut store, mut sender) = (reopen(&disk, 100_000), Sender { number: 0 });
    let batch = sender.batch(&store, 1);
    store.push(batch);
    insist(&mut store, 0);
    store.roll().unwrap();
    let batch = sender.batch(&store, 63);
    store.push(batch);
    for _ in 0..3 {
        disk.fill_up(1);
        assert!(is_full(&store.write().unwrap_err()));
    }
    insist(&mut store, 0);
    assert_eq!(store.sessions().0[&1].last, 64);
    let expected: Vec<_> = (1..=64).map(|n| (n, n)).collect();
    assert_eq!(records(&store, 1), expected);
    drop(store);
    assert_eq!(records(&reopen(&disk, 100_000), 1), expected);
}
