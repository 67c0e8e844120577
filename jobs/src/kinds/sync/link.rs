//! `from="t@link"` without a source: a table that the target's server reaches by itself. Rows do not come by us; the server is told to fetch them, in
//! batches along the key, so that no statement lasts for ever and the job beats in between.
//!
//! What stands behind the `@` depends on the server: on PostgreSQL a foreign server that has a foreign table of that name, or else a schema (as
//! IMPORT FOREIGN SCHEMA fills one); on MySQL another database of the same server; on Oracle a database link; on SQL Server a linked server, as
//! `SERVER`, `SERVER.db` or `SERVER.db.schema`. A name without `@` is a table beside the target's own.
//!
//! A refresh is one transaction of the target, as ever. On PostgreSQL its batches see one moment; on MySQL each row is locked as it is read, so
//! that those behind it may still change.

use db::{ColumnInfo, Connection, Dialect, TableInfo, TableName};

use super::facts::Course;
use super::mapping::Origin;
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::statement::{STATEMENT, Statement};

/// A foreign table of PostgreSQL by the name of its server and its own, or the name it has there.
const FOREIGN: &str = "SELECT n.nspname, c.relname FROM pg_catalog.pg_foreign_table t \
    JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE s.srvname = $1 AND (c.relname = $2 OR 'table_name=' || CAST($2 AS TEXT) = ANY (t.ftoptions)) \
    ORDER BY c.relname <> $2, n.nspname LIMIT 1";

/// The table and the link of `t@link`.
fn parts(from: &str) -> Option<(&str, &str)> {
    let (table, link) = from.rsplit_once('@')?;
    (!table.is_empty() && !link.is_empty()).then_some((table, link))
}

/// A table that a connection reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// By its own dictionary.
    Table(TableName),
    /// By a link of its SQL.
    Linked(String),
}

impl Reached {
    /// The table that `from` means; only where it is `linked` an `@` has a meaning, unless a table is called just so.
    ///
    /// # Errors
    /// Where the server has no such thing as a link.
    pub(super) fn find(
        from: &str,
        linked: bool,
        db: &mut dyn Connection,
    ) -> Result<Reached, Error> {
        let whole = TableName::parse(from);
        let Some((table, link)) = parts(from).filter(|_| linked) else {
            return Ok(Reached::Table(whole));
        };
        if db.dictionary(&whole)?.is_some() {
            return Ok(Reached::Table(whole));
        }
        let name = TableName::parse(table).name;
        match db.dialect().name() {
            "postgres" => foreign(db, &name, link).map(Reached::Table),
            "mysql" => Ok(Reached::Table(TableName {
                schema: Some(link.to_owned()),
                name,
            })),
            "sqlite" => Err(Error::Invalid(format!(
                "{from}: SQLite reaches no table by a link; a <source> with the other file's URL does"
            ))),
            other => sql_form(db.dialect(), from)
                .map(Reached::Linked)
                .ok_or_else(|| {
                    Error::Invalid(format!(
                        "{from}: how {other} reaches a table by a link is not known"
                    ))
                }),
        }
    }

    /// Its name in SQL.
    pub(super) fn text(&self, dialect: &dyn Dialect) -> String {
        match self {
            Reached::Table(table) => dialect.qualify(table),
            Reached::Linked(sql) => sql.clone(),
        }
    }

    /// What is known of it; of a table behind a link of Oracle or SQL Server only the columns of its rows.
    pub(super) fn dictionary(&self, db: &mut dyn Connection) -> Result<Option<TableInfo>, Error> {
        let sql = match self {
            Reached::Table(table) => return Ok(db.dictionary(table)?),
            Reached::Linked(sql) => format!("SELECT * FROM {sql}"),
        };
        let column = |column: db::Column| ColumnInfo {
            declared: column.declared,
            ..ColumnInfo::new(column.name, column.kind)
        };
        let columns = db.describe(&sql, 0)?.into_iter().map(column).collect();
        Ok(Some(TableInfo {
            columns,
            ..TableInfo::default()
        }))
    }
}

