//! The ledger of captures, in the target beside the data: which entries of a log have arrived, so that they may go from the log.
//!
//! Its row is written in the transaction that carries the changes. Whoever is killed after that commit and before the log is trimmed finds
//! it, and trims first: no change is applied by a number twice, and none is forgotten.

use db::{ColumnInfo, Connection, Kind, Load, Mode, TableInfo, TableName};

use super::seqs;

/// The ledger's table in the target database.
const TABLE: &str = "procctl_captured";

const COLUMNS: [&str; 2] = ["log", "taken"];

/// Makes the ledger's table if there is none; outside any transaction.
pub(super) fn prepare(db: &mut dyn Connection) -> db::Result<()> {
    let table = TableName::new(TABLE);
    if db.dictionary(&table)?.is_some() {
        return Ok(());
    }
    let dialect = db.dialect();
    let log = ColumnInfo {
        nullable: false,
        declared: dialect.exact_text(64),
        ..ColumnInfo::new(COLUMNS[0], Kind::Text)
    };
    let info = TableInfo {
        columns: vec![log, ColumnInfo::new(COLUMNS[1], Kind::Text)],
        primary_key: vec![COLUMNS[0].to_owned()],
        ..TableInfo::default()
    };
    let sql = dialect.create_table(&table, &info);
    crate::likeness::make(db, &table, &[sql]).map(|_| ())
}

/// What was taken last from the log of that name; empty when nothing was.
pub(super) fn taken(db: &mut dyn Connection, log: &str) -> db::Result<Vec<u64>> {
    let sql = format!(
        "SELECT taken FROM {TABLE} WHERE log = {}",
        db.dialect().placeholder(1)
    );
    let mut rows = db.query(&sql, &[Some(log.as_bytes())])?;
    let Some(row) = rows.fetch()? else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8_lossy(row.cell(0).unwrap_or_default()).into_owned();
    seqs::read(&text).ok_or_else(|| {
        let action = format!("reading what was taken from {log} in {TABLE}");
        db::Error::new(db::ErrorKind::Invalid, action)
    })
}

/// Notes what is taken with this transaction, in the place of what was taken before.
pub(super) fn take(db: &mut dyn Connection, log: &str, taken: &[u64]) -> db::Result<()> {
    let columns = COLUMNS.map(str::to_owned);
    let table = TableName::new(TABLE);
    let text = seqs::write(taken);
    let sql = db.dialect().insert(&Load {
        table: &table,
        columns: &columns,
        mode: Mode::Upsert { key: &columns[..1] },
    });
    db.execute(&sql, &[Some(log.as_bytes()), Some(text.as_bytes())])
        .map(|_| ())
}

/// Forgets a log that is no more; nothing where there is no ledger.
pub(super) fn forget(db: &mut dyn Connection, log: &str) -> db::Result<()> {
    if db.dictionary(&TableName::new(TABLE))?.is_none() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM {TABLE} WHERE log = {}",
        db.dialect().placeholder(1)
    );
    db.execute(&sql, &[Some(log.as_bytes())]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_taken_counts_and_a_rollback_forgets_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = db::Options {
            base: dir.path().to_owned(),
            ..db::Options::default()
        };
        let mut db = db::connect("sqlite:t.db", &options).unwrap();
        prepare(&mut *db).unwrap();
        prepare(&mut *db).unwrap();
        assert_eq!(taken(&mut *db, "l").unwrap(), [0; 0]);
        db.begin().unwrap();
        take(&mut *db, "l", &[5, 6, 8]).unwrap();
        db.commit().unwrap();
        db.begin().unwrap();
        take(&mut *db, "l", &[9]).unwrap();
        db.rollback().unwrap();
        assert_eq!(taken(&mut *db, "l").unwrap(), [5, 6, 8]);
        forget(&mut *db, "l").unwrap();
        assert_eq!(taken(&mut *db, "l").unwrap(), [0; 0]);
    }
}
