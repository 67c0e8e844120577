//! How SQLite writes SQL. Pure text.

use crate::{Change, ColumnInfo, Dialect, Kind, Lexis, Load, Mode};

pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn tells_missing(&self) -> bool {
        false
    }

    fn placeholder(&self, number: usize) -> String {
        format!("?{number}")
    }

    fn cast(&self, expression: &str, kind: Kind) -> String {
        match kind {
            Kind::Bool | Kind::Integer => format!("CAST({expression} AS INTEGER)"),
            Kind::Decimal => format!("CAST({expression} AS NUMERIC)"),
            Kind::Real => format!("CAST({expression} AS REAL)"),
            Kind::Blob => format!("unhex({expression})"),
            Kind::Text
            | Kind::Date
            | Kind::Time
            | Kind::Timestamp
            | Kind::Instant
            | Kind::Json
            | Kind::Other => expression.to_owned(),
        }
    }

    fn finite(&self, expression: &str, kind: Kind) -> Option<String> {
        matches!(kind, Kind::Real | Kind::Decimal)
            .then(|| format!("({expression} NOT IN (9e999, -9e999))"))
    }

    fn select_locked(&self, columns: &str, table: &str, condition: &str) -> String {
        // a transaction that means to write locks the whole database from its beginning
        format!("SELECT {columns} FROM {table} WHERE {condition}")
    }

    fn insert(&self, load: &Load<'_>) -> String {
        let quoted: Vec<String> = load.columns.iter().map(|name| self.quote(name)).collect();
        let places: Vec<String> = (1..=quoted.len())
            .map(|number| self.placeholder(number))
            .collect();
        let mut sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.qualify(load.table),
            quoted.join(", "),
            places.join(", ")
        );
        match load.mode {
            Mode::Append => {}
            Mode::Skip => sql.push_str(" ON CONFLICT DO NOTHING"),
            Mode::Upsert { key } => sql.push_str(&self.on_conflict(load.columns, key)),
        }
        sql
    }

    fn type_name(&self, kind: Kind, length: Option<u64>) -> String {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::Integer => "INTEGER",
            // a NUMERIC keeps 15 digits; text keeps all of them, but compares as text
            Kind::Decimal if length.is_some_and(|digits| digits > 15) => "TEXT",
            Kind::Decimal => "NUMERIC",
            Kind::Real => "REAL",
            Kind::Date => "DATE",
            Kind::Time => "TIME",
            Kind::Timestamp => "TIMESTAMP",
            Kind::Instant => "TIMESTAMP WITH TIME ZONE",
            Kind::Blob => "BLOB",
            Kind::Json => "JSON",
            Kind::Text | Kind::Other => match length {
                Some(length) => return format!("VARCHAR({length})"),
                None => "TEXT",
            },
        }
        .to_owned()
    }

    fn ddl_commits(&self) -> bool {
        false
    }

    fn commits_late(&self) -> bool {
        false
    }

    fn max_params(&self) -> usize {
        32_766
    }

    fn lexis(&self) -> Lexis {
        Lexis {
            brackets: true,
            ..Lexis::default()
        }
    }

    fn update_from(&self, change: &Change<'_>) -> String {
        change.update_from(self)
    }

    fn delete_from(&self, change: &Change<'_>) -> String {
        // by the table's own index, not by a look at each of its rows
        let key: Vec<String> = change.key.iter().map(|name| self.quote(name)).collect();
        let key = key.join(", ");
        let of_lot = change.of_lot(self).map(|lot| format!(" WHERE {lot}"));
        format!(
            "DELETE FROM {} WHERE ({key}) IN (SELECT {key} FROM {}{})",
            self.qualify(change.table),
            self.qualify(change.stage),
            of_lot.unwrap_or_default()
        )
    }

    fn differs(&self, one: &str, other: &str, _column: &ColumnInfo) -> String {
        // a column may have a collation that takes letters for equal; 1 and '1' are not
        format!("({one} COLLATE BINARY IS NOT {other} OR typeof({one}) <> typeof({other}))")
    }

    fn in_form_order(&self, expression: &str, kind: Kind) -> String {
        match kind {
            kind if kind.is_number() => expression.to_owned(),
            // numbers come before texts otherwise
            Kind::Other => format!("CAST({expression} AS TEXT) COLLATE BINARY"),
            _ => format!("{expression} COLLATE BINARY"),
        }
    }
}

impl Sqlite {
    fn on_conflict(&self, columns: &[String], key: &[String]) -> String {
        let target: Vec<String> = key.iter().map(|name| self.quote(name)).collect();
        let sets: Vec<String> = columns
            .iter()
            .filter(|column| !key.iter().any(|name| self.same_name(name, column)))
            .map(|column| format!("{0} = excluded.{0}", self.quote(column)))
            .collect();
        let target = target.join(", ");
        if sets.is_empty() {
            format!(" ON CONFLICT ({target}) DO NOTHING")
        } else {
            format!(" ON CONFLICT ({target}) DO UPDATE SET {}", sets.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnInfo, TableInfo, TableName};

    #[test]
    fn inserts_as_the_mode_says() {
        let (table, columns) = (TableName::new("o\"bs"), ["id".to_owned(), "值".to_owned()]);
        let sql = |mode| {
            Sqlite.insert(&Load {
                table: &table,
                columns: &columns,
                mode,
            })
        };
        let head = r#"INSERT INTO "o""bs" ("id", "值") VALUES (?1, ?2)"#;
        assert_eq!(sql(Mode::Append), head);
        assert_eq!(sql(Mode::Skip), format!("{head} ON CONFLICT DO NOTHING"));
        let upsert = sql(Mode::Upsert { key: &columns[..1] });
        assert_eq!(
            upsert,
            format!(r#"{head} ON CONFLICT ("id") DO UPDATE SET "值" = excluded."值""#)
        );
        assert!(
            sql(Mode::Upsert { key: &columns }).ends_with(r#"ON CONFLICT ("id", "值") DO NOTHING"#)
        );
    }

    #[test]
    fn makes_tables() {
        let mut id = ColumnInfo::new("id", Kind::Integer);
        id.nullable = false;
        let mut name = ColumnInfo::new("name", Kind::Text);
        name.length = Some(20);
        let info = TableInfo {
            columns: vec![id, name],
            primary_key: vec!["id".into()],
            ..TableInfo::default()
        };
        assert_eq!(
            Sqlite.create_table(&TableName::new("t"), &info),
            "CREATE TABLE \"t\" (\n  \"id\" INTEGER NOT NULL,\n  \"name\" VARCHAR(20),\n  PRIMARY KEY (\"id\")\n)"
        );
    }
}
