//! How SQL Server carries rows over from a temporary table, and compares values exactly. Pure text.

use super::dialect::Mssql;
use crate::dialect::{LOT, Stage};
use crate::{Change, ColumnInfo, Dialect, Kind, TableName};

/// How letters are compared one by one.
const EXACT: &str = "COLLATE Latin1_General_100_BIN2";

/// A name within a string.
fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

/// The statements that make a stage. Its texts are collated as the table's: a temporary table would take tempdb's way.
pub(super) fn stage(stage: &Stage<'_>) -> Vec<String> {
    let key = if stage.key.is_empty() {
        Vec::new()
    } else {
        stage.primary_key()
    };
    let mut lines: Vec<String> = stage
        .columns
        .iter()
        .map(|column| {
            let required = if key.contains(&column.name) {
                "NOT NULL"
            } else {
                "NULL"
            };
            let collate = match &column.collation {
                _ if !has_collation(column) => String::new(),
                Some(collation) => format!(" COLLATE {collation}"),
                None => " COLLATE DATABASE_DEFAULT".to_owned(),
            };
            let declared = match column.declared.as_str() {
                "" => Mssql.type_name(column.kind, column.length),
                declared => declared.to_owned(),
            };
            format!(
                "{} {declared}{collate} {required}",
                Mssql.quote(&column.name)
            )
        })
        .collect();
    if stage.lots {
        lines.push(format!("{} bigint NOT NULL", Mssql.quote(LOT)));
    }
    if !key.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", Mssql.list(&key, "")));
    }
    let name = Mssql.qualify(stage.name);
    vec![
        format!("DROP TABLE IF EXISTS {name}"),
        format!("CREATE TABLE {name} (\n  {}\n)", lines.join(",\n  ")),
    ]
}

fn word(column: &ColumnInfo) -> &str {
    let end = column.declared.find('(').unwrap_or(column.declared.len());
    &column.declared[..end]
}

fn has_collation(column: &ColumnInfo) -> bool {
    let words = ["char", "varchar", "nchar", "nvarchar", "text", "ntext"];
    words.contains(&word(column)) || column.declared.is_empty() && column.kind == Kind::Text
}

/// The INSERT of a query's rows. A table that numbers one of the columns itself has to be told that it does not this time.
pub(super) fn insert_from(table: &TableName, columns: &[String], select: &str) -> String {
    let name = Mssql.qualify(table);
    let names: Vec<String> = columns.iter().map(|column| literal(column)).collect();
    let numbered = format!(
        "IF EXISTS (SELECT 1 FROM sys.identity_columns WHERE object_id = OBJECT_ID({}) AND name IN ({}))",
        literal(&name),
        names.join(", ")
    );
    format!(
        "{numbered} SET IDENTITY_INSERT {name} ON; INSERT INTO {name} ({}) {select}; {numbered} SET IDENTITY_INSERT {name} OFF",
        Mssql.list(columns, "")
    )
}

/// The UPDATE of rows by those of a stage.
pub(super) fn update_from(change: &Change<'_>) -> String {
    let (table, stage) = (Mssql.qualify(change.table), Mssql.qualify(change.stage));
    let sets = change.columns.iter().map(|name| {
        let name = Mssql.quote(name);
        format!("{name} = {stage}.{name}")
    });
    let sets: Vec<String> = sets.collect();
    format!(
        "UPDATE {table} SET {} FROM {table} JOIN {stage} ON {}",
        sets.join(", "),
        change.on(&Mssql)
    )
}

/// The condition that two values are not one and the same. SQL Server's own comparison knows no case in many collations, no spaces at the end of
/// a text and no zeros at the end of bytes.
pub(super) fn differs(one: &str, other: &str, column: &ColumnInfo) -> String {
    let as_type = |value: &str| match word(column) {
        "xml" | "text" | "ntext" | "sql_variant" => format!("CONVERT(nvarchar(max), {value})"),
        "image" | "hierarchyid" | "geometry" | "geography" => {
            format!("CONVERT(varbinary(max), {value})")
        }
        _ => value.to_owned(),
    };
    let (a, b) = (as_type(one), as_type(other));
    let longer = format!("DATALENGTH({a}) <> DATALENGTH({b})");
    let unequal = match column.kind {
        Kind::Text | Kind::Json | Kind::Other if word(column) == "uniqueidentifier" => {
            format!("{a} <> {b}")
        }
        Kind::Text | Kind::Json | Kind::Other => format!("{a} {EXACT} <> {b} {EXACT} OR {longer}"),
        Kind::Blob => format!("{a} <> {b} OR {longer}"),
        _ => format!("{a} <> {b}"),
    };
    format!(
        "({unequal} OR ({one} IS NULL AND {other} IS NOT NULL) OR ({one} IS NOT NULL AND {other} IS NULL))"
    )
}

