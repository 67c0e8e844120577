//! The dictionary of SQL Server: the catalog views, which show what the account may see.

use super::dialect::Mssql;
use super::kind::{Size, declared, kind, length};
use crate::dictionary::read;
use crate::{Cell, ColumnInfo, Connection, Dialect, Kind, Result, TableInfo, TableName};

const TABLES: &str = "SELECT name FROM sys.objects WHERE schema_id = SCHEMA_ID() AND type IN ('U', 'V') AND is_ms_shipped = 0 \
    ORDER BY name COLLATE Latin1_General_100_BIN2";

/// By its quoted name, which OBJECT_ID resolves as a statement would.
const FIND: &str = "SELECT CAST(object_id AS VARCHAR(20)), RTRIM(type) FROM sys.objects \
    WHERE object_id = OBJECT_ID(@P1) AND type IN ('U', 'V')";

/// A type of one's own is what it rests on. Numbered, stamped and computed columns take no values of ours.
const COLUMNS: &str = "SELECT c.name, COALESCE(TYPE_NAME(c.system_type_id), TYPE_NAME(c.user_type_id)), c.max_length, c.precision, c.scale, \
    c.is_nullable, OBJECT_DEFINITION(c.default_object_id), c.is_computed, c.is_identity, \
    COALESCE(COLUMNPROPERTY(c.object_id, c.name, 'GeneratedAlwaysType'), 0), \
    NULLIF(c.collation_name, CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS NVARCHAR(128))) \
    FROM sys.columns c WHERE c.object_id = CAST(@P1 AS INT) ORDER BY c.column_id";

/// Keys over plain columns and all rows; columns in the key's order.
const KEYS: &str = "SELECT i.index_id, i.is_primary_key, c.name FROM sys.indexes i \
    JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.key_ordinal > 0 \
    JOIN sys.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id \
    WHERE i.object_id = CAST(@P1 AS INT) AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 \
    ORDER BY i.is_primary_key DESC, i.index_id, k.key_ordinal";

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
    let name = Mssql.qualify(table);
    let Some(found) = read(connection, FIND, &[Some(name.as_bytes())])?
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let mut found = found.into_iter().map(Option::unwrap_or_default);
    let (object, sort) = (found.next().unwrap_or_default(), found.next());
    let wanted: [Cell<'_>; 1] = [Some(object.as_bytes())];
    let columns = read(connection, COLUMNS, &wanted)?;
    let mut info = TableInfo {
        view: sort.as_deref() == Some("V"),
        columns: columns.into_iter().map(column).collect(),
        ..TableInfo::default()
    };
    add_keys(&mut info, read(connection, KEYS, &wanted)?);
    Ok(Some(info))
}

/// A column by a row of [`COLUMNS`].
fn column(row: Vec<Option<String>>) -> ColumnInfo {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (name, word) = (next().unwrap_or_default(), next().unwrap_or_default());
    let mut number = || {
        next()
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let bytes = number();
    let mut unsigned = || u64::try_from(number()).unwrap_or(0);
    let size = Size {
        bytes,
        precision: unsigned(),
        scale: unsigned(),
    };
    let nullable = next().as_deref() == Some("1");
    let default = next();
    let computed = next().as_deref() == Some("1");
    let auto = next().as_deref() == Some("1");
    let period = next().is_some_and(|sort| sort != "0");
    let collation = next();
    let kind = kind(&word);
    ColumnInfo {
        kind,
        declared: declared(&word, size),
        nullable,
        default,
        generated: computed || period || word == "timestamp",
        auto,
        collation,
        length: length(&word, size).filter(|_| matches!(kind, Kind::Text | Kind::Decimal)),
        name,
    }
}

/// Adds the keys by the rows of [`KEYS`].
fn add_keys(info: &mut TableInfo, rows: Vec<Vec<Option<String>>>) {
    let mut keys: Vec<(String, bool, Vec<String>)> = Vec::new();
    for row in rows {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten().unwrap_or_default();
        let (index, primary, column) = (next(), next() == "1", next());
        if keys.last().is_none_or(|(last, ..)| *last != index) {
            keys.push((index, primary, Vec::new()));
        }
        if let Some((_, _, columns)) = keys.last_mut() {
            columns.push(column);
        }
    }
    for (_, primary, columns) in keys {
        if primary {
            info.primary_key = columns;
        } else {
            info.uniques.push(columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<Option<String>> {
        let cells = cells.iter().map(|cell| Some((*cell).to_owned()));
        cells
            .map(|cell| cell.filter(|text| text != "NULL"))
            .collect()
    }

    #[test]
    fn rows_of_the_catalog_become_columns() {
        let id = column(row(&[
            "id", "bigint", "8", "19", "0", "0", "NULL", "0", "1", "0",
        ]));
        assert_eq!(
            (id.kind, id.auto, id.nullable, id.generated),
            (Kind::Integer, true, false, false)
        );
        let name = column(row(&[
            "name", "nvarchar", "40", "0", "0", "1", "(N'x')", "0", "0", "0",
        ]));
        assert_eq!(
            (name.kind, name.length, name.nullable),
            (Kind::Text, Some(20), true)
        );
        assert_eq!(
            (name.declared.as_str(), name.default.as_deref()),
            ("nvarchar(20)", Some("(N'x')"))
        );
        let stamp = column(row(&[
            "v",
            "timestamp",
            "8",
            "0",
            "0",
            "0",
            "NULL",
            "0",
            "0",
            "0",
        ]));
        assert_eq!(
            (stamp.kind, stamp.generated, stamp.declared.as_str()),
            (Kind::Blob, true, "rowversion")
        );
        let twice = column(row(&[
            "twice", "int", "4", "10", "0", "1", "NULL", "1", "0", "0",
        ]));
        assert!(twice.generated);
        let code = column(row(&[
            "code",
            "char",
            "3",
            "0",
            "0",
            "0",
            "NULL",
            "0",
            "0",
            "0",
            "Latin1_General_BIN2",
        ]));
        assert_eq!(code.collation.as_deref(), Some("Latin1_General_BIN2"));
        let begin = column(row(&[
            "since",
            "datetime2",
            "8",
            "27",
            "7",
            "0",
            "NULL",
            "0",
            "0",
            "1",
        ]));
        assert!(begin.generated && begin.declared == "datetime2(7)");
    }

    #[test]
    fn keys_keep_their_order() {
        let mut info = TableInfo::default();
        let rows = [
            ["1", "1", "a"],
            ["1", "1", "b"],
            ["3", "0", "c"],
            ["4", "0", "d"],
        ];
        add_keys(&mut info, rows.iter().map(|cells| row(cells)).collect());
        assert_eq!(info.primary_key, ["a", "b"]);
        assert_eq!(info.uniques, [["c"], ["d"]]);
    }
}
