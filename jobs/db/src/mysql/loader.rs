//! The bulk path: LOAD DATA LOCAL in chunks, each under a savepoint, sent while the caller makes its rows.
//!
//! LOAD DATA LOCAL bends bad values and skips doubled keys, and only counts warnings. A chunk without any is exact, and costs
//! a savepoint; one with a warning is taken back and inserted in strict statements of many rows, which are split in
//! halves until each bad row stands alone. From then on rows that look wrong are set aside before they are sent.
//! Skip and upsert, and servers that forbid LOCAL, use the strict statements from the start.
//! Tables without transactions (MyISAM) cannot take a chunk back and are refused.

use super::connection::run;
use super::dialect::Mysql;
use super::fault::{Complaint, Trouble, fault, forbids_local, is_of_a_row};
use super::load_data;
use super::statement::{Prepared, drain, prepare};
use super::wire::Wire;
use crate::suspect::Suspicion;
use crate::tabbed::Chunk;
use crate::{
    Cell, ColumnInfo, Constraint, Dialect, Error, ErrorKind, Kind, Load, Loaded, Loader, Mode,
    Reject, Result, TableInfo,
};
use std::collections::HashMap;

/// How much is gathered before it is sent.
const SEND: usize = 128 * 1024;
/// How many rows and bytes a strict statement has at most.
const ROWS: usize = 500;
const BYTES: usize = 1 << 20;

/// A column that rows are loaded into.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    kind: Kind,
    required: bool,
    bits: bool,
}

impl Target {
    /// Whether its text can go into the column as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.kind != Kind::Blob && !self.bits
    }

    /// The expression that makes the column's value of text.
    pub(super) fn converted(&self, text: &str) -> String {
        if self.kind == Kind::Blob {
            format!("UNHEX({text})")
        } else if self.bits {
            format!("CAST(CONV({text}, 2, 10) AS UNSIGNED)")
        } else {
            text.to_owned()
        }
    }

    /// The text as MySQL reads it; an error where MySQL would take something else than what was meant.
    fn readable<'t>(&self, text: &'t [u8]) -> Result<std::borrow::Cow<'t, [u8]>, &'static str> {
        let trimmed = text.trim_ascii();
        match self.kind {
            Kind::Integer => {
                let digits = trimmed
                    .strip_prefix(b"-")
                    .or(trimmed.strip_prefix(b"+"))
                    .unwrap_or(trimmed);
                let whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
                if whole {
                    Ok(trimmed.into())
                } else {
                    Err("not a whole number")
                }
            }
            Kind::Decimal | Kind::Real => match crate::form::read_number(trimmed) {
                Some(_) => Ok(trimmed.into()),
                None => Err("not a number that the column can hold"),
            },
            Kind::Bool if matches!(text, b"0" | b"1") => Ok(text.into()),
            Kind::Bool if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"t") => {
                Ok(b"1".into())
            }
            Kind::Bool
                if text.eq_ignore_ascii_case(b"false") || text.eq_ignore_ascii_case(b"f") =>
            {
                Ok(b"0".into())
            }
            Kind::Bool if trimmed.is_empty() || !trimmed.iter().all(u8::is_ascii_digit) => {
                Err("neither 1 nor 0")
            }
            Kind::Blob => {
                let hex = text.len() % 2 == 0 && text.iter().all(u8::is_ascii_hexdigit);
                if hex {
                    Ok(text.into())
                } else {
                    Err("not pairs of hex digits")
                }
            }
            Kind::Instant => super::instant::to_utc(text).ok_or("not a time with a zone"),
            Kind::Text if self.bits => {
                let bits = !text.is_empty() && text.iter().all(|bit| matches!(bit, b'0' | b'1'));
                if bits {
                    Ok(text.into())
                } else {
                    Err("not binary digits")
                }
            }
            _ => Ok(text.into()),
        }
    }
}