/// The foreign table of a server, or else the table in a schema of that name.
fn foreign(db: &mut dyn Connection, name: &str, link: &str) -> Result<TableName, Error> {
    let mut rows = db.query(FOREIGN, &[Some(link.as_bytes()), Some(name.as_bytes())])?;
    let row = rows.fetch()?;
    let text = |cell: db::Cell<'_>| cell.map(|text| String::from_utf8_lossy(text).into_owned());
    let found = row.map(|row| TableName {
        schema: text(row.cell(0)),
        name: text(row.cell(1)).unwrap_or_default(),
    });
    Ok(found.unwrap_or_else(|| TableName {
        schema: Some(link.to_owned()),
        name: name.to_owned(),
    }))
}

/// How a server that has links in its SQL names the table: Oracle and SQL Server.
fn sql_form(dialect: &dyn Dialect, from: &str) -> Option<String> {
    let (table, link) = parts(from)?;
    let table = TableName::parse(table);
    match dialect.name() {
        "oracle" => {
            // a link's name is no quoted identifier: it may have a domain
            let plain =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '#' | '@');
            link.chars()
                .all(plain)
                .then(|| format!("{}@{link}", dialect.qualify(&table)))
        }
        "mssql" => {
            let mut names: Vec<&str> = link.split('.').collect();
            let schema = table.schema.as_deref();
            // server, database and schema: what is left out stays empty between its points
            names.resize(3.max(names.len()), "");
            if let (Some(schema), Some(place)) = (schema, names.get_mut(2)) {
                *place = schema;
            }
            names.push(&table.name);
            let quoted = names.iter().map(|name| {
                if name.is_empty() {
                    String::new()
                } else {
                    format!("[{}]", name.replace(']', "]]"))
                }
            });
            (names.len() == 4).then(|| quoted.collect::<Vec<_>>().join("."))
        }
        _ => None,
    }
}

/// Has the server fetch all rows into a table with these columns, in batches along the key; belongs into a transaction of the target.
pub(super) fn fetch(
    cx: &Context,
    course: &Course<'_>,
    target: &mut dyn Connection,
    (into, names): (&TableName, &[String]),
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    let reach = Reach::new(cx, course, target.dialect(), into, names);
    if target.dialect().name() == "postgres" {
        target.batch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
    }
    let Some(key) = reach.key() else {
        tally.read = reach.run(cx, target, &reach.rows(|_| Vec::new()))?;
        return Ok(tally);
    };
    // no batch has a row without a key
    tally.read = reach.run(cx, target, &reach.rows(|_| vec![format!("{key} IS NULL")]))?;
    let mut last: Option<String> = None;
    loop {
        cx.checkpoint()?;
        let bound = reach.bound(&key, last.as_deref(), course.table.batch);
        let Some(upto) = bound.first_row(cx, target)?.into_iter().next().flatten() else {
            return Ok(tally);
        };
        tally.read += reach.run(cx, target, &reach.between(&key, last.as_deref(), &upto))?;
        last = Some(upto);
    }
}

/// What the server is told.
struct Reach<'a> {
    course: &'a Course<'a>,
    dialect: &'static dyn Dialect,
    into: &'a TableName,
    names: &'a [String],
    given: Vec<String>,
}

