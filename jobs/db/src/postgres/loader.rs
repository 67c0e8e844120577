//! The bulk path: COPY in chunks, each under a savepoint, sent while the caller makes its rows.
//!
//! A clean load pays one savepoint a chunk and nothing else. When the server refuses a chunk, it is taken back and sorted out
//! (`refused.rs`); from then on rows that look wrong are set aside before they are sent, and once a key was there twice, the
//! keys of each chunk are asked for first (`doubles.rs`), and the chunk goes to the server while the next one is gathered
//! (`following.rs`). What was set aside is tried row by row on the server (`alone.rs`), which alone decides what is bad and why.
//! Skip and upsert copy into a temporary table and insert from there, chunk by chunk; so does what COPY refuses, a view or a
//! table under row security.

use super::alone::Alone;
use super::copy::Copy;
use super::dictionary::Keys;
use super::doubles::Doubles;
use super::fault::{Complaint, Trouble, fault};
use super::following::Following;
use super::opening::{begin, take_back};
use super::plan::{Plan, STAGE};
use super::session::{Session, Standing};
use crate::gathering::{check_width, log_left_behind};
use crate::instant::to_utc;
use crate::suspect::Suspicion;
use crate::tabbed::Chunk;
use crate::{Cell, ColumnInfo, Error, Kind, Load, Loaded, Loader, Mode, Reject, Result, TableInfo};
use std::borrow::Cow;
use std::sync::Arc;
use tokio_postgres::Statement;

/// How much is gathered before it is sent.
pub(super) const SEND: usize = 128 * 1024;

const SAVE: &str = "SAVEPOINT load_chunk";
const KEEP: &str = "RELEASE SAVEPOINT load_chunk";
const UNDO: &str = "ROLLBACK TO SAVEPOINT load_chunk; RELEASE SAVEPOINT load_chunk";
/// The end of a load in its caller's transaction.
const FORGET: &str = "RELEASE SAVEPOINT load_all";

pub(super) struct PostgresLoader<'c> {
    pub(super) session: &'c mut Session,
    pub(super) action: String,
    pub(super) columns: Vec<ColumnInfo>,
    pub(super) kinds: Vec<Kind>,
    pub(super) keys: Arc<Keys>,
    pub(super) suspicion: Suspicion,
    pub(super) plan: Plan,
    copy: Statement,
    /// The COPY under way, and how much of the chunk it has.
    sending: Option<(Copy, usize)>,
    pub(super) chunk: Chunk,
    /// Room for the next chunk.
    pub(super) spare: Chunk,
    /// The chunk before, on its way.
    pub(super) following: Option<Following>,
    /// Rows that are tried alone, after the chunk.
    pub(super) aside: Chunk,
    /// Rows whose parent is not there yet, while `patient`: tried again after all others.
    pub(super) orphans: Chunk,
    /// Whether the order of rows shall not matter for what is checked at once, but would be checked late.
    pub(super) patient: bool,
    /// Rows whose times were moved to UTC, as they were pushed.
    pub(super) pushed_as: Chunk,
    /// Columns of times without a zone, by their places: the server would drop a zone unread.
    times: Vec<usize>,
    /// Whether rows that look wrong are set aside before they are sent.
    pub(super) wary: bool,
    pub(super) doubles: Doubles,
    pub(super) alone: Alone,
    pushed: u64,
    pub(super) rows: u64,
    pub(super) skipped: u64,
    pub(super) rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    open: bool,
}

