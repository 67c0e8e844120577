//! The bulk path: COPY in chunks, each under a savepoint, sent while the caller makes its rows.
//!
//! A clean load pays one savepoint a chunk and nothing else. When the server refuses a chunk, it is taken back and sorted out:
//! rows that look wrong are tried alone, the rest at once, and what is still refused is split at the line that the
//! server names, or in halves, until each bad row stands alone and has its own error. From then on rows
//! that look wrong are set aside before they are sent.
//! Skip and upsert copy into a temporary table and insert from there, chunk by chunk.

use super::dialect::Postgres;
use super::dictionary::KeyName;
use super::fault::{Complaint, Trouble, fault, is_of_a_row};
use super::plan::{ORDER, Plan, STAGE};
use super::wire::Wire;
use crate::suspect::Suspicion;
use crate::tabbed::Chunk;
use crate::{
    Cell, Dialect, Error, ErrorKind, Kind, Load, Loaded, Loader, Mode, Reject, Result, TableInfo,
};

/// How much is gathered before it is sent.
const SEND: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct PostgresLoader<'c> {
    pub(super) wire: &'c mut Wire,
    pub(super) action: String,
    pub(super) columns: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    pub(super) keys: Vec<KeyName>,
    pub(super) suspicion: Suspicion,
    pub(super) plan: Plan,
    pub(super) chunk: Chunk,
    /// How much of the chunk is on its way; `None` before its COPY has begun.
    pub(super) sent: Option<usize>,
    /// Rows that look wrong, to be tried alone after the chunk.
    pub(super) aside: Chunk,
    pub(super) wary: bool,
    /// The last try failed: the next one begins by taking it back.
    pub(super) undo: bool,
    pub(super) pushed: u64,
    pub(super) rows: u64,
    pub(super) skipped: u64,
    pub(super) rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    pub(super) own: bool,
    pub(super) open: bool,
}

impl<'c> PostgresLoader<'c> {
    pub(super) fn start(
        wire: &'c mut Wire,
        into: &Load<'_>,
        info: &TableInfo,
        keys: Vec<KeyName>,
        action: String,
    ) -> Result<Self> {
        let targets = info.resolve(into.columns, &action)?;
        let columns: Vec<String> = targets.iter().map(|column| column.name.clone()).collect();
        let own = wire.status == b'I';
        let mut begin = if own {
            "BEGIN".to_owned()
        } else {
            "SAVEPOINT load_all".to_owned()
        };
        if into.mode != Mode::Append {
            begin.push_str(&format!(
                "; CREATE TEMPORARY TABLE \"load stage\" AS SELECT {} FROM {} WITH NO DATA; \
                 ALTER TABLE {STAGE} ADD COLUMN {ORDER} BIGINT GENERATED ALWAYS AS IDENTITY",
                Postgres.list(&columns),
                Postgres.qualify(into.table)
            ));
        }
        let mut loader = PostgresLoader {
            kinds: targets.iter().map(|column| column.kind).collect(),
            suspicion: Suspicion::new(&targets),
            plan: Plan::new(into, &columns),
            wire,
            action,
            columns,
            keys,
            chunk: Chunk::default(),
            sent: None,
            aside: Chunk::default(),
            wary: false,
            undo: false,
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own,
            open: true,
        };
        loader.run(&begin)?;
        Ok(loader)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.wire.put_query(sql);
        self.wire
            .run(|_, _| {})
            .map_err(|trouble| self.fault(trouble))
    }

    pub(super) fn fault(&self, trouble: Trouble) -> Error {
        fault(&self.action, &self.wire.watch, trouble)
    }

    /// Sends what has gathered; the first piece of a chunk begins its COPY.
    fn send(&mut self) -> Result<(), Trouble> {
        let from = match self.sent {
            Some(from) => from,
            None => {
                self.wire.put_query(&self.plan.sql(self.undo));
                self.wire.start()?;
                0
            }
        };
        self.sent = Some(self.chunk.bytes.len());
        self.wire.send_copy(&self.chunk.bytes[from..])
    }

