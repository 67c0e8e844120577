//! Rows of a chunk that the server refused: loaded again without the bad ones, which are set aside to be tried alone.

use super::fault::{Complaint, POLICY, Trouble, is_of_a_row};
use super::loader::PostgresLoader;
use crate::tabbed::Chunk;
use crate::{Cell, Constraint, ErrorKind, Reject};

/// How many rows are tried at once where bad ones are known to be.
const PIECE: usize = 1000;
/// So few rows are tried one by one when the server does not tell which of them is bad.
const FEW: usize = 128;

impl PostgresLoader<'_> {
    /// Loads rows of a chunk without what looks bad in it, which is set aside. `refusal` is why the server did not take all of them;
    /// without one they are not sent yet.
    pub(super) fn sort_out(
        &mut self,
        chunk: &Chunk,
        mut rows: Vec<usize>,
        refusal: Option<&Complaint>,
    ) -> Result<(), Trouble> {
        if let Some(complaint) = refusal
            && complaint.code != "21000"
        {
            if !self.wary {
                self.wary = true;
                rows.retain(|row| !self.set_suspect_aside(chunk, *row));
            }
            self.doubles.note(&complaint.code);
        }
        let rows = self.without_doubles(chunk, rows)?;
        self.settle_rows(chunk, rows)
    }

    fn set_suspect_aside(&mut self, chunk: &Chunk, row: usize) -> bool {
        let cells = chunk.cells(row, &self.kinds);
        let lent: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        let suspect = self.suspicion.of(&lent).is_some();
        if suspect {
            self.aside.take(chunk, row);
        }
        suspect
    }

    /// Sets rows aside whose key is there already, where such have been met.
    pub(super) fn without_doubles(
        &mut self,
        chunk: &Chunk,
        rows: Vec<usize>,
    ) -> Result<Vec<usize>, Trouble> {
        if !self.doubles.wanted() {
            return Ok(rows);
        }
        let mut doubled = vec![false; chunk.rows.len()];
        for row in self.doubles.find(self.session, chunk, &rows, &self.kinds)? {
            doubled[row] = true;
            self.aside.take(chunk, row);
        }
        Ok(rows.into_iter().filter(|row| !doubled[*row]).collect())
    }

    /// Loads rows of a chunk, splitting them for as long as the server refuses.
    fn settle_rows(&mut self, chunk: &Chunk, rows: Vec<usize>) -> Result<(), Trouble> {
        let mut stack = vec![rows];
        while let Some(rows) = stack.pop() {
            if rows.is_empty() {
                continue;
            }
            let Err(complaint) = self.attempt(chunk, &rows)? else {
                continue;
            };
            if complaint.code == "21000" {
                stack.push(rows);
                continue;
            }
            if self.doubles.note(&complaint.code) {
                let rest = self.without_doubles(chunk, rows)?;
                stack.push(rest);
                continue;
            }
            match line(&complaint.context).filter(|bad| *bad < rows.len()) {
                _ if rows.len() > PIECE => {
                    stack.extend(rows.chunks(PIECE).rev().map(<[usize]>::to_vec));
                }
                Some(bad) => {
                    self.aside.take(chunk, rows[bad]);
                    stack.extend([rows[bad + 1..].to_vec(), rows[..bad].to_vec()]);
                }
                None if rows.len() > FEW => {
                    let eighth = rows.len().div_ceil(8);
                    stack.extend(rows.chunks(eighth).rev().map(<[usize]>::to_vec));
                }
                None => {
                    for row in rows {
                        self.aside.take(chunk, row);
                    }
                }
            }
        }
        Ok(())
    }

    /// Loads rows of a chunk at once, or none of them.
    pub(super) fn attempt(
        &mut self,
        chunk: &Chunk,
        rows: &[usize],
    ) -> Result<Result<(), Box<Complaint>>, Trouble> {
        let mut copy = self.begin_copy()?;
        for place in chunk.places(rows) {
            copy.send(self.session, &chunk.bytes[place])?;
        }
        self.end_copy(copy)
    }

    /// Whether a refusal speaks of a row. By a policy it does where the table has some: rights to it were asked for before.
    pub(super) fn is_of_a_row(&self, code: &str) -> bool {
        is_of_a_row(code) || (code == POLICY && self.keys.policed)
    }

    /// A row is bad, or may be: a parent can still come, where that would be checked at the end of the transaction only. `place` is the
    /// column that was being read, where that is known.
    pub(super) fn reject(
        &mut self,
        chunk: &Chunk,
        row: usize,
        complaint: Box<Complaint>,
        place: Option<usize>,
    ) {
        if complaint.code == "23503" && self.patient {
            return self.orphans.take(chunk, row);
        }
        let cells = chunk.cells(row, &self.kinds);
        let lent: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        let known = place
            .and_then(|place| self.columns.get(place))
            .map(|column| column.name.clone());
        let column = known.or_else(|| self.column(&lent, &complaint));
        let policy = complaint.code == POLICY;
        let mut error = self.fault(Trouble::Refused(complaint));
        if policy {
            error = error.with_kind(ErrorKind::Constraint(Constraint::Other));
        }
        if let Some(column) = column {
            error = error.at_column(column);
        }
        self.rejects.push(Reject {
            ordinal: chunk.rows[row].0,
            cells: self.as_pushed(chunk.rows[row].0).unwrap_or(cells),
            error,
        });
    }

    /// The column that an error speaks of, where the server does not name it itself.
    fn column(&self, row: &[Cell<'_>], complaint: &Complaint) -> Option<String> {
        if !complaint.column.is_empty() {
            return None;
        }
        if let Some(columns) = self.keys.named(&complaint.constraint) {
            return Some(columns.join(", "));
        }
        if !complaint.code.starts_with("22") {
            return None;
        }
        let named = |name: &&str| complaint.context.contains(&format!(", column {name}"));
        let guess = || self.suspicion.of(row).map(str::to_owned);
        self.columns
            .iter()
            .map(|column| column.name.as_str())
            .filter(named)
            .max_by_key(|name| name.len())
            .map(str::to_owned)
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