#[derive(Debug)]
pub(super) struct MysqlLoader<'c> {
    wire: &'c mut Wire,
    action: String,
    info: TableInfo,
    targets: Vec<Target>,
    /// All text: lines of LOAD DATA have no mark for bytes.
    kinds: Vec<Kind>,
    suspicion: Suspicion,
    plan: Plan,
    chunk: Chunk,
    /// How much of the chunk is on its way; `None` before its LOAD DATA has begun.
    sent: Option<usize>,
    /// Rows that look wrong, to be tried alone after the chunk.
    aside: Chunk,
    /// Rows whose text was changed to what MySQL reads, as they were pushed.
    pushed_as: HashMap<u64, Vec<Option<Vec<u8>>>>,
    /// The single-row statement.
    alone: Option<Prepared>,
    wary: bool,
    pushed: u64,
    rows: u64,
    skipped: u64,
    rejects: Vec<Reject>,
    /// The transaction is the loader's own, not its caller's.
    own: bool,
    open: bool,
}

/// The statements of a load.
#[derive(Debug)]
struct Plan {
    table: String,
    load_data: String,
    insert_head: String,
    row: String,
    clash: String,
    skips: bool,
    /// LOAD DATA may be tried.
    local: bool,
}

impl Plan {
    fn new(into: &Load<'_>, targets: &[Target]) -> Self {
        let names: Vec<String> = targets
            .iter()
            .map(|target| Mysql.quote(&target.name))
            .collect();
        let places: Vec<String> = targets.iter().map(|target| target.converted("?")).collect();
        let columns: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let table = Mysql.qualify(into.table);
        Plan {
            load_data: load_data::statement(into.table, targets),
            insert_head: format!("INSERT INTO {table} ({}) VALUES ", names.join(", ")),
            row: format!("({})", places.join(", ")),
            clash: Mysql.on_clash(&Load {
                table: into.table,
                columns: &columns,
                mode: into.mode,
            }),
            skips: into.mode == Mode::Skip,
            local: into.mode == Mode::Append,
            table,
        }
    }

    fn insert(&self, rows: usize) -> String {
        format!(
            "{}{}{}",
            self.insert_head,
            vec![self.row.as_str(); rows].join(", "),
            self.clash
        )
    }
}

impl<'c> MysqlLoader<'c> {
    pub(super) fn start(
        wire: &'c mut Wire,
        into: &Load<'_>,
        info: TableInfo,
        action: String,
    ) -> Result<Self> {
        let columns = columns(into, &info, &action)?;
        let suspicion = Suspicion::new(&columns);
        let target = |column: &&ColumnInfo| Target {
            name: column.name.clone(),
            kind: column.kind,
            required: !column.nullable && !column.auto,
            bits: column.declared.starts_with("bit("),
        };
        let targets: Vec<Target> = columns.iter().map(target).collect();
        if let Mode::Upsert { key } = into.mode {
            check_key(key, &info, &action)?;
        }
        let own = !wire.in_transaction();
        let mut loader = MysqlLoader {
            kinds: vec![Kind::Text; targets.len()],
            plan: Plan::new(into, &targets),
            suspicion,
            wire,
            action,
            info,
            targets,
            chunk: Chunk::default(),
            sent: None,
            aside: Chunk::default(),
            pushed_as: HashMap::new(),
            alone: None,
            wary: false,
            pushed: 0,
            rows: 0,
            skipped: 0,
            rejects: Vec::new(),
            own,
            open: true,
        };
        loader.run(if own {
            "START TRANSACTION"
        } else {
            "SAVEPOINT load_all"
        })?;
        Ok(loader)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        run(self.wire, sql)
            .map(drop)
            .map_err(|trouble| self.fault(trouble))
    }

    fn fault(&self, trouble: Trouble) -> Error {
        fault(&self.action, &self.wire.watch, trouble)
    }

