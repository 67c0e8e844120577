//! What is known of a table that rows leave, and the SQL that follows from it. Asked once a pass; runs nothing else.

use db::{Column, ColumnInfo, Connection, Dialect, Kind, TableInfo, TableName};

use super::batch::Batch;
use super::key::{self, Key, KeyText, place};
use super::params::Table;
use super::period::Span;
use crate::error::Error;
use crate::job::Invalid;

/// A table that rows leave.
pub(super) struct Facts {
    pub(super) dialect: &'static dyn Dialect,
    pub(super) name: TableName,
    /// The name in SQL.
    pub(super) sql: String,
    pub(super) info: TableInfo,
    pub(super) key: Key,
    /// The column whose date chooses the target.
    pub(super) by: Option<ColumnInfo>,
    /// The job's condition.
    wanted: String,
    /// Rows a statement: as many as the job says, and the database can take.
    pub(super) batch: usize,
}

/// A statement with its values in the order of its placeholders.
pub(super) struct Statement<'v> {
    pub(super) sql: String,
    pub(super) values: Vec<db::Cell<'v>>,
}

impl Facts {
    /// Asks the dictionary; the inner error says what keeps rows of this table from being archived.
    pub(super) fn learn(
        db: &mut dyn Connection,
        table: &Table,
        at: usize,
    ) -> Result<Result<Facts, Invalid>, Error> {
        let wrong = |attribute: &str, why: String| {
            Ok(Err(Invalid::new(
                format!("table[{}].{attribute}", at + 1),
                why,
            )))
        };
        let name = TableName::parse(&table.name);
        let Some(info) = db.dictionary(&name)? else {
            return wrong("name", format!("there is no table {name}"));
        };
        if info.view {
            return wrong("name", format!("{name} is a view: rows leave tables only"));
        }
        let wanted = table.key.as_ref().map(|list| list.0.as_slice());
        let key = match key::choose(&info, wanted) {
            Ok(key) => key,
            Err(why) => return wrong("key", format!("{name}: {why}")),
        };
        let by = match &table.by {
            None => None,
            Some(by) => match info.column(by) {
                None => return wrong("by", format!("{name} has no column {by}")),
                Some(column) if !may_be_dated(column.kind) => {
                    return wrong("by", format!("{by} is {}: it has no date", column.declared));
                }
                Some(column) => Some(column.clone()),
            },
        };
        db.require_transactions(&name)?;
        let dialect = db.dialect();
        // room for the bounds of a period
        let most = (dialect.max_params() - 2) / key.width();
        Ok(Ok(Facts {
            dialect,
            sql: dialect.qualify(&name),
            name,
            info,
            key,
            by,
            wanted: table.wanted(),
            batch: usize::try_from(table.batch).unwrap_or(usize::MAX).min(most),
        }))
    }

    /// As [`Facts::learn`], where what is wrong ends the run.
    pub(super) fn expect(
        db: &mut dyn Connection,
        table: &Table,
        at: usize,
    ) -> Result<Facts, Error> {
        Facts::learn(db, table, at)?
            .map_err(|wrong| Error::Invalid(format!("{}: {}", wrong.at, wrong.message)))
    }

    /// Names of columns in SQL, comma-separated.
    pub(super) fn list(&self, columns: &[String]) -> String {
        let quoted: Vec<String> = columns
            .iter()
            .map(|name| self.dialect.quote(name))
            .collect();
        quoted.join(", ")
    }

    /// The names of all columns.
    pub(super) fn columns(&self) -> Vec<String> {
        self.info
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect()
    }

