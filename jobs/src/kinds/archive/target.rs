//! The tables that rows go to: found in the dictionary, made like the source where the job asks for it, and the copies in them.

use std::collections::HashMap;
use std::rc::Rc;

use db::form::{Number, read_number};
use db::{Connection, Dialect, TableInfo, TableName};

use super::doubts::Doubts;
use super::facts::{Facts, Statement};
use super::key::{self, Key, KeyText};
use crate::context::Context;
use crate::error::Error;
use crate::likeness::{self, Side, Wanted};
use crate::link::Link;
use crate::statement::STATEMENT;

/// The cells of a row, kept.
pub(super) type Cells = Vec<Option<Vec<u8>>>;

/// A table that rows go to.
pub(super) struct Target {
    pub(super) dialect: &'static dyn Dialect,
    pub(super) name: TableName,
    /// The name in SQL.
    pub(super) sql: String,
    pub(super) info: TableInfo,
    /// The columns that are copied, by their names in the source and here.
    pub(super) from: Vec<String>,
    pub(super) into: Vec<String>,
    /// The columns of the source's key, here.
    pub(super) key: Key,
    /// Columns that may alter what is put into them.
    pub(super) doubts: Doubts,
}

impl Target {
    /// Matches columns by their names; else says what would be lost.
    pub(super) fn fit(
        facts: &Facts,
        dialect: &'static dyn Dialect,
        name: TableName,
        info: TableInfo,
    ) -> Result<Target, String> {
        if info.view {
            return Err(format!("{name} is a view"));
        }
        let (mut from, mut into) = (Vec::new(), Vec::new());
        for column in &facts.info.columns {
            match info.column(&column.name) {
                Some(here) if here.generated && column.generated => {}
                Some(here) if here.generated => {
                    return Err(format!(
                        "{name} computes its column {} itself: the values of {} would be lost",
                        here.name, facts.name
                    ));
                }
                Some(here) => {
                    from.push(column.name.clone());
                    into.push(here.name.clone());
                }
                None if column.generated => {}
                None => {
                    return Err(format!(
                        "{name} has no column {}: its values would be lost",
                        column.name
                    ));
                }
            }
        }
        let key = facts.key.0.iter().map(|column| {
            let here = info.column(&column.name).cloned();
            here.ok_or_else(|| format!("{name} has no column {}, which is in the key", column.name))
        });
        let key = Key(key.collect::<Result<_, _>>()?);
        Ok(Target {
            doubts: Doubts::between(facts, (dialect, &info), (&from, &into), &key),
            key,
            sql: dialect.qualify(&name),
            dialect,
            name,
            info,
            from,
            into,
        })
    }

    /// Whether no two rows of it can have the same key.
    pub(super) fn is_keyed(&self) -> bool {
        let told = |name: &String| self.key.0.iter().any(|column| column.name == *name);
        self.info.keys().any(|key| key.iter().all(told))
    }

    /// Why copies in it could not be told from other rows.
    pub(super) fn unkeyed(&self) -> Option<String> {
        (!self.is_keyed()).then(|| {
            let (name, columns) = (&self.name, self.key.names().join(","));
            format!("{name} has no unique key ({columns}): a repeat after a crash could not tell copies from other rows")
        })
    }

    /// Whether a row of the source and a copy are the same, cell by cell; numbers by their value.
    pub(super) fn same(&self, facts: &Facts, row: &Cells, copy: &Cells) -> bool {
        let is_number = |name: &String| {
            let column = facts.info.column(name);
            column.is_some_and(|column| column.kind.is_number())
        };
        let mut cells = self.from.iter().zip(row.iter().zip(copy));
        row.len() == copy.len()
            && cells.all(|(name, (one, other))| {
                one == other || is_number(name) && same_number(one.as_deref(), other.as_deref())
            })
    }
}

fn same_number(one: db::Cell<'_>, other: db::Cell<'_>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    let is_exact = |number| !matches!(number, Number::Float { exact: false, .. });
    match (read_number(one), read_number(other)) {
        (Some(one), Some(other)) => is_exact(one) && is_exact(other) && value(one) == value(other),
        _ => false,
    }
}

/// A number as it is spelled shortest, so that 12 and 12.00 are the same.
fn value(number: Number) -> String {
    match number {
        Number::Integer(value) => value.to_string(),
        Number::Float { value, .. } => value.to_string(),
    }
}

/// The first row of a query, kept.
pub(super) fn first(
    db: &mut dyn Connection,
    query: &Statement<'_>,
) -> Result<Option<Cells>, Error> {
    let mut rows = db.query(&query.sql, &query.values)?;
    let row = rows.fetch()?;
    Ok(row.map(|row| row.cells().map(|cell| cell.map(<[u8]>::to_vec)).collect()))
}

