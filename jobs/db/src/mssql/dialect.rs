//! How SQL Server writes SQL. Pure text.

use super::carry;
use super::order::top;
use crate::dialect::roomy_scale;
use crate::{Change, ColumnInfo, Dialect, Kind, Lexis, Load, Mode, Stage, TableName};

pub(super) struct Mssql;

/// What a DECIMAL without a given precision gets: 38 digits are the most that there are.
const DECIMAL: &str = "DECIMAL(38,10)";
/// The longest text that lies in its row and can be in a key, in UTF-16 units.
const LONGEST: u64 = 4000;

impl Dialect for Mssql {
    fn name(&self) -> &'static str {
        "mssql"
    }

    fn quote(&self, identifier: &str) -> String {
        format!("[{}]", identifier.replace(']', "]]"))
    }

    fn qualify(&self, table: &TableName) -> String {
        match &table.schema {
            // a database, or a linked server and a database, may stand before the schema
            Some(schema) => {
                let parts: Vec<String> = schema.split('.').map(|part| self.quote(part)).collect();
                format!("{}.{}", parts.join("."), self.quote(&table.name))
            }
            None => self.quote(&table.name),
        }
    }

    fn placeholder(&self, number: usize) -> String {
        format!("@P{number}")
    }

    fn cast(&self, expression: &str, kind: Kind) -> String {
        match kind {
            // style 2: hex digits with nothing in front
            Kind::Blob => format!("CONVERT(VARBINARY(MAX), {expression}, 2)"),
            Kind::Json | Kind::Other => expression.to_owned(),
            _ => format!("CAST({expression} AS {})", self.type_name(kind, None)),
        }
    }

    fn select_locked(&self, columns: &str, table: &str, condition: &str) -> String {
        format!("SELECT {columns} FROM {table} WITH (UPDLOCK, ROWLOCK) WHERE {condition}")
    }

    fn limit(&self, query: &str, rows: u64) -> String {
        let top = top(query, self.lexis());
        if top.joined && !top.ordered {
            return format!("SELECT TOP ({rows}) * FROM ({query}\n) AS limited");
        }
        let order = if top.ordered {
            ""
        } else {
            "ORDER BY (SELECT NULL) "
        };
        format!("{query}\n{order}OFFSET 0 ROWS FETCH NEXT {rows} ROWS ONLY")
    }

    fn insert(&self, load: &Load<'_>) -> String {
        let places: Vec<String> = (1..=load.columns.len())
            .map(|number| self.placeholder(number))
            .collect();
        let (table, list, places) = (
            self.qualify(load.table),
            self.list(load.columns, ""),
            places.join(", "),
        );
        match load.mode {
            Mode::Append => format!("INSERT INTO {table} ({list}) VALUES ({places})"),
            // a key that is there undoes the statement alone, and waits for whoever is about to enter the same
            Mode::Skip => format!(
                "BEGIN TRY INSERT INTO {table} ({list}) VALUES ({places}) END TRY \
                 BEGIN CATCH IF ERROR_NUMBER() NOT IN (2601, 2627) THROW; END CATCH"
            ),
            Mode::Upsert { key } => self.merge(
                &table,
                load.columns,
                key,
                &[],
                &format!("(VALUES ({places})) AS s ({list})"),
            ),
        }
    }

    fn type_name(&self, kind: Kind, length: Option<u64>) -> String {
        match kind {
            Kind::Bool => "BIT",
            Kind::Integer => "BIGINT",
            Kind::Decimal => DECIMAL,
            Kind::Real => "FLOAT(53)",
            Kind::Date => "DATE",
            Kind::Time => "TIME(7)",
            Kind::Timestamp => "DATETIME2(7)",
            Kind::Instant => "DATETIMEOFFSET(7)",
            Kind::Blob => "VARBINARY(MAX)",
            Kind::Text | Kind::Json | Kind::Other => match length {
                Some(length) if length <= LONGEST => return format!("NVARCHAR({length})"),
                _ => "NVARCHAR(MAX)",
            },
        }
        .to_owned()
    }

    fn ddl_commits(&self) -> bool {
        false
    }

    fn ends_transaction(&self, words: &[&str]) -> bool {
        match words {
            // BEGIN and END alone are the brackets of a block
            ["BEGIN", next, ..] => next.starts_with("TRAN") || *next == "DISTRIBUTED",
            // ROLLBACK with a name may go to a savepoint, or not
            ["COMMIT" | "ROLLBACK", ..] => true,
            ["SET", "IMPLICIT_TRANSACTIONS" | "XACT_ABORT", ..] => true,
            _ => false,
        }
    }

    fn exact_text(&self, length: u64) -> String {
        format!("NVARCHAR({length}) COLLATE Latin1_General_100_BIN2")
    }

    fn decimal(&self, digits: u64, scale: u64) -> String {
        // 38 digits are all there are
        format!("DECIMAL(38,{})", roomy_scale(digits, scale).min(38))
    }

    fn bounds_text(&self) -> bool {
        true
    }

    fn commits_late(&self) -> bool {
        true
    }

    fn max_params(&self) -> usize {
        // 2,100, of which the statement itself takes some
        2_000
    }

    fn lexis(&self) -> Lexis {
        Lexis {
            brackets: true,
            ..Lexis::default()
        }
    }

    fn stage_name(&self, word: &str) -> TableName {
        TableName::new(format!("#{word}"))
    }

    fn stage(&self, stage: &Stage<'_>) -> Vec<String> {
        carry::stage(stage)
    }

    fn insert_from(&self, table: &TableName, columns: &[String], select: &str) -> String {
        carry::insert_from(table, columns, select)
    }

    fn update_from(&self, change: &Change<'_>) -> String {
        carry::update_from(change)
    }

    fn differs(&self, one: &str, other: &str, column: &ColumnInfo) -> String {
        carry::differs(one, other, column)
    }

    fn next_number(&self, sequence: &TableName) -> Option<String> {
        Some(format!("NEXT VALUE FOR {}", self.qualify(sequence)))
    }

    fn in_form_order(&self, expression: &str, kind: Kind) -> String {
        carry::in_form_order(expression, kind)
    }
}

