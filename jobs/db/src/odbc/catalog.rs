//! The dictionary as every driver tells it: SQLTables, SQLColumns, SQLPrimaryKeys. They know no unique keys and no computed columns.
//! Used for databases whose own dictionary is not known.

use super::fault::Trouble;
use super::fetch::collect;
use super::session::Session;
use super::shape::meaning;
use crate::{ColumnInfo, Kind, TableInfo, TableName};
use odbc_api::{DataType, sys::SqlDataType};

type Row = Vec<Option<String>>;

/// Tables and views of the current catalog, in name order.
pub(super) fn tables(session: &mut Session) -> Result<Vec<TableName>, Trouble> {
    let engine = session.engine;
    let connection = session.connection()?;
    let catalog = connection.current_catalog().unwrap_or_default();
    let mut statement = connection.preallocate()?;
    let found = collect(
        statement.tables_cursor(&catalog, "%", "%", "TABLE,VIEW")?,
        engine,
    )?;
    let mut names: Vec<TableName> = found
        .into_iter()
        .filter_map(|row| Some(TableName::new(row.into_iter().nth(2)??)))
        .collect();
    names.sort();
    Ok(names)
}

/// One table or view.
pub(super) fn table(
    session: &mut Session,
    table: &TableName,
) -> Result<Option<TableInfo>, Trouble> {
    let engine = session.engine;
    let connection = session.connection()?;
    let catalog = connection.current_catalog().unwrap_or_default();
    let schema = table.schema.as_deref().unwrap_or("%");
    let mut statement = connection.preallocate()?;
    // the name is a pattern here: what else it fits is left out below
    let rows = collect(
        statement.columns_cursor(&catalog, schema, &table.name, "%")?,
        engine,
    )?;
    let Some(place) = place_of(&rows, &table.name) else {
        return Ok(None);
    };
    let rows = rows
        .into_iter()
        .filter(|row| row.get(..3) == Some(&place[..]));
    let columns = rows.filter_map(|row| column(row, |data_type| meaning(data_type, engine).0));
    let mut info = TableInfo {
        columns: columns.collect(),
        ..TableInfo::default()
    };
    let [catalog, schema, name] = &place[..] else {
        return Ok(Some(info));
    };
    let name = name.as_deref().unwrap_or(&table.name);
    let mut statement = connection.preallocate()?;
    let keys = statement.primary_keys_cursor(catalog.as_deref(), schema.as_deref(), name)?;
    info.primary_key = primary_key(collect(keys, engine)?);
    let mut statement = connection.preallocate()?;
    let kinds = statement.tables_cursor(
        catalog.as_deref().unwrap_or_default(),
        schema.as_deref().unwrap_or("%"),
        name,
        "VIEW",
    )?;
    let views = collect(kinds, engine)?;
    info.view = views.iter().any(|row| row.get(2) == place.get(2));
    Ok(Some(info))
}

/// Catalog, schema and name of the table that is meant: by the exact name, else without regard to case.
fn place_of(rows: &[Row], name: &str) -> Option<Row> {
    let named = |row: &&Row, same: &dyn Fn(&str) -> bool| {
        row.get(2).and_then(Option::as_deref).is_some_and(same)
    };
    let exact = rows.iter().find(|row| named(row, &|other| other == name));
    let like = || {
        rows.iter()
            .find(|row| named(row, &|other| other.eq_ignore_ascii_case(name)))
    };
    exact
        .or_else(like)
        .and_then(|row| row.get(..3))
        .map(<[Option<String>]>::to_vec)
}

/// A column by a row of SQLColumns.
fn column(row: Row, kind: impl Fn(DataType) -> Kind) -> Option<ColumnInfo> {
    let text = |index: usize| row.get(index).cloned().flatten();
    let number = |index: usize| text(index).and_then(|text| text.trim().parse::<i64>().ok());
    let size = number(6)
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(0);
    let digits = number(8)
        .and_then(|digits| i16::try_from(digits).ok())
        .unwrap_or(0);
    let code = i16::try_from(number(4)?).ok()?;
    let kind = kind(DataType::new(SqlDataType(code), size, digits));
    let word = text(5).unwrap_or_default();
    let declared = match kind {
        _ if word.contains('(') || size == 0 => word,
        Kind::Text | Kind::Blob if word.to_ascii_uppercase().contains("CHAR") => {
            format!("{word}({size})")
        }
        Kind::Decimal => format!("{word}({size},{digits})"),
        _ => word,
    };
    Some(ColumnInfo {
        name: text(3)?,
        kind,
        declared,
        // SQL_NO_NULLS
        nullable: number(10) != Some(0),
        default: text(12).filter(|default| !default.is_empty() && default != "NULL"),
        generated: false,
        auto: false,
        collation: None,
        length: u64::try_from(size)
            .ok()
            .filter(|size| *size > 0 && matches!(kind, Kind::Text | Kind::Decimal)),
    })
}