impl<'c> PostgresLoader<'c> {
    pub(super) fn start(
        session: &'c mut Session,
        into: &Load<'_>,
        info: &TableInfo,
        keys: Arc<Keys>,
        action: String,
    ) -> Result<Self> {
        let targets = info.resolve(into.columns, &action)?;
        let plan = Plan::new(into, &targets, keys.uncopied);
        let own = session.standing == Standing::Idle;
        let at_once = session.at_once && !own;
        let begun = begin(session, into, &plan, keys.lockable, own);
        let copy = match begun {
            Ok(copy) => copy,
            Err(trouble) => {
                let error = fault(&action, &session.watch, trouble);
                take_back(session, own).map_err(|later| fault(&action, &session.watch, later))?;
                return Err(error);
            }
        };
        let asks = into.mode == Mode::Append;
        let places = targets.iter().enumerate();
        let times = places
            .filter(|(_, column)| column.kind == Kind::Timestamp)
            .map(|(place, _)| place)
            .collect();
        Ok(PostgresLoader {
            kinds: targets.iter().map(|column| column.kind).collect(),
            suspicion: Suspicion::new(&targets),
            doubles: Doubles::new(into.table, &targets, &keys, asks),
            alone: Alone::default(),
            columns: targets.into_iter().cloned().collect(),
            session,
            action,
            keys,
            plan,
            copy,
            sending: None,
            chunk: Chunk::default(),
            spare: Chunk::default(),
            following: None,
            aside: Chunk::default(),
            orphans: Chunk::default(),
            patient: at_once,
            pushed_as: Chunk::default(),
            times,
            wary: false,
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own,
            open: true,
        })
    }

    pub(super) fn fault(&self, trouble: Trouble) -> Error {
        fault(&self.action, &self.session.watch, trouble)
    }

    /// Sends what has gathered; the first piece of a chunk begins its COPY.
    fn send(&mut self) -> Result<(), Trouble> {
        if self.sending.is_none() {
            self.sending = Some((self.begin_copy()?, 0));
        }
        if let Some((copy, sent)) = &mut self.sending {
            copy.send(self.session, &self.chunk.bytes[*sent..])?;
            *sent = self.chunk.bytes.len();
        }
        Ok(())
    }

    pub(super) fn begin_copy(&mut self) -> Result<Copy, Trouble> {
        self.session.watch.start();
        Copy::begin(self.session, SAVE, &self.copy)
    }

    /// Ends the COPY that is under way: whether the server takes its rows.
    pub(super) fn end_copy(&mut self, copy: Copy) -> Result<Result<(), Box<Complaint>>, Trouble> {
        let taken = if self.plan.insert.is_empty() {
            let copied = copy.end_with(self.session, KEEP);
            copied.map(|copied| (copied, copied))
        } else {
            copy.end(self.session)
                .and_then(|copied| self.pass_on(copied).map(|changed| (copied, changed)))
        };
        self.session.watch.rest();
        match taken {
            Ok((copied, changed)) => {
                self.rows += changed;
                self.skipped += copied - changed.min(copied);
                Ok(Ok(()))
            }
            Err(Trouble::Refused(complaint)) => {
                if self.session.is_lost() {
                    return Err(Trouble::Refused(complaint));
                }
                self.session.run(UNDO)?;
                // a key twice in one chunk of an upsert: from now on only its last row is inserted
                if complaint.code == "21000" && !self.plan.insert_last.is_empty() {
                    self.plan.insert = std::mem::take(&mut self.plan.insert_last);
                    return Ok(Err(complaint));
                }
                if self.is_of_a_row(&complaint.code) {
                    Ok(Err(complaint))
                } else {
                    Err(Trouble::Refused(complaint))
                }
            }
            Err(broken) => Err(broken),
        }
    }

    /// From the staging table into the table: how many rows count as changed.
    fn pass_on(&self, copied: u64) -> Result<u64, Trouble> {
        let client = self.session.client();
        let insert = self.plan.insert.as_str();
        self.session.wait(async {
            let inserted = client.execute(insert, &[]).await?;
            let tidy = format!("TRUNCATE {STAGE}; {KEEP}");
            client.batch_execute(&tidy).await?;
            Ok(if self.plan.counts_inserted {
                inserted
            } else {
                copied
            })
        })
    }

    /// Sees the chunk through, and what was set aside.
    fn flush(&mut self) -> Result<()> {
        self.flush_chunk().map_err(|trouble| self.fault(trouble))
    }