/// What to sort by so that values come in the order of their written forms.
pub(super) fn in_form_order(expression: &str, kind: Kind) -> String {
    match kind {
        // also unique identifiers, which SQL Server sorts from their end
        Kind::Text | Kind::Json | Kind::Other => {
            format!("CONVERT(nvarchar(max), {expression}) {EXACT}")
        }
        _ => expression.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind, declared: &str) -> ColumnInfo {
        ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new(name, kind)
        }
    }

    #[test]
    fn a_stage_is_made_for_this_connection_alone() {
        let name = Mssql.stage_name("word");
        let table = TableName::parse("dbo.t");
        let mut v = column("v", Kind::Text, "nvarchar(20)");
        v.collation = Some("Latin1_General_BIN2".to_owned());
        let columns = [
            column("id", Kind::Integer, "int"),
            v,
            column("x", Kind::Text, "xml"),
        ];
        let key = ["id".to_owned()];
        let made = Mssql.stage(&Stage {
            name: &name,
            table: &table,
            columns: &columns,
            key: &key,
            lots: true,
        });
        assert_eq!(made[0], "DROP TABLE IF EXISTS [#word]");
        assert_eq!(
            made[1],
            "CREATE TABLE [#word] (\n  [id] int NOT NULL,\n  [v] nvarchar(20) COLLATE Latin1_General_BIN2 NULL,\n  [x] xml NULL,\n  \
             [procctl_lot] bigint NOT NULL,\n  PRIMARY KEY ([procctl_lot], [id])\n)"
        );
        assert_eq!(Mssql.drop_stage(&name), "DROP TABLE [#word]");
    }

    #[test]
    fn rows_are_carried_over() {
        let (table, stage) = (TableName::parse("dbo.t"), Mssql.stage_name("s"));
        let (key, columns) = (["id".to_owned()], ["v".to_owned()]);
        let change = Change {
            table: &table,
            stage: &stage,
            key: &key,
            lot: Some(3),
            columns: &columns,
            only: "",
        };
        let on = "[#s].[procctl_lot] = 3 AND [dbo].[t].[id] = [#s].[id]";
        assert_eq!(
            Mssql.update_from(&change),
            format!("UPDATE [dbo].[t] SET [v] = [#s].[v] FROM [dbo].[t] JOIN [#s] ON {on}")
        );
        assert_eq!(
            Mssql.delete_from(&change),
            format!("DELETE FROM [dbo].[t] WHERE EXISTS (SELECT 1 FROM [#s] WHERE {on})")
        );
        let sql = Mssql.insert_from(&table, &["it's".to_owned()], "SELECT 1");
        let numbered = "IF EXISTS (SELECT 1 FROM sys.identity_columns WHERE object_id = OBJECT_ID(N'[dbo].[t]') AND name IN (N'it''s'))";
        assert_eq!(
            sql,
            format!(
                "{numbered} SET IDENTITY_INSERT [dbo].[t] ON; INSERT INTO [dbo].[t] ([it's]) SELECT 1; \
                 {numbered} SET IDENTITY_INSERT [dbo].[t] OFF"
            )
        );
        assert_eq!(
            Mssql.next_number(&table).as_deref(),
            Some("NEXT VALUE FOR [dbo].[t]")
        );
    }

    #[test]
    fn values_are_compared_exactly() {
        let differs = |kind, declared| Mssql.differs("a", "b", &column("c", kind, declared));
        assert!(differs(Kind::Integer, "int").starts_with("(a <> b OR (a IS NULL"));
        assert!(differs(Kind::Text, "nvarchar(9)").starts_with(
            "(a COLLATE Latin1_General_100_BIN2 <> b COLLATE Latin1_General_100_BIN2 OR DATALENGTH(a) <> DATALENGTH(b) OR (a IS NULL"
        ));
        assert!(differs(Kind::Text, "uniqueidentifier").starts_with("(a <> b OR (a IS NULL"));
        assert!(differs(Kind::Text, "xml").contains("CONVERT(nvarchar(max), a) COLLATE"));
        assert!(differs(Kind::Blob, "varbinary(9)").contains("DATALENGTH(a) <> DATALENGTH(b)"));
        assert_eq!(Mssql.in_form_order("x", Kind::Integer), "x");
        assert!(Mssql.in_form_order("x", Kind::Text).ends_with("BIN2"));
    }
}
