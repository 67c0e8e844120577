//! How Oracle writes SQL. Pure text.

use super::name::real;
use crate::dialect::create_table;
use crate::{ColumnInfo, Dialect, Kind, LOT, Lexis, Load, Mode, Stage, TableName};

pub(super) struct Oracle;

/// What marks an INSERT that leaves a key alone that is there already: Oracle has no word for that, so
/// [`super::connection`] takes the refusal of such a statement for a row left alone.
pub(super) const SKIP: &str = "INSERT /* unless the key is there */ INTO";

/// How times are written: to the second in a DATE, with fractions in a TIMESTAMP.
pub(super) const DATE: &str = "YYYY-MM-DD HH24:MI:SS";
pub(super) const TIMESTAMP: &str = "YYYY-MM-DD HH24:MI:SS.FF9";

/// Bytes that a VARCHAR2 holds, and the most that a character takes.
const VARCHAR_BYTES: u64 = 4000;
const CHARACTER_BYTES: u64 = 4;

impl Dialect for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn quote(&self, identifier: &str) -> String {
        // a name of Oracle's cannot hold a quote at all
        format!("\"{}\"", real(identifier).replace('"', ""))
    }

    fn placeholder(&self, number: usize) -> String {
        format!(":{number}")
    }

    fn cast(&self, expression: &str, kind: Kind) -> String {
        match kind {
            Kind::Bool | Kind::Integer | Kind::Decimal => format!("TO_NUMBER({expression})"),
            Kind::Real => format!("TO_BINARY_DOUBLE({expression})"),
            Kind::Date => format!("TO_DATE({expression}, '{DATE}')"),
            Kind::Timestamp => format!("TO_TIMESTAMP({expression}, '{TIMESTAMP}')"),
            // the written form ends with its zone, as in +01:00
            Kind::Instant => format!(
                "FROM_TZ(TO_TIMESTAMP(SUBSTR({expression}, 1, LENGTH({expression}) - 6), '{TIMESTAMP}'), SUBSTR({expression}, -6))"
            ),
            Kind::Blob => format!("HEXTORAW({expression})"),
            Kind::Text | Kind::Time | Kind::Json | Kind::Other => expression.to_owned(),
        }
    }

    fn limit(&self, query: &str, rows: u64) -> String {
        format!("{query}\nFETCH FIRST {rows} ROWS ONLY")
    }

    fn insert(&self, load: &Load<'_>) -> String {
        let names: Vec<String> = load.columns.iter().map(|name| self.quote(name)).collect();
        let values: Vec<String> = (1..=names.len()).map(|n| self.placeholder(n)).collect();
        let table = self.qualify(load.table);
        match load.mode {
            Mode::Append => insert("INSERT INTO", &table, &names, &values),
            Mode::Skip => insert(SKIP, &table, &names, &values),
            Mode::Upsert { key } => {
                let keys: Vec<String> = key.iter().map(|name| self.quote(name)).collect();
                merge(&table, &names, &values, &keys, true)
            }
        }
    }

    fn type_name(&self, kind: Kind, length: Option<u64>) -> String {
        match kind {
            Kind::Bool => "NUMBER(1)",
            Kind::Integer => "NUMBER(38)",
            // without bounds it keeps every digit, up to 38 of them
            Kind::Decimal => "NUMBER",
            Kind::Real => "BINARY_DOUBLE",
            Kind::Date => "DATE",
            // there is no type for a time of day
            Kind::Time => "VARCHAR2(18)",
            Kind::Timestamp => "TIMESTAMP(9)",
            Kind::Instant => "TIMESTAMP(9) WITH TIME ZONE",
            Kind::Blob => "BLOB",
            Kind::Json => "CLOB",
            Kind::Text | Kind::Other => match length {
                Some(length) if length <= VARCHAR_BYTES / CHARACTER_BYTES => {
                    return format!("VARCHAR2({} CHAR)", length.max(1));
                }
                _ => "CLOB",
            },
        }
        .to_owned()
    }

    fn ddl_commits(&self) -> bool {
        true
    }

    fn ends_transaction(&self, words: &[&str]) -> bool {
        match words {
            ["COMMIT", ..] => true,
            ["ROLLBACK", rest @ ..] => !rest.contains(&"TO"),
            ["CREATE", "PRIVATE", "TEMPORARY", ..] | ["ALTER", "SESSION" | "SYSTEM", ..] => false,
            [first, ..] => matches!(
                *first,
                "CREATE"
                    | "ALTER"
                    | "DROP"
                    | "TRUNCATE"
                    | "RENAME"
                    | "GRANT"
                    | "REVOKE"
                    | "COMMENT"
                    | "ANALYZE"
                    | "AUDIT"
                    | "NOAUDIT"
                    | "FLASHBACK"
                    | "PURGE"
                    | "ASSOCIATE"
                    | "DISASSOCIATE"
            ),
            [] => false,
        }
    }

    fn exact_text(&self, length: u64) -> String {
        // sessions compare by bytes
        format!("VARCHAR2({length} CHAR)")
    }

    fn bounds_text(&self) -> bool {
        true
    }

    fn empty_is_null(&self) -> bool {
        true
    }

    fn commits_late(&self) -> bool {
        true
    }

    fn max_params(&self) -> usize {
        32_767
    }

    fn stage_name(&self, word: &str) -> TableName {
        // what a private temporary table has to be called
        TableName::new(format!("ora$ptt_{}", word.to_lowercase()))
    }

    /// A private temporary table, which Oracle has since 18 and which can have no index: making it commits nothing.
    fn stage(&self, stage: &Stage<'_>) -> Vec<String> {
        let mut info = stage.info();
        info.primary_key.clear();
        for column in &mut info.columns {
            if column.name == LOT {
                column.declared = "NUMBER(19)".to_owned();
            }
        }
        let name = self.qualify(stage.name);
        let made = create_table(self, stage.name, &info);
        let made = made.replacen("CREATE TABLE", "CREATE PRIVATE TEMPORARY TABLE", 1);
        vec![
            // one that an earlier course left in this session
            format!(
                "BEGIN EXECUTE IMMEDIATE 'DROP TABLE {name}'; \
                 EXCEPTION WHEN OTHERS THEN IF SQLCODE <> -942 THEN RAISE; END IF; END;"
            ),
            format!("{made} ON COMMIT PRESERVE DEFINITION"),
        ]
    }

    /// Emptied: whether dropping it commits, the documentation does not say.
    fn drop_stage(&self, stage: &TableName) -> String {
        format!("DELETE FROM {}", self.qualify(stage))
    }

    fn differs(&self, one: &str, other: &str, column: &ColumnInfo) -> String {
        let unlike = match column.declared.as_str() {
            "CLOB" | "NCLOB" | "BLOB" => format!("DBMS_LOB.COMPARE({one}, {other}) <> 0"),
            "JSON" => format!("NOT JSON_EQUAL({one}, {other})"),
            _ => format!("{one} <> {other}"),
        };
        format!(
            "({unlike} OR ({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL))"
        )
    }

    fn inserts_locked(&self) -> bool {
        // FOR UPDATE stands in no query within a statement
        false
    }

    fn next_number(&self, sequence: &TableName) -> Option<String> {
        Some(format!("{}.NEXTVAL", self.qualify(sequence)))
    }

    fn span_number(&self, column: &str, from: i128, width: i128) -> String {
        // a division has a fraction
        format!("FLOOR(({column} - ({from})) / {width})")
    }

    fn lexis(&self) -> Lexis {
        Lexis {
            blocks: true,
            ..Lexis::default()
        }
    }
}

