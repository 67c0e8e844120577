//! The SQL of an extract: what the job file says, wrapped for a range of a column. Pure text; runs nothing.

use db::{Dialect, Kind, TableName};

use super::params::{Params, Table};
use crate::job::Invalid;
use crate::statement::Statement;

/// Parameters that the wrapping itself binds; a job may not use their names.
const LAST: &str = "last";
/// See [`LAST`].
const UPTO: &str = "upto";
/// What further names of the wrapping begin with.
const OWN: &str = "procctl_";
/// The column that tells whether a row lies at the upper end of its range.
const EDGE: &str = "procctl_edge";

/// The query as the job file words it, by SQL or by table.
fn wording(params: &Params, dialect: &dyn Dialect) -> String {
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

/// The query as seen along one of its columns.
#[derive(Clone, Copy)]
pub(super) struct Along<'a> {
    pub(super) params: &'a Params,
    pub(super) column: &'a str,
    pub(super) kind: Kind,
    pub(super) dialect: &'static dyn Dialect,
}

/// Where a range begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin<'a> {
    /// With the lowest value.
    Lowest,
    /// Above this value.
    Above(&'a str),
    /// With this value.
    With(&'a str),
}

impl<'a> Begin<'a> {
    fn value(self) -> Option<&'a str> {
        match self {
            Begin::Lowest => None,
            Begin::Above(value) | Begin::With(value) => Some(value),
        }
    }
}

type Own<'v> = Vec<(String, &'v str)>;

