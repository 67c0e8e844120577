//! Makes loads of what the spool holds, in the order that is asked for. Pure but for reading.

use std::time::{Duration, Instant};

use super::{key::Key, lanes::Lanes, load::Load};
use crate::{
    error::Error,
    kinds::forward::{
        params::{Deliver, Order},
        spool::{Done, Head, Next, Reader},
    },
};

/// So far ahead of the first unconfirmed record nothing more is sent: as much may be repeated after a crash.
const AHEAD: u64 = 1 << 20;

/// Where loads come from.
pub(super) struct Feed {
    name: String,
    reader: Reader,
    key: Option<Key>,
    batch: usize,
    bytes: usize,
    age: Duration,
    /// A record that did not fit into the last load.
    held: Option<(Head, Vec<u8>)>,
    /// Order `key`: records that were read.
    lanes: Lanes,
    /// Since when records have waited to go.
    since: Option<Instant>,
}

impl Feed {
    pub(super) fn new(deliver: &Deliver, reader: Reader) -> Feed {
        let key = match deliver.order {
            // checked when the job was made
            Order::Key => deliver.key.as_deref().and_then(|key| key.parse().ok()),
            Order::Strict | Order::None => None,
        };
        Feed {
            name: deliver.name.clone(),
            reader,
            key,
            batch: usize::try_from(deliver.batch()).unwrap_or(usize::MAX),
            bytes: usize::try_from(deliver.bytes.0).unwrap_or(usize::MAX),
            age: deliver.age.0,
            held: None,
            lanes: Lanes::default(),
            since: None,
        }
    }

    /// When what waits is to go even though it fills no load.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.age)
    }

    /// The first number whose arrival can change what [`Feed::next`] gives, but for time and confirmations.
    pub(super) fn awaited(&self, durable: u64) -> u64 {
        let (next, held) = match self.key {
            Some(_) => (durable, self.lanes.ready()),
            None => (self.reader.at(), usize::from(self.held.is_some())),
        };
        if self.since.is_none() {
            return durable;
        }
        // the one that makes a load full
        let more = self.batch.saturating_sub(held).max(1) as u64;
        durable.max(next.saturating_add(more - 1))
    }

    /// The next load, if there is one to go now; `free` workers have nothing to do. Numbers without records are confirmed.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub(super) fn next(
        &mut self,
        durable: u64,
        done: &mut Done,
        free: usize,
        now: Instant,
    ) -> Result<Option<Load>, Error> {
        let load = if self.key.is_some() {
            self.fill(done)?;
            let ripe = self.is_ripe(self.lanes.ready(), now);
            ripe.then(|| {
                self.since = None;
                self.lanes.pick(free, self.batch, self.bytes)
            })
        } else {
            self.read_on(durable, done, now)?
        };
        Ok(load.filter(|load| !load.is_empty()))
    }

    /// These are confirmed: others of their keys may go.
    pub(super) fn release(&mut self, load: &Load) {
        for key in &load.keys {
            self.lanes.release(*key);
        }
    }

    fn is_ripe(&mut self, waiting: usize, now: Instant) -> bool {
        if waiting == 0 {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        waiting >= self.batch || now.saturating_duration_since(since) >= self.age
    }

    fn read_on(
        &mut self,
        durable: u64,
        done: &mut Done,
        now: Instant,
    ) -> Result<Option<Load>, Error> {
        if self.reader.at().saturating_sub(done.next()) > AHEAD && self.held.is_none() {
            return Ok(None);
        }
        let unread = durable.saturating_sub(self.reader.at());
        let waiting = usize::try_from(unread).unwrap_or(usize::MAX);
        let waiting = waiting.saturating_add(usize::from(self.held.is_some()));
        if !self.is_ripe(waiting, now) {
            return Ok(None);
        }
        let mut load = Load::default();
        if let Some((head, body)) = self.held.take() {
            load.push(head, &body, None);
        }
        while load.len() < self.batch && !load.is_scattered() {
            match self.reader.next()? {
                Next::Record(head, body) => {
                    if !load.is_empty() && load.bytes() + body.len() > self.bytes {
                        self.held = Some((head, body.to_vec()));
                        break;
                    }
                    load.push(head, body, None);
                }
                Next::Lost(from, to) => pass(&self.name, done, from, to),
                Next::Nothing => break,
            }
        }
        self.since = None;
        Ok(Some(load))
    }

    /// Reads on while there is room, so that keys that are free are found behind those that are not.
    fn fill(&mut self, done: &mut Done) -> Result<(), Error> {
        let Some(key) = &self.key else { return Ok(()) };
        while !self.lanes.is_full() && self.reader.at().saturating_sub(done.next()) <= AHEAD {
            match self.reader.next()? {
                Next::Record(head, body) => self.lanes.push(key.of(body), head, body),
                Next::Lost(from, to) => pass(&self.name, done, from, to),
                Next::Nothing => break,
            }
        }
        Ok(())
    }
}

