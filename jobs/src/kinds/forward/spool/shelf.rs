//! The segments of a spool as its writer and its readers share them: which there are, how far each is durable, how far each
//! deliver's saved cursor is, and so which may go. The only place where segments are removed: after the cursors are durable.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{bell::Bell, record::Seal, segment};
use crate::{disk::Disk, error::Error};

/// What is known of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its first number.
    pub(crate) base: u64,
    /// Bytes that may be read: what is durable of it.
    pub(crate) length: u64,
    /// When it was last written.
    pub(crate) written: SystemTime,
}

/// A segment as a reader needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) base: u64,
    pub(super) path: PathBuf,
    /// Bytes that may be read.
    pub(super) length: u64,
    /// The number after its last one, as far as it is durable.
    pub(super) end: u64,
}

/// Where a number is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// In this segment, or in none.
    Here(Place),
    /// Before the first segment, which begins with this number.
    Before(u64),
    /// Not durable yet.
    Later,
}

#[derive(Debug)]
struct Books {
    segments: VecDeque<Segment>,
    /// The first number that is not durable.
    durable: u64,
    /// Saved cursors, by deliver.
    cursors: BTreeMap<String, u64>,
    /// The first number that each sleeper wants to be told of.
    awaited: BTreeMap<String, u64>,
    /// Syncs since the beginning, and bytes that they made durable.
    synced: (u64, u64),
    /// Where the room ends that is laid out in the newest segment; 0 = there is none.
    laid: u64,
}

/// The segments, shared.
pub(crate) struct Shelf {
    pub(crate) dir: PathBuf,
    pub(crate) seal: Seal,
    pub(crate) disk: Arc<dyn Disk>,
    /// Rings when something becomes durable that is awaited, and whenever a deliver is to look at what has changed.
    pub(crate) news: Bell,
    /// Rings when a segment is gone.
    pub(crate) room: Bell,
    books: Mutex<Books>,
}

