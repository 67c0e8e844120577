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
use super::wire::Wire;
use crate::suspect::Suspicion;
use crate::tabbed::Chunk;
use crate::{
    Cell, ColumnInfo, Dialect, Error, ErrorKind, Kind, Load, Loaded, Loader, Mode, Reject, Result,
    TableInfo,
};

/// How much is gathered before it is sent.
const SEND: usize = 128 * 1024;
/// How many rows are tried at once where bad ones are known to be.
const PIECE: usize = 1000;

const STAGE: &str = "pg_temp.\"load stage\"";
const ORDER: &str = "\"load order\"";

#[derive(Debug)]
pub(super) struct PostgresLoader<'c> {
    wire: &'c mut Wire,
    action: String,
    columns: Vec<String>,
    kinds: Vec<Kind>,
    keys: Vec<KeyName>,
    suspicion: Suspicion,
    plan: Plan,
    chunk: Chunk,
    /// How much of the chunk is on its way; `None` before its COPY has begun.
    sent: Option<usize>,
    /// Rows that look wrong, to be tried alone after the chunk.
    aside: Chunk,
    wary: bool,
    /// The last try failed: the next one begins by taking it back.
    undo: bool,
    pushed: u64,
    rows: u64,
    skipped: u64,
    rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    open: bool,
}

/// The statements of a chunk.
#[derive(Debug)]
struct Plan {
    copy: String,
    /// From the staging table into the table; empty where rows are copied straight.
    insert: String,
    /// The same, when a chunk brings a key twice.
    insert_last: String,
    counts_inserted: bool,
}

impl Plan {
    fn new(into: &Load<'_>, columns: &[String]) -> Self {
        let (table, list) = (Postgres.qualify(into.table), Postgres.list(columns));
        let resolved = Load {
            table: into.table,
            columns,
            mode: into.mode,
        };
        let staged = into.mode != Mode::Append;
        let target = if staged { STAGE } else { table.as_str() };
        let head = format!("INSERT INTO {table} ({list}) SELECT {list} FROM");
        let clash = Postgres.on_conflict(&resolved);
        let insert_last = match into.mode {
            Mode::Upsert { key } => {
                // the last of equal keys; a NULL is equal to nothing
                let key: Vec<String> = key.iter().map(|name| Postgres.quote(name)).collect();
                let null: Vec<String> = key.iter().map(|name| format!("{name} IS NULL")).collect();
                format!(
                    "{head} (SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {ORDER} DESC) AS \"load place\" FROM {STAGE}) s \
                     WHERE \"load place\" = 1 OR {} ORDER BY {ORDER}{clash}",
                    key.join(", "),
                    null.join(" OR ")
                )
            }
            _ => String::new(),
        };
        Plan {
            copy: format!("COPY {target} ({list}) FROM STDIN"),
            insert: if staged {
                format!("{head} {STAGE} ORDER BY {ORDER}{clash}")
            } else {
                String::new()
            },
            insert_last,
            counts_inserted: into.mode == Mode::Skip,
        }
    }

    fn sql(&self, undo: bool) -> String {
        let begin = if undo {
            "ROLLBACK TO SAVEPOINT load_chunk"
        } else {
            "SAVEPOINT load_chunk"
        };
        let insert = if self.insert.is_empty() {
            String::new()
        } else {
            format!("{}; TRUNCATE {STAGE}; ", self.insert)
        };
        format!(
            "{begin}; {}; {insert}RELEASE SAVEPOINT load_chunk",
            self.copy
        )
    }
}