/// Numbers without records are passed, and that is said.
fn pass(name: &str, done: &mut Done, from: u64, to: u64) {
    log::warn!(
        "{name}: there are no records with the numbers {from} to {}",
        to - 1
    );
    done.mark(from, to);
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        disk::FakeDisk,
        kinds::forward::spool::{Batch, Shelf, open},
    };

    fn spool(bodies: &[&str]) -> Arc<Shelf> {
        let disk = Arc::new(FakeDisk::new());
        let face: Arc<dyn crate::disk::Disk> = disk;
        let mut store = open(&face, Path::new("/s"), 1000).unwrap();
        let mut batch = Batch {
            first: 1,
            next: 1,
            ..Batch::default()
        };
        for body in bodies {
            let head = Head {
                seq: batch.next,
                ..Head::default()
            };
            let seal = store.shelf().seal.clone();
            seal.append(&mut batch.bytes, head, body.as_bytes());
            batch.next += 1;
        }
        store.push(batch);
        store.write().unwrap();
        store.sync().unwrap();
        Arc::clone(store.shelf())
    }

    fn feed(shelf: &Arc<Shelf>, attributes: &str) -> Feed {
        let text = format!(
            "<forward><listen address='a:1'/><spool dir='s'/><deliver url='http://h/' {attributes}/></forward>"
        );
        let file = jobfile::JobFile::from_text(Path::new("a.xml"), text.as_bytes()).unwrap();
        let params: crate::kinds::forward::params::Params = file.params().unwrap();
        Feed::new(&params.delivers[0], Reader::new(Arc::clone(shelf), 1))
    }

    /// Numbers of the next load for so many free workers.
    fn next(
        feed: &mut Feed,
        done: &mut Done,
        free: usize,
        now: Instant,
    ) -> Option<(Vec<u64>, Load)> {
        let load = feed.next(7, done, free, now).unwrap()?;
        Some((load.heads.iter().map(|head| head.seq).collect(), load))
    }

    #[test]
    fn loads_are_full_or_old_enough() {
        let shelf = spool(&["1", "2", "3", "4", "5", "66666666"]);
        let mut feed = feed(&shelf, "batch='3' age='1s' bytes='8'");
        let (mut done, now) = (Done::new(1), Instant::now());
        assert_eq!(next(&mut feed, &mut done, 1, now).unwrap().0, [1, 2, 3]);
        assert_eq!(next(&mut feed, &mut done, 1, now).unwrap().0, [4, 5]);
        assert_eq!(next(&mut feed, &mut done, 1, now), None);
        assert_eq!(feed.due(), Some(now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(1);
        assert_eq!(feed.awaited(7), 8);
        // the one that did not fit is not forgotten
        assert_eq!(next(&mut feed, &mut done, 1, later).unwrap().0, [6]);
        assert_eq!(next(&mut feed, &mut done, 1, later), None);
        assert_eq!(feed.awaited(7), 7);
    }

    #[test]
    fn records_of_one_key_wait_for_each_other_and_for_no_one_else() {
        let shelf = spool(&["a 1", "b 1", "a 2", "c 1", "b 2", "a 3"]);
        let mut feed = feed(&shelf, "order='key' key='1' batch='2' age='0'");
        let (mut done, now) = (Done::new(1), Instant::now());
        let (first, one) = next(&mut feed, &mut done, 3, now).unwrap();
        assert_eq!(first, [1, 3]);
        assert_eq!(next(&mut feed, &mut done, 2, now).unwrap().0, [2, 5]);
        assert_eq!(next(&mut feed, &mut done, 1, now).unwrap().0, [4]);
        assert_eq!(next(&mut feed, &mut done, 3, now), None);
        feed.release(&one);
        assert_eq!(next(&mut feed, &mut done, 3, now).unwrap().0, [6]);
        assert_eq!(next(&mut feed, &mut done, 3, now), None);
    }
}
