//! Rows that the server refused in bulk: inserted strictly, split until each bad one stands alone with its own error.

use super::dialect::Mysql;
use super::fault::{Trouble, is_of_a_row};
use super::plan::Way;
use super::sorter::Sorter;
use crate::tabbed::Chunk;
use crate::{Cell, Constraint, Dialect, Error, ErrorKind, Kind, Reject, Result, form};

/// How many rows and bytes a strict statement has at most.
const ROWS: usize = 500;
const BYTES: usize = 1 << 20;
/// Room for what is around a value in its packet.
const AROUND: usize = 1024;

impl Sorter {
    /// Inserts a chunk strictly; what is refused becomes rejects.
    pub(super) fn sort_out(&mut self, chunk: &Chunk) -> Result<()> {
        let doubts = self.local;
        let (suspects, mut good): (Vec<usize>, Vec<usize>) =
            (0..chunk.rows.len()).partition(|row| {
                let cells = chunk.cells(*row, &self.plan.kinds);
                let cells: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
                doubts && self.plan.suspicion.of(&cells).is_some()
            });
        good.extend(self.sift(chunk, &suspects)?);
        good.sort_unstable();
        let most = (Mysql.max_params() / self.plan.targets.len().max(1)).clamp(1, ROWS);
        let mut rest = good.as_slice();
        while !rest.is_empty() {
            let start = chunk.place(rest[0]).start;
            let fits = |row: &&usize| chunk.place(**row).end - start <= BYTES;
            let count = rest.iter().take(most).take_while(fits).count().max(1);
            let (piece, after) = rest.split_at(count);
            self.settle_rows(chunk, piece)?;
            rest = after;
        }
        Ok(())
    }

    /// Inserts each row of a chunk in a statement of its own.
    pub(super) fn settle_alone(&mut self, chunk: &Chunk) -> Result<()> {
        (0..chunk.rows.len()).try_for_each(|row| self.settle_row(chunk, row))
    }

