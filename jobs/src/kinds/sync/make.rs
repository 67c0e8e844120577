//! `create="true"`: makes the target's table where there is none, like the source's, with the columns and names that the job file wants.

use db::{ColumnInfo, Connection, Kind, TableInfo, TableName};

use super::capture;
use super::cursor::{self, Owner};
use super::link::Reached;
use super::params::{Column, Mode, Table};
use super::pass::Pair;
use crate::error::Error;
use crate::likeness::{Drawing, Side, Wanted, draw, make};

/// A column of the new table: its name, and what it is like.
struct Planned {
    name: String,
    like: ColumnInfo,
    own: bool,
}

/// Makes the table if the job wants that and it is not there; gives what was made, a line each. What the job has noted of an earlier table of that
/// name is forgotten first: the new one is to get all rows.
pub(super) fn ensure(job: &str, table: &Table, pair: &mut Pair) -> Result<Vec<String>, Error> {
    let Some(drawing) = plan(table, pair)? else {
        return Ok(Vec::new());
    };
    let to = TableName::parse(table.to());
    match table.mode {
        Mode::Increment => {
            cursor::prepare(&mut *pair.target)?;
            let owner = Owner::new(job, &table.from, table.to());
            cursor::forget(&mut *pair.target, &owner)?;
        }
        Mode::Capture => capture::begin_anew(job, table, &mut *pair.source)?,
        Mode::Refresh | Mode::Batch => {}
    }
    let sql = pair.target.dialect().create_table(&to, &drawing.info);
    make(&mut *pair.target, &to, &[sql])?;
    let mut told = vec![format!("made the table {to}")];
    told.extend(
        drawing
            .remarks
            .iter()
            .map(|remark| format!("{to}: {remark}")),
    );
    Ok(told)
}

/// What would be made; nothing where the table is there, or the job wants none made.
pub(super) fn plan(table: &Table, pair: &mut Pair) -> Result<Option<Drawing>, Error> {
    let to = TableName::parse(table.to());
    let (source, target) = (&mut *pair.source, &mut *pair.target);
    if !table.create || target.dictionary(&to)?.is_some() {
        return Ok(None);
    }
    let from = Reached::find(&table.from, pair.linked, source)?;
    let Some(mut info) = from.dictionary(source)? else {
        return Err(Error::Invalid(format!(
            "the source has no table {}",
            table.from
        )));
    };
    let columns = columns(table, &info, &from.text(source.dialect()), source)?;
    if info.primary_key.is_empty()
        && table.mode != Mode::Increment
        && let Some(key) = &table.key
    {
        let named = |name: &String| {
            columns
                .iter()
                .find(|one| one.like.name == *name || one.name == *name)
        };
        info.primary_key = key
            .0
            .iter()
            .filter_map(|name| named(name).map(|one| one.like.name.clone()))
            .collect();
    }
    let wanted = columns.iter().map(|one| Wanted {
        name: &one.name,
        like: &one.like,
        own: one.own,
    });
    let wanted: Vec<Wanted<'_>> = wanted.collect();
    let original = Side {
        dialect: source.dialect(),
        info: &info,
    };
    Ok(Some(draw(&original, target.dialect(), &wanted)))
}

/// The source's columns under the names that they shall have, then what comes from elsewhere.
fn columns(
    table: &Table,
    source: &TableInfo,
    from: &str,
    db: &mut dyn Connection,
) -> Result<Vec<Planned>, Error> {
    let own = source
        .columns
        .iter()
        .flat_map(|known| names_of(table, source, known));
    let mut planned: Vec<Planned> = own.collect();
    for column in &table.columns {
        let name = name_of(column);
        let kind = match (&column.from, column.value.as_deref()) {
            (Some(known), _) if source.column(known).is_some() => continue,
            (Some(expression), _) => kind_of(expression, from, db)?,
            (None, Some("now")) => Kind::Timestamp,
            (None, Some(value)) if value.starts_with("sequence:") => Kind::Integer,
            (None, Some("default") | None) => {
                return Err(Error::Invalid(format!(
                    "create=\"true\" cannot tell the type of the column {name}, which has only a default"
                )));
            }
            (None, Some(_)) => Kind::Text,
        };
        let like = ColumnInfo::new("", kind);
        planned.push(Planned {
            name,
            like,
            own: false,
        });
    }
    Ok(planned)
}

