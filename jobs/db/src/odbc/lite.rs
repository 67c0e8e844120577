//! SQLite's dictionary by way of its driver: pragmas as table-valued functions, as the driver's own catalog functions tell neither
//! unique keys nor computed columns. Kinds are those of the SQLite backend.

use crate::dictionary::read;
use crate::{Cell, ColumnInfo, Connection, Result, TableInfo, TableName, sqlite};

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table','view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
const FIND: &str =
    "SELECT type, wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2 COLLATE NOCASE";
const COLUMNS: &str = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?2, ?1) WHERE hidden <> 1 ORDER BY cid";
const KEYS: &str = "SELECT l.name, i.name FROM pragma_index_list(?2, ?1) l, pragma_index_xinfo(l.name, ?1) i \
    WHERE l.\"unique\" AND NOT l.partial AND l.origin <> 'pk' AND i.key ORDER BY l.seq DESC, i.seqno";

pub(super) fn tables(connection: &mut dyn Connection) -> Result<Vec<TableName>> {
    let names = read(connection, TABLES, &[])?
        .into_iter()
        .flatten()
        .flatten();
    Ok(names.map(TableName::new).collect())
}

pub(super) fn table(
    connection: &mut dyn Connection,
    table: &TableName,
) -> Result<Option<TableInfo>> {
    let schema = table.schema.as_deref().unwrap_or("main");
    let wanted: [Cell<'_>; 2] = [Some(schema.as_bytes()), Some(table.name.as_bytes())];
    let Some(found) = read(connection, FIND, &wanted)?.into_iter().next() else {
        return Ok(None);
    };
    let is = |cell: usize, text: &str| {
        found
            .get(cell)
            .is_some_and(|cell| cell.as_deref() == Some(text))
    };
    let mut info = TableInfo {
        view: is(0, "view"),
        ..TableInfo::default()
    };
    let mut key: Vec<(u32, String)> = Vec::new();
    for row in read(connection, COLUMNS, &wanted)? {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten();
        let (name, declared) = (next().unwrap_or_default(), next().unwrap_or_default());
        let (required, default) = (next().as_deref() == Some("1"), next());
        let mut number = || {
            next()
                .and_then(|text| text.parse::<u32>().ok())
                .unwrap_or(0)
        };
        let (place, hidden) = (number(), number());
        if place > 0 {
            key.push((place, name.clone()));
        }
        info.columns.push(ColumnInfo {
            kind: sqlite::kind(&declared),
            length: sqlite::length(&declared),
            nullable: !required,
            default,
            generated: hidden > 1,
            auto: false,
            collation: None,
            name,
            declared,
        });
    }
    key.sort();
    info.primary_key = key.into_iter().map(|(_, name)| name).collect();
    sqlite::mark_rowid(&mut info, is(1, "1"));
    let mut keys: Vec<(String, Vec<Option<String>>)> = Vec::new();
    for row in read(connection, KEYS, &wanted)? {
        let mut cells = row.into_iter();
        let index = cells.next().flatten().unwrap_or_default();
        if keys.last().is_none_or(|(last, _)| *last != index) {
            keys.push((index, Vec::new()));
        }
        if let Some((_, columns)) = keys.last_mut() {
            columns.push(cells.next().flatten());
        }
    }
    // an expression has no name: such an index is no key that a row could be found by
    let named = keys.into_iter().map(|(_, columns)| columns);
    info.uniques = named
        .filter_map(|columns| columns.into_iter().collect())
        .collect();
    Ok(Some(info))
}
