//! How PostgreSQL writes SQL. Pure text.

use crate::{Dialect, Kind, Lexis, Load, Mode};

pub(super) struct Postgres;

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn placeholder(&self, number: usize) -> String {
        format!("${number}")
    }

    fn cast(&self, expression: &str, kind: Kind) -> String {
        match kind {
            Kind::Blob => format!("decode({expression}, 'hex')"),
            Kind::Other => expression.to_owned(),
            _ => format!("CAST({expression} AS {})", self.type_name(kind, None)),
        }
    }

    fn insert(&self, load: &Load<'_>) -> String {
        let places: Vec<String> = (1..=load.columns.len())
            .map(|number| self.placeholder(number))
            .collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({}){}",
            self.qualify(load.table),
            self.list(load.columns),
            places.join(", "),
            self.on_conflict(load)
        )
    }

    fn type_name(&self, kind: Kind, length: Option<u64>) -> String {
        match kind {
            Kind::Bool => "BOOLEAN",
            Kind::Integer => "BIGINT",
            Kind::Decimal => "NUMERIC",
            Kind::Real => "DOUBLE PRECISION",
            Kind::Date => "DATE",
            Kind::Time => "TIME",
            Kind::Timestamp => "TIMESTAMP",
            Kind::Instant => "TIMESTAMP WITH TIME ZONE",
            Kind::Blob => "BYTEA",
            // JSONB would not give the same text back
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
        true
    }

    fn max_params(&self) -> usize {
        65_535
    }

    fn lexis(&self) -> Lexis {
        Lexis {
            dollars: true,
            ..Lexis::default()
        }
    }
}

impl Postgres {
    /// Columns in quotes.
    pub(super) fn list(&self, columns: &[String]) -> String {
        let quoted: Vec<String> = columns.iter().map(|name| self.quote(name)).collect();
        quoted.join(", ")
    }

    /// What an INSERT does with a key that is there already.
    pub(super) fn on_conflict(&self, load: &Load<'_>) -> String {
        let key = match load.mode {
            Mode::Append => return String::new(),
            Mode::Skip => return " ON CONFLICT DO NOTHING".to_owned(),
            Mode::Upsert { key } => key,
        };
        let sets: Vec<String> = load
            .columns
            .iter()
            .filter(|column| !key.contains(column))
            .map(|column| format!("{0} = excluded.{0}", self.quote(column)))
            .collect();
        let target = self.list(key);
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
    use crate::TableName;

    #[test]
    fn inserts_as_the_mode_says() {
        let (table, columns) = (TableName::parse("s.o"), ["id".to_owned(), "值".to_owned()]);
        let sql = |mode| {
            Postgres.insert(&Load {
                table: &table,
                columns: &columns,
                mode,
            })
        };
        let head = r#"INSERT INTO "s"."o" ("id", "值") VALUES ($1, $2)"#;
        assert_eq!(sql(Mode::Append), head);
        assert_eq!(sql(Mode::Skip), format!("{head} ON CONFLICT DO NOTHING"));
        assert_eq!(
            sql(Mode::Upsert { key: &columns[..1] }),
            format!(r#"{head} ON CONFLICT ("id") DO UPDATE SET "值" = excluded."值""#)
        );
        assert_eq!(Postgres.cast("$1", Kind::Blob), "decode($1, 'hex')");
        assert_eq!(Postgres.cast("$1", Kind::Integer), "CAST($1 AS BIGINT)");
    }
}
