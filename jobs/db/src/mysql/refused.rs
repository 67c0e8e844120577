//! Rows that the server refused in bulk: inserted strictly, split until each bad one stands alone with its own error.

use super::dialect::Mysql;
use super::fault::{Complaint, Trouble, is_of_a_row};
use super::loader::MysqlLoader;
use super::rows::MysqlRows;
use super::statement::{drain, prepare};
use crate::tabbed::Chunk;
use crate::{Cell, Constraint, Dialect, ErrorKind, Reject, Result, Rows};

/// How many rows and bytes a strict statement has at most.
const ROWS: usize = 500;
const BYTES: usize = 1 << 20;

impl MysqlLoader<'_> {
    /// Inserts a chunk strictly; what is refused becomes rejects.
    pub(super) fn sort_out(&mut self, chunk: &Chunk) -> Result<()> {
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
    pub(super) fn settle_rows(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
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

    pub(super) fn insert(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<u64, Trouble> {
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
            let mut rows = MysqlRows::start(self.wire, &sql, &params, self.action.clone())?;
            if rows.fetch()?.is_some() {
                return Ok(Some(key.join(", ")));
            }
        }
        Ok(None)
    }
}
