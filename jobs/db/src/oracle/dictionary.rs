//! Oracle's dictionary, as far as the account sees it: the ALL_ views.

use super::kind::Words;
use super::name::{real, shown};
use super::target::column;
use crate::dictionary::read;
use crate::{ColumnInfo, Connection, Result, TableInfo, TableName};

const TABLES: &str = "SELECT o.object_name FROM all_objects o \
    WHERE o.owner = SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') AND o.object_type IN ('TABLE', 'VIEW') \
    AND o.object_name NOT LIKE 'BIN$%' AND o.secondary = 'N' \
    AND NOT EXISTS (SELECT 1 FROM all_nested_tables n WHERE n.owner = o.owner AND n.table_name = o.object_name) ORDER BY 1";

/// The object itself, else what a synonym of that name stands for: the schema's own before a public one.
const FIND: &str = "SELECT owner, object_name, object_type FROM (\
    SELECT 1 AS place, o.owner, o.object_name, o.object_type FROM all_objects o \
    WHERE o.owner = COALESCE(:1, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) AND o.object_name = :2 \
    AND o.object_type IN ('TABLE', 'VIEW') \
    UNION ALL SELECT CASE s.owner WHEN 'PUBLIC' THEN 3 ELSE 2 END, o.owner, o.object_name, o.object_type \
    FROM all_synonyms s JOIN all_objects o ON o.owner = s.table_owner AND o.object_name = s.table_name \
    WHERE s.synonym_name = :2 AND s.db_link IS NULL AND o.object_type IN ('TABLE', 'VIEW') \
    AND (s.owner = COALESCE(:1, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) OR s.owner = 'PUBLIC' AND :1 IS NULL)) \
    ORDER BY place FETCH FIRST 1 ROWS ONLY";

/// The default comes last: the server sends a LONG after all else.
const COLUMNS: &str = "SELECT c.column_name, c.data_type, c.data_length, c.char_length, c.char_used, c.data_precision, \
    c.data_scale, c.nullable, c.virtual_column, c.identity_column, \
    (SELECT i.generation_type FROM all_tab_identity_cols i WHERE i.owner = c.owner AND i.table_name = c.table_name \
    AND i.column_name = c.column_name), c.data_default \
    FROM all_tab_cols c WHERE c.owner = :1 AND c.table_name = :2 AND c.hidden_column = 'NO' ORDER BY c.column_id";

/// Keys that are in force at once; a deferred one is a promise that a loader must not lean on.
const KEYS: &str = "SELECT k.constraint_name, k.constraint_type, c.column_name FROM all_constraints k \
    JOIN all_cons_columns c ON c.owner = k.owner AND c.constraint_name = k.constraint_name AND c.table_name = k.table_name \
    WHERE k.owner = :1 AND k.table_name = :2 AND k.constraint_type IN ('P', 'U') AND k.status = 'ENABLED' \
    ORDER BY k.constraint_type, k.constraint_name, c.position";

/// Unique indexes that belong to no constraint; over expressions they are no key that a row could be found by.
const INDEXES: &str = "SELECT i.index_name, 'U', c.column_name FROM all_indexes i \
    JOIN all_ind_columns c ON c.index_owner = i.owner AND c.index_name = i.index_name \
    WHERE i.table_owner = :1 AND i.table_name = :2 AND i.uniqueness = 'UNIQUE' AND i.index_type = 'NORMAL' \
    AND NOT EXISTS (SELECT 1 FROM all_constraints k WHERE k.owner = i.table_owner AND k.table_name = i.table_name \
    AND k.index_name = i.index_name AND k.constraint_type IN ('P', 'U')) \
    ORDER BY i.index_name, c.column_position";

pub(super) fn tables(connection: &mut dyn Connection) -> Result<Vec<TableName>> {
    let rows = read(connection, TABLES, &[])?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next()?);
    Ok(names.map(|name| TableName::new(shown(&name))).collect())
}

pub(super) fn table(
    connection: &mut dyn Connection,
    table: &TableName,
) -> Result<Option<TableInfo>> {
    let (schema, name) = (table.schema.as_deref().map(real), real(&table.name));
    let wanted = [schema.as_ref().map(String::as_bytes), Some(name.as_bytes())];
    let Some(found) = read(connection, FIND, &wanted)?.into_iter().next() else {
        return Ok(None);
    };
    let mut found = found.into_iter().map(Option::unwrap_or_default);
    let mut next = || found.next().unwrap_or_default();
    let (owner, name, sort) = (next(), next(), next());
    let place = [Some(owner.as_bytes()), Some(name.as_bytes())];
    let mut info = TableInfo {
        view: sort == "VIEW",
        ..TableInfo::default()
    };
    for row in read(connection, COLUMNS, &place)? {
        info.columns.push(describe(row));
    }
    let mut rows = read(connection, KEYS, &place)?;
    rows.extend(read(connection, INDEXES, &place)?);
    take_keys(&mut info, rows);
    Ok(Some(info))
}

