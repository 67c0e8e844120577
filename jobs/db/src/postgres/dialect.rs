//! How PostgreSQL writes SQL. Pure text.

use crate::{Change, ColumnInfo, Dialect, Kind, Lexis, Load, Mode, Stage, TableName};

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

    fn finite(&self, expression: &str, kind: Kind) -> Option<String> {
        match kind {
            // NaN is above infinity; an index is of use so
            Kind::Real | Kind::Date | Kind::Timestamp | Kind::Instant => Some(format!(
                "({expression} > '-Infinity' AND {expression} < 'Infinity')"
            )),
            // servers before 14 have a NaN and no infinity
            Kind::Decimal => Some(format!("({expression} - {expression} = 0)")),
            _ => None,
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

    fn stage(&self, stage: &Stage<'_>) -> Vec<String> {
        // of a query, so that collations come along
        let names: Vec<String> = stage
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let lot = if stage.lots {
            format!(", CAST(0 AS BIGINT) AS {}", self.quote(crate::LOT))
        } else {
            String::new()
        };
        let name = self.qualify(stage.name);
        let mut made = vec![format!(
            "CREATE TEMPORARY TABLE {name} AS SELECT {}{lot} FROM {} WITH NO DATA",
            self.list(&names),
            self.qualify(stage.table)
        )];
        if !stage.key.is_empty() {
            let key = self.list(&stage.primary_key());
            made.push(format!("ALTER TABLE {name} ADD PRIMARY KEY ({key})"));
        }
        made
    }

    fn measure(&self, stage: &TableName) -> Option<String> {
        Some(format!("ANALYZE {}", self.qualify(stage)))
    }

    fn insert_from(&self, table: &TableName, columns: &[String], select: &str) -> String {
        let (table, columns) = (self.qualify(table), self.list(columns));
        format!("INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE {select}")
    }

    fn update_from(&self, change: &Change<'_>) -> String {
        change.update_from(self)
    }

    fn delete_from(&self, change: &Change<'_>) -> String {
        let (table, stage) = (self.qualify(change.table), self.qualify(change.stage));
        format!(
            "DELETE FROM {table} USING {stage} WHERE {}",
            change.on(self)
        )
    }

    fn differs(&self, one: &str, other: &str, column: &ColumnInfo) -> String {
        // not every type can be compared, and two decimals may be equal that are written differently
        let as_text = match column.kind {
            Kind::Decimal => column.declared == "numeric",
            Kind::Json | Kind::Other => true,
            Kind::Text => !["text", "char", "uuid"]
                .iter()
                .any(|word| column.declared.starts_with(word)),
            _ => false,
        };
        if as_text {
            return format!("CAST({one} AS TEXT) IS DISTINCT FROM CAST({other} AS TEXT)");
        }
        format!("{one} IS DISTINCT FROM {other}")
    }

    fn next_number(&self, sequence: &TableName) -> Option<String> {
        let name = self.qualify(sequence).replace('\'', "''");
        Some(format!("pg_catalog.nextval('{name}')"))
    }

    fn fingerprint(&self, columns: &[&ColumnInfo]) -> Option<String> {
        // 64 bits: an accident in 2^64. The hash of a record (since PostgreSQL 14) is a sum over its columns, and in a sum of these two rows could
        // exchange values unseen: hashed once more it is none.
        let cells: Vec<String> = columns.iter().map(|column| self.hashed(column)).collect();
        Some(format!(
            "pg_catalog.hashtextextended(CAST(pg_catalog.hash_record_extended(ROW({}), 0) AS TEXT), 0)",
            cells.join(", ")
        ))
    }

    fn fingerprints(&self, number: &str, fingerprint: &str, rows: &str) -> String {
        // Behind OFFSET 0 the planner cannot see that the numbers come from a key. It would expect a span for each row, and sort all rows, each with all
        // of its columns.
        format!(
            "SELECT span, count(*), SUM(print) FROM (SELECT {number} AS span, {fingerprint} AS print FROM {rows} OFFSET 0) AS prints GROUP BY span ORDER BY span"
        )
    }

    fn unshared(&self) -> Option<&'static str> {
        Some("SET LOCAL max_parallel_workers_per_gather = 0")
    }

    fn span_number(&self, column: &str, from: i128, width: i128) -> String {
        // the difference of two small numbers may be a large one
        format!("(CAST({column} AS BIGINT) - ({from})) / {width}")
    }

    fn delete_keys(&self, table: &str, scope: &str, key: &[ColumnInfo], rows: usize) -> String {
        // joined, not enumerated: whatever the server believes of the table's size, it reads it once at most
        let mut number = 0;
        let mut each = || {
            let columns = key.iter().map(|column| {
                number += 1;
                let place = self.placeholder(number);
                match column.kind {
                    Kind::Blob => self.cast(&place, Kind::Blob),
                    _ => format!("CAST({place} AS {})", unbounded(&column.declared)),
                }
            });
            format!("({})", columns.collect::<Vec<_>>().join(", "))
        };
        let values: Vec<String> = (0..rows).map(|_| each()).collect();
        let names: Vec<String> = (1..=key.len()).map(|n| format!("procctl_{n}")).collect();
        let on = key.iter().zip(&names).map(|(column, name)| {
            format!("{table}.{} = procctl_k.{name}", self.quote(&column.name))
        });
        let head = if scope.is_empty() {
            " WHERE".to_owned()
        } else {
            format!("{scope} AND")
        };
        format!(
            "DELETE FROM {table}{head} EXISTS (SELECT 1 FROM (VALUES {}) procctl_k ({}) WHERE {})",
            values.join(", "),
            names.join(", "),
            on.collect::<Vec<_>>().join(" AND ")
        )
    }

    fn in_form_order(&self, expression: &str, kind: Kind) -> String {
        match kind {
            Kind::Text | Kind::Json | Kind::Other => {
                format!("CAST({expression} AS TEXT) COLLATE \"C\"")
            }
            _ => expression.to_owned(),
        }
    }
}

