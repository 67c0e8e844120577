//! The dispatcher of a deliver: gives loads to its workers, moves its cursor past what is confirmed, makes the cursor
//! durable, and only then lets segments go.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{belt::Fate, feed::Feed, worker::Shared};
use crate::{
    error::Error,
    kinds::forward::{
        params::Order,
        spool::{Done, Reader, cursor},
        vitals::Vital,
    },
};

/// How often the cursor is made durable at most: as much is repeated after a crash.
const SAVE: Duration = Duration::from_millis(200);
/// How long it sleeps at most.
const NAP: Duration = Duration::from_millis(500);
/// How long a turn may take before the job counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    vital: Vital,
    feed: Feed,
    done: Done,
    cursor: cursor::Cursor,
    /// How long delivered segments are kept.
    keep: Duration,
    saved: Instant,
    looked: Instant,
    /// First number and time of each load that is under way.
    times: BTreeMap<u64, u64>,
    /// Records are wanted again from this number on, by an operator (`true`) or after a failed read: nothing more goes
    /// until all is back.
    rewind: Option<(u64, bool)>,
    /// The number of the record that lets more be done when it comes.
    awaited: u64,
}

impl Dispatcher {
    /// Finds out where the deliver stands, and makes that durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn new(
        shared: Arc<Shared>,
        vital: Vital,
        keep: Duration,
    ) -> Result<Dispatcher, Error> {
        let shelf = &shared.shelf;
        let name = &shared.deliver.name;
        let kept = cursor::load(&*shelf.disk, &shelf.dir, name)?;
        for path in &kept.damaged {
            log::error!("{name}: the cursor file {path} is damaged");
        }
        let id = shelf.seal.id();
        let known = kept.cursor.filter(|cursor| cursor.spool == id);
        let next = match &known {
            Some(cursor) => cursor.next.min(shelf.durable()),
            None => {
                let oldest = shelf.oldest().min(shelf.durable());
                if !kept.damaged.is_empty() {
                    log::error!(
                        "{name}: no cursor is whole: everything from {oldest} on is delivered again"
                    );
                }
                oldest
            }
        };
        shelf.hold(name, next);
        let mut dispatcher = Dispatcher {
            feed: Feed::new(&shared.deliver, Reader::new(Arc::clone(shelf), next)),
            done: Done::new(next),
            cursor: cursor::Cursor {
                spool: id,
                turn: known.map_or(0, |cursor| cursor.turn),
                next: 0,
                newest: 0,
            },
            vital,
            keep,
            saved: Instant::now(),
            looked: Instant::now(),
            times: BTreeMap::new(),
            rewind: None,
            awaited: next,
            shared,
        };
        dispatcher.shared.figures.place(next, 0);
        // both of its files are there before the disk can be full: from now on they are only written over
        dispatcher.save_or_tell();
        dispatcher.save_or_tell();
        Ok(dispatcher)
    }

    /// Works until the deliver stops and every worker is back.
    pub(super) fn run(mut self) {
        let mut seen = 0;
        while !self.shared.is_stopping() {
            self.vital.alive_for(PATIENCE);
            self.collect();
            if let Err(error) = self.turn() {
                let text = format!("the spool cannot be read: {}", error.chain());
                self.shared.trouble.tell(&self.shared.deliver.name, text);
                // from the first unconfirmed record on, once all is back
                self.rewind.get_or_insert((self.done.next(), false));
                self.shared.resume.wait(&mut seen, NAP);
            }
            let due = self.feed.due().unwrap_or(Instant::now() + NAP);
            let save = self.saved + SAVE;
            let wake = if self.is_moved() { due.min(save) } else { due };
            let long = wake.saturating_duration_since(Instant::now()).min(NAP);
            let (shelf, name) = (&self.shared.shelf, &self.shared.deliver.name);
            let long = long.max(Duration::from_millis(1));
            shelf.wait_for(name, self.awaited, &mut seen, long);
        }
        self.shared.belt.close();
        self.collect();
        self.save_or_tell();
        while self.shared.belt.under_way().1 > 0 {
            self.vital.alive_for(PATIENCE);
            self.shared.shelf.news.wait(&mut seen, NAP);
        }
        self.collect();
        self.save_or_tell();
    }

    fn turn(&mut self) -> Result<(), Error> {
        // until it is known better: confirmations and time alone
        self.awaited = u64::MAX;
        self.look_for_wishes()?;
        if self.is_moved() && self.saved.elapsed() >= SAVE {
            self.save_or_tell();
        }
        if self.rewind.is_some() {
            return self.rewind();
        }
        let workers = usize::try_from(self.shared.deliver.workers()).unwrap_or(1);
        let most = match self.shared.deliver.order {
            Order::Strict | Order::Key => workers,
            // one more each, so that no worker waits for the next
            Order::None => 2 * workers,
        };
        loop {
            let (waiting, busy) = self.shared.belt.under_way();
            if waiting + busy >= most {
                return Ok(());
            }
            let free = workers.saturating_sub(waiting + busy).max(1);
            let durable = self.shared.shelf.durable();
            let load = self
                .feed
                .next(durable, &mut self.done, free, Instant::now())?;
            let Some(load) = load else {
                self.awaited = self.feed.awaited(durable);
                return Ok(());
            };
            let (first, time) = (load.span().0, load.heads[0].time);
            self.times.insert(first, time);
            self.shared.belt.put(load);
        }
    }

    /// Takes what workers have ended.
    fn collect(&mut self) {
        for (load, fate) in self.shared.belt.ended() {
            self.times.remove(&load.span().0);
            match fate {
                Fate::Confirmed { .. } => {
                    for (from, to) in load.runs() {
                        self.done.mark(from, to);
                    }
                    self.feed.release(&load);
                }
                Fate::Dropped => {}
            }
        }
        let next = self.done.next();
        let behind = next < self.shared.shelf.durable();
        let oldest = self.times.first_key_value().map_or(0, |(_, time)| *time);
        self.shared
            .figures
            .place(next, if behind { oldest } else { 0 });
    }

    fn is_moved(&self) -> bool {
        self.done.next() != self.cursor.next || self.shared.shelf.newest() != self.cursor.newest
    }

    fn save_or_tell(&mut self) {
        self.saved = Instant::now();
        let who = format!("{} cursor", self.shared.deliver.name);
        match self.save() {
            Ok(()) => drop(self.shared.trouble.over(&who)),
            Err(error) => self.shared.trouble.tell(&who, error.chain()),
        }
    }

    /// The order that safety asks for: the cursor durable, then segments away, then the folder durable.
    fn save(&mut self) -> Result<(), Error> {
        let shelf = &self.shared.shelf;
        let cursor = cursor::Cursor {
            spool: self.cursor.spool,
            turn: self.cursor.turn + 1,
            next: self.done.next(),
            newest: shelf.newest(),
        };
        let name = &self.shared.deliver.name;
        cursor.save(&*shelf.disk, &shelf.dir, name)?;
        shelf.hold(name, cursor.next);
        self.cursor = cursor;
        shelf.reclaim(Some(self.keep)).map(drop)
    }

    fn wish_path(&self) -> PathBuf {
        let name = &self.shared.deliver.name;
        self.shared.shelf.dir.join(cursor::wish_file(name))
    }

    /// Looks, once a second, for an operator's wish to have records delivered again.
    fn look_for_wishes(&mut self) -> Result<(), Error> {
        if self.looked.elapsed() < Duration::from_secs(1) || self.rewind.is_some() {
            return Ok(());
        }
        self.looked = Instant::now();
        let (path, disk) = (self.wish_path(), &self.shared.shelf.disk);
        if self.keep > Duration::ZERO {
            self.shared.shelf.reclaim(Some(self.keep))?;
        }
        if disk.look(&path)?.is_none() {
            return Ok(());
        }
        let mut text = String::new();
        disk.open(&path)?
            .take(64)
            .read_to_string(&mut text)
            .map_err(Error::io("read", &path))?;
        match text.trim().parse() {
            Ok(number) => self.rewind = Some((number, true)),
            Err(_) => {
                log::error!("{}: `{}` is no number", path.display(), text.trim());
                disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Goes back to where records are wanted from, once nothing is under way.
    fn rewind(&mut self) -> Result<(), Error> {
        let (waiting, busy) = self.shared.belt.under_way();
        let Some((wanted, wished)) = self.rewind.filter(|_| waiting + busy == 0) else {
            return Ok(());
        };
        self.collect();
        let shelf = Arc::clone(&self.shared.shelf);
        let name = self.shared.deliver.name.clone();
        // never forward: that would leave records out
        let wanted = wanted.min(self.done.next());
        shelf.hold(&name, wanted);
        let next = wanted.max(shelf.oldest()).min(shelf.durable());
        self.feed = Feed::new(&self.shared.deliver, Reader::new(Arc::clone(&shelf), next));
        self.done = Done::new(next);
        self.times.clear();
        self.rewind = None;
        self.awaited = 0;
        self.save()?;
        if wished && shelf.disk.remove(&self.wish_path())? {
            shelf.disk.sync_dir(&shelf.dir)?;
            log::info!("{name}: delivers again from record {next} on");
        }
        Ok(())
    }
}
