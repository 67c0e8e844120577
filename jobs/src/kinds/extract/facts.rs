//! What is known of the query and its cursor before rows are read: asked once a connection.

use db::{Connection, Dialect, Kind, TableName};

use super::params::Params;
use super::query::{self, Along};
use crate::context::Context;
use crate::error::Error;
use crate::latecomers;
use crate::statement::{STATEMENT, Statement};

/// What is known of the query.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) columns: Vec<db::Column>,
    /// Primary key of the job's table, as far as it is among the columns; empty for SQL.
    pub(super) key: Vec<String>,
    /// Columns of the job's table that are never NULL; empty for SQL.
    pub(super) filled: Vec<String>,
    /// Types as the table's dictionary words them, by column.
    declared: Vec<(String, String)>,
}

impl Facts {
    pub(super) fn learn(db: &mut dyn Connection, params: &Params) -> Result<Facts, Error> {
        let shape = query::shape(params, db.dialect())?;
        let columns = db.query(&shape.sql, &shape.cells())?.columns().to_vec();
        let mut facts = Facts {
            columns,
            key: Vec::new(),
            filled: Vec::new(),
            declared: Vec::new(),
        };
        let Some(table) = &params.table else {
            return Ok(facts);
        };
        if let Some(info) = db.dictionary(&TableName::parse(&table.name))? {
            let there = |name: &&String| facts.columns.iter().any(|column| column.name == **name);
            if info.primary_key.iter().all(|name| there(&name)) {
                facts.key.clone_from(&info.primary_key);
            }
            let filled = info
                .columns
                .iter()
                .filter(|column| !column.nullable || facts.key.contains(&column.name));
            let types = info.columns.iter();
            facts.declared = types
                .map(|column| (column.name.clone(), column.declared.clone()))
                .collect();
            facts.filled = filled.map(|column| column.name.clone()).collect();
        }
        Ok(facts)
    }

    /// Takes the result's spelling of the columns that the job names, where the database sees no difference (Oracle).
    pub(super) fn spell(&self, params: &mut Params, dialect: &dyn Dialect) {
        let increment = params.increment.iter_mut().map(|given| &mut given.column);
        for name in increment.chain(&mut params.source.key) {
            let quoted = dialect.quote(name);
            let mut columns = self.columns.iter();
            if let Some(column) = columns.find(|column| dialect.quote(&column.name) == quoted) {
                name.clone_from(&column.name);
            }
        }
    }

    /// The type of a column, in the database's own words if it has any.
    pub(super) fn type_of(&self, column: &db::Column) -> String {
        let table = self.declared.iter().find(|(name, _)| *name == column.name);
        let words = [Some(&column.declared), table.map(|(_, words)| words)];
        let known = words.into_iter().flatten().find(|words| !words.is_empty());
        known.map_or_else(
            || format!("{:?}", column.kind).to_lowercase(),
            String::clone,
        )
    }

    /// The kind of a column. An expression has no declared type; a row of it tells.
    pub(super) fn kind(
        &self,
        db: &mut dyn Connection,
        params: &Params,
        name: &str,
    ) -> Result<Kind, Error> {
        let column = self.columns.iter().find(|column| column.name == name);
        let column = column.ok_or_else(|| no_column(name))?;
        if column.kind != Kind::Other {
            return Ok(column.kind);
        }
        let along = Along {
            params,
            column: name,
            kind: Kind::Other,
            dialect: db.dialect(),
        };
        let sample = along.sample()?;
        let mut rows = db.query(&sample.sql, &sample.cells())?;
        rows.fetch()?;
        Ok(rows.columns()[0].kind)
    }

    /// The columns that tell rows of the same cursor apart, if any are known.
    pub(super) fn order(&self, cursor: &str) -> Vec<String> {
        let further = self.key.iter().filter(|name| *name != cursor);
        further.cloned().collect()
    }
}

pub(super) fn no_column(name: &str) -> Error {
    Error::Invalid(format!("the query has no column {name}"))
}

/// What a value that the job or an operator names ought to be as one of the column, and is not.
pub(super) fn misfit(
    cx: &Context,
    db: &mut dyn Connection,
    along: Along<'_>,
    value: &str,
) -> Result<Option<&'static str>, Error> {
    let example = match along.kind.is_number() {
        true => None,
        false => along.sample()?.first_row(cx, db)?.into_iter().next(),
    };
    let example = example.flatten();
    Ok(latecomers::misfit(value, along.kind, example.as_deref()))
}

/// The sentence about such a value.
pub(super) fn not_one(value: &str, what: &str, column: &str) -> String {
    format!("`{value}` is no value of {column}: a {what} is meant")
}

/// Whether a walk along a column can be made: none, or what the database has against it.
pub(super) fn unwalkable(
    cx: &Context,
    db: &mut dyn Connection,
    along: Along<'_>,
) -> Result<Option<String>, Error> {
    use db::ErrorKind::{Invalid, Missing, Other, Syntax, Type};
    let trial = along.trial()?;
    match trial.first_row(cx, db) {
        Ok(_) => Ok(None),
        Err(Error::Database(error))
            if matches!(error.kind(), Invalid | Missing | Other | Syntax | Type) =>
        {
            let chain = Error::Database(error).chain();
            Ok(Some(format!(
                "{} has no highest value for the database, as numbers and times have: {chain}",
                along.column
            )))
        }
        Err(error) => Err(error),
    }
}

/// Starts a statement whose rows are streamed.
pub(super) fn start<'c>(
    cx: &Context,
    db: &'c mut dyn Connection,
    statement: &Statement,
) -> Result<Box<dyn db::Rows + 'c>, Error> {
    let _step = cx.step("query", STATEMENT);
    Ok(db.query(&statement.sql, &statement.cells())?)
}
