//! The ledger: a table beside the data that says which file was loaded, so that none is loaded twice.
//!
//! A row (job, file name, content hash; unique) goes into the transaction that carries the file's rows, before them. Whoever repeats the
//! load after a crash meets it there: also while the COMMIT of the killed run is still on its way, for then the unique key makes the newcomer wait.
//! Names compare exactly, whatever the database's collation is.
//! This room knows rows of the ledger and no files.

use chrono::{DateTime, SecondsFormat, Utc};
use db::{ColumnInfo, Connection, ErrorKind, Kind, Load, Mode, TableInfo, TableName};

/// The ledger's table in the target database.
pub const TABLE: &str = "procctl_ledger";

/// The column of a file's name: a word that some databases keep for themselves, so that it stands in quotes.
const FILE: &str = "file";

/// Its columns.
const COLUMNS: [&str; 7] = [
    "job",
    FILE,
    "hash",
    "done",
    "position",
    "rejected",
    "loaded_at",
];

/// What the ledger says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It has not been loaded; the ledger holds it from now on, in this transaction.
    New,
    /// Part of it has been loaded, in transactions before.
    Begun(Progress),
    /// It has been loaded to its end.
    Loaded,
}

/// How far a file has been loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows dealt with, good and bad.
    pub position: u64,
    /// Bad rows among them.
    pub rejected: u64,
}

/// A file as the ledger knows it.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The file's name without its folder.
    pub file: &'a str,
    /// Hash of its content, in hex.
    pub hash: &'a str,
}

impl Key<'_> {
    fn cells(&self) -> [db::Cell<'_>; 3] {
        [
            Some(self.job.as_bytes()),
            Some(self.file.as_bytes()),
            Some(self.hash.as_bytes()),
        ]
    }
}

/// Makes the ledger's table if the database has none. Outside any transaction: some databases commit at DDL.
///
/// # Errors
/// Those of the database.
pub fn prepare(db: &mut dyn Connection) -> db::Result<()> {
    let table = TableName::new(TABLE);
    if db.dictionary(&table)?.is_some() {
        return Ok(());
    }
    let dialect = db.dialect();
    let text = |name: &str, length| ColumnInfo {
        nullable: false,
        declared: dialect.exact_text(length),
        ..ColumnInfo::new(name, Kind::Text)
    };
    let number = |name: &str| ColumnInfo {
        nullable: false,
        ..ColumnInfo::new(name, Kind::Integer)
    };
    let info = TableInfo {
        columns: vec![
            text("job", 63),
            text(FILE, 255),
            text("hash", 64),
            number("done"),
            number("position"),
            number("rejected"),
            text("loaded_at", 32),
        ],
        primary_key: ["job", FILE, "hash"].map(str::to_owned).to_vec(),
        ..TableInfo::default()
    };
    let made = db.execute(&db.dialect().create_table(&table, &info), &[]);
    // another job may have made it in the meantime
    match made {
        Err(error) if db.dictionary(&table)?.is_none() => {
            let action = format!("making the ledger's table {TABLE}");
            Err(db::Error::new(error.kind(), action).because(error))
        }
        _ => Ok(()),
    }
}

/// Looks a file up and enters it if it is new; belongs into the transaction that loads it. Where another transaction
/// enters the same file at this moment, this waits for its end, and knows then.
///
/// # Errors
/// Those of the database.
pub fn enter(db: &mut dyn Connection, key: &Key<'_>, now: DateTime<Utc>) -> db::Result<Entry> {
    let columns = COLUMNS.map(str::to_owned);
    let table = TableName::new(TABLE);
    let sql = db.dialect().insert(&Load {
        table: &table,
        columns: &columns,
        mode: Mode::Skip,
    });
    let time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let [job, file, hash] = key.cells();
    let none = Some(&b"0"[..]);
    let row = [job, file, hash, none, none, none, Some(time.as_bytes())];
    if db.execute(&sql, &row)? > 0 {
        return Ok(Entry::New);
    }
    let missing = || {
        let action = format!("entering {} into the ledger", key.file);
        db::Error::new(ErrorKind::Busy, action)
    };
    look(db, key)?.ok_or_else(missing)
}

/// Forgets other contents of the same name: if one of them comes again, it counts as new.
///
/// # Errors
/// Those of the database.
pub fn forget_others(db: &mut dyn Connection, key: &Key<'_>) -> db::Result<()> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "DELETE FROM {TABLE} WHERE job = {} AND {} = {} AND hash <> {}",
        mark(1),
        db.dialect().quote(FILE),
        mark(2),
        mark(3)
    );
    db.execute(&sql, &key.cells()).map(|_| ())
}

/// What the ledger says of a file, without entering it.
///
/// # Errors
/// Those of the database.
pub fn look(db: &mut dyn Connection, key: &Key<'_>) -> db::Result<Option<Entry>> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "SELECT done, position, rejected FROM {TABLE} WHERE job = {} AND {} = {} AND hash = {}",
        mark(1),
        db.dialect().quote(FILE),
        mark(2),
        mark(3)
    );
    let mut rows = db.query(&sql, &key.cells())?;
    let Some(row) = rows.fetch()? else {
        return Ok(None);
    };
    let number = |index| {
        row.cell(index)
            .and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(Some(if number(0) == 1 {
        Entry::Loaded
    } else {
        Entry::Begun(Progress {
            position: number(1),
            rejected: number(2),
        })
    }))
}

/// Notes how far the file has been loaded, and whether that was all.
///
/// # Errors
/// Those of the database.
pub fn advance(
    db: &mut dyn Connection,
    key: &Key<'_>,
    progress: Progress,
    done: bool,
) -> db::Result<()> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "UPDATE {TABLE} SET done = {}, position = {}, rejected = {} WHERE job = {} AND {} = {} AND hash = {}",
        u8::from(done),
        progress.position,
        progress.rejected,
        mark(1),
        db.dialect().quote(FILE),
        mark(2),
        mark(3)
    );
    db.execute(&sql, &key.cells()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_new_once_and_a_rollback_forgets_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = db::Options {
            base: dir.path().to_owned(),
            ..db::Options::default()
        };
        let mut db = db::connect("sqlite:l.db", &options).unwrap();
        prepare(&mut *db).unwrap();
        prepare(&mut *db).unwrap();
        let key = Key {
            job: "in",
            file: "a.xml",
            hash: "00",
        };
        db.begin().unwrap();
        assert_eq!(enter(&mut *db, &key, Utc::now()).unwrap(), Entry::New);
        db.rollback().unwrap();
        db.begin().unwrap();
        assert_eq!(enter(&mut *db, &key, Utc::now()).unwrap(), Entry::New);
        let half = Progress {
            position: 5000,
            rejected: 2,
        };
        advance(&mut *db, &key, half, false).unwrap();
        db.commit().unwrap();
        assert_eq!(
            enter(&mut *db, &key, Utc::now()).unwrap(),
            Entry::Begun(half)
        );
        advance(
            &mut *db,
            &key,
            Progress {
                position: 5100,
                rejected: 2,
            },
            true,
        )
        .unwrap();
        assert_eq!(enter(&mut *db, &key, Utc::now()).unwrap(), Entry::Loaded);
        let other = Key { hash: "01", ..key };
        assert_eq!(enter(&mut *db, &other, Utc::now()).unwrap(), Entry::New);
        forget_others(&mut *db, &other).unwrap();
        assert_eq!(look(&mut *db, &key).unwrap(), None);
        assert!(look(&mut *db, &other).unwrap().is_some());
    }
}