/// Rows of [`COLUMNS`] become columns.
fn describe(row: Vec<Option<String>>) -> ColumnInfo {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let (name, word) = (next().unwrap_or_default(), next().unwrap_or_default());
    let mut number = || next().and_then(|text| text.parse::<i64>().ok());
    let positive = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let (bytes, characters) = (positive(number()), positive(number()));
    let in_bytes = next().as_deref() == Some("B");
    let mut number = || next().and_then(|text| text.parse::<i64>().ok());
    let (precision, scale) = (positive(number()), number());
    let words = Words {
        word,
        bytes,
        characters,
        in_bytes,
        precision,
        scale,
    };
    let (nullable, virtual_column) = (next(), next());
    let identity = next().as_deref() == Some("YES");
    let always = next().as_deref() == Some("ALWAYS");
    let default = next().map(|text| text.trim().to_owned());
    let is_virtual = virtual_column.as_deref() == Some("YES");
    ColumnInfo {
        nullable: nullable.as_deref() == Some("Y"),
        generated: is_virtual || always,
        auto: identity,
        default: default.filter(|text| !text.is_empty() && !identity && !is_virtual),
        ..column(shown(&name), &words)
    }
}

/// Rows of a key's name, `P` or `U`, and a column, in the order of keys and columns.
fn take_keys(info: &mut TableInfo, rows: Vec<Vec<Option<String>>>) {
    let mut last = None;
    for row in rows {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (key, sort, column) = (next(), next(), shown(&next()));
        if sort == "P" {
            info.primary_key.push(column);
            continue;
        }
        if last.as_ref() != Some(&key) {
            info.uniques.push(Vec::new());
            last = Some(key);
        }
        if let Some(unique) = info.uniques.last_mut() {
            unique.push(column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn row(cells: &[&str]) -> Vec<Option<String>> {
        let cell = |text: &&str| Some((*text).to_owned()).filter(|text| text != "NULL");
        cells.iter().map(cell).collect()
    }

    #[test]
    fn columns_are_read_as_they_are() {
        let name = describe(row(&[
            "NAME", "VARCHAR2", "80", "20", "C", "NULL", "NULL", "N", "NO", "NO", "NULL", "'x' ",
        ]));
        assert_eq!(
            (
                name.name.as_str(),
                name.declared.as_str(),
                name.length,
                name.nullable
            ),
            ("name", "VARCHAR2(20 CHAR)", Some(20), false)
        );
        assert_eq!(name.default.as_deref(), Some("'x'"));
        let id = describe(row(&[
            "Id",
            "NUMBER",
            "22",
            "0",
            "NULL",
            "NULL",
            "0",
            "N",
            "NO",
            "YES",
            "ALWAYS",
            "\"A\".\"ISEQ$$_1\".nextval",
        ]));
        assert!(id.auto && id.generated && id.default.is_none() && id.name == "Id");
        let by_default = describe(row(&[
            "ID",
            "NUMBER",
            "22",
            "0",
            "NULL",
            "NULL",
            "0",
            "N",
            "NO",
            "YES",
            "BY DEFAULT",
            "NULL",
        ]));
        assert!(by_default.auto && !by_default.generated && by_default.kind == Kind::Integer);
        let total = describe(row(&[
            "TOTAL", "NUMBER", "22", "0", "NULL", "12", "2", "Y", "YES", "NO", "NULL", "\"A\"*2",
        ]));
        assert!(total.generated && !total.auto && total.default.is_none() && total.nullable);
        assert_eq!((total.kind, total.length), (Kind::Decimal, Some(12)));
    }

    #[test]
    fn keys_are_told_apart() {
        let mut info = TableInfo::default();
        let rows = [
            ["PK_T", "P", "B"],
            ["PK_T", "P", "A"],
            ["U1", "U", "C"],
            ["U1", "U", "D"],
            ["IX", "U", "E"],
        ];
        take_keys(&mut info, rows.iter().map(|cells| row(cells)).collect());
        assert_eq!(info.primary_key, ["b", "a"]);
        assert_eq!(info.uniques, [vec!["c", "d"], vec!["e"]]);
    }

    #[test]
    fn the_questions_ask_for_what_they_are_bound() {
        for (sql, binds) in [
            (TABLES, 0),
            (FIND, 2),
            (COLUMNS, 2),
            (KEYS, 2),
            (INDEXES, 2),
        ] {
            let named = (1..=3).filter(|n| sql.contains(&format!(":{n}"))).count();
            assert_eq!(named, binds, "{sql}");
            assert_eq!(sql.matches('(').count(), sql.matches(')').count(), "{sql}");
        }
    }
}
