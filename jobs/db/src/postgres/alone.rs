//! Rows that are tried one by one, on the server and in one go: a temporary function reads each row's values as COPY
//! would, inserts it under a savepoint of its own, and tells the server's own words on what it refuses.
//! Where the account may not make one, each row is a COPY of its own.

use super::copy::Copy;
use super::fault::{Complaint, Trouble};
use super::loader::PostgresLoader;
use crate::tabbed::Chunk;
use crate::{ColumnInfo, form};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, Statement};

const NAMES: &str = "pg_temp.\"load alone\"";
const REMOVE: &str = "DROP FUNCTION pg_temp.\"load alone\"(); DROP TABLE pg_temp.\"load alone\", pg_temp.\"load values\"; ";

/// What is known of the way.
#[derive(Default)]
pub(super) enum Alone {
    /// Not needed yet.
    #[default]
    Unmade,
    /// There, with the statement that brings rows to it.
    Ready(Statement),
    /// The account may not make it.
    Refused,
}

impl Alone {
    /// What takes away what was made.
    pub(super) fn remove(&self) -> &'static str {
        match self {
            Alone::Ready(_) => REMOVE,
            Alone::Unmade | Alone::Refused => "",
        }
    }
}

impl PostgresLoader<'_> {
    /// Tries the rows that were set aside, in the order in which they were pushed.
    pub(super) fn settle_aside(&mut self) -> Result<(), Trouble> {
        if self.aside.rows.is_empty() {
            return Ok(());
        }
        let mut aside = std::mem::take(&mut self.aside);
        let mut order: Vec<usize> = (0..aside.rows.len()).collect();
        order.sort_by_key(|row| aside.rows[*row].0);
        match self.make()? {
            Some(statement) => self.try_on_server(&statement, &aside, &order)?,
            None => {
                for row in order {
                    if let Err(complaint) = self.attempt(&aside, &[row])? {
                        self.reject(&aside, row, complaint, None);
                    }
                }
            }
        }
        aside.clear();
        self.aside = aside;
        Ok(())
    }

    /// Tries rows without a parent for as long as others of them bring parents along; those that are left are bad.
    pub(super) fn settle_orphans(&mut self) -> Result<(), Trouble> {
        let was_patient = self.patient;
        while !self.orphans.rows.is_empty() {
            let before = self.orphans.rows.len();
            self.aside = std::mem::take(&mut self.orphans);
            self.settle_aside()?;
            self.patient &= self.orphans.rows.len() < before;
        }
        self.patient = was_patient;
        Ok(())
    }

    /// The statement that brings rows to the function.
    fn make(&mut self) -> Result<Option<Statement>, Trouble> {
        match &self.alone {
            Alone::Ready(statement) => return Ok(Some(statement.clone())),
            Alone::Refused => return Ok(None),
            Alone::Unmade => {}
        }
        let session = &*self.session;
        session.run("SAVEPOINT load_chunk")?;
        let made = session.run(&make(&self.columns, &self.plan.head, &self.plan.clash));
        match made {
            Ok(()) => {
                session.run("RELEASE SAVEPOINT load_chunk")?;
                let copy = session
                    .client()
                    .prepare("COPY pg_temp.\"load alone\" FROM STDIN");
                let statement = session.wait(copy)?;
                self.alone = Alone::Ready(statement.clone());
                Ok(Some(statement))
            }
            Err(Trouble::Refused(complaint)) => {
                log::debug!(
                    "{}: bad rows are tried over the wire: {complaint}",
                    self.action
                );
                session.run("ROLLBACK TO SAVEPOINT load_chunk; RELEASE SAVEPOINT load_chunk")?;
                self.alone = Alone::Refused;
                Ok(None)
            }
            Err(broken) => Err(broken),
        }
    }

    fn try_on_server(
        &mut self,
        statement: &Statement,
        aside: &Chunk,
        order: &[usize],
    ) -> Result<(), Trouble> {
        let session = &*self.session;
        session.watch.start();
        let mut copy = Copy::begin(session, "", statement)?;
        let mut text = Vec::new();
        for (place, row) in order.iter().enumerate() {
            form::write_integer(&mut text, i64::try_from(place).unwrap_or(i64::MAX));
            for cell in aside.cells(*row, &self.kinds).iter().zip(&self.kinds) {
                write_hex(&mut text, cell);
            }
            text.push(b'\n');
        }
        copy.send(session, &text)?;
        copy.end(session)?;
        let told = session.wait(
            session
                .client()
                .simple_query(&format!("SELECT * FROM {NAMES}(); TRUNCATE {NAMES}")),
        )?;
        session.watch.rest();
        for message in told {
            if let SimpleQueryMessage::Row(row) = message {
                self.take_verdict(aside, order, &row)?;
            }
        }
        Ok(())
    }

    /// One row of the function's answer: a refused row, or, without a place, how many were changed and how many skipped.
    fn take_verdict(
        &mut self,
        aside: &Chunk,
        order: &[usize],
        told: &SimpleQueryRow,
    ) -> Result<(), Trouble> {
        let text = |index| {
            told.try_get(index)
                .ok()
                .flatten()
                .unwrap_or_default()
                .to_owned()
        };
        let number = |index: usize| text(index).parse::<u64>().unwrap_or(0);
        let Ok(place) = text(0).parse::<usize>() else {
            self.rows += number(6);
            self.skipped += number(7);
            return Ok(());
        };
        let complaint = Box::new(Complaint {
            code: text(1),
            message: text(2),
            detail: text(3),
            column: text(4),
            constraint: text(5),
            context: String::new(),
        });
        let Some(row) = order
            .get(place)
            .filter(|_| self.is_of_a_row(&complaint.code))
        else {
            return Err(Trouble::Refused(complaint));
        };
        let column = usize::try_from(number(6)).unwrap_or(0).checked_sub(1);
        self.reject(aside, *row, complaint, column);
        Ok(())
    }
}

