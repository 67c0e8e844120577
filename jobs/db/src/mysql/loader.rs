//! The bulk path, the side that takes rows: it writes them into chunks and hands full chunks to a thread of the load, which
//! has the connection and sends one while the next one fills. A load that fits one chunk needs no thread.

use super::fault::{fault, lost_thread};
use super::link::Link;
use super::plan::Plan;
use super::sorter::Sorter;
use crate::gathering::{check_width, log_left_behind};
use crate::tabbed::Chunk;
use crate::{Cell, Error, ErrorKind, Load, Loaded, Loader, Reject, Result, TableInfo};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

/// A cell longer than this goes in a statement of its own, as bytes.
const LARGE: usize = 4 << 20;

/// Rows on their way to the server.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) chunk: Chunk,
    /// Rows that look wrong or are large, to be tried alone after the chunk.
    pub(super) aside: Chunk,
    /// Rows whose text was changed to what MySQL reads, as they were pushed.
    pub(super) pushed_as: Chunk,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.chunk.rows.is_empty() && self.aside.rows.is_empty()
    }

    fn clear(&mut self) {
        self.chunk.clear();
        self.aside.clear();
        self.pushed_as.clear();
    }
}

/// What became of a batch: its refused rows, and its memory.
type Sorted = Result<(Vec<Reject>, Batch)>;

/// The load's thread.
struct Crew {
    batches: SyncSender<Batch>,
    sorted: Receiver<Sorted>,
    thread: JoinHandle<Sorter>,
}

enum Side {
    /// All has fitted one batch so far.
    Here(Box<Sorter>),
    Away(Crew),
    /// The load is over.
    Over,
}

pub(super) struct MysqlLoader<'c> {
    /// Where the connection is put back.
    home: &'c mut Option<Link>,
    side: Side,
    plan: Arc<Plan>,
    /// Rows that look wrong are set aside before they are sent.
    wary: Arc<AtomicBool>,
    /// What the thread has in hand is not wanted any more.
    unwanted: Arc<AtomicBool>,
    batch: Batch,
    spare: Option<Batch>,
    pushed: u64,
    rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
}

impl<'c> MysqlLoader<'c> {
    pub(super) fn start(
        home: &'c mut Option<Link>,
        into: &Load<'_>,
        info: TableInfo,
        action: String,
    ) -> Result<Self> {
        let plan = Arc::new(Plan::new(into, info, action)?);
        let Some(link) = home.as_mut() else {
            return Err(fault(&plan.action, ErrorKind::Connect, super::link::lost()));
        };
        let own = !link.in_transaction();
        let begin = if own {
            "START TRANSACTION"
        } else {
            "SAVEPOINT load_all"
        };
        link.say(begin)
            .map_err(|trouble| link.fault(&plan.action, trouble))?;
        let wary = Arc::new(AtomicBool::new(false));
        let link = home.take().ok_or_else(|| lost_thread(&plan.action))?;
        Ok(MysqlLoader {
            home,
            side: Side::Here(Box::new(Sorter::new(
                link,
                Arc::clone(&plan),
                Arc::clone(&wary),
            ))),
            plan,
            wary,
            unwanted: Arc::default(),
            batch: Batch::default(),
            spare: None,
            pushed: 0,
            rejects: Vec::new(),
            own,
        })
    }

    /// Hands the batch over. Waits while the thread has one in hand and one in wait.
    fn hand_over(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = self.spare.take().unwrap_or_default();
        std::mem::swap(&mut batch, &mut self.batch);
        if let Side::Here(_) = self.side {
            self.employ()?;
        }
        let Side::Away(crew) = &self.side else {
            return Err(lost_thread(&self.plan.action));
        };
        let taken = crew.batches.send(batch).is_ok();
        self.collect(false)?;
        if taken {
            Ok(())
        } else {
            Err(lost_thread(&self.plan.action))
        }
    }

    /// From here on a thread has the session.
    fn employ(&mut self) -> Result<()> {
        let Side::Here(sorter) = std::mem::replace(&mut self.side, Side::Over) else {
            return Ok(());
        };
        let (batches, waiting) = sync_channel::<Batch>(1);
        let (news, sorted) = channel();
        let unwanted = Arc::clone(&self.unwanted);
        let mut sorter = *sorter;
        let work = move || {
            for batch in waiting {
                if unwanted.load(Relaxed) {
                    break;
                }
                let done = take(&mut sorter, batch);
                let failed = done.is_err();
                if news.send(done).is_err() || failed {
                    break;
                }
            }
            sorter
        };
        let thread = thread::Builder::new()
            .name("mysql-load".to_owned())
            .spawn(work)
            .map_err(|error| Error::new(ErrorKind::Other, &self.plan.action).because(error))?;
        self.side = Side::Away(Crew {
            batches,
            sorted,
            thread,
        });
        Ok(())
    }

    /// Takes what the thread has sorted; to the end, or as far as it is.
    fn collect(&mut self, to_the_end: bool) -> Result<()> {
        let Side::Away(crew) = &self.side else {
            return Ok(());
        };
        let next = || {
            if to_the_end {
                crew.sorted.recv().ok()
            } else {
                crew.sorted.try_recv().ok()
            }
        };
        while let Some(sorted) = next() {
            let (mut rejects, mut batch) = sorted?;
            self.rejects.append(&mut rejects);
            batch.clear();
            self.spare = Some(batch);
        }
        Ok(())
    }