/// An INSERT of one row; `begin` is its first words.
pub(super) fn insert(begin: &str, table: &str, names: &[String], values: &[String]) -> String {
    format!(
        "{begin} {table} ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    )
}

/// A MERGE of one row, found by `keys`; a row that is there is updated, or left alone.
pub(super) fn merge(
    table: &str,
    names: &[String],
    values: &[String],
    keys: &[String],
    update: bool,
) -> String {
    let both = names.iter().zip(values);
    let row: Vec<String> = both
        .map(|(name, value)| format!("{value} AS {name}"))
        .collect();
    let same = |name: &String| format!("t.{name} = s.{name}");
    let found: Vec<String> = keys.iter().map(same).collect();
    let sets: Vec<String> = names
        .iter()
        .filter(|name| update && !keys.contains(name))
        .map(same)
        .collect();
    let matched = if sets.is_empty() {
        String::new()
    } else {
        format!(" WHEN MATCHED THEN UPDATE SET {}", sets.join(", "))
    };
    let brought: Vec<String> = names.iter().map(|name| format!("s.{name}")).collect();
    format!(
        "MERGE INTO {table} t USING (SELECT {} FROM DUAL) s ON ({}){matched} \
         WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        row.join(", "),
        found.join(" AND "),
        names.join(", "),
        brought.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TableInfo, bind::named, statement::ending_transaction};

    #[test]
    fn inserts_as_the_mode_says() {
        let (table, columns) = (
            TableName::parse("core.obs"),
            ["id".to_owned(), "值".to_owned()],
        );
        let sql = |mode| {
            Oracle.insert(&Load {
                table: &table,
                columns: &columns,
                mode,
            })
        };
        let tail = r#""CORE"."OBS" ("ID", "值") VALUES (:1, :2)"#;
        assert_eq!(sql(Mode::Append), format!("INSERT INTO {tail}"));
        assert_eq!(sql(Mode::Skip), format!("{SKIP} {tail}"));
        assert_eq!(
            sql(Mode::Upsert { key: &columns[..1] }),
            r#"MERGE INTO "CORE"."OBS" t USING (SELECT :1 AS "ID", :2 AS "值" FROM DUAL) s ON (t."ID" = s."ID") WHEN MATCHED THEN UPDATE SET t."值" = s."值" WHEN NOT MATCHED THEN INSERT ("ID", "值") VALUES (s."ID", s."值")"#
        );
        assert!(!sql(Mode::Upsert { key: &columns }).contains("WHEN MATCHED"));
    }

    #[test]
    fn tables_are_made_with_types_that_hold_the_values() {
        let column = |name, kind, length| ColumnInfo {
            length,
            ..ColumnInfo::new(name, kind)
        };
        let mut id = column("id", Kind::Integer, None);
        id.nullable = false;
        let info = TableInfo {
            columns: vec![
                id,
                column("name", Kind::Text, Some(255)),
                column("note", Kind::Text, Some(1001)),
                column("seen", Kind::Instant, None),
                column("price", Kind::Decimal, Some(10)),
            ],
            primary_key: vec!["id".to_owned()],
            ..TableInfo::default()
        };
        assert_eq!(
            Oracle.create_table(&TableName::new("obs"), &info),
            "CREATE TABLE \"OBS\" (\n  \"ID\" NUMBER(38) NOT NULL,\n  \"NAME\" VARCHAR2(255 CHAR),\n  \"NOTE\" CLOB,\n  \
             \"SEEN\" TIMESTAMP(9) WITH TIME ZONE,\n  \"PRICE\" NUMBER,\n  PRIMARY KEY (\"ID\")\n)"
        );
        assert_eq!(Oracle.decimal(20, 4), "NUMBER");
        assert_eq!(Oracle.exact_text(63), "VARCHAR2(63 CHAR)");
    }

    #[test]
    fn values_get_their_type() {
        assert_eq!(Oracle.cast(":1", Kind::Integer), "TO_NUMBER(:1)");
        assert_eq!(
            Oracle.cast(":1", Kind::Timestamp),
            "TO_TIMESTAMP(:1, 'YYYY-MM-DD HH24:MI:SS.FF9')"
        );
        // a name that stands three times is bound three times
        let instant = named(&Oracle.cast(":t", Kind::Instant), &Oracle);
        assert_eq!(instant.names, ["t", "t", "t"]);
        assert_eq!(
            Oracle.limit("SELECT 1 FROM DUAL", 3),
            "SELECT 1 FROM DUAL\nFETCH FIRST 3 ROWS ONLY"
        );
    }

    #[test]
    fn what_ends_a_transaction_is_seen() {
        let refused = |sql| ending_transaction(sql, &Oracle).map(|head| head.to_string());
        for sql in [
            "commit",
            "ROLLBACK",
            "DELETE FROM u; DROP TABLE v",
            "truncate table t",
            "CREATE GLOBAL TEMPORARY TABLE t (a NUMBER)",
            "COMMENT ON TABLE t IS 'x'",
        ] {
            assert!(refused(sql).is_some(), "{sql}");
        }
        for sql in [
            "ROLLBACK TO SAVEPOINT a",
            "ALTER SESSION SET NLS_SORT = BINARY",
            "BEGIN UPDATE t SET a = 1; DELETE FROM u; END;",
            "DECLARE n NUMBER := 1; BEGIN IF n = 1 THEN NULL; END IF; END;",
            "MERGE INTO t USING u ON (t.a = u.a) WHEN MATCHED THEN UPDATE SET t.b = u.b",
            "CREATE PRIVATE TEMPORARY TABLE ora$ptt_x (a NUMBER)",
        ] {
            assert_eq!(refused(sql), None, "{sql}");
        }
    }

    #[test]
    fn rows_pass_through_a_table_of_the_session() {
        let (table, columns) = (
            TableName::new("obs"),
            [ColumnInfo {
                declared: "NUMBER(10)".to_owned(),
                nullable: false,
                ..ColumnInfo::new("id", Kind::Integer)
            }],
        );
        let (name, key) = (Oracle.stage_name("procctl_stage"), ["id".to_owned()]);
        let stage = Stage {
            name: &name,
            table: &table,
            columns: &columns,
            key: &key,
            lots: true,
        };
        let made = Oracle.stage(&stage);
        assert!(
            made[0].contains(r#"'DROP TABLE "ORA$PTT_PROCCTL_STAGE"'"#),
            "{}",
            made[0]
        );
        assert_eq!(
            made[1],
            "CREATE PRIVATE TEMPORARY TABLE \"ORA$PTT_PROCCTL_STAGE\" (\n  \"ID\" NUMBER(10) NOT NULL,\n  \
             \"PROCCTL_LOT\" NUMBER(19)\n) ON COMMIT PRESERVE DEFINITION"
        );
        for sql in &made {
            assert!(ending_transaction(sql, &Oracle).is_none(), "{sql}");
        }
        assert_eq!(
            Oracle.drop_stage(&name),
            r#"DELETE FROM "ORA$PTT_PROCCTL_STAGE""#
        );
        let photo = ColumnInfo {
            declared: "BLOB".to_owned(),
            ..ColumnInfo::new("photo", Kind::Blob)
        };
        assert!(
            Oracle
                .differs("a", "b", &photo)
                .starts_with("(DBMS_LOB.COMPARE(a, b) <> 0 OR ")
        );
        assert_eq!(
            Oracle.next_number(&TableName::new("seq_rec")).as_deref(),
            Some("\"SEQ_REC\".NEXTVAL")
        );
        assert_eq!(Oracle.span_number("k", -5, 100), "FLOOR((k - (-5)) / 100)");
    }
}
