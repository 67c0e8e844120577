//! Rows of a chunk that the server refused: loaded again without the bad ones, which get their own error each.

use super::fault::{Complaint, Trouble};
use super::loader::PostgresLoader;
use crate::tabbed::Chunk;
use crate::{Cell, Reject, Result};

/// How many rows are tried at once where bad ones are known to be.
const PIECE: usize = 1000;

impl PostgresLoader<'_> {
    /// Loads a refused chunk again without its bad rows, which become rejects.
    pub(super) fn sort_out(&mut self, chunk: &Chunk, only_again: bool) -> Result<()> {
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
    pub(super) fn settle_rows(&mut self, chunk: &Chunk, rows: &[usize]) -> Result<()> {
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
}

/// Which line of a COPY an error speaks of, from 0; a hint that the next try proves.
fn line(context: &str) -> Option<usize> {
    let digits = context.split(", line ").nth(1)?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse::<usize>().ok()?.checked_sub(1)
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
