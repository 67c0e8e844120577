//! SQLite's dictionary: pragmas as table-valued functions, so that names are bound and never pasted.

use super::kind::{kind, length};
use crate::{ColumnInfo, TableInfo, TableName};
use rusqlite::Connection;

const MAIN: &str = "main";

/// Tables and views, in name order, without SQLite's own.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<TableName>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM sqlite_schema WHERE type IN ('table','view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0).map(TableName::new))?;
    names.collect()
}

/// One table or view.
pub(super) fn table(
    connection: &Connection,
    table: &TableName,
) -> rusqlite::Result<Option<TableInfo>> {
    let schema = table.schema.as_deref().unwrap_or(MAIN);
    let Some((kind_of_table, without_rowid)) = find(connection, schema, &table.name)? else {
        return Ok(None);
    };
    let mut info = TableInfo {
        view: kind_of_table == "view",
        ..TableInfo::default()
    };
    let mut key: Vec<(i64, String)> = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, ?2) WHERE hidden <> 1 ORDER BY cid",
    )?;
    let mut rows = statement.query([&table.name, schema])?;
    while let Some(row) = rows.next()? {
        let (name, declared, place): (String, String, i64) =
            (row.get(0)?, row.get(1)?, row.get(4)?);
        if place > 0 {
            key.push((place, name.clone()));
        }
        info.columns.push(ColumnInfo {
            kind: kind(&declared),
            length: length(&declared),
            nullable: row.get::<_, i64>(2)? == 0,
            default: row.get(3)?,
            generated: row.get::<_, i64>(5)? > 1,
            auto: false,
            collation: None,
            name,
            declared,
        });
    }
    key.sort();
    info.primary_key = key.into_iter().map(|(_, name)| name).collect();
    mark_rowid(&mut info, without_rowid);
    info.uniques = uniques(connection, schema, &table.name)?;
    Ok(Some(info))
}

fn find(
    connection: &Connection,
    schema: &str,
    name: &str,
) -> rusqlite::Result<Option<(String, bool)>> {
    let mut statement = connection.prepare_cached(
        "SELECT type, wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2 COLLATE NOCASE",
    )?;
    let mut rows = statement.query([schema, name])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, row.get(1)?))),
        None => Ok(None),
    }
}

/// A single `INTEGER PRIMARY KEY` is the rowid: SQLite numbers it. In tables without rowid no key column may be NULL.
pub(crate) fn mark_rowid(info: &mut TableInfo, without_rowid: bool) {
    let single = info.primary_key.len() == 1;
    for column in &mut info.columns {
        if !info.primary_key.contains(&column.name) {
            continue;
        }
        column.auto = single && !without_rowid && column.declared.eq_ignore_ascii_case("INTEGER");
        if without_rowid || column.auto {
            column.nullable = false;
        }
    }
}

/// Unique keys beside the primary key, over whole tables and plain columns.
fn uniques(
    connection: &Connection,
    schema: &str,
    table: &str,
) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = connection.prepare_cached(
        "SELECT l.name, i.name FROM pragma_index_list(?1, ?2) l, pragma_index_xinfo(l.name, ?2) i \
         WHERE l.\"unique\" AND NOT l.partial AND l.origin <> 'pk' AND i.key ORDER BY l.seq DESC, i.seqno",
    )?;
    let mut rows = statement.query([table, schema])?;
    let mut found: Vec<(String, Vec<Option<String>>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let index: String = row.get(0)?;
        if found.last().is_none_or(|(last, _)| *last != index) {
            found.push((index, Vec::new()));
        }
        if let Some((_, columns)) = found.last_mut() {
            columns.push(row.get(1)?);
        }
    }
    // an expression has no name: such an index is no key that a row could be found by
    Ok(found
        .into_iter()
        .filter_map(|(_, columns)| columns.into_iter().collect())
        .collect())
}