    fn flush_chunk(&mut self) -> Result<(), Trouble> {
        self.settle_following()?;
        if !self.chunk.rows.is_empty() {
            let rows = (0..self.chunk.rows.len()).collect();
            if self.doubles.wanted() && self.sending.is_none() {
                let chunk = std::mem::replace(&mut self.chunk, std::mem::take(&mut self.spare));
                let rows = self.without_doubles(&chunk, rows)?;
                return self.follow(chunk, rows);
            }
            self.send()?;
            let mut refusal = None;
            if let Some((copy, _)) = self.sending.take() {
                refusal = self.end_copy(copy)?.err();
            }
            if refusal.is_some() {
                let chunk = std::mem::take(&mut self.chunk);
                self.sort_out(&chunk, rows, refusal.as_deref())?;
                self.chunk = chunk;
            }
            self.chunk.clear();
        }
        self.settle_aside()?;
        if self.orphans.is_full() {
            self.settle_orphans()?;
        }
        self.pushed_as.clear();
        Ok(())
    }

    /// The row with its times in UTC; `None` where it is so already. What cannot be read as a time goes as it is.
    fn in_utc<'r>(&self, row: &[Cell<'r>]) -> Option<Vec<Option<Cow<'r, [u8]>>>> {
        let mut moved: Option<Vec<Option<Cow<'r, [u8]>>>> = None;
        for place in &self.times {
            let Some(text) = row[*place] else { continue };
            if let Some(utc) = to_utc(text).filter(|utc| utc.len() != text.len()) {
                let row = moved.get_or_insert_with(|| {
                    row.iter().map(|cell| cell.map(Cow::Borrowed)).collect()
                });
                row[*place] = Some(utc);
            }
        }
        moved
    }

    /// A row's cells as they were pushed, where they were changed.
    pub(super) fn as_pushed(&self, ordinal: u64) -> Option<Vec<Option<Vec<u8>>>> {
        let rows = &self.pushed_as.rows;
        let at = rows.binary_search_by_key(&ordinal, |row| row.0).ok()?;
        Some(self.pushed_as.cells(at, &self.kinds))
    }

    fn add(&mut self, ordinal: u64, row: &[Cell<'_>]) {
        let aside = self.wary && self.suspicion.of(row).is_some();
        let chunk = if aside {
            &mut self.aside
        } else {
            &mut self.chunk
        };
        chunk.add(ordinal, &self.kinds, row);
    }
}

impl Loader for PostgresLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        check_width(row, self.kinds.len(), &self.action)?;
        let ordinal = self.pushed;
        self.pushed += 1;
        match self.in_utc(row) {
            None => self.add(ordinal, row),
            Some(moved) => {
                self.pushed_as.add(ordinal, &self.kinds, row);
                let moved: Vec<Cell<'_>> = moved.iter().map(Option::as_deref).collect();
                self.add(ordinal, &moved);
            }
        }
        if self.chunk.is_full() || self.aside.is_full() {
            return self.flush();
        }
        let sent = self.sending.as_ref().map_or(0, |(_, sent)| *sent);
        let moved = if self.doubles.wanted() {
            self.keep_following()
        } else if self.chunk.bytes.len() - sent >= SEND {
            self.send()
        } else {
            Ok(())
        };
        moved.map_err(|trouble| self.fault(trouble))
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.flush()?;
        let settled = self.settle_following().and_then(|()| self.settle_orphans());
        settled.map_err(|trouble| self.fault(trouble))?;
        let mut end = String::new();
        if !self.plan.stage.is_empty() {
            end.push_str(&format!("DROP TABLE {STAGE}; "));
        }
        end.push_str(self.alone.remove());
        end.push_str(if self.own { "COMMIT" } else { FORGET });
        if end == FORGET {
            // after chunks that were all taken it cannot be refused
            self.session.send(FORGET);
        } else {
            // COMMIT of a failed transaction is a rollback without an error; before it, a query is one
            let ended = self.session.run(&format!("SELECT 1; {end}"));
            ended.map_err(|trouble| self.fault(trouble))?;
        }
        self.open = false;
        self.rejects.sort_by_key(|reject| reject.ordinal);
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl Drop for PostgresLoader<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        // an unended COPY fails first
        self.sending = None;
        self.following = None;
        if let Err(trouble) = take_back(self.session, self.own) {
            log_left_behind(&self.fault(trouble));
        }
    }
}