/// The row of this key in a target, of the columns that are copied.
pub(super) fn copy_of(
    db: &mut dyn Connection,
    target: &Target,
    key: &KeyText,
) -> Result<Option<Cells>, Error> {
    let keys = std::slice::from_ref(key);
    let query = Statement {
        sql: format!(
            "SELECT {} FROM {} WHERE {}",
            list(target.dialect, &target.into),
            target.sql,
            target.key.among(target.dialect, keys, 1)
        ),
        values: key::cells(keys),
    };
    first(db, &query)
}

/// Takes copies back out of a target.
pub(super) fn take_back(
    db: &mut dyn Connection,
    target: &Target,
    keys: &[KeyText],
) -> Result<u64, Error> {
    let among = target.key.among(target.dialect, keys, 1);
    let sql = format!("DELETE FROM {} WHERE {among}", target.sql);
    Ok(db.execute(&sql, &key::cells(keys))?)
}

fn list(dialect: &dyn Dialect, columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|name| dialect.quote(name)).collect();
    quoted.join(", ")
}

/// The statements that make a table like the source: exactly like it on its own server, else with mapped types.
pub(super) fn like(
    facts: &Facts,
    dialect: &'static dyn Dialect,
    name: &TableName,
    same_server: bool,
) -> Vec<String> {
    let twin = if same_server {
        likeness::twin(dialect, &facts.name, &facts.info, name)
    } else {
        None
    };
    twin.unwrap_or_else(|| {
        let original = Side {
            dialect: facts.dialect,
            info: &facts.info,
        };
        let columns: Vec<Wanted<'_>> = facts
            .info
            .columns
            .iter()
            .map(|column| Wanted::column(&column.name, column))
            .collect();
        let drawing = likeness::draw(&original, dialect, &columns);
        vec![dialect.create_table(name, &drawing.info)]
    })
}

/// The targets of one table, each asked for once.
pub(super) struct Targets<'a> {
    facts: &'a Facts,
    /// Whether a table that is not there is made.
    make: bool,
    known: HashMap<String, Rc<Target>>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(facts: &'a Facts, make: bool) -> Targets<'a> {
        Targets {
            facts,
            make,
            known: HashMap::new(),
        }
    }

    /// A target in the source's own database.
    pub(super) fn here(
        &mut self,
        cx: &Context,
        db: &mut Link,
        to: &str,
    ) -> Result<Rc<Target>, Error> {
        if let Some(known) = self.known.get(to) {
            return Ok(Rc::clone(known));
        }
        let name = TableName::parse(to);
        let info = self.find(cx, db, &name, true)?;
        self.keep(db.dialect(), to, name, info, |_| None)
    }

    /// A target in another database, where copies must be told by their key.
    pub(super) fn there(
        &mut self,
        cx: &Context,
        other: &mut Link,
        to: &str,
    ) -> Result<Rc<Target>, Error> {
        if let Some(known) = self.known.get(to) {
            return Ok(Rc::clone(known));
        }
        let name = TableName::parse(to);
        let info = self.find(cx, other, &name, false)?;
        self.keep(other.dialect(), to, name, info, Target::unkeyed)
    }

    /// The table's dictionary; where it is not there, it is made if it may be.
    fn find(
        &self,
        cx: &Context,
        db: &mut Link,
        name: &TableName,
        same_server: bool,
    ) -> Result<Option<TableInfo>, Error> {
        let found = db.dictionary(name)?;
        if found.is_some() {
            db.require_transactions(name)?;
        }
        if found.is_some() || !self.make {
            return Ok(found);
        }
        let _step = cx.step("make a table", STATEMENT);
        let statements = like(self.facts, db.dialect(), name, same_server);
        let info = likeness::make(&mut **db, name, &statements)?;
        log::info!("made {name} like {}", self.facts.name);
        Ok(Some(info))
    }

    fn keep(
        &mut self,
        dialect: &'static dyn Dialect,
        to: &str,
        name: TableName,
        info: Option<TableInfo>,
        wrong: impl Fn(&Target) -> Option<String>,
    ) -> Result<Rc<Target>, Error> {
        let info = info.ok_or_else(|| {
            Error::Invalid(format!(
                "there is no table {name}; create=\"true\" makes it like {}",
                self.facts.name
            ))
        })?;
        let target = Target::fit(self.facts, dialect, name, info).map_err(Error::Invalid)?;
        if let Some(why) = wrong(&target) {
            return Err(Error::Invalid(why));
        }
        let target = Rc::new(target);
        self.known.insert(to.to_owned(), Rc::clone(&target));
        Ok(target)
    }
}