impl Mssql {
    /// Columns in quotes, each behind `prefix`.
    pub(super) fn list<S: AsRef<str>>(&self, columns: &[S], prefix: &str) -> String {
        let quoted = columns
            .iter()
            .map(|name| format!("{prefix}{}", self.quote(name.as_ref())));
        quoted.collect::<Vec<_>>().join(", ")
    }

    /// A MERGE by `key` from what `source` names `s`; `fixed` are columns that cannot be updated. HOLDLOCK keeps others from
    /// entering the same key between the look and the insert.
    pub(super) fn merge(
        &self,
        table: &str,
        columns: &[String],
        key: &[String],
        fixed: &[String],
        source: &str,
    ) -> String {
        let equal = key.iter().map(|name| {
            let name = self.quote(name);
            format!("t.{name} = s.{name}")
        });
        let equal: Vec<String> = equal.collect();
        let named = |names: &[String], column: &String| {
            names.iter().any(|name| self.same_name(name, column))
        };
        let sets = columns
            .iter()
            .filter(|column| !named(key, column) && !named(fixed, column))
            .map(|column| format!("{0} = s.{0}", self.quote(column)));
        let sets: Vec<String> = sets.collect();
        let update = if sets.is_empty() {
            String::new()
        } else {
            format!(" WHEN MATCHED THEN UPDATE SET {}", sets.join(", "))
        };
        format!(
            "MERGE INTO {table} WITH (HOLDLOCK) AS t USING {source} ON {}{update} \
             WHEN NOT MATCHED THEN INSERT ({}) VALUES ({});",
            equal.join(" AND "),
            self.list(columns, ""),
            self.list(columns, "s.")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableInfo;
    use crate::statement::ending_transaction;

    #[test]
    fn inserts_as_the_mode_says() {
        let (table, columns) = (
            TableName::parse("s.o]b"),
            ["id".to_owned(), "值".to_owned()],
        );
        let sql = |mode| {
            Mssql.insert(&Load {
                table: &table,
                columns: &columns,
                mode,
            })
        };
        let head = "INSERT INTO [s].[o]]b] ([id], [值]) VALUES (@P1, @P2)";
        assert_eq!(sql(Mode::Append), head);
        assert_eq!(
            sql(Mode::Skip),
            format!(
                "BEGIN TRY {head} END TRY BEGIN CATCH IF ERROR_NUMBER() NOT IN (2601, 2627) THROW; END CATCH"
            )
        );
        assert_eq!(
            sql(Mode::Upsert { key: &columns[..1] }),
            "MERGE INTO [s].[o]]b] WITH (HOLDLOCK) AS t USING (VALUES (@P1, @P2)) AS s ([id], [值]) ON t.[id] = s.[id] \
             WHEN MATCHED THEN UPDATE SET [值] = s.[值] WHEN NOT MATCHED THEN INSERT ([id], [值]) VALUES (s.[id], s.[值]);"
        );
        assert!(!sql(Mode::Upsert { key: &columns }).contains("UPDATE"));
    }

    #[test]
    fn rows_are_locked_by_a_hint() {
        assert_eq!(
            Mssql.select_locked("[a]", "[t]", "[a] = 1"),
            "SELECT [a] FROM [t] WITH (UPDLOCK, ROWLOCK) WHERE [a] = 1"
        );
    }

    #[test]
    fn rows_are_cut_off_with_and_without_an_order() {
        assert_eq!(
            Mssql.limit("SELECT a FROM t ORDER BY a", 5),
            "SELECT a FROM t ORDER BY a\nOFFSET 0 ROWS FETCH NEXT 5 ROWS ONLY"
        );
        assert_eq!(
            Mssql.limit("SELECT a FROM t", 1),
            "SELECT a FROM t\nORDER BY (SELECT NULL) OFFSET 0 ROWS FETCH NEXT 1 ROWS ONLY"
        );
        assert_eq!(
            Mssql.limit("SELECT 1 UNION SELECT 2", 1),
            "SELECT TOP (1) * FROM (SELECT 1 UNION SELECT 2\n) AS limited"
        );
    }

    #[test]
    fn names_casts_and_types() {
        assert_eq!(
            Mssql.qualify(&TableName {
                schema: Some("link.db.dbo".into()),
                name: "t".into()
            }),
            "[link].[db].[dbo].[t]"
        );
        assert_eq!(
            Mssql.cast("@P1", Kind::Blob),
            "CONVERT(VARBINARY(MAX), @P1, 2)"
        );
        assert_eq!(Mssql.cast("@P1", Kind::Integer), "CAST(@P1 AS BIGINT)");
        assert_eq!(Mssql.type_name(Kind::Text, Some(20)), "NVARCHAR(20)");
        assert_eq!(Mssql.type_name(Kind::Text, Some(5000)), "NVARCHAR(MAX)");
        assert_eq!(Mssql.decimal(5, 2), "DECIMAL(38,15)");
        assert_eq!(Mssql.decimal(32, 2), "DECIMAL(38,8)");
        let mut id = ColumnInfo::new("id", Kind::Text);
        id.declared = Mssql.exact_text(63);
        id.nullable = false;
        let info = TableInfo {
            columns: vec![id],
            primary_key: vec!["id".into()],
            ..TableInfo::default()
        };
        assert_eq!(
            Mssql.create_table(&TableName::new("t"), &info),
            "CREATE TABLE [t] (\n  [id] NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,\n  PRIMARY KEY ([id])\n)"
        );
    }

    #[test]
    fn what_ends_a_transaction_is_told_from_a_block() {
        for sql in [
            "COMMIT",
            "UPDATE t SET a = 1; commit tran",
            "BEGIN TRANSACTION",
            "begin tran x",
            "ROLLBACK TRANSACTION p",
            "SET XACT_ABORT ON",
            "SET IMPLICIT_TRANSACTIONS ON",
        ] {
            assert!(ending_transaction(sql, &Mssql).is_some(), "{sql}");
        }
        for sql in [
            "IF 1 = 1 BEGIN DELETE FROM t END",
            "BEGIN DELETE FROM t END",
            "BEGIN TRY DELETE FROM t END TRY BEGIN CATCH THROW; END CATCH",
            "CREATE TABLE t (a INT); TRUNCATE TABLE t",
            "SELECT [COMMIT] FROM t; -- COMMIT",
            "SET NOCOUNT ON",
            "SAVE TRANSACTION p",
        ] {
            assert_eq!(ending_transaction(sql, &Mssql), None, "{sql}");
        }
    }
}