impl Postgres {
    /// A column as it goes into the hash of a row: as it is where only values of one written form have one hash, which is cheap; else as text.
    fn hashed(&self, column: &ColumnInfo) -> String {
        let name = self.quote(&column.name);
        let declared = column.declared.as_str();
        let begins = |words: &[&str]| words.iter().any(|word| declared.starts_with(word));
        if matches!(
            declared,
            "smallint"
                | "integer"
                | "bigint"
                | "boolean"
                | "date"
                | "uuid"
                | "bytea"
                | "real"
                | "double precision"
        ) || begins(&["numeric(", "timestamp", "time "])
        {
            return name;
        }
        // a collation of its own may hold different letters to be equal
        if declared == "text" || begins(&["character varying", "character("]) {
            return format!("{name} COLLATE \"C\"");
        }
        format!("CAST({name} AS TEXT) COLLATE \"C\"")
    }

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

/// A type without its bounds: a cast to one with them would cut a value short, and find another row by it.
fn unbounded(declared: &str) -> String {
    let Some((word, (_, rest))) = declared
        .split_once('(')
        .and_then(|(word, bounds)| Some((word, bounds.split_once(')')?)))
    else {
        return declared.to_owned();
    };
    match word {
        // without a length these have one of 1
        "character" => format!("bpchar{rest}"),
        "bit" => format!("varbit{rest}"),
        word => format!("{word}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableName;

    #[test]
    fn rows_are_hashed_by_their_columns_types() {
        let column = |name: &str, declared: &str| ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new(name, Kind::Text)
        };
        let columns = [
            column("a", "integer"),
            column("b", "character varying(9)"),
            column("c", "numeric"),
            column("d", "numeric(9,2)"),
            column("e", "citext"),
            column("f", "interval"),
        ];
        let print = Postgres
            .fingerprint(&columns.iter().collect::<Vec<_>>())
            .unwrap();
        assert!(
            print.contains(
                r#"ROW("a", "b" COLLATE "C", CAST("c" AS TEXT) COLLATE "C", "d", CAST("e" AS TEXT) COLLATE "C", CAST("f" AS TEXT) COLLATE "C")"#
            ),
            "{print}"
        );
        assert_eq!(
            Postgres.fingerprints("n", "p", "t WHERE x"),
            "SELECT span, count(*), SUM(print) FROM (SELECT n AS span, p AS print FROM t WHERE x OFFSET 0) AS prints GROUP BY span ORDER BY span"
        );
    }

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
        let key = [
            ColumnInfo {
                declared: "character varying(9)".to_owned(),
                ..ColumnInfo::new("k", Kind::Text)
            },
            ColumnInfo::new("b", Kind::Blob),
        ];
        assert_eq!(
            Postgres.delete_keys("t", " WHERE (a > 1)", &key, 2),
            "DELETE FROM t WHERE (a > 1) AND EXISTS (SELECT 1 FROM (VALUES (CAST($1 AS character varying), decode($2, 'hex')), \
             (CAST($3 AS character varying), decode($4, 'hex'))) procctl_k (procctl_1, procctl_2) \
             WHERE t.\"k\" = procctl_k.procctl_1 AND t.\"b\" = procctl_k.procctl_2)"
        );
        for (declared, plain) in [
            ("bigint", "bigint"),
            ("numeric(20,4)", "numeric"),
            ("character(5)", "bpchar"),
            (
                "timestamp(3) without time zone",
                "timestamp without time zone",
            ),
            ("character varying(9)[]", "character varying[]"),
        ] {
            assert_eq!(unbounded(declared), plain);
        }
        assert_eq!(Postgres.cast("$1", Kind::Blob), "decode($1, 'hex')");
        assert_eq!(Postgres.cast("$1", Kind::Integer), "CAST($1 AS BIGINT)");
    }
}
