//! Which rows are on their way between two databases: a row in the target, in the transaction of the copies.
//!
//! The row (job, source table; unique) of the table `procctl_archive` holds the last batch that was copied. A run that finds rows of it still in the
//! source knows that these copies are its own, and goes on with them.

use db::{ColumnInfo, Connection, Constraint, Dialect, ErrorKind, Kind, TableInfo, TableName};

use super::batch::Batch;
use crate::error::Error;

/// The table, in each database that rows go to.
const TABLE: &str = "procctl_archive";

/// The row of one job and table.
pub(super) struct Flight {
    job: String,
    item: String,
}

impl Flight {
    /// Makes the table and the row if they are not there. Outside any transaction: some databases commit at DDL.
    pub(super) fn prepare(
        db: &mut dyn Connection,
        job: &str,
        from: &TableName,
    ) -> Result<Flight, Error> {
        let table = TableName::new(TABLE);
        if db.dictionary(&table)?.is_none() {
            let info = layout(db);
            let made = db.execute(&db.dialect().create_table(&table, &info), &[]);
            // another job may have made it in the meantime
            if let Err(error) = made
                && db.dictionary(&table)?.is_none()
            {
                return Err(error.into());
            }
        }
        let mut item = from.to_string();
        if item.chars().count() > 255 {
            item = blake3::hash(item.as_bytes()).to_hex().to_string();
        }
        let flight = Flight {
            job: job.to_owned(),
            item,
        };
        flight.enter(db)?;
        Ok(flight)
    }

    fn enter(&self, db: &mut dyn Connection) -> Result<(), Error> {
        if self.look(db)?.is_some() {
            return Ok(());
        }
        let mark = |n| db.dialect().placeholder(n);
        let sql = format!(
            "INSERT INTO {TABLE} (batch, job, item) VALUES ({}, {}, {})",
            mark(1),
            mark(2),
            mark(3)
        );
        match db.execute(&sql, &self.cells("null")) {
            Err(error) if error.kind() == ErrorKind::Constraint(Constraint::Unique) => Ok(()),
            entered => Ok(entered.map(drop)?),
        }
    }

    fn cells<'c>(&'c self, batch: &'c str) -> [db::Cell<'c>; 3] {
        [batch, &self.job, &self.item].map(|text| Some(text.as_bytes()))
    }

    /// Enters what the open transaction copies.
    pub(super) fn note(&self, db: &mut dyn Connection, batch: Option<&Batch>) -> Result<(), Error> {
        let text = serde_json::to_string(&batch)
            .map_err(|error| Error::Internal(format!("a batch has no JSON form: {error}")))?;
        let dialect = db.dialect();
        let sql = format!(
            "UPDATE {TABLE} SET batch = {} WHERE {}",
            dialect.placeholder(1),
            place(dialect, 2)
        );
        db.execute(&sql, &self.cells(&text))?;
        Ok(())
    }

    /// The last batch that was copied. It waits for the end of a transaction that enters one: the COMMIT of a killed run may be on its way still.
    pub(super) fn last(&self, db: &mut dyn Connection) -> Result<Option<Batch>, Error> {
        db.begin()?;
        let query = db
            .dialect()
            .select_locked("batch", TABLE, &place(db.dialect(), 1));
        let text = self.read(db, &query)?;
        db.rollback()?;
        let Some(text) = text else {
            return Ok(None);
        };
        serde_json::from_str(&text).map_err(|error| {
            Error::Data(format!(
                "{TABLE} of job {}: not what this job writes: {error}",
                self.job
            ))
        })
    }

    /// Whether both connections lead to the same database: what one enters, the other sees.
    pub(super) fn is_in_both(
        &self,
        db: &mut dyn Connection,
        other: &mut dyn Connection,
    ) -> Result<bool, Error> {
        if db.dictionary(&TableName::new(TABLE))?.is_none() {
            return Ok(false);
        }
        let now = chrono::Utc::now().timestamp_micros();
        let mark = Flight {
            job: self.job.clone(),
            item: format!("?{}.{now}", std::process::id()),
        };
        mark.enter(other)?;
        let seen = mark.look(db)?.is_some();
        let sql = format!("DELETE FROM {TABLE} WHERE {}", place(other.dialect(), 1));
        other.execute(&sql, &mark.cells("")[1..])?;
        Ok(seen)
    }

    fn look(&self, db: &mut dyn Connection) -> Result<Option<String>, Error> {
        let query = format!("SELECT batch FROM {TABLE} WHERE {}", place(db.dialect(), 1));
        self.read(db, &query)
    }

    fn read(&self, db: &mut dyn Connection, query: &str) -> Result<Option<String>, Error> {
        let mut rows = db.query(query, &self.cells("")[1..])?;
        let row = rows.fetch()?;
        let text = |row: db::Row<'_>| {
            String::from_utf8_lossy(row.cell(0).unwrap_or_default()).into_owned()
        };
        Ok(row.map(text))
    }
}

/// That a row is that of a job and a table; placeholders count from `first`.
fn place(dialect: &dyn Dialect, first: usize) -> String {
    format!(
        "job = {} AND item = {}",
        dialect.placeholder(first),
        dialect.placeholder(first + 1)
    )
}

fn layout(db: &dyn Connection) -> TableInfo {
    let column = |name: &str, declared: String| ColumnInfo {
        nullable: false,
        declared,
        ..ColumnInfo::new(name, Kind::Text)
    };
    let dialect = db.dialect();
    TableInfo {
        columns: vec![
            column("job", dialect.exact_text(63)),
            column("item", dialect.exact_text(255)),
            column("batch", dialect.type_name(Kind::Text, None)),
        ],
        primary_key: ["job", "item"].map(str::to_owned).to_vec(),
        ..TableInfo::default()
    }
}