    /// Inserts rows of a chunk, splitting them for as long as the server refuses.
    fn settle_rows(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
        let mut stack = vec![rows];
        while let Some(rows) = stack.pop() {
            if let [row] = rows {
                self.settle_row(chunk, *row)?;
                continue;
            }
            match self.insert(chunk, rows) {
                Ok(changed) => self.count(rows.len(), changed),
                Err(Trouble::Refused(error)) if is_of_a_row(error.code) => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    stack.extend([second, first]);
                }
                Err(trouble) => return Err(self.fault(trouble)),
            }
        }
        Ok(())
    }

    fn count(&mut self, rows: usize, changed: u64) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let loaded = if self.plan.way == Way::Skip {
            changed.min(rows)
        } else {
            rows
        };
        self.rows += loaded;
        self.skipped += rows - loaded;
    }

    fn insert(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<u64, Trouble> {
        let cells: Vec<Option<Vec<u8>>> = rows
            .iter()
            .flat_map(|row| chunk.cells(*row, &self.plan.kinds))
            .collect();
        let params: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        let keep = rows.len() == ROWS;
        Ok(self
            .link
            .run(&self.plan.insert(rows.len()), &params, keep)?
            .changed)
    }

    /// Inserts one row; the server's refusal becomes its reject.
    pub(super) fn settle_row(&mut self, chunk: &Chunk, row: usize) -> Result<()> {
        let ordinal = chunk.rows[row].0;
        let cells = chunk.cells(row, &self.plan.kinds);
        let done = match self.too_large(&cells) {
            Some(error) => Err(error),
            None => match self.insert_alone(&cells) {
                Ok(changed) => Ok(changed),
                Err(Trouble::Refused(refused)) if is_of_a_row(refused.code) => {
                    let message = refused.message.clone();
                    let error = self.fault(Trouble::Refused(refused));
                    Err(match self.column(&cells, error.kind(), &message)? {
                        Some(column) => error.at_column(column),
                        None => error,
                    })
                }
                Err(trouble) => return Err(self.fault(trouble)),
            },
        };
        match done {
            Ok(changed) => self.count(1, changed),
            Err(error) => self.rejects.push(Reject {
                ordinal,
                cells,
                error,
            }),
        }
        Ok(())
    }

    /// A value that no packet can carry would cost the connection.
    fn too_large(&self, cells: &[Option<Vec<u8>>]) -> Option<Error> {
        let most = self.link.max_packet.saturating_sub(AROUND);
        let mut both = self.plan.targets.iter().zip(cells);
        let (target, _) = both.find(|(target, cell)| {
            let length = cell.as_ref().map_or(0, Vec::len);
            length / if target.kind == Kind::Blob { 2 } else { 1 } > most
        })?;
        let why = format!(
            "the value is larger than the server takes (max_allowed_packet = {})",
            self.link.max_packet
        );
        Some(
            Error::new(ErrorKind::Type, &self.plan.action)
                .at_column(&target.name)
                .because(why),
        )
    }

    fn insert_alone(&mut self, cells: &[Option<Vec<u8>>]) -> Result<u64, Trouble> {
        if let Way::Upsert(key) = &self.plan.way
            && self.plan.further_keys
        {
            let key = key.clone();
            return self.upsert_alone(cells, &key);
        }
        let params: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        let large = cells
            .iter()
            .flatten()
            .any(|text| text.len() >= self.link.max_packet / 4);
        if !large {
            return Ok(self.link.run(&self.plan.insert(1), &params, true)?.changed);
        }
        // as bytes, not as twice as many hex digits
        let mut sql = self.plan.insert(1);
        let mut plain = cells.to_vec();
        for (target, cell) in self.plan.targets.iter().zip(&mut plain) {
            let Some(text) = cell.as_mut().filter(|_| target.kind == Kind::Blob) else {
                continue;
            };
            let mut bytes = Vec::new();
            if form::read_hex(text, &mut bytes).is_some() {
                *text = bytes;
            }
        }
        sql = sql.replace("UNHEX(?)", "?");
        let params: Vec<Cell<'_>> = plain.iter().map(Option::as_deref).collect();
        Ok(self.link.run(&sql, &params, false)?.changed)
    }

    /// Updates the row that has the key, else inserts: exact also where other unique keys are, which then refuse.
    fn upsert_alone(&mut self, cells: &[Option<Vec<u8>>], key: &[usize]) -> Result<u64, Trouble> {
        let params: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        let at = |places: &[usize]| {
            places
                .iter()
                .map(|place| params[*place])
                .collect::<Vec<_>>()
        };
        let (table, found) = (self.plan.table.clone(), self.plan.equal(key, " AND "));
        let sql = format!("SELECT COUNT(*) INTO @load_found FROM {table} WHERE {found} FOR UPDATE");
        self.link.run(&sql, &at(key), true)?;
        let told = self.link.ask("SELECT @load_found")?;
        let there = told
            .into_iter()
            .flatten()
            .flatten()
            .next()
            .is_some_and(|count| count != "0");
        if !there {
            return Ok(self
                .link
                .run(&self.plan.plain_insert(), &params, true)?
                .changed);
        }
        let brought = self.plan.brought(key);
        if !brought.is_empty() {
            let sets = self.plan.equal(&brought, ", ");
            let sql = format!("UPDATE {table} SET {sets} WHERE {found}");
            self.link
                .run(&sql, &[at(&brought), at(key)].concat(), true)?;
        }
        Ok(1)
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
                let mut both = self.plan.targets.iter().zip(row);
                both.find(|(target, cell)| target.required && cell.is_none())
                    .map(|(target, _)| target.name.clone())
            }
            ErrorKind::Constraint(Constraint::Unique) => self.doubled_key(&cells)?,
            ErrorKind::Type => {
                let names = self.plan.targets.iter().map(|target| &target.name);
                let told = names.filter(|name| {
                    message.contains(&format!("`{name}`")) || message.contains(&format!("'{name}'"))
                });
                let guess = || self.plan.suspicion.of(&cells).map(str::to_owned);
                told.max_by_key(|name| name.len()).cloned().or_else(guess)
            }
            _ => None,
        })
    }

    /// The key that the table has already, found by asking for each.
    fn doubled_key(&mut self, row: &[Cell<'_>]) -> Result<Option<String>> {
        let upserted = match &self.plan.way {
            Way::Upsert(key) => key.clone(),
            _ => Vec::new(),
        };
        for (name, places) in self.plan.keys() {
            if places == upserted {
                continue;
            }
            let sql = format!(
                "SELECT COUNT(*) INTO @load_found FROM {} WHERE {}",
                self.plan.table,
                self.plan.equal(&places, " AND ")
            );
            let params: Vec<Cell<'_>> = places.iter().map(|place| row[*place]).collect();
            let asked = self.link.run(&sql, &params, true);
            let told = asked.and_then(|_| self.link.ask("SELECT @load_found"));
            let told = told.map_err(|trouble| self.fault(trouble))?;
            if told
                .into_iter()
                .flatten()
                .flatten()
                .next()
                .is_some_and(|count| count != "0")
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
