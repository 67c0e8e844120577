//! How far a table has been copied: a row of a table beside the data, changed in the transaction that carries the rows. What is committed of one is
//! committed of the other.

use chrono::{DateTime, SecondsFormat, Utc};
use db::{ColumnInfo, Connection, Kind, Load, Mode, TableInfo, TableName};

use crate::error::Error;
use crate::latecomers::Cursor;

/// The table in the target database.
pub(super) const TABLE: &str = "procctl_cursor";

/// Its columns.
const COLUMNS: [&str; 4] = ["job", "part", "place", "changed_at"];

/// What a cursor belongs to.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    job: String,
    /// The two tables, as the job file names them.
    part: String,
}

impl Owner {
    pub(super) fn new(job: &str, from: &str, to: &str) -> Owner {
        let part: String = format!("{from} -> {to}").chars().take(255).collect();
        Owner {
            job: job.to_owned(),
            part,
        }
    }

    fn cells(&self) -> [db::Cell<'_>; 2] {
        [Some(self.job.as_bytes()), Some(self.part.as_bytes())]
    }
}

/// Makes the table if the database has none. Outside any transaction: some databases commit at DDL.
pub(super) fn prepare(db: &mut dyn Connection) -> Result<(), Error> {
    let table = TableName::new(TABLE);
    if db.dictionary(&table)?.is_some() {
        return Ok(());
    }
    let dialect = db.dialect();
    let column = |name: &str, declared: String| ColumnInfo {
        nullable: false,
        declared,
        ..ColumnInfo::new(name, Kind::Text)
    };
    let info = TableInfo {
        columns: vec![
            column("job", dialect.exact_text(63)),
            column("part", dialect.exact_text(255)),
            column("place", dialect.type_name(Kind::Text, None)),
            column("changed_at", dialect.exact_text(32)),
        ],
        primary_key: ["job", "part"].map(str::to_owned).to_vec(),
        ..TableInfo::default()
    };
    let made = db.execute(&dialect.create_table(&table, &info), &[]);
    match made {
        // another job may have made it in the meantime
        Err(error) if db.dictionary(&table)?.is_none() => {
            let action = format!("making the table of cursors {TABLE}");
            Err(db::Error::new(error.kind(), action).because(error).into())
        }
        _ => Ok(()),
    }
}

/// How far the table has been copied; nothing if no run has noted anything.
pub(super) fn look(db: &mut dyn Connection, owner: &Owner) -> Result<Option<Cursor>, Error> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "SELECT place FROM {TABLE} WHERE job = {} AND part = {}",
        mark(1),
        mark(2)
    );
    let mut rows = db.query(&sql, &owner.cells())?;
    let Some(row) = rows.fetch()? else {
        return Ok(None);
    };
    let text = row.cell(0).unwrap_or_default();
    let broken = |error: serde_json::Error| {
        Error::Data(format!(
            "the cursor of {} in {TABLE} is not what this job writes: {error}; deleting that row lets it begin with the target's highest key",
            owner.part
        ))
    };
    serde_json::from_slice(text).map(Some).map_err(broken)
}

/// As [`look`], in a transaction, of which it lets there be one at a time: a COMMIT of a killed run that is still on its way is waited for.
pub(super) fn lock(db: &mut dyn Connection, owner: &Owner) -> Result<Option<Cursor>, Error> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "UPDATE {TABLE} SET part = part WHERE job = {} AND part = {}",
        mark(1),
        mark(2)
    );
    db.execute(&sql, &owner.cells())?;
    look(db, owner)
}

/// Notes how far the table has been copied; belongs into the transaction that carries the rows.
pub(super) fn save(
    db: &mut dyn Connection,
    owner: &Owner,
    cursor: &Cursor,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let columns = COLUMNS.map(str::to_owned);
    write(db, owner, cursor, now, Mode::Upsert { key: &columns[..2] }).map(drop)
}

/// Notes where a first run begins, before any row; whether nobody else has noted anything. The first COMMIT of a run that was killed is waited for.
pub(super) fn enter(
    db: &mut dyn Connection,
    owner: &Owner,
    cursor: &Cursor,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    Ok(write(db, owner, cursor, now, Mode::Skip)? > 0)
}

/// Forgets how far the table has been copied.
pub(super) fn forget(db: &mut dyn Connection, owner: &Owner) -> Result<(), Error> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "DELETE FROM {TABLE} WHERE job = {} AND part = {}",
        mark(1),
        mark(2)
    );
    db.execute(&sql, &owner.cells())?;
    Ok(())
}

fn write(
    db: &mut dyn Connection,
    owner: &Owner,
    cursor: &Cursor,
    now: DateTime<Utc>,
    mode: Mode<'_>,
) -> Result<u64, Error> {
    let columns = COLUMNS.map(str::to_owned);
    let table = TableName::new(TABLE);
    let load = Load {
        table: &table,
        columns: &columns,
        mode,
    };
    let text = serde_json::to_string(cursor)
        .map_err(|error| Error::Internal(format!("write a cursor: {error}")))?;
    let time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let [job, part] = owner.cells();
    let row = [job, part, Some(text.as_bytes()), Some(time.as_bytes())];
    Ok(db.execute(&db.dialect().insert(&load), &row)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_and_goes_with_its_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let options = db::Options {
            base: dir.path().to_owned(),
            ..db::Options::default()
        };
        let mut db = db::connect("sqlite:c.db", &options).unwrap();
        prepare(&mut *db).unwrap();
        prepare(&mut *db).unwrap();
        let owner = Owner::new("job", "a", "b");
        db.begin().unwrap();
        assert_eq!(lock(&mut *db, &owner).unwrap(), None);
        save(&mut *db, &owner, &Cursor::at(Some("5")), Utc::now()).unwrap();
        db.rollback().unwrap();
        assert_eq!(look(&mut *db, &owner).unwrap(), None);
        db.begin().unwrap();
        assert!(enter(&mut *db, &owner, &Cursor::at(None), Utc::now()).unwrap());
        assert!(!enter(&mut *db, &owner, &Cursor::at(None), Utc::now()).unwrap());
        db.commit().unwrap();
        for last in ["5", "7"] {
            db.begin().unwrap();
            save(&mut *db, &owner, &Cursor::at(Some(last)), Utc::now()).unwrap();
            db.commit().unwrap();
        }
        assert_eq!(lock(&mut *db, &owner).unwrap(), Some(Cursor::at(Some("7"))));
        assert_eq!(look(&mut *db, &Owner::new("job", "a", "c")).unwrap(), None);
    }
}