impl<'a> Reach<'a> {
    fn new(
        cx: &Context,
        course: &'a Course<'a>,
        dialect: &'static dyn Dialect,
        into: &'a TableName,
        names: &'a [String],
    ) -> Reach<'a> {
        let given = course.facts.mapping.given_texts(cx.now());
        Reach {
            course,
            dialect,
            into,
            names,
            given,
        }
    }

    /// The column along which batches are made, if one column is the key.
    fn key(&self) -> Option<String> {
        let mapping = &self.course.facts.mapping;
        let [lane] = mapping.key.as_slice() else {
            return None;
        };
        match &mapping.lanes[*lane].from {
            Origin::Column(column) => Some(self.dialect.quote(&column.name)),
            Origin::Expression(_) => None,
        }
    }

    fn place(&self, value: &str, values: &mut Vec<String>) -> String {
        values.push(value.to_owned());
        let place = self.dialect.placeholder(values.len());
        let mapping = &self.course.facts.mapping;
        let kind = mapping.key.first().map(|lane| mapping.lanes[*lane].to.kind);
        match kind {
            Some(db::Kind::Text) | None => place,
            Some(kind) => self.dialect.cast(&place, kind),
        }
    }

    /// The greatest key of the next batch.
    fn bound(&self, key: &str, last: Option<&str>, rows: u64) -> Statement {
        let reading = &self.course.facts.reading;
        let mut values = Vec::new();
        let after = match last {
            Some(last) => format!("{key} > {}", self.place(last, &mut values)),
            None => format!("{key} IS NOT NULL"),
        };
        let some = format!(
            "SELECT {key} AS procctl_key FROM {}{} ORDER BY {key}",
            reading.table(),
            reading.filter(&[after])
        );
        let some = self.dialect.limit(&some, rows);
        Statement {
            sql: format!("SELECT MAX(procctl_key) FROM ({some}) procctl_batch"),
            values,
        }
    }

    /// The statement that fetches the rows of a batch.
    fn between(&self, key: &str, last: Option<&str>, upto: &str) -> Statement {
        self.rows(|values| {
            let after = last.map(|last| format!("{key} > {}", self.place(last, values)));
            let upto = format!("{key} <= {}", self.place(upto, values));
            after.into_iter().chain([upto]).collect()
        })
    }

    /// The statement that fetches the rows that meet conditions, whose values follow those of the given columns.
    fn rows(&self, conditions: impl FnOnce(&mut Vec<String>) -> Vec<String>) -> Statement {
        let facts = self.course.facts;
        let mut columns = facts.reading.columns().to_vec();
        let kinds = facts
            .mapping
            .given
            .iter()
            .map(|given| given.to.kind)
            .enumerate();
        columns.extend(
            kinds.map(|(at, kind)| self.dialect.cast(&self.dialect.placeholder(at + 1), kind)),
        );
        let mut values = self.given.clone();
        let filter = facts.reading.filter(&conditions(&mut values));
        let select = format!(
            "SELECT {} FROM {}{filter}",
            columns.join(", "),
            facts.reading.table()
        );
        Statement {
            sql: self.dialect.insert_from(self.into, self.names, &select),
            values,
        }
    }

    fn run(
        &self,
        cx: &Context,
        target: &mut dyn Connection,
        statement: &Statement,
    ) -> Result<u64, Error> {
        let _step = cx.step("fetching by the link", STATEMENT);
        let rows = target.execute(&statement.sql, &statement.cells())?;
        cx.progress(rows, 0);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_sign_parts_table_and_link() {
        assert_eq!(parts("s.t@link"), Some(("s.t", "link")));
        assert_eq!(parts("a@b@c"), Some(("a@b", "c")));
        assert_eq!((parts("t"), parts("@l"), parts("t@")), (None, None, None));
    }

    /// A dialect of another name, with quotes as Oracle has them.
    struct Named(&'static str, &'static dyn Dialect);

    impl Dialect for Named {
        fn name(&self) -> &'static str {
            self.0
        }
        fn placeholder(&self, number: usize) -> String {
            self.1.placeholder(number)
        }
        fn cast(&self, expression: &str, kind: db::Kind) -> String {
            self.1.cast(expression, kind)
        }
        fn insert(&self, load: &db::Load<'_>) -> String {
            self.1.insert(load)
        }
        fn type_name(&self, kind: db::Kind, length: Option<u64>) -> String {
            self.1.type_name(kind, length)
        }
        fn ddl_commits(&self) -> bool {
            true
        }
        fn commits_late(&self) -> bool {
            true
        }
        fn max_params(&self) -> usize {
            1
        }
        fn lexis(&self) -> db::Lexis {
            self.1.lexis()
        }
    }

    #[test]
    fn servers_name_a_table_behind_a_link_in_their_own_sql() {
        let plain = db::dialect_of("postgres:x").unwrap();
        for (server, from, sql) in [
            (
                "oracle",
                "T_OBS@CORE.EXAMPLE",
                Some(r#""T_OBS"@CORE.EXAMPLE"#),
            ),
            ("oracle", "IDC.T_OBS@CORE", Some(r#""IDC"."T_OBS"@CORE"#)),
            ("oracle", "T@x; DROP", None),
            ("mssql", "t_obs@CORE", Some("[CORE]...[t_obs]")),
            (
                "mssql",
                "dbo.t_obs@CORE.idc",
                Some("[CORE].[idc].[dbo].[t_obs]"),
            ),
            (
                "mssql",
                "t]obs@CORE.idc.dbo",
                Some("[CORE].[idc].[dbo].[t]]obs]"),
            ),
            ("mssql", "t@a.b.c.d", None),
            ("postgres", "t@x", None),
        ] {
            assert_eq!(
                sql_form(&Named(server, plain), from).as_deref(),
                sql,
                "{server} {from}"
            );
        }
    }
}