    /// Sends what has gathered; the first piece of a chunk begins its LOAD DATA. Where the server forbids that, rows gather on.
    fn send(&mut self) -> Result<(), Trouble> {
        if !self.plan.local {
            return Ok(());
        }
        let from = match self.sent {
            Some(from) => from,
            None => {
                run(self.wire, "SAVEPOINT load_chunk")?;
                match load_data::begin(self.wire, &self.plan.load_data) {
                    Ok(()) => 0,
                    Err(Trouble::Refused(complaint)) if forbids_local(complaint.code) => {
                        log::info!(
                            "{}: the server forbids LOAD DATA LOCAL ({complaint}), inserting rows instead",
                            self.action
                        );
                        self.plan.local = false;
                        return Ok(());
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
        };
        self.sent = Some(self.chunk.bytes.len());
        load_data::send(self.wire, &self.chunk.bytes[from..])
    }

    /// Whether the server took the whole chunk as it was.
    fn end_chunk(&mut self) -> Result<bool, Trouble> {
        self.send()?;
        if self.sent.take().is_none() {
            return Ok(false);
        }
        let rows = u64::try_from(self.chunk.rows.len()).unwrap_or(u64::MAX);
        let taken = match load_data::end(self.wire) {
            Ok(done) => done.warnings == 0 && done.changed == rows,
            Err(Trouble::Refused(complaint)) if is_of_a_row(complaint.code) => false,
            Err(trouble) => return Err(trouble),
        };
        if taken {
            self.rows += rows;
        } else {
            run(self.wire, "ROLLBACK TO SAVEPOINT load_chunk")?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<()> {
        if !self.chunk.rows.is_empty() {
            let taken = self.end_chunk().map_err(|trouble| self.fault(trouble))?;
            let mut chunk = std::mem::take(&mut self.chunk);
            if !taken {
                self.sort_out(&chunk)?;
            }
            chunk.clear();
            self.chunk = chunk;
        }
        if !self.aside.rows.is_empty() {
            let mut aside = std::mem::take(&mut self.aside);
            for row in 0..aside.rows.len() {
                self.settle_rows(&aside, &[row])?;
            }
            aside.clear();
            self.aside = aside;
        }
        self.pushed_as.clear();
        Ok(())
    }

    /// Inserts a chunk strictly; what is refused becomes rejects.
    fn sort_out(&mut self, chunk: &Chunk) -> Result<()> {
        let doubts = self.plan.local && !self.wary;
        let (suspects, good): (Vec<usize>, Vec<usize>) = (0..chunk.rows.len()).partition(|row| {
            let cells = chunk.cells(*row, &self.kinds);
            let cells: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
            doubts && self.suspicion.of(&cells).is_some()
        });
        self.wary |= doubts;
        let most = (Mysql.max_params() / self.targets.len().max(1)).clamp(1, ROWS);
        let mut rest = good.as_slice();
        while !rest.is_empty() {
            let start = chunk.place(rest[0]).start;
            let fits = |row: &&usize| chunk.place(**row).end - start <= BYTES;
            let count = rest.iter().take(most).take_while(fits).count().max(1);
            let (piece, after) = rest.split_at(count);
            self.settle_rows(chunk, piece)?;
            rest = after;
        }
        for row in suspects {
            self.settle_rows(chunk, &[row])?;
        }
        Ok(())
    }

    /// Inserts rows of a chunk, splitting them for as long as the server refuses.
    fn settle_rows(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        let mut stack = vec![rows];
        while let Some(rows) = stack.pop() {
            match self.insert(chunk, rows) {
                Ok(changed) => {
                    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                    let loaded = if self.plan.skips {
                        changed.min(count)
                    } else {
                        count
                    };
                    self.rows += loaded;
                    self.skipped += count - loaded;
                }
                Err(Trouble::Refused(complaint)) if is_of_a_row(complaint.code) => match rows {
                    [row] => self.reject(chunk, *row, complaint)?,
                    _ => {
                        let (first, second) = rows.split_at(rows.len() / 2);
                        stack.extend([second, first]);
                    }
                },
                Err(trouble) => return Err(self.fault(trouble)),
            }
        }
        Ok(())
    }

    fn insert(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<u64, Trouble> {
        let cells: Vec<Option<Vec<u8>>> = rows
            .iter()
            .flat_map(|row| chunk.cells(*row, &self.kinds))
            .collect();
        let params: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        self.wire.start()?;
        let alone = rows.len() == 1;
        let statement = match self.alone.filter(|_| alone) {
            Some(statement) => statement,
            None => prepare(self.wire, &self.plan.insert(rows.len()))?,
        };
        if alone {
            self.alone = Some(statement);
        }
        let done = statement
            .execute(self.wire, &params)
            .and_then(|()| drain(self.wire));
        self.wire.watch.rest();
        if !alone {
            statement.close(self.wire)?;
        }
        done.map(|done| done.changed)
    }

    fn reject(&mut self, chunk: &Chunk, row: usize, complaint: Complaint) -> Result<()> {
        let ordinal = chunk.rows[row].0;
        let cells = chunk.cells(row, &self.kinds);
        let message = complaint.message.clone();
        let mut error = self.fault(Trouble::Refused(complaint));
        if let Some(column) = self.column(&cells, error.kind(), &message)? {
            error = error.at_column(column);
        }
        let cells = self.pushed_as.remove(&ordinal).unwrap_or(cells);
        self.rejects.push(Reject {
            ordinal,
            cells,
            error,
        });
        Ok(())
    }

    /// The column that an error speaks of, from the row, the dictionary and the table; a type error's also from its text.
    fn column(
        &mut self,
        row: &[Option<Vec<u8>>],
        kind: ErrorKind,
        message: &str,
    ) -> Result<Option<String>> {
        let cells: Vec<Cell<'_>> = row.iter().map(Option::as_deref).collect();
        Ok(match kind {
            ErrorKind::Constraint(Constraint::NotNull) => {
                let mut both = self.targets.iter().zip(row);
                both.find(|(target, cell)| target.required && cell.is_none())
                    .map(|(target, _)| target.name.clone())
            }
            ErrorKind::Constraint(Constraint::Unique) => self.doubled_key(&cells)?,
            ErrorKind::Type => {
                let names = self.targets.iter().map(|target| &target.name);
                let told = names.filter(|name| {
                    message.contains(&format!("`{name}`")) || message.contains(&format!("'{name}'"))
                });
                let guess = || self.suspicion.of(&cells).map(str::to_owned);
                told.max_by_key(|name| name.len()).cloned().or_else(guess)
            }
            _ => None,
        })
    }

    /// The key that the table has already, found by asking for each.
    fn doubled_key(&mut self, row: &[Cell<'_>]) -> Result<Option<String>> {
        let keys: Vec<Vec<String>> = std::iter::once(&self.info.primary_key)
            .chain(&self.info.uniques)
            .filter(|key| !key.is_empty())
            .cloned()
            .collect();
        for key in keys {
            let place = |name: &String| self.targets.iter().position(|target| target.name == *name);
            let Some(places) = key.iter().map(place).collect::<Option<Vec<usize>>>() else {
                continue;
            };
            let tests: Vec<String> = places
                .iter()
                .map(|place| {
                    format!(
                        "{} = {}",
                        Mysql.quote(&self.targets[*place].name),
                        self.targets[*place].converted("?")
                    )
                })
                .collect();
            let sql = format!(
                "SELECT 1 FROM {} WHERE {} LIMIT 1",
                self.plan.table,
                tests.join(" AND ")
            );
            let params: Vec<Cell<'_>> = places.iter().map(|place| row[*place]).collect();
            let mut rows =
                super::rows::MysqlRows::start(self.wire, &sql, &params, self.action.clone())?;
            if crate::Rows::fetch(&mut rows)?.is_some() {
                return Ok(Some(key.join(", ")));
            }
        }
        Ok(None)
    }

    /// Ends what is under way without its rows counting.
    fn abandon(&mut self) -> Result<(), Trouble> {
        if self.sent.take().is_some() {
            match load_data::end(self.wire) {
                Ok(_) | Err(Trouble::Refused(_)) => {}
                Err(broken) => return Err(broken),
            }
        }
        match self.alone.take() {
            Some(statement) => statement.close(self.wire),
            None => Ok(()),
        }
    }

    /// The row as MySQL reads it, or the column and why it cannot.
    fn readable(
        &self,
        row: &[Cell<'_>],
    ) -> Result<Option<Vec<Option<Vec<u8>>>>, (String, &'static str)> {
        let mut changed: Option<Vec<Option<Vec<u8>>>> = None;
        for (index, (target, cell)) in self.targets.iter().zip(row).enumerate() {
            let Some(text) = cell else { continue };
            let readable = target
                .readable(text)
                .map_err(|why| (target.name.clone(), why))?;
            if *readable != **text {
                let owned = || row.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect();
                changed.get_or_insert_with(owned)[index] = Some(readable.into_owned());
            }
        }
        Ok(changed)
    }
}

fn columns<'i>(into: &Load<'_>, info: &'i TableInfo, action: &str) -> Result<Vec<&'i ColumnInfo>> {
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

/// MySQL updates by whichever unique key it meets first, so there must be one alone.
fn check_key(key: &[String], info: &TableInfo, action: &str) -> Result<()> {
    let keys: Vec<&Vec<String>> = std::iter::once(&info.primary_key)
        .chain(&info.uniques)
        .filter(|key| !key.is_empty())
        .collect();
    let same = |one: &[String]| {
        one.len() == key.len()
            && one
                .iter()
                .all(|name| key.iter().any(|k| k.eq_ignore_ascii_case(name)))
    };
    let why = match keys.as_slice() {
        [only] if same(only) => return Ok(()),
        many if many.iter().any(|one| same(one)) => {
            "the table has further unique keys, and MySQL would update by whichever it meets first"
        }
        _ => "these columns are no unique key of the table",
    };
    Err(Error::new(ErrorKind::Invalid, action)
        .at_column(key.join(", "))
        .because(why))
}

impl Loader for MysqlLoader<'_> {
    fn push(&mut self, row: &[Cell<'_>]) -> Result<()> {
        if row.len() != self.targets.len() {
            return Err(
                Error::new(ErrorKind::Invalid, &self.action).because(format!(
                    "a row of {} cells for {} columns",
                    row.len(),
                    self.targets.len()
                )),
            );
        }
        let ordinal = self.pushed;
        self.pushed += 1;
        match self.readable(row) {
            Err((column, why)) => {
                let error = Error::new(ErrorKind::Type, &self.action)
                    .at_column(column)
                    .because(why);
                self.rejects.push(Reject::new(ordinal, row, error));
                return Ok(());
            }
            Ok(changed) => {
                let read: Option<Vec<Cell<'_>>> = changed
                    .as_ref()
                    .map(|row| row.iter().map(Option::as_deref).collect());
                let read = read.as_deref().unwrap_or(row);
                let aside = self.wary && self.suspicion.of(read).is_some();
                let chunk = if aside {
                    &mut self.aside
                } else {
                    &mut self.chunk
                };
                chunk.add(ordinal, &self.kinds, read);
                if changed.is_some() {
                    self.pushed_as.insert(
                        ordinal,
                        row.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect(),
                    );
                }
            }
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
        self.abandon().map_err(|trouble| self.fault(trouble))?;
        self.run(if self.own {
            "COMMIT"
        } else {
            "RELEASE SAVEPOINT load_all"
        })?;
        self.open = false;
        self.rejects.sort_by_key(|reject| reject.ordinal);
        Ok(Loaded {
            rows: self.rows,
            skipped: self.skipped,
            rejects: std::mem::take(&mut self.rejects),
        })
    }
}

impl Drop for MysqlLoader<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let undone = self
            .abandon()
            .map_err(|trouble| self.fault(trouble))
            .and_then(|()| match self.wire.in_transaction() {
                false => Ok(()),
                true if self.own => self.run("ROLLBACK"),
                true => self.run("ROLLBACK TO SAVEPOINT load_all"),
            });
        if let Err(error) = undone {
            log::error!(
                "{error}, taking back an unfinished load: {:?}",
                std::error::Error::source(&error)
            );
        }
    }
}
