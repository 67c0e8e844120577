//! Brings a batch of changes into the target, in one transaction: what is gone first, then what is there, then the ledger's row.

use db::{Cell, ColumnInfo, Connection, Dialect, Load, Mode};

use super::ledger;
use super::reading::{Entries, Portion};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::statement::STATEMENT;

/// So many keys are deleted by one statement.
const KEYS: usize = 500;

/// Applies a batch; the source has its snapshot open, which ends here. Commits, or leaves it to the caller to roll back.
pub(super) fn apply(
    cx: &Context,
    portion: &Portion<'_>,
    batch: &Entries,
    source: &mut dyn Connection,
    target: &mut dyn Connection,
) -> Result<Tally, Error> {
    let way = portion.way;
    let mut tally = Tally {
        read: batch.seqs.len() as u64,
        ..Tally::default()
    };
    target.begin()?;
    if batch.emptied.is_some() {
        let table = target.dialect().qualify(&way.target);
        let _step = cx.step("empty the target", STATEMENT);
        tally.written += target.execute(&format!("DELETE FROM {table}{}", way.scope), &[])?;
    }
    let step = cx.step("look keys up", STATEMENT);
    let gone = keys(source, &portion.gone(way.strict))?;
    drop(step);
    for some in gone.chunks(KEYS) {
        cx.checkpoint()?;
        let (sql, cells) = deletion(target.dialect(), portion, some);
        let deleted = target.execute(&sql, &cells)?;
        if !way.strict {
            tally.written += deleted;
        }
    }
    let (rows, bytes) = load(cx, portion, source, target)?;
    // in a file of SQLite that is both sides nobody commits while somebody reads
    source.rollback()?;
    tally.written += rows;
    tally.bytes += bytes;
    ledger::take(target, &way.log.table.name, &batch.seqs)?;
    cx.checkpoint()?;
    target.commit()?;
    Ok(tally)
}

/// All rows of a query, which are keys.
fn keys(source: &mut dyn Connection, sql: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>, Error> {
    let mut rows = source.query(sql, &[])?;
    let mut found = Vec::new();
    while let Some(row) = rows.fetch()? {
        found.push(row.cells().map(|cell| cell.map(<[u8]>::to_vec)).collect());
    }
    Ok(found)
}

/// The statement that deletes these keys, and its parameters.
fn deletion<'k>(
    dialect: &dyn Dialect,
    portion: &Portion<'_>,
    keys: &'k [Vec<Option<Vec<u8>>>],
) -> (String, Vec<Cell<'k>>) {
    let way = portion.way;
    let table = dialect.qualify(&way.target);
    let sql = dialect.delete_keys(&table, &way.scope, &way.key, keys.len());
    let cells = keys.iter().flatten().map(Option::as_deref);
    (sql, cells.collect())
}

/// Streams the rows that are there into the target; how many, and their bytes.
fn load(
    cx: &Context,
    portion: &Portion<'_>,
    source: &mut dyn Connection,
    target: &mut dyn Connection,
) -> Result<(u64, u64), Error> {
    let way = portion.way;
    let key: Vec<String> = way.key.iter().map(|column| column.name.clone()).collect();
    let mode = if way.strict {
        Mode::Append
    } else {
        Mode::Upsert { key: &key }
    };
    let step = cx.step("query", STATEMENT);
    let mut rows = source.query(&portion.present(), &[])?;
    drop(step);
    let into = Load {
        table: &way.target,
        columns: &way.names,
        mode,
    };
    let mut loader = target.load_known(&into, portion.info)?;
    let mut bytes = 0;
    let mut counted = 0_u64;
    while let Some(row) = rows.fetch()? {
        let given = way.given.iter().map(|text| Some(text.as_bytes()));
        let cells: Vec<Cell<'_>> = row.cells().chain(given).collect();
        bytes += cells
            .iter()
            .flatten()
            .map(|text| text.len() as u64)
            .sum::<u64>();
        loader.push(&cells)?;
        counted += 1;
        if counted.is_multiple_of(256) {
            cx.checkpoint()?;
            refused(way, loader.rejects())?;
        }
    }
    let _step = cx.step("write rows", STATEMENT);
    let loaded = loader.finish()?;
    refused(way, loaded.rejects)?;
    cx.progress(loaded.rows, bytes);
    Ok((loaded.rows, bytes))
}

/// A row that the target refuses stops the batch: what follows may rest on it.
fn refused(way: &super::Way, rejects: Vec<db::Reject>) -> Result<(), Error> {
    let Some(reject) = rejects.into_iter().next() else {
        return Ok(());
    };
    let cell = |column: &ColumnInfo| {
        let at = way.names.iter().position(|name| *name == column.name)?;
        let text = reject.cells.get(at)?.as_ref()?;
        Some(format!("{} {}", column.name, String::from_utf8_lossy(text)))
    };
    let key: Vec<String> = way.key.iter().filter_map(cell).collect();
    let action = format!(
        "applying a change of {} to {} ({})",
        way.log.source,
        way.target,
        key.join(", ")
    );
    let kind = reject.error.kind();
    Err(Error::Database(
        db::Error::new(kind, action).because(reject.error),
    ))
}