/// The target's name of a column.
fn name_of(column: &Column) -> String {
    let name = column.to.as_ref().or(column.from.as_ref());
    name.cloned().unwrap_or_default()
}

/// A column of the source under each name that it shall have: its own, unless the job file says otherwise or fills that name from elsewhere.
fn names_of(table: &Table, source: &TableInfo, known: &ColumnInfo) -> Vec<Planned> {
    let is_it = |column: &&Column| {
        let from = column.from.as_ref().and_then(|from| source.column(from));
        from.is_some_and(|from| from.name == known.name)
    };
    let mut names: Vec<String> = table.columns.iter().filter(is_it).map(name_of).collect();
    let taken = |column: &Column| name_of(column).eq_ignore_ascii_case(&known.name);
    if names.is_empty() && !table.columns.iter().any(taken) {
        names.push(known.name.clone());
    }
    let planned = |name| Planned {
        name,
        like: known.clone(),
        own: true,
    };
    names.into_iter().map(planned).collect()
}

/// What an expression over the source's columns yields, as far as its database tells without a row.
fn kind_of(expression: &str, from: &str, db: &mut dyn Connection) -> Result<Kind, Error> {
    let columns = db.describe(&format!("SELECT ({expression}\n) FROM {from}"), 0)?;
    Ok(columns.first().map_or(Kind::Text, |column| column.kind))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jobfile::JobFile;

    use crate::context::Context;
    use crate::error::Error;
    use crate::kinds;

    fn run(dir: &Path, table: &str) -> Result<String, Error> {
        let xml = format!(
            r#"<sync name="test"><source url="sqlite:a.db"/><target url="sqlite:b.db"/>{table}</sync>"#
        );
        let file = JobFile::from_text(Path::new("s.xml"), xml.as_bytes()).unwrap();
        let mut job = (kinds::find("sync").unwrap().make)(&file).unwrap();
        job.run(&mut Context::fake(dir))?;
        let db = rusqlite::Connection::open(dir.join("b.db")).unwrap();
        let sql: String = db
            .query_row(
                "SELECT sql FROM sqlite_schema WHERE name = 'c'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        Ok(sql.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_table_is_made_with_the_columns_and_names_that_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let db = rusqlite::Connection::open(dir.path().join("a.db")).unwrap();
        db.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b VARCHAR(9) NOT NULL DEFAULT 'x', c DATE); INSERT INTO t VALUES (1, 'b', '2026-11-21')").unwrap();
        let table = r#"<table from="t" to="c" create="true" verify="true"><column from="b" to="label"/><column from="a * 2" to="twice"/><column to="at" value="now"/><column to="by" value="us"/></table>"#;
        for _ in 0..2 {
            assert_eq!(
                run(dir.path(), table).unwrap(),
                r#"CREATE TABLE "c" ( "a" INTEGER NOT NULL, "label" VARCHAR(9) DEFAULT 'x' NOT NULL, "c" DATE, "twice" TEXT, "at" TIMESTAMP, "by" TEXT, PRIMARY KEY ("a") )"#
            );
        }
    }

    #[test]
    fn what_cannot_be_made_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = rusqlite::Connection::open(dir.path().join("a.db")).unwrap();
        db.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY)")
            .unwrap();
        let told = |table| run(dir.path(), table).unwrap_err().chain();
        let table =
            r#"<table from="t" to="c" create="true"><column to="at" value="default"/></table>"#;
        assert!(told(table).contains("type of the column at"));
        assert!(told(r#"<table from="none" to="c" create="true"/>"#).contains("no table none"));
    }
}