    /// Ends the COPY that is under way: whether the server takes its rows.
    pub(super) fn end_copy(&mut self) -> Result<Result<(), Box<Complaint>>, Trouble> {
        self.wire.put(b'c', |_| {});
        self.wire.flush()?;
        let (mut copied, mut inserted) = (0, 0);
        let ended = self.wire.settle(|letter, body| {
            let number = || {
                let text = std::str::from_utf8(body)
                    .unwrap_or_default()
                    .trim_end_matches('\0');
                text.rsplit(' ')
                    .next()
                    .and_then(|word| word.parse().ok())
                    .unwrap_or(0_u64)
            };
            match (letter, body.first()) {
                (b'C', Some(b'C')) => copied = number(),
                (b'C', Some(b'I')) => inserted = number(),
                _ => {}
            }
        });
        self.wire.watch.rest();
        match ended {
            Ok(()) => {
                self.undo = false;
                let rows = if self.plan.counts_inserted {
                    inserted
                } else {
                    copied
                };
                self.rows += rows;
                self.skipped += copied - rows;
                Ok(Ok(()))
            }
            Err(Trouble::Refused(complaint)) => {
                self.undo = true;
                // a key twice in one chunk of an upsert: from now on only its last row is inserted
                if complaint.code == "21000" && !self.plan.insert_last.is_empty() {
                    self.plan.insert = std::mem::take(&mut self.plan.insert_last);
                    return Ok(Err(complaint));
                }
                if is_of_a_row(&complaint.code) {
                    Ok(Err(complaint))
                } else {
                    Err(Trouble::Refused(complaint))
                }
            }
            Err(broken) => Err(broken),
        }
    }

    /// Sends the rest of the chunk and sees to what the server refuses of it.
    fn flush(&mut self) -> Result<()> {
        if !self.chunk.rows.is_empty() {
            let ended = self.send().and_then(|()| self.end_copy());
            self.sent = None;
            if let Err(complaint) = ended.map_err(|trouble| self.fault(trouble))? {
                let chunk = std::mem::take(&mut self.chunk);
                self.sort_out(&chunk, complaint.code == "21000")?;
                self.chunk = chunk;
            }
            self.chunk.clear();
        }
        if !self.aside.rows.is_empty() {
            let mut aside = std::mem::take(&mut self.aside);
            for row in 0..aside.rows.len() {
                self.settle_rows(&aside, &[row])?;
            }
            aside.clear();
            self.aside = aside;
        }
        Ok(())
    }

    /// Ends the COPY under way, if there is one, without its rows.
    fn abandon(&mut self) -> Result<(), Trouble> {
        if self.wire.owes() {
            if self.sent.is_some() {
                self.wire.put(b'f', |out| out.push(0));
            }
            self.wire.flush()?;
            match self.wire.settle(|_, _| {}) {
                Ok(()) | Err(Trouble::Refused(_)) => {}
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }
}

impl Loader for PostgresLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        if row.len() != self.kinds.len() {
            return Err(
                Error::new(ErrorKind::Invalid, &self.action).because(format!(
                    "a row of {} cells for {} columns",
                    row.len(),
                    self.kinds.len()
                )),
            );
        }
        let ordinal = self.pushed;
        self.pushed += 1;
        if self.wary && self.suspicion.of(row).is_some() {
            self.aside.add(ordinal, &self.kinds, row);
        } else {
            self.chunk.add(ordinal, &self.kinds, row);
        }
        if self.chunk.is_full() || self.aside.is_full() {
            return self.flush();
        }
        if self.chunk.bytes.len() - self.sent.unwrap_or(0) >= SEND {
            return self.send().map_err(|trouble| self.fault(trouble));
        }
        Ok(())
    }

    fn rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    fn finish(mut self: Box<Self>) -> Result<Loaded> {
        self.flush()?;
        let mut end = Vec::new();
        if self.undo {
            end.push("ROLLBACK TO SAVEPOINT load_chunk".to_owned());
        }
        if !self.plan.insert.is_empty() {
            end.push(format!("DROP TABLE {STAGE}"));
        }
        end.push(if self.own {
            "COMMIT".to_owned()
        } else {
            "RELEASE SAVEPOINT load_all".to_owned()
        });
        self.run(&end.join("; "))?;
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
        let undone = self
            .abandon()
            .map_err(|trouble| self.fault(trouble))
            .and_then(|()| match self.wire.status {
                b'I' => Ok(()),
                _ if self.own => self.run("ROLLBACK"),
                _ => self.run("ROLLBACK TO SAVEPOINT load_all; RELEASE SAVEPOINT load_all"),
            });
        if let Err(error) = undone {
            log::error!(
                "{error}, taking back an unfinished load: {:?}",
                std::error::Error::source(&error)
            );
        }
    }
}