impl<'c> PostgresLoader<'c> {
    pub(super) fn start(
        wire: &'c mut Wire,
        into: &Load<'_>,
        info: &TableInfo,
        keys: Vec<KeyName>,
        action: String,
    ) -> Result<Self> {
        let targets = targets(into, info, &action)?;
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

    fn fault(&self, trouble: Trouble) -> Error {
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
    fn end_copy(&mut self) -> Result<Result<(), Box<Complaint>>, Trouble> {
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

    /// Loads a refused chunk again without its bad rows, which become rejects.
    fn sort_out(&mut self, chunk: &Chunk, only_again: bool) -> Result<()> {
        let all = 0..chunk.rows.len();
        let (suspects, good): (Vec<usize>, Vec<usize>) = all.partition(|row| {
            let cells = chunk.cells(*row, &self.kinds);
            let cells: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
            !self.wary && !only_again && self.suspicion.of(&cells).is_some()
        });
        self.wary |= !only_again;
        if suspects.is_empty() && !only_again {
            for piece in good.chunks(PIECE) {
                self.settle_rows(chunk, piece)?;
            }
        } else {
            self.settle_rows(chunk, &good)?;
        }
        for row in suspects {
            self.settle_rows(chunk, &[row])?;
        }
        Ok(())
    }

    /// Loads rows of a chunk, splitting them for as long as the server refuses.
    fn settle_rows(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        let mut stack = vec![rows];
        while let Some(rows) = stack.pop() {
            if rows.is_empty() {
                continue;
            }
            match self
                .attempt(chunk, rows)
                .map_err(|trouble| self.fault(trouble))?
            {
                Ok(()) => {}
                Err(complaint) if complaint.code == "21000" => stack.push(rows),
                Err(complaint) => match rows {
                    [row] => self.reject(chunk, *row, complaint),
                    _ if rows.len() > PIECE => stack.extend(rows.chunks(PIECE).rev()),
                    _ => match line(&complaint.context).filter(|bad| *bad < rows.len()) {
                        Some(bad) => {
                            stack.extend([&rows[bad + 1..], &rows[bad..=bad], &rows[..bad]])
                        }
                        None => {
                            let (first, second) = rows.split_at(rows.len() / 2);
                            stack.extend([second, first]);
                        }
                    },
                },
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        chunk: &Chunk,
        rows: &[usize],
    ) -> Result<Result<(), Box<Complaint>>, Trouble> {
        self.wire.put_query(&self.plan.sql(self.undo));
        self.wire.start()?;
        let mut at = 0;
        while at < rows.len() {
            // neighbours go in one piece
            let run = rows[at..]
                .iter()
                .enumerate()
                .take_while(|(step, row)| **row == rows[at] + step)
                .count();
            let place = chunk.place(rows[at]).start..chunk.place(rows[at + run - 1]).end;
            self.wire.send_copy(&chunk.bytes[place])?;
            at += run;
        }
        self.end_copy()
    }

    fn reject(&mut self, chunk: &Chunk, row: usize, complaint: Box<Complaint>) {
        let cells = chunk.cells(row, &self.kinds);
        let lent: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        let column = self.column(&lent, &complaint);
        let mut error = self.fault(Trouble::Refused(complaint));
        if let Some(column) = column {
            error = error.at_column(column);
        }
        self.rejects.push(Reject {
            ordinal: chunk.rows[row].0,
            cells,
            error,
        });
    }

    /// The column that an error speaks of, where the server does not name it itself.
    fn column(&self, row: &[Cell<'_>], complaint: &Complaint) -> Option<String> {
        if !complaint.column.is_empty() {
            return None;
        }
        if let Some(key) = self
            .keys
            .iter()
            .find(|key| key.index == complaint.constraint)
        {
            return Some(key.columns.join(", "));
        }
        if !complaint.code.starts_with("22") {
            return None;
        }
        let named = |name: &&String| complaint.context.contains(&format!(", column {name}"));
        let guess = || self.suspicion.of(row).map(str::to_owned);
        self.columns
            .iter()
            .filter(named)
            .max_by_key(|name| name.len())
            .cloned()
            .or_else(guess)
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

/// Which line of a COPY an error speaks of, from 0; a hint that the next try proves.
fn line(context: &str) -> Option<usize> {
    let digits = context.split(", line ").nth(1)?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse::<usize>().ok()?.checked_sub(1)
}

fn targets<'i>(into: &Load<'_>, info: &'i TableInfo, action: &str) -> Result<Vec<&'i ColumnInfo>> {
    let missing = |name: &String| {
        Error::new(ErrorKind::Missing, action)
            .at_column(name)
            .because("the table has no such column")
    };
    into.columns
        .iter()
        .map(|name| info.column(name).ok_or_else(|| missing(name)))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_a_hint() {
        assert_eq!(line("COPY t, line 3, column id: \"x\""), Some(2));
        assert_eq!(
            (
                line("COPY t, line 0"),
                line("SQL statement"),
                line(", line x")
            ),
            (None, None, None)
        );
    }
}
