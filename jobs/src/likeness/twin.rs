//! A table exactly like another of the same server, by the server's own statement where it has one; and the making of a table.

use db::{Connection, Dialect, TableInfo, TableName};

/// The statements that make `copy` exactly like `original`, whose dictionary is `info`: with its defaults, checks, computed columns and
/// indexes, but not its foreign keys, triggers and numbering. `None`: the database has no such statement, or the original is a view.
#[must_use]
pub fn twin(
    dialect: &dyn Dialect,
    original: &TableName,
    info: &TableInfo,
    copy: &TableName,
) -> Option<Vec<String>> {
    if info.view {
        return None;
    }
    let (original, copy) = (dialect.qualify(original), dialect.qualify(copy));
    match dialect.name() {
        "postgres" => {
            let mut statements = vec![format!(
                "CREATE TABLE {copy} (LIKE {original} INCLUDING ALL EXCLUDING IDENTITY)"
            )];
            // a default that draws from the original's sequence would tie that sequence to the copy
            let numbered = info
                .columns
                .iter()
                .filter(|column| column.auto && column.default.is_some());
            statements.extend(numbered.map(|column| {
                format!(
                    "ALTER TABLE {copy} ALTER COLUMN {} DROP DEFAULT",
                    dialect.quote(&column.name)
                )
            }));
            Some(statements)
        }
        "mysql" => Some(vec![format!("CREATE TABLE {copy} LIKE {original}")]),
        _ => None,
    }
}

/// Makes a table by these statements, outside any transaction, and gives its dictionary. Somebody else may be making it at the same moment.
///
/// # Errors
/// Those of the database, if the table is not there in the end.
pub fn make(
    db: &mut dyn Connection,
    table: &TableName,
    statements: &[String],
) -> db::Result<TableInfo> {
    let mut made = Ok(0);
    for sql in statements {
        made = db.execute(sql, &[]);
        if made.is_err() {
            break;
        }
    }
    let known = db.dictionary(table)?;
    let action = || format!("making the table {table}");
    match (known, made) {
        (Some(info), _) => Ok(info),
        (None, Err(error)) => Err(db::Error::new(error.kind(), action()).because(error)),
        (None, Ok(_)) => Err(db::Error::new(db::ErrorKind::Missing, action())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use db::{ColumnInfo, Kind};

    #[test]
    fn servers_have_statements_of_their_own() {
        let mut info = TableInfo {
            columns: vec![ColumnInfo::new("id", Kind::Integer)],
            ..TableInfo::default()
        };
        info.columns[0].auto = true;
        info.columns[0].default = Some("nextval('s'::regclass)".to_owned());
        let (from, to) = (TableName::parse("s.t"), TableName::new("t_2026"));
        let of = |scheme: &str, info: &TableInfo| {
            twin(db::dialect_of(scheme).unwrap(), &from, info, &to)
        };
        assert_eq!(
            of("postgres:", &info).unwrap(),
            [
                r#"CREATE TABLE "t_2026" (LIKE "s"."t" INCLUDING ALL EXCLUDING IDENTITY)"#,
                r#"ALTER TABLE "t_2026" ALTER COLUMN "id" DROP DEFAULT"#
            ]
        );
        assert_eq!(
            of("mysql:", &info).unwrap(),
            ["CREATE TABLE `t_2026` LIKE `s`.`t`"]
        );
        assert_eq!(of("sqlite:", &info), None);
        info.view = true;
        assert_eq!(of("mysql:", &info), None);
    }

    #[test]
    fn a_table_that_is_there_is_made_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let options = db::Options {
            base: dir.path().to_owned(),
            ..db::Options::default()
        };
        let mut db = db::connect("sqlite:t.db", &options).unwrap();
        let (table, sql) = (
            TableName::new("t"),
            ["CREATE TABLE t (id INTEGER PRIMARY KEY)".to_owned()],
        );
        for _ in 0..2 {
            assert_eq!(make(&mut *db, &table, &sql).unwrap().primary_key, ["id"]);
        }
        let error = make(
            &mut *db,
            &TableName::new("u"),
            &["CREATE TABEL u".to_owned()],
        )
        .unwrap_err();
        assert!(
            error.to_string().starts_with("making the table u"),
            "{error}"
        );
    }
}