/// The key's columns in their order, by the rows of SQLPrimaryKeys.
fn primary_key(rows: Vec<Row>) -> Vec<String> {
    let mut key: Vec<(u32, String)> = rows
        .into_iter()
        .filter_map(|row| {
            let place = row.get(4)?.as_ref()?.parse().ok()?;
            Some((place, row.get(3)?.clone()?))
        })
        .collect();
    key.sort();
    key.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::odbc::engine::Engine;

    fn row(cells: &[&str]) -> Row {
        cells
            .iter()
            .map(|cell| Some((*cell).to_owned()).filter(|text| !text.is_empty()))
            .collect()
    }

    #[test]
    fn rows_of_the_catalog_become_columns() {
        let of =
            |cells: &[&str]| column(row(cells), |data_type| meaning(data_type, Engine::Other).0);
        let name = of(&[
            "", "", "t", "name", "12", "VARCHAR", "20", "", "", "", "0", "", "'x'",
        ])
        .unwrap();
        assert_eq!(
            (name.kind, name.length, name.nullable),
            (Kind::Text, Some(20), false)
        );
        assert_eq!(
            (name.declared.as_str(), name.default.as_deref()),
            ("VARCHAR(20)", Some("'x'"))
        );
        let price = of(&[
            "", "", "t", "price", "3", "DECIMAL", "10", "", "2", "10", "1",
        ])
        .unwrap();
        assert_eq!(
            (price.declared.as_str(), price.nullable),
            ("DECIMAL(10,2)", true)
        );
        assert_eq!(of(&["", "", "t", "x"]), None);
    }

    #[test]
    fn keys_come_in_their_own_order() {
        let rows = vec![row(&["", "", "t", "b", "2"]), row(&["", "", "t", "a", "1"])];
        assert_eq!(primary_key(rows), ["a", "b"]);
        let rows = [row(&["", "s", "T", "a"]), row(&["", "s", "t", "a"])];
        assert_eq!(place_of(&rows, "t"), Some(row(&["", "s", "t"])));
        assert_eq!(place_of(&rows, "u"), None);
    }

    #[test]
    fn a_driver_tells_its_tables() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let found = std::fs::read_dir("/usr/lib").unwrap();
        let driver = found
            .filter_map(|entry| Some(entry.ok()?.path().join("odbc/libsqlite3odbc.so")))
            .find(|path| path.exists())
            .expect("the package libsqliteodbc is installed");
        let string = format!("DRIVER={};DATABASE={}", driver.display(), file.display());
        let wait = std::time::Duration::from_secs(5);
        let (mut session, kill) = Session::open(&string, wait, wait).unwrap();
        assert!(kill.is_none());
        session
            .several(
                "CREATE TABLE obs (b VARCHAR(20) NOT NULL, a INTEGER NOT NULL, d DECIMAL(10,2) DEFAULT 5, PRIMARY KEY (a, b));
                 CREATE VIEW v AS SELECT a FROM obs",
            )
            .unwrap();
        let names: Vec<String> = tables(&mut session)
            .unwrap()
            .into_iter()
            .map(|table| table.name)
            .collect();
        assert_eq!(names, ["obs", "v"]);
        let info = table(&mut session, &TableName::new("obs"))
            .unwrap()
            .unwrap();
        let told: Vec<(&str, Kind, bool)> = info
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.kind, column.nullable))
            .collect();
        assert_eq!(
            told[..2],
            [("b", Kind::Text, false), ("a", Kind::Integer, false)]
        );
        assert_eq!(info.columns[0].length, Some(20));
        // this driver numbers the key's columns as they stand in the table
        assert_eq!(info.primary_key, ["b", "a"]);
        assert!(!info.view);
        assert!(
            table(&mut session, &TableName::new("nope"))
                .unwrap()
                .is_none()
        );
        session.close();
    }
}