impl Shelf {
    /// A shelf of these segments, in the order of their numbers.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        seal: Seal,
        segments: Vec<Segment>,
        durable: u64,
    ) -> Shelf {
        Shelf {
            dir,
            seal,
            disk,
            news: Bell::default(),
            room: Bell::default(),
            books: Mutex::new(Books {
                segments: segments.into(),
                durable,
                cursors: BTreeMap::new(),
                awaited: BTreeMap::new(),
                synced: (0, 0),
                laid: 0,
            }),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first number that is not durable.
    pub(crate) fn durable(&self) -> u64 {
        self.books().durable
    }

    /// The first number of the oldest segment.
    pub(crate) fn oldest(&self) -> u64 {
        let books = self.books();
        books.segments.front().map_or(books.durable, |s| s.base)
    }

    /// The first number of the newest segment; 0 while there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.books().segments.back().map_or(0, |s| s.base)
    }

    /// All segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.books().segments.iter().cloned().collect()
    }

    /// Which records there are, for people: `the records 5 to 9`.
    pub(crate) fn told(&self) -> String {
        match (self.oldest(), self.durable()) {
            (oldest, durable) if oldest < durable => {
                format!("the records {oldest} to {}", durable - 1)
            }
            (_, durable) => format!("no records; the next one is {durable}"),
        }
    }

    /// The file of a segment.
    pub(crate) fn path_of(&self, base: u64) -> PathBuf {
        segment::path(&self.dir, base)
    }

    /// Bytes of all segments on the disk, with room that is laid out for more.
    pub(crate) fn bytes(&self) -> u64 {
        let books = self.books();
        let newest = books.segments.back().map_or(0, |s| s.length);
        let records: u64 = books.segments.iter().map(|s| s.length).sum();
        records + books.laid.saturating_sub(newest)
    }

    /// Room is laid out in the newest segment up to this place; 0 = there is none.
    pub(super) fn lay(&self, end: u64) {
        self.books().laid = end;
    }

    /// Syncs since the beginning, and the bytes that they made durable.
    pub(crate) fn synced(&self) -> (u64, u64) {
        self.books().synced
    }

    /// About how many bytes lie from a number on: whole segments after the one that holds it.
    pub(crate) fn bytes_from(&self, seq: u64) -> u64 {
        let books = self.books();
        let after = books.segments.partition_point(|s| s.base <= seq);
        let later: u64 = books.segments.iter().skip(after).map(|s| s.length).sum();
        let Some(here) = after.checked_sub(1).map(|at| &books.segments[at]) else {
            return later;
        };
        let end = books.segments.get(after).map_or(books.durable, |s| s.base);
        let (all, left) = (end.saturating_sub(here.base), end.saturating_sub(seq));
        later + here.length.saturating_mul(left) / all.max(1)
    }

    pub(super) fn locate(&self, seq: u64) -> Where {
        let books = self.books();
        if seq >= books.durable {
            return Where::Later;
        }
        let after = books.segments.partition_point(|s| s.base <= seq);
        let Some(at) = after.checked_sub(1) else {
            return Where::Before(
                books
                    .segments
                    .front()
                    .map_or(books.durable, |s| s.base)
                    .min(books.durable),
            );
        };
        let here = &books.segments[at];
        let next = books.segments.get(after).map(|s| s.base);
        Where::Here(Place {
            base: here.base,
            path: segment::path(&self.dir, here.base),
            length: here.length,
            end: next.unwrap_or(books.durable).min(books.durable),
        })
    }

    /// A new segment is there, whose numbers begin at `base`; one that began there too is replaced.
    pub(super) fn begin(&self, base: u64, length: u64) {
        let mut books = self.books();
        books.laid = 0;
        books.segments.retain(|segment| segment.base < base);
        books.segments.push_back(Segment {
            base,
            length,
            written: SystemTime::now(),
        });
    }

    /// The newest segment is durable up to this length, and so are all numbers before `durable`.
    pub(super) fn grow(&self, length: u64, durable: u64) {
        let mut books = self.books();
        books.durable = durable;
        if let Some(segment) = books.segments.back_mut() {
            let more = length.saturating_sub(segment.length);
            segment.length = length;
            segment.written = SystemTime::now();
            books.synced = (books.synced.0 + 1, books.synced.1 + more);
        }
        // waking those who cannot go on yet would cost whoever waits for the next sync
        let ring = books.awaited.values().any(|number| *number < durable);
        drop(books);
        if ring {
            self.news.ring();
        }
    }

    /// Sleeps so long at most, until the bell rings or the record of this number is durable.
    pub(crate) fn wait_for(&self, name: &str, number: u64, seen: &mut u64, long: Duration) {
        let mut books = self.books();
        if number < books.durable {
            return;
        }
        books.awaited.insert(name.to_owned(), number);
        drop(books);
        self.news.wait(seen, long);
    }

    /// A deliver's saved cursor: what it has not confirmed stays.
    pub(crate) fn hold(&self, name: &str, cursor: u64) {
        self.books().cursors.insert(name.to_owned(), cursor);
    }

    /// A deliver is no more.
    pub(crate) fn release(&self, name: &str) {
        let mut books = self.books();
        books.cursors.remove(name);
        books.awaited.remove(name);
    }

    /// Removes segments that every deliver has done with: those written longer ago than `keep`, or all of them.
    /// Gives how many went.
    ///
    /// # Errors
    /// When one cannot be removed; it is tried again with the next call.
    pub(crate) fn reclaim(&self, keep: Option<Duration>) -> Result<usize, Error> {
        let mut gone = 0;
        while let Some(segment) = self.take_done(keep) {
            let path = segment::path(&self.dir, segment.base);
            if let Err(error) = self.disk.remove(&path) {
                self.books().segments.push_front(segment);
                return Err(error);
            }
            gone += 1;
        }
        if gone > 0 {
            self.disk.sync_dir(&self.dir)?;
            self.room.ring();
        }
        Ok(gone)
    }

    fn take_done(&self, keep: Option<Duration>) -> Option<Segment> {
        let mut books = self.books();
        let done = *books.cursors.values().min()?;
        let after = books.segments.get(1)?.base;
        let fresh = keep.is_some_and(|keep| {
            let age = books.segments.front().map(|s| s.written.elapsed());
            age.is_some_and(|age| age.unwrap_or_default() < keep)
        });
        if after > done || fresh {
            return None;
        }
        books.segments.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::FakeDisk;

    fn shelf(bases: &[u64], durable: u64) -> (FakeDisk, Shelf) {
        let (disk, dir) = (FakeDisk::new(), Path::new("/s"));
        let segments = bases.iter().map(|base| {
            disk.put(&segment::path(dir, *base), b"x");
            Segment {
                base: *base,
                length: 100,
                written: SystemTime::now(),
            }
        });
        let segments = segments.collect();
        let shelf = Shelf::new(
            Arc::new(disk.clone()),
            dir.to_owned(),
            Seal::new(1),
            segments,
            durable,
        );
        (disk, shelf)
    }

    #[test]
    fn numbers_are_found() {
        let (_, shelf) = shelf(&[10, 20, 30], 35);
        assert_eq!(shelf.locate(3), Where::Before(10));
        assert_eq!(shelf.locate(35), Where::Later);
        let ends = [10, 19, 20, 30].map(|seq| match shelf.locate(seq) {
            Where::Here(place) => (place.base, place.end),
            other => panic!("{other:?}"),
        });
        assert_eq!(ends, [(10, 20), (10, 20), (20, 30), (30, 35)]);
        assert_eq!(shelf.bytes_from(15), 250);
        assert_eq!(shelf.bytes(), 300);
        shelf.lay(150);
        assert_eq!((shelf.bytes(), shelf.bytes_from(15)), (350, 250));
        assert_eq!(shelf.bytes_from(35), 0);
    }

    #[test]
    fn sleepers_are_woken_by_what_they_wait_for_alone() {
        let (_, shelf) = shelf(&[10], 35);
        let (mut seen, now, hour) = (0, Duration::ZERO, Duration::from_secs(3600));
        shelf.wait_for("a", 34, &mut seen, hour);
        shelf.wait_for("a", 37, &mut seen, now);
        for (durable, rings) in [(36, 0), (37, 0), (38, 1), (39, 2)] {
            shelf.grow(200, durable);
            shelf.news.wait(&mut seen, now);
            assert_eq!(seen, rings, "{durable}");
        }
        shelf.wait_for("a", 50, &mut seen, now);
        shelf.wait_for("b", 40, &mut seen, now);
        shelf.grow(300, 41);
        // rung before the sleep: not missed
        shelf.wait_for("a", 50, &mut seen, hour);
        shelf.release("b");
        shelf.grow(300, 42);
        shelf.wait_for("a", 50, &mut seen, now);
        assert_eq!(seen, 3);
    }

    #[test]
    fn segments_go_when_the_slowest_is_done_and_not_before_their_time() {
        let (disk, shelf) = shelf(&[10, 20, 30], 35);
        assert_eq!(shelf.reclaim(None).unwrap(), 0);
        shelf.hold("a", 35);
        shelf.hold("b", 25);
        assert_eq!(shelf.reclaim(Some(Duration::from_secs(3600))).unwrap(), 0);
        assert_eq!(shelf.reclaim(None).unwrap(), 1);
        shelf.release("b");
        assert_eq!(shelf.reclaim(None).unwrap(), 1);
        // the newest one stays: it says what the next number is
        assert_eq!(shelf.reclaim(None).unwrap(), 0);
        assert_eq!(
            disk.files().into_keys().collect::<Vec<_>>(),
            [segment::path(Path::new("/s"), 30)]
        );
        assert_eq!((shelf.oldest(), shelf.newest()), (30, 30));
    }
}