/// A cell as hex digits, so that also what is no text gets to the server, to be refused there.
fn write_hex(out: &mut Vec<u8>, (cell, kind): (&Option<Vec<u8>>, &crate::Kind)) {
    out.push(b'\t');
    let Some(text) = cell else {
        out.extend_from_slice(b"\\N");
        return;
    };
    out.extend_from_slice(b"\\\\x");
    if *kind == crate::Kind::Blob {
        form::write_hex(out, b"\\x");
    }
    form::write_hex(out, text);
}

/// What makes the function and its tables.
fn make(columns: &[ColumnInfo], head: &str, clash: &str) -> String {
    let numbers = || 1..=columns.len();
    let list = |each: &dyn Fn(usize) -> String| numbers().map(each).collect::<Vec<_>>().join(", ");
    let texts = list(&|n| format!("c{n} BYTEA"));
    let types = list(&|n| format!("c{n} {}", columns[n - 1].declared));
    let values = list(&|n| format!("x.c{n}"));
    let reads: String = numbers()
        .map(|n| format!("place := {n}; x.c{n} := convert_from(r.c{n}, 'UTF8');\n"))
        .collect();
    let body = format!(
        "#variable_conflict use_column
DECLARE r RECORD; x pg_temp.\"load values\"; changed BIGINT; passed BIGINT := 0; all_changed BIGINT := 0;
BEGIN
FOR r IN SELECT * FROM {NAMES} s ORDER BY s.c0 LOOP
BEGIN
{reads}place := 0;
{head} VALUES ({values}){clash};
GET DIAGNOSTICS changed = ROW_COUNT;
all_changed := all_changed + changed;
passed := passed + 1 - changed;
EXCEPTION WHEN OTHERS THEN
GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, named = COLUMN_NAME, rule = CONSTRAINT_NAME;
o := r.c0; RETURN NEXT;
END;
END LOOP;
o := NULL; place := all_changed; skipped := passed; RETURN NEXT;
END"
    );
    let mut tag = "load".to_owned();
    while body.contains(&format!("${tag}$")) {
        tag.push('_');
    }
    format!(
        "CREATE TEMPORARY TABLE \"load values\" ({types});
         CREATE TEMPORARY TABLE \"load alone\" (c0 BIGINT, {texts});
         CREATE FUNCTION {NAMES}() RETURNS TABLE (o BIGINT, code TEXT, message TEXT, detail TEXT, named TEXT, rule TEXT, \
         place BIGINT, skipped BIGINT) LANGUAGE plpgsql AS ${tag}${body}${tag}$"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn a_cell_travels_as_hex() {
        let mut out = Vec::new();
        for cell in [
            (Some(b"a\0".to_vec()), Kind::Text),
            (None, Kind::Text),
            (Some(b"0a".to_vec()), Kind::Blob),
        ] {
            write_hex(&mut out, (&cell.0, &cell.1));
        }
        assert_eq!(
            String::from_utf8_lossy(&out),
            "\t\\\\x6100\t\\N\t\\\\x5c783061"
        );
    }

    #[test]
    fn no_name_ends_the_function_early() {
        let mut column = ColumnInfo::new("$load$", Kind::Text);
        column.declared = "text".to_owned();
        let sql = make(&[column], "INSERT INTO \"t\" (\"$load$\")", "");
        assert_eq!(sql.matches("$load_$").count(), 2);
    }
}