    /// Keys of rows that are to leave, in the key's order, above `last`; with the column `by` behind them.
    pub(super) fn scan<'k>(
        &self,
        columns: &[String],
        last: Option<&'k KeyText>,
        rows: u64,
    ) -> Statement<'k> {
        let (beyond, values) = match last {
            Some(last) => {
                let (beyond, values) = self.key.beyond(self.dialect, last, 1);
                (format!(" AND {beyond}"), values)
            }
            None => (String::new(), Vec::new()),
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE {}{}{beyond} ORDER BY {}",
            self.list(columns),
            self.sql,
            self.wanted,
            self.key.filled(self.dialect),
            self.key.quoted(self.dialect)
        );
        Statement {
            sql: self.dialect.limit(&sql, rows),
            values: values
                .into_iter()
                .map(|value| Some(value.as_bytes()))
                .collect(),
        }
    }

    /// What the database has against [`Facts::scan`], most likely against the job's condition.
    pub(super) fn unscanned(&self, error: db::Error) -> Error {
        let action = format!("looking for rows of {} that are to leave", self.name);
        db::Error::new(error.kind(), action).because(error).into()
    }

    /// How many rows are to leave, and how many of them have no whole key.
    pub(super) fn counts(&self) -> (String, Option<String>) {
        let count = |more: &str| {
            format!(
                "SELECT count(*) FROM {} WHERE {}{more}",
                self.sql, self.wanted
            )
        };
        let nulls: Vec<String> = self
            .key
            .0
            .iter()
            .filter(|column| column.nullable)
            .map(|column| format!("{} IS NULL", self.dialect.quote(&column.name)))
            .collect();
        let keyless = (!nulls.is_empty()).then(|| count(&format!(" AND ({})", nulls.join(" OR "))));
        (count(""), keyless)
    }

    /// That a row is one of these, and still to leave.
    pub(super) fn still<'b>(&self, batch: &'b Batch) -> Statement<'b> {
        let mut values = key::cells(&batch.keys);
        let among = self.key.among(self.dialect, &batch.keys, 1);
        let mut sql = format!("{among} AND {}", self.wanted);
        if let (Some(by), Some(span)) = (&self.by, &batch.span) {
            let bounds = self.within(by, span, values.len() + 1);
            sql = format!("{sql} AND {bounds}");
            values.extend([&span.from, &span.before].map(|date| Some(date.as_bytes())));
        }
        Statement { sql, values }
    }

    fn within(&self, by: &ColumnInfo, span: &Span, number: usize) -> String {
        let name = self.dialect.quote(&by.name);
        let from = place(self.dialect, by.kind, &span.from, number);
        let before = place(self.dialect, by.kind, &span.before, number + 1);
        format!("{name} >= {from} AND {name} < {before}")
    }

    /// That a row is one of these.
    pub(super) fn among<'b>(&self, keys: &'b [KeyText]) -> Statement<'b> {
        Statement {
            sql: self.key.among(self.dialect, keys, 1),
            values: key::cells(keys),
        }
    }

    /// The query of rows under a condition, locked until the transaction ends.
    pub(super) fn locked<'v>(&self, columns: &[String], of: Statement<'v>) -> Statement<'v> {
        Statement {
            sql: self
                .dialect
                .select_locked(&self.list(columns), &self.sql, &of.sql),
            values: of.values,
        }
    }

    /// The statement that deletes the rows under a condition.
    pub(super) fn delete<'v>(&self, of: Statement<'v>) -> Statement<'v> {
        Statement {
            sql: format!("DELETE FROM {} WHERE {}", self.sql, of.sql),
            values: of.values,
        }
    }

    /// The statement that copies the rows under a condition into another table of the same database; they are locked where that is possible.
    pub(super) fn copy<'v>(
        &self,
        table: &str,
        from: &[String],
        into: &[String],
        of: Statement<'v>,
    ) -> Statement<'v> {
        let columns = self.list(from);
        let rows = if self.dialect.inserts_locked() {
            self.dialect.select_locked(&columns, &self.sql, &of.sql)
        } else {
            format!("SELECT {columns} FROM {} WHERE {}", self.sql, of.sql)
        };
        Statement {
            sql: format!("INSERT INTO {table} ({})\n{rows}", self.list(into)),
            values: of.values,
        }
    }

    /// The key of a row, whose cells are those of these columns.
    pub(super) fn key_of(&self, row: db::Row<'_>, places: &[usize]) -> KeyText {
        let text = |place: &usize| row.cell(*place).unwrap_or_default();
        places
            .iter()
            .map(|place| String::from_utf8_lossy(text(place)).into_owned())
            .collect()
    }

    /// Where the key's columns stand among these.
    pub(super) fn key_places(&self, columns: &[String]) -> Vec<usize> {
        let place = |column: &ColumnInfo| columns.iter().position(|name| *name == column.name);
        self.key.0.iter().filter_map(place).collect()
    }
}

fn may_be_dated(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Date | Kind::Timestamp | Kind::Instant | Kind::Text | Kind::Other
    )
}

/// The columns of a result, for a file.
pub(super) fn file_columns(columns: &[Column]) -> Vec<crate::data::Column> {
    let column = |column: &Column| crate::data::Column {
        name: column.name.clone(),
        form: column.kind.into(),
    };
    columns.iter().map(column).collect()
}
