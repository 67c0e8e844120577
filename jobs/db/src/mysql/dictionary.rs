//! The dictionary of MySQL and MariaDB: the information schema.

use super::dialect::Mysql;
use super::kind::kind;
use crate::dictionary::read;
use crate::{
    ColumnInfo, Connection, Dialect, Error, ErrorKind, Kind, Result, TableInfo, TableName,
};

const TABLES: &str = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
    AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') ORDER BY CAST(table_name AS BINARY)";

const FIND: &str = "SELECT table_type, table_schema, table_name FROM information_schema.tables \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?";

const COLUMNS: &str = "SELECT column_name, data_type, column_type, is_nullable, column_default, extra, \
    generation_expression <> '', COALESCE(character_maximum_length, numeric_precision), collation_name \
    FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";

/// An index over an expression or a part of a column is no key that a row could be found by.
const KEYS: &str = "SELECT index_name, column_name, sub_part FROM information_schema.statistics \
    WHERE table_schema = ? AND table_name = ? AND non_unique = 0 ORDER BY index_name = 'PRIMARY' DESC, index_name, seq_in_index";

/// An engine that cannot take back what a load began.
const ENGINE: &str = "SELECT e.engine FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine \
    WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ? AND (e.transactions <> 'YES' OR e.savepoints <> 'YES')";

/// MariaDB's JSON is text with this check.
const JSON_CHECKS: &str = "SELECT check_clause FROM information_schema.check_constraints \
    WHERE constraint_schema = ? AND check_clause LIKE 'json_valid(%'";

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
    let wanted = [
        table.schema.as_ref().map(String::as_bytes),
        Some(table.name.as_bytes()),
    ];
    let Some(found) = read(connection, FIND, &wanted)?.into_iter().next() else {
        return Ok(None);
    };
    let mut found = found.into_iter().map(Option::unwrap_or_default);
    let mut next = || found.next().unwrap_or_default();
    let (table_type, schema, name) = (next(), next(), next());
    let place = [Some(schema.as_bytes()), Some(name.as_bytes())];
    let maria = connection_is_maria(connection)?;
    let checks = if maria {
        read(connection, JSON_CHECKS, &place[..1])?
    } else {
        Vec::new()
    };
    let mut info = TableInfo {
        view: table_type == "VIEW",
        ..TableInfo::default()
    };
    for row in read(connection, COLUMNS, &place)? {
        info.columns.push(column(row, maria, |name| {
            let clause = format!("json_valid({})", Mysql.quote(name));
            checks
                .iter()
                .flatten()
                .flatten()
                .any(|known| *known == clause)
        }));
    }
    let mut keys: Vec<(String, Option<Vec<String>>)> = Vec::new();
    for row in read(connection, KEYS, &place)? {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten();
        let (index, column, part) = (next().unwrap_or_default(), next(), next());
        if keys.last().is_none_or(|(last, _)| *last != index) {
            keys.push((index, Some(Vec::new())));
        }
        if let Some((_, columns)) = keys.last_mut() {
            match (columns.as_mut(), column) {
                (Some(columns), Some(column)) if part.is_none() => columns.push(column),
                _ => *columns = None,
            }
        }
    }
    for (index, columns) in keys {
        match columns {
            Some(columns) if index == "PRIMARY" => info.primary_key = columns,
            Some(columns) => info.uniques.push(columns),
            None => {}
        }
    }
    Ok(Some(info))
}

/// A table without transactions would keep half of a load that fails: it is refused before anything is loaded.
pub(crate) fn refuse_without_transactions(
    connection: &mut dyn Connection,
    table: &TableName,
    action: &str,
) -> Result<()> {
    let wanted = [
        table.schema.as_ref().map(String::as_bytes),
        Some(table.name.as_bytes()),
    ];
    let found = read(connection, ENGINE, &wanted)?;
    let Some(engine) = found.into_iter().flatten().flatten().next() else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, action).because(format!(
        "the table's engine {engine} has no transactions, so what fails halfway could not be taken back; \
         ALTER TABLE … ENGINE=InnoDB helps"
    )))
}

fn column(row: Vec<Option<String>>, maria: bool, is_json: impl Fn(&str) -> bool) -> ColumnInfo {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let mut text = || next().unwrap_or_default();
    let (name, word, declared, nullable) = (text(), text(), text(), text() == "YES");
    let default = next();
    let extra = next().unwrap_or_default().to_ascii_lowercase();
    let generated = next().as_deref() == Some("1");
    let length = next().and_then(|number| number.parse().ok());
    let collation = next();
    let json = word == "longtext" && is_json(&name);
    let kind = if json {
        Kind::Json
    } else {
        kind(&word.to_ascii_lowercase(), &declared)
    };
    ColumnInfo {
        kind,
        default: default.and_then(|default| expression(default, maria, &extra)),
        declared: if json { "json".to_owned() } else { declared },
        nullable,
        generated,
        auto: extra.contains("auto_increment"),
        length: length.filter(|_| matches!(kind, Kind::Text | Kind::Decimal)),
        collation,
        name,
    }
}

/// MariaDB tells a default as an expression, MySQL a literal without its quotes.
fn expression(default: String, maria: bool, extra: &str) -> Option<String> {
    if maria {
        return (default != "NULL").then_some(default);
    }
    if extra.contains("default_generated") {
        let plain = default
            .to_ascii_uppercase()
            .starts_with("CURRENT_TIMESTAMP");
        return Some(if plain {
            default
        } else {
            format!("({default})")
        });
    }
    Some(format!(
        "'{}'",
        default.replace('\\', "\\\\").replace('\'', "''")
    ))
}

fn connection_is_maria(connection: &mut dyn Connection) -> Result<bool> {
    let version = read(connection, "SELECT VERSION()", &[])?;
    Ok(version
        .into_iter()
        .flatten()
        .flatten()
        .any(|text| text.contains("MariaDB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_become_expressions() {
        let of = |text: &str, maria, extra| expression(text.to_owned(), maria, extra);
        assert_eq!(
            (of("NULL", true, ""), of("'x'", true, "").as_deref()),
            (None, Some("'x'"))
        );
        assert_eq!(of("it's", false, "").as_deref(), Some("'it''s'"));
        assert_eq!(
            of("uuid()", false, "default_generated").as_deref(),
            Some("(uuid())")
        );
    }
}