    /// The session's side of the load, once its thread has come home.
    fn come_home(&mut self) -> Result<Box<Sorter>> {
        match std::mem::replace(&mut self.side, Side::Over) {
            Side::Here(sorter) => Ok(sorter),
            Side::Away(Crew {
                batches,
                sorted,
                thread,
            }) => {
                drop(batches);
                drop(sorted);
                thread
                    .join()
                    .map(Box::new)
                    .map_err(|_| lost_thread(&self.plan.action))
            }
            Side::Over => Err(lost_thread(&self.plan.action)),
        }
    }

    /// Ends the transaction, or the part of it that is the load.
    fn settle(&mut self, mut sorter: Box<Sorter>, keep: bool) -> Result<()> {
        let dropped = sorter.drop_stage();
        let link = self.home.insert(sorter.link);
        let sql = match (self.own, keep) {
            (true, true) => "COMMIT",
            (true, false) => "ROLLBACK",
            (false, true) => "RELEASE SAVEPOINT load_all",
            (false, false) => "ROLLBACK TO SAVEPOINT load_all",
        };
        if !keep && !link.in_transaction() {
            return Ok(());
        }
        let ended = dropped.and_then(|()| link.say(sql));
        ended.map(drop).map_err(|trouble| {
            let error = link.fault(&self.plan.action, trouble);
            if keep && self.own && link.in_transaction() {
                let undone = link.say("ROLLBACK");
                log::debug!("{}: rolled back: {undone:?}", self.plan.action);
            }
            error
        })
    }

    fn load_all(&mut self) -> Result<(u64, u64)> {
        if let Side::Here(sorter) = &mut self.side {
            let batch = std::mem::take(&mut self.batch);
            let (mut rejects, _) = take(sorter, batch)?;
            self.rejects.append(&mut rejects);
        } else {
            self.hand_over()?;
            if let Side::Away(crew) = &mut self.side {
                // the channel's end is the thread's sign to come home
                let (closed, _) = sync_channel(1);
                drop(std::mem::replace(&mut crew.batches, closed));
            }
            self.collect(true)?;
        }
        let sorter = self.come_home()?;
        let counts = (sorter.rows, sorter.skipped);
        self.settle(sorter, true)?;
        Ok(counts)
    }
}

fn take(sorter: &mut Sorter, mut batch: Batch) -> Sorted {
    sorter.take(&mut batch)?;
    Ok((std::mem::take(&mut sorter.rejects), batch))
}

impl Loader for MysqlLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        check_width(row, plan.targets.len(), &plan.action)?;
        let ordinal = self.pushed;
        self.pushed += 1;
        let mut as_it_is = true;
        for (target, cell) in plan.targets.iter().zip(row) {
            let Some(text) = cell else { continue };
            match target.readable(text) {
                Ok(Cow::Borrowed(same)) => as_it_is &= std::ptr::eq(same, *text),
                Ok(Cow::Owned(_)) => as_it_is = false,
                Err(why) => {
                    let error = Error::new(ErrorKind::Type, &plan.action)
                        .at_column(&target.name)
                        .because(why);
                    self.rejects.push(Reject::new(ordinal, row, error));
                    return Ok(());
                }
            }
        }
        if as_it_is {
            return self.add(&plan, ordinal, row);
        }
        self.batch.pushed_as.add(ordinal, &plan.kinds, row);
        let both = plan.targets.iter().zip(row);
        let read: Vec<Option<Cow<'_, [u8]>>> = both
            .map(|(target, cell)| cell.and_then(|text| target.readable(text).ok()))
            .collect();
        let read: Vec<Cell<'_>> = read.iter().map(Option::as_deref).collect();
        self.add(&plan, ordinal, &read)
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        let (rows, skipped) = self.load_all()?;
        self.rejects.sort_by_key(|reject| reject.ordinal);
        Ok(Loaded {
            rows,
            skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl MysqlLoader<'_> {
    /// Puts a row, as MySQL reads it, where it belongs.
    fn add(&mut self, plan: &Plan, ordinal: u64, row: &[Cell<'_>]) -> Result<()> {
        if row.iter().flatten().any(|text| text.len() > LARGE) {
            // the rows before it first: of two rows with one key, the first one counts
            self.hand_over_all_but(ordinal)?;
            self.batch.aside.add(ordinal, &plan.kinds, row);
            return self.hand_over();
        }
        let aside = self.wary.load(Relaxed) && plan.suspicion.of(row).is_some();
        let chunk = if aside {
            &mut self.batch.aside
        } else {
            &mut self.batch.chunk
        };
        chunk.add(ordinal, &plan.kinds, row);
        if chunk.is_full() {
            return self.hand_over();
        }
        Ok(())
    }

    /// Hands over what was pushed before row `ordinal`, of which only the pushed form may be in the batch.
    fn hand_over_all_but(&mut self, ordinal: u64) -> Result<()> {
        let pushed_as = &mut self.batch.pushed_as;
        let own = pushed_as
            .rows
            .last()
            .is_some_and(|(last, _)| *last == ordinal);
        if !own {
            return self.hand_over();
        }
        let line = pushed_as.place(pushed_as.rows.len() - 1);
        let bytes = pushed_as.bytes.split_off(line.start);
        pushed_as.rows.pop();
        self.hand_over()?;
        let length = bytes.len();
        self.batch.pushed_as.bytes = bytes;
        self.batch.pushed_as.rows.push((ordinal, length));
        Ok(())
    }
}

impl Drop for MysqlLoader<'_> {
    fn drop(&mut self) {
        if matches!(self.side, Side::Over) {
            return;
        }
        self.unwanted.store(true, Relaxed);
        let undone = self
            .come_home()
            .and_then(|sorter| self.settle(sorter, false));
        if let Err(error) = undone {
            log_left_behind(&error);
        }
    }
}
