//! The SQL of an extract: what the job file says, wrapped for a range of its cursor column. Pure text; runs nothing.

use db::{Dialect, Kind, TableName};

use super::params::{Increment, Params, Table};
use crate::job::Invalid;

/// Parameters that the wrapping itself binds; a job may not use their names.
pub(super) const LAST: &str = "last";
/// See [`LAST`].
pub(super) const UPTO: &str = "upto";

/// A statement with its values in the order of its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<String>,
}

impl Statement {
    /// The values as cells to bind.
    pub(super) fn cells(&self) -> Vec<db::Cell<'_>> {
        self.values
            .iter()
            .map(|value| Some(value.as_bytes()))
            .collect()
    }
}

/// The query as the job file words it, by SQL or by table.
pub(super) fn wording(params: &Params, dialect: &dyn Dialect) -> String {
    match (&params.sql, &params.table) {
        (Some(sql), _) => sql.trim().trim_end_matches(';').trim_end().to_owned(),
        (None, Some(table)) => of_table(table, dialect),
        (None, None) => String::new(),
    }
}

fn of_table(table: &Table, dialect: &dyn Dialect) -> String {
    let columns = match &table.columns {
        Some(list) => list
            .0
            .iter()
            .map(|name| dialect.quote(name))
            .collect::<Vec<_>>()
            .join(", "),
        None => "*".to_owned(),
    };
    let name = dialect.qualify(&TableName::parse(&table.name));
    match &table.condition {
        Some(condition) => format!("SELECT {columns} FROM {name} WHERE {condition}"),
        None => format!("SELECT {columns} FROM {name}"),
    }
}

/// The query without any range.
pub(super) fn full(params: &Params, dialect: &dyn Dialect) -> Result<Statement, Invalid> {
    bind(&wording(params, dialect), params, &[], dialect)
}

/// No row of the query, for its columns.
pub(super) fn shape(params: &Params, dialect: &dyn Dialect) -> Result<Statement, Invalid> {
    let sql = format!(
        "SELECT * FROM ({}\n) q WHERE 1 = 0",
        wording(params, dialect)
    );
    bind(&sql, params, &[], dialect)
}

/// One value of the cursor column, for its type.
pub(super) fn sample(
    params: &Params,
    increment: &Increment,
    dialect: &dyn Dialect,
) -> Result<Statement, Invalid> {
    let column = dialect.quote(&increment.column);
    let sql = format!(
        "SELECT q.{column} FROM ({}\n) q WHERE q.{column} IS NOT NULL",
        wording(params, dialect)
    );
    bind(&dialect.limit(&sql, 1), params, &[], dialect)
}

/// The highest value of the cursor column above `last`, and none if there is nothing new.
pub(super) fn highest(
    params: &Params,
    increment: &Increment,
    last: &str,
    kind: Kind,
    dialect: &dyn Dialect,
) -> Result<Statement, Invalid> {
    let column = dialect.quote(&increment.column);
    let from = dialect.cast(&format!(":{LAST}"), kind);
    let sql = format!(
        "SELECT max(q.{column}) FROM ({}\n) q WHERE q.{column} > {from}",
        wording(params, dialect)
    );
    bind(&sql, params, &[(LAST, last)], dialect)
}

/// The rows above `last`, up to and with `upto`, in the order of the cursor column.
pub(super) fn range(
    params: &Params,
    increment: &Increment,
    last: &str,
    upto: &str,
    kind: Kind,
    dialect: &dyn Dialect,
) -> Result<Statement, Invalid> {
    let column = dialect.quote(&increment.column);
    let from = dialect.cast(&format!(":{LAST}"), kind);
    let to = dialect.cast(&format!(":{UPTO}"), kind);
    let sql = format!(
        "SELECT * FROM ({}\n) q WHERE q.{column} > {from} AND q.{column} <= {to} ORDER BY q.{column}",
        wording(params, dialect)
    );
    bind(&sql, params, &[(LAST, last), (UPTO, upto)], dialect)
}

/// Turns `:name` into the dialect's placeholders and puts the values in their order.
fn bind(
    sql: &str,
    params: &Params,
    own: &[(&str, &str)],
    dialect: &dyn Dialect,
) -> Result<Statement, Invalid> {
    let named = db::bind::named(sql, dialect);
    let mut values = Vec::with_capacity(named.names.len());
    for name in &named.names {
        let given = own
            .iter()
            .map(|(known, value)| (*known, *value))
            .chain(
                params
                    .params
                    .iter()
                    .map(|param| (param.name.as_str(), param.value.as_str())),
            )
            .find(|(known, _)| known == name);
        match given {
            Some((_, value)) => values.push(value.to_owned()),
            None => {
                return Err(Invalid::new(
                    "sql",
                    format!(
                        "the SQL speaks of :{name}, but no <param name=\"{name}\"> gives its value"
                    ),
                ));
            }
        }
    }
    Ok(Statement {
        sql: named.sql,
        values,
    })
}

/// Finds what is wrong with the names of parameters before anything is connected.
pub(super) fn validate(params: &Params) -> Result<(), Invalid> {
    for (at, param) in params.params.iter().enumerate() {
        let path = format!("param[{}].name", at + 1);
        if [LAST, UPTO].contains(&param.name.as_str()) && params.increment.is_some() {
            return Err(Invalid::new(
                path,
                format!("the name {} is taken by the increment itself", param.name),
            ));
        }
        if params.params[..at]
            .iter()
            .any(|other| other.name == param.name)
        {
            return Err(Invalid::new(
                path,
                format!("the parameter {} stands twice", param.name),
            ));
        }
    }
    Ok(())
}
