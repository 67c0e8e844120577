//! PostgreSQL's dictionary, from the catalogs themselves: the information schema hides what the account does not own.

use super::kind::{kind, length};
use crate::dictionary::read;
use crate::{ColumnInfo, Connection, Kind, Result, TableInfo, TableName};

const TABLES: &str = "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname COLLATE \"C\"";

/// The last columns are whether COPY takes rows for such a relation, which it does not for a view, and whether policies hold for
/// the account, under which it takes none either.
const FIND: &str = "SELECT c.oid, c.relkind, c.relkind IN ('r', 'p', 'f'), pg_catalog.row_security_active(c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND CASE WHEN CAST($2 AS TEXT) IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2 END";

/// A domain is what it rests on.
const COLUMNS: &str = "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull OR t.typnotnull, \
    pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> '', a.attidentity <> '', \
    CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE a.atttypid END, \
    CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
    CASE WHEN a.attcollation <> t.typcollation THEN o.collname END \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE a.attrelid = CAST($1 AS OID) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Keys over plain columns and all rows; columns in the key's order.
const KEYS: &str = "SELECT i.indexrelid, i.indisprimary, a.attname, x.relname FROM pg_catalog.pg_index i \
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
    CROSS JOIN LATERAL unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY AS k(attnum, place) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indrelid = CAST($1 AS OID) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
    AND k.place <= i.indnkeyatts ORDER BY i.indexrelid, k.place";

/// What the table refers to: this table's column, the other table's schema, name and column. Not the table itself, whose rows
/// may refer to each other.
const PARENTS: &str = "SELECT c.oid, a.attname, n.nspname, r.relname, f.attname FROM pg_catalog.pg_constraint c \
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(own, other, place) \
    JOIN pg_catalog.pg_class r ON r.oid = c.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.own \
    JOIN pg_catalog.pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.other \
    WHERE c.conrelid = CAST($1 AS OID) AND c.contype = 'f' AND c.confrelid <> c.conrelid ORDER BY c.oid, k.place";

/// A table that another refers to.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) table: TableName,
    /// The referring columns, and those that they refer to.
    pub(super) own: Vec<String>,
    pub(super) other: Vec<String>,
}

/// A unique key: the index's name, whether it is the primary key, its columns.
#[derive(Debug)]
struct Key {
    index: String,
    primary: bool,
    columns: Vec<String>,
}

/// What a loader must know of a table beyond its columns.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Vec<Key>,
    pub(super) parents: Vec<Parent>,
    /// Whether LOCK TABLE knows such a table.
    pub(super) lockable: bool,
    /// Whether COPY refuses to load it, where an INSERT may.
    pub(super) uncopied: bool,
    /// Whether policies of the table may refuse single rows.
    pub(super) policed: bool,
}

impl Keys {
    /// The columns of the key whose index an error names.
    pub(super) fn named(&self, index: &str) -> Option<&[String]> {
        if index.is_empty() {
            return None;
        }
        let found = self.keys.iter().find(|key| key.index == index);
        found.map(|key| key.columns.as_slice())
    }

    /// Each key's columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Vec<String>> {
        self.keys.iter().map(|key| &key.columns)
    }
}

pub(crate) fn tables(connection: &mut dyn Connection) -> Result<Vec<TableName>> {
    let names = read(connection, TABLES, &[])?;
    Ok(names
        .into_iter()
        .filter_map(|row| row.into_iter().next()?)
        .map(TableName::new)
        .collect())
}

pub(crate) fn table(
    connection: &mut dyn Connection,
    table: &TableName,
) -> Result<Option<TableInfo>> {
    let Some(found) = find(connection, table)? else {
        return Ok(None);
    };
    let oid = found.oid;
    let mut info = TableInfo {
        view: matches!(found.relkind.as_str(), "v" | "m"),
        ..TableInfo::default()
    };
    for row in read(connection, COLUMNS, &[Some(oid.as_bytes())])? {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten();
        let (name, declared) = (next().unwrap_or_default(), next().unwrap_or_default());
        let (required, default) = (next().as_deref() == Some("1"), next());
        let generated = next().as_deref() == Some("1");
        let identity = next().as_deref() == Some("1");
        let oid = next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let modifier = next().and_then(|text| text.parse().ok()).unwrap_or(-1);
        let collation = next();
        info.columns.push(ColumnInfo {
            name,
            kind: kind(oid),
            declared,
            nullable: !required,
            auto: identity
                || default
                    .as_deref()
                    .is_some_and(|text| text.starts_with("nextval(")),
            default,
            generated,
            length: length(oid, modifier)
                .filter(|_| matches!(kind(oid), Kind::Text | Kind::Decimal)),
            collation,
        });
    }
    for key in keys(connection, &oid)? {
        if key.primary {
            info.primary_key = key.columns;
        } else {
            info.uniques.push(key.columns);
        }
    }
    Ok(Some(info))
}

/// The table's keys by their index's name, which errors tell.
pub(super) fn key_names(connection: &mut dyn Connection, table: &TableName) -> Result<Keys> {
    match find(connection, table)? {
        Some(found) => Ok(Keys {
            uncopied: !found.stored || found.policed,
            policed: found.policed,
            keys: keys(connection, &found.oid)?,
            parents: parents(connection, &found.oid)?,
            lockable: matches!(found.relkind.as_str(), "r" | "p"),
        }),
        None => Ok(Keys::default()),
    }
}

/// What [`FIND`] tells.
struct Found {
    oid: String,
    relkind: String,
    /// It is no view.
    stored: bool,
    policed: bool,
}

fn find(connection: &mut dyn Connection, table: &TableName) -> Result<Option<Found>> {
    let schema = table.schema.as_ref().map(String::as_bytes);
    let rows = read(connection, FIND, &[Some(table.name.as_bytes()), schema])?;
    Ok(rows.into_iter().next().and_then(|row| {
        let mut cells = row.into_iter().flatten();
        Some(Found {
            oid: cells.next()?,
            relkind: cells.next()?,
            stored: cells.next()? == "1",
            policed: cells.next()? == "1",
        })
    }))
}

fn keys(connection: &mut dyn Connection, oid: &str) -> Result<Vec<Key>> {
    let mut found: Vec<(String, Key)> = Vec::new();
    for row in read(connection, KEYS, &[Some(oid.as_bytes())])? {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (id, primary, column, index) = (next(), next() == "1", next(), next());
        match found.last_mut().filter(|(last, _)| *last == id) {
            Some((_, key)) => key.columns.push(column),
            None => found.push((
                id,
                Key {
                    index,
                    primary,
                    columns: vec![column],
                },
            )),
        }
    }
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

fn parents(connection: &mut dyn Connection, oid: &str) -> Result<Vec<Parent>> {
    let mut found: Vec<(String, Parent)> = Vec::new();
    for row in read(connection, PARENTS, &[Some(oid.as_bytes())])? {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (id, own, schema, name, other) = (next(), next(), next(), next(), next());
        match found.last_mut().filter(|(last, _)| *last == id) {
            Some((_, parent)) => {
                parent.own.push(own);
                parent.other.push(other);
            }
            None => {
                let table = TableName {
                    schema: Some(schema),
                    name,
                };
                let (own, other) = (vec![own], vec![other]);
                found.push((id, Parent { table, own, other }));
            }
        }
    }
    Ok(found.into_iter().map(|(_, parent)| parent).collect())
}
