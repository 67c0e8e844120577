//! How far a report has come, in a table beside the data: the cursor is in the transaction of the rows that it speaks of.
//!
//! A row (job, part; unique) holds the end of the last window that is done. It is moved first thing in a window's transaction: whoever
//! repeats the window after a crash meets it there, also while the COMMIT of the killed run is still on its way, for then the row is locked.
//! This room knows rows of that table and no windows.

use chrono::{DateTime, SecondsFormat, Utc};
use db::{ColumnInfo, Connection, Constraint, ErrorKind, Kind, TableInfo, TableName};

/// The table, in each database that a report writes to.
const TABLE: &str = "procctl_report";

/// What a cursor speaks of. A database may be the source of a report's steps and, by another URL, the target of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The steps; where the rows go into the same database, these too.
    Steps,
    /// The rows of the query, in another database.
    Rows,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Steps => "steps",
            Part::Rows => "rows",
        }
    }
}

/// Makes the table and the job's row if they are not there. Outside any transaction: some databases commit at DDL.
pub(super) fn prepare(
    db: &mut dyn Connection,
    job: &str,
    part: Part,
    upto: &str,
) -> db::Result<()> {
    let table = TableName::new(TABLE);
    if db.dictionary(&table)?.is_none() {
        let made = db.execute(&db.dialect().create_table(&table, &layout()), &[]);
        // another job may have made it in the meantime
        if let Err(error) = made
            && db.dictionary(&table)?.is_none()
        {
            return Err(error);
        }
    }
    if look(db, job, part)?.is_some() {
        return Ok(());
    }
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "INSERT INTO {TABLE} (job, part, upto, moved_at) VALUES ({}, {}, {}, '-')",
        mark(1),
        mark(2),
        mark(3)
    );
    match db.execute(
        &sql,
        &[
            Some(job.as_bytes()),
            Some(part.name().as_bytes()),
            Some(upto.as_bytes()),
        ],
    ) {
        Err(error) if error.kind() == ErrorKind::Constraint(Constraint::Unique) => Ok(()),
        made => made.map(drop),
    }
}

fn layout() -> TableInfo {
    let text = |name: &str, length| ColumnInfo {
        nullable: false,
        length: Some(length),
        ..ColumnInfo::new(name, Kind::Text)
    };
    TableInfo {
        columns: vec![
            text("job", 63),
            text("part", 8),
            text("upto", 32),
            text("moved_at", 32),
        ],
        primary_key: ["job", "part"].map(str::to_owned).to_vec(),
        ..TableInfo::default()
    }
}

/// The end of the last window that is done; `None` if the table or the row is not there.
pub(super) fn look(db: &mut dyn Connection, job: &str, part: Part) -> db::Result<Option<String>> {
    if db.dictionary(&TableName::new(TABLE))?.is_none() {
        return Ok(None);
    }
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "SELECT upto FROM {TABLE} WHERE job = {} AND part = {}",
        mark(1),
        mark(2)
    );
    let mut rows = db.query(&sql, &[Some(job.as_bytes()), Some(part.name().as_bytes())])?;
    let row = rows.fetch()?;
    Ok(row
        .and_then(|row| row.cell(0))
        .map(|text| String::from_utf8_lossy(text).into_owned()))
}

/// Moves the cursor on to `upto`; `false` if it is there already, or further. Belongs into the transaction of the window.
pub(super) fn claim(
    db: &mut dyn Connection,
    job: &str,
    part: Part,
    upto: &str,
    now: DateTime<Utc>,
) -> db::Result<bool> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "UPDATE {TABLE} SET upto = {}, moved_at = {} WHERE job = {} AND part = {} AND upto < {}",
        mark(1),
        mark(2),
        mark(3),
        mark(4),
        mark(5)
    );
    Ok(update(db, &sql, job, part, upto, now, true)? > 0)
}

/// Puts the cursor wherever an operator wants it.
pub(super) fn put(
    db: &mut dyn Connection,
    job: &str,
    part: Part,
    upto: &str,
    now: DateTime<Utc>,
) -> db::Result<()> {
    let mark = |n| db.dialect().placeholder(n);
    let sql = format!(
        "UPDATE {TABLE} SET upto = {}, moved_at = {} WHERE job = {} AND part = {}",
        mark(1),
        mark(2),
        mark(3),
        mark(4)
    );
    update(db, &sql, job, part, upto, now, false).map(drop)
}

fn update(
    db: &mut dyn Connection,
    sql: &str,
    job: &str,
    part: Part,
    upto: &str,
    now: DateTime<Utc>,
    compare: bool,
) -> db::Result<u64> {
    let time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let upto = Some(upto.as_bytes());
    let mut cells = vec![
        upto,
        Some(time.as_bytes()),
        Some(job.as_bytes()),
        Some(part.name().as_bytes()),
    ];
    if compare {
        cells.push(upto);
    }
    db.execute(sql, &cells)
}