impl Along<'_> {
    fn name(&self) -> String {
        format!("q.{}", self.dialect.quote(self.column))
    }

    fn wrap(&self, select: &str, tail: &str, own: &[(String, &str)]) -> Result<Statement, Invalid> {
        let sql = format!(
            "SELECT {select} FROM ({}\n) q{tail}",
            wording(self.params, self.dialect)
        );
        bind(&sql, self.params, own, self.dialect)
    }

    /// A parameter that holds `value` of the column. Text needs no cast, and takes the column's own type so.
    fn place(&self, name: &str, value: &str) -> String {
        let beyond = value
            .parse::<i128>()
            .is_ok_and(|n| n > i128::from(i64::MAX));
        let kind = match self.kind {
            Kind::Text => return format!(":{name}"),
            Kind::Integer if beyond => Kind::Decimal,
            kind => kind,
        };
        self.dialect.cast(&format!(":{name}"), kind)
    }

    fn conditions<'v>(&self, from: Begin<'v>, upto: Option<&'v str>) -> (Vec<String>, Own<'v>) {
        let (name, mut own) = (self.name(), Own::new());
        let mut conditions = Vec::new();
        if let Some(value) = from.value() {
            let than = if matches!(from, Begin::With(_)) {
                ">="
            } else {
                ">"
            };
            conditions.push(format!("{name} {than} {}", self.place(LAST, value)));
            own.push((LAST.to_owned(), value));
        }
        if let Some(value) = upto {
            conditions.push(format!("{name} <= {}", self.place(UPTO, value)));
            own.push((UPTO.to_owned(), value));
        }
        (conditions, own)
    }

    /// The condition that a row has a place on the line; what is infinite or no number would end it for all that follow.
    fn finite(&self) -> Option<String> {
        self.dialect.finite(&self.name(), self.kind)
    }

    /// Whether the column may hold what is infinite or no number.
    pub(super) fn may_be_endless(&self) -> bool {
        self.finite().is_some()
    }

    fn filter(conditions: &[String]) -> String {
        if conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", conditions.join(" AND "))
    }

    /// One value of the column, for its type.
    pub(super) fn sample(&self) -> Result<Statement, Invalid> {
        let name = self.name();
        let sql = format!(
            "SELECT {name} FROM ({}\n) q WHERE {name} IS NOT NULL",
            wording(self.params, self.dialect)
        );
        bind(&self.dialect.limit(&sql, 1), self.params, &[], self.dialect)
    }

    /// The lowest value of all.
    pub(super) fn lowest(&self) -> Result<Statement, Invalid> {
        self.wrap(&format!("min({})", self.name()), "", &[])
    }

    /// The highest value from there on and up to `ceiling`, none if there is no row, and how many rows have the value that the range begins with.
    pub(super) fn highest(
        &self,
        from: Begin<'_>,
        ceiling: Option<&str>,
    ) -> Result<Statement, Invalid> {
        let name = self.name();
        let (mut conditions, own) = self.conditions(from, ceiling);
        conditions.extend(self.finite());
        let ties = match from {
            Begin::With(value) => {
                format!(
                    "count(CASE WHEN {name} > {} THEN NULL ELSE 1 END)",
                    self.place(LAST, value)
                )
            }
            Begin::Lowest | Begin::Above(_) => "0".to_owned(),
        };
        self.wrap(
            &format!("max({name}), {ties}"),
            &Self::filter(&conditions),
            &own,
        )
    }

    /// What every walk along the column asks for, of no row: whether the database can tell the highest of its values.
    pub(super) fn trial(&self) -> Result<Statement, Invalid> {
        self.wrap(&format!("max({})", self.name()), " WHERE 1 = 0", &[])
    }

    /// The highest value of all, and whether it is below `last`.
    pub(super) fn fallen(&self, last: &str) -> Result<Statement, Invalid> {
        let sql = format!(
            "SELECT m, CASE WHEN m < {} THEN 1 ELSE 0 END FROM (SELECT max({}) AS m FROM ({}\n) q{}) x",
            self.place(LAST, last),
            self.name(),
            wording(self.params, self.dialect),
            Self::filter(&Vec::from_iter(self.finite()))
        );
        bind(&sql, self.params, &[(LAST.to_owned(), last)], self.dialect)
    }

    /// How many rows have no value in the column.
    pub(super) fn nulls(&self) -> Result<Statement, Invalid> {
        let tail = format!(" WHERE {} IS NULL", self.name());
        self.wrap("count(*)", &tail, &[])
    }

    /// How many rows have what is infinite or no number; none where no row can.
    pub(super) fn endless(&self) -> Result<Option<Statement>, Invalid> {
        let Some(finite) = self.finite() else {
            return Ok(None);
        };
        let tail = format!(" WHERE NOT {finite}");
        self.wrap("count(*)", &tail, &[]).map(Some)
    }

    /// The rows of a range, in the order of the column and then of `order`. `edge`: with one more column, 1 for rows at `upto`.
    pub(super) fn range(
        &self,
        from: Begin<'_>,
        upto: &str,
        order: &[String],
        edge: bool,
    ) -> Result<Statement, Invalid> {
        let (mut conditions, own) = self.conditions(from, Some(upto));
        conditions.extend(self.finite());
        let select = if edge {
            let at = self.place(UPTO, upto);
            format!(
                "q.*, CASE WHEN {} >= {at} THEN 1 ELSE 0 END AS {EDGE}",
                self.name()
            )
        } else {
            "q.*".to_owned()
        };
        let tail = format!("{}{}", Self::filter(&conditions), self.order(order));
        self.wrap(&select, &tail, &own)
    }

    /// The rows of several spans of whole numbers, both ends included, in the order of the column.
    pub(super) fn spans(
        &self,
        spans: &[(i128, i128)],
        order: &[String],
    ) -> Result<Statement, Invalid> {
        let name = self.name();
        let ends: Vec<[String; 2]> = spans
            .iter()
            .map(|(from, to)| [from.to_string(), to.to_string()])
            .collect();
        let (mut own, mut conditions) = (Own::new(), Vec::new());
        for (number, [from, to]) in ends.iter().enumerate() {
            let names = [format!("{OWN}from{number}"), format!("{OWN}to{number}")];
            conditions.push(format!(
                "{name} BETWEEN {} AND {}",
                self.place(&names[0], from),
                self.place(&names[1], to)
            ));
            let [low, high] = names;
            own.extend([(low, from.as_str()), (high, to.as_str())]);
        }
        let tail = format!(" WHERE {}{}", conditions.join(" OR "), self.order(order));
        self.wrap("q.*", &tail, &own)
    }

    fn order(&self, further: &[String]) -> String {
        let mut names = vec![self.name()];
        names.extend(
            further
                .iter()
                .map(|name| format!("q.{}", self.dialect.quote(name))),
        );
        format!(" ORDER BY {}", names.join(", "))
    }

    /// The value that ends the next `rows` rows, and how many there are.
    pub(super) fn boundary(&self, from: Begin<'_>, rows: u64) -> Result<Statement, Invalid> {
        let name = self.name();
        let (mut conditions, own) = self.conditions(from, None);
        conditions.push(format!("{name} IS NOT NULL"));
        let inner = format!(
            "SELECT {name} AS k FROM ({}\n) q{} ORDER BY {name}",
            wording(self.params, self.dialect),
            Self::filter(&conditions)
        );
        let sql = format!(
            "SELECT max(x.k), count(*) FROM ({}\n) x",
            self.dialect.limit(&inner, rows)
        );
        bind(&sql, self.params, &own, self.dialect)
    }

    /// The rows of a range in no order.
    pub(super) fn piece(&self, from: Begin<'_>, upto: Option<&str>) -> Result<Statement, Invalid> {
        let (mut conditions, own) = self.conditions(from, upto);
        if conditions.is_empty() {
            conditions.push(format!("{} IS NOT NULL", self.name()));
        }
        self.wrap("q.*", &Self::filter(&conditions), &own)
    }

    /// The rows without a value in the column.
    pub(super) fn without(&self) -> Result<Statement, Invalid> {
        let tail = format!(" WHERE {} IS NULL", self.name());
        self.wrap("q.*", &tail, &[])
    }
}

/// Turns `:name` into the dialect's placeholders and puts the values in their order.
fn bind(
    sql: &str,
    params: &Params,
    own: &[(String, &str)],
    dialect: &dyn Dialect,
) -> Result<Statement, Invalid> {
    let named = db::bind::named(sql, dialect);
    let mut values = Vec::with_capacity(named.names.len());
    for name in &named.names {
        let given = own
            .iter()
            .map(|(known, value)| (known.as_str(), *value))
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
    let wrapped = params.increment.is_some() || params.source.parts > 1;
    for (at, param) in params.params.iter().enumerate() {
        let path = format!("param[{}].name", at + 1);
        let taken = [LAST, UPTO].contains(&param.name.as_str()) || param.name.starts_with(OWN);
        if wrapped && taken {
            return Err(Invalid::new(
                path,
                format!("the name {} is taken by the extract itself", param.name),
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

/// What to tell of parameters that the query does not speak of, a line each. What it speaks of, the database's own way of quoting tells.
pub(super) fn unused(params: &Params) -> Vec<String> {
    let Some(dialect) = db::dialect_of(&params.source.url) else {
        return Vec::new();
    };
    let names = db::bind::named(&wording(params, dialect), dialect).names;
    let own = params.params.iter().map(|param| &param.name);
    own.filter(|name| !names.contains(name))
        .map(|name| format!("the SQL does not speak of :{name}"))
        .collect()
}
