//! The SQL that reads either side of a copy: what the job file says, whole, by ranges, or along a column that grows. Pure text; runs nothing.

use db::{Dialect, Kind, TableName};

use super::mapping::{Mapping, Origin};
use crate::statement::Statement;

/// The name of the column that tells the cursor's value, last but for [`EDGE`].
const CURSOR: &str = "procctl_cursor";
/// The column that tells whether a row lies at the upper end of its range.
const EDGE: &str = "procctl_edge";

/// One side of a copy: its table, and the columns that a row of it brings, as SQL.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) dialect: &'static dyn Dialect,
    table: String,
    columns: Vec<String>,
    condition: Option<String>,
}

impl Side {
    /// The side that rows come from, its table as SQL names it; a row brings the mapping's lanes.
    pub(super) fn source(
        table: String,
        condition: Option<&String>,
        mapping: &Mapping,
        dialect: &'static dyn Dialect,
    ) -> Side {
        let column = |origin: &Origin| match origin {
            Origin::Column(column) => dialect.quote(&column.name),
            Origin::Expression(sql) => format!("({sql}\n)"),
        };
        Side {
            table,
            columns: mapping
                .lanes
                .iter()
                .map(|lane| column(&lane.from))
                .collect(),
            condition: condition.cloned(),
            dialect,
        }
    }

    /// The side that they go into; a row brings all that a carried row fills.
    pub(super) fn target(
        table: &TableName,
        condition: Option<&String>,
        mapping: &Mapping,
        dialect: &'static dyn Dialect,
    ) -> Side {
        Side {
            table: dialect.qualify(table),
            columns: mapping
                .names()
                .iter()
                .map(|name| dialect.quote(name))
                .collect(),
            condition: condition.cloned(),
            dialect,
        }
    }

    /// The table's name in quotes.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// What a row brings, a column each.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Which rows count, and further conditions, as ` WHERE …`.
    pub(super) fn filter(&self, further: &[String]) -> String {
        let own = self.condition.as_ref().map(|sql| format!("({sql}\n)"));
        let all: Vec<String> = own.into_iter().chain(further.iter().cloned()).collect();
        if all.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", all.join(" AND "))
    }

    /// All rows, in no order.
    pub(super) fn all(&self) -> Statement {
        let columns = self.columns.join(", ");
        Statement::plain(format!(
            "SELECT {columns} FROM {}{}",
            self.table,
            self.filter(&[])
        ))
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> Statement {
        Statement::plain(format!(
            "SELECT count(*) FROM {}{}",
            self.table,
            self.filter(&[])
        ))
    }

    /// One row of the table if it has any, whether it counts or not.
    pub(super) fn any(&self) -> Statement {
        let sql = format!("SELECT 1 FROM {}", self.table);
        Statement::plain(self.dialect.limit(&sql, 1))
    }

    /// The rows in the order of the lanes of `key`; within spans of the first of them, both ends included, where spans are given.
    pub(super) fn ordered(&self, key: &[(usize, Kind)], spans: &[(i128, i128)]) -> Statement {
        let order: Vec<String> = key
            .iter()
            .map(|(lane, kind)| self.dialect.in_form_order(&self.columns[*lane], *kind))
            .collect();
        let within = key.first().map(|(lane, _)| self.within(*lane, spans));
        let further: Vec<String> = within.flatten().into_iter().collect();
        Statement::plain(format!(
            "SELECT {} FROM {}{} ORDER BY {}",
            self.columns.join(", "),
            self.table,
            self.filter(&further),
            order.join(", ")
        ))
    }

    fn within(&self, lane: usize, spans: &[(i128, i128)]) -> Option<String> {
        let name = &self.columns[lane];
        let each = spans
            .iter()
            .map(|(from, to)| format!("{name} BETWEEN {from} AND {to}"));
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| format!("({})", each.join(" OR ")))
    }

    /// The lowest and the highest number in a lane, and how many rows there are.
    pub(super) fn extent(&self, lane: usize) -> Statement {
        let name = &self.columns[lane];
        Statement::plain(format!(
            "SELECT min({name}), max({name}), count(*) FROM {}{}",
            self.table,
            self.filter(&[])
        ))
    }

    /// For each span of `width` numbers of a lane from `from` to `to`: which one it is, how many rows it has, and their fingerprint.
    pub(super) fn fingerprints(
        &self,
        lane: usize,
        (from, to): (i128, i128),
        width: i128,
        fingerprint: &str,
    ) -> Statement {
        let name = &self.columns[lane];
        let number = self.dialect.span_number(name, from, width);
        let within: Vec<String> = self.within(lane, &[(from, to)]).into_iter().collect();
        let rows = format!("{}{}", self.table, self.filter(&within));
        Statement::plain(self.dialect.fingerprints(&number, fingerprint, &rows))
    }
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

/// A side as seen along one of its columns.
#[derive(Clone, Copy)]
pub(super) struct Along<'a> {
    pub(super) side: &'a Side,
    /// The column's name.
    pub(super) column: &'a str,
    pub(super) kind: Kind,
}

impl Along<'_> {
    fn name(&self) -> String {
        self.side.dialect.quote(self.column)
    }

    /// A placeholder for `value` of the column. Text needs no cast, and takes the column's own type so.
    fn place(&self, value: &str, values: &mut Vec<String>) -> String {
        values.push(value.to_owned());
        let place = self.side.dialect.placeholder(values.len());
        let beyond = value
            .parse::<i128>()
            .is_ok_and(|n| n > i128::from(i64::MAX));
        match self.kind {
            Kind::Text => place,
            Kind::Integer if beyond => self.side.dialect.cast(&place, Kind::Decimal),
            kind => self.side.dialect.cast(&place, kind),
        }
    }

    fn begin(&self, from: Begin<'_>, values: &mut Vec<String>) -> Vec<String> {
        let name = self.name();
        let begin = match from {
            Begin::Lowest => format!("{name} IS NOT NULL"),
            Begin::Above(value) => format!("{name} > {}", self.place(value, values)),
            Begin::With(value) => format!("{name} >= {}", self.place(value, values)),
        };
        // what is infinite or no number would end the line for all that follow
        let mut conditions = vec![begin];
        conditions.extend(self.finite());
        conditions
    }

    fn finite(&self) -> Option<String> {
        self.side.dialect.finite(&self.name(), self.kind)
    }

    /// The highest value from there on and up to `ceiling`, none if there is no row, and how many rows have the value that the range begins with.
    pub(super) fn highest(&self, from: Begin<'_>, ceiling: Option<&str>) -> Statement {
        let (name, mut values) = (self.name(), Vec::new());
        let ties = match from {
            Begin::With(value) => {
                let place = self.place(value, &mut values);
                format!("count(CASE WHEN {name} > {place} THEN NULL ELSE 1 END)")
            }
            Begin::Lowest | Begin::Above(_) => "0".to_owned(),
        };
        let mut conditions = self.begin(from, &mut values);
        if let Some(ceiling) = ceiling {
            conditions.push(format!("{name} <= {}", self.place(ceiling, &mut values)));
        }
        let filter = self.side.filter(&conditions);
        let sql = format!(
            "SELECT max({name}), {ties} FROM {}{filter}",
            self.side.table
        );
        Statement { sql, values }
    }

    /// The lowest value of all.
    pub(super) fn lowest(&self) -> Statement {
        let filter = self.side.filter(&[]);
        Statement::plain(format!(
            "SELECT min({}) FROM {}{filter}",
            self.name(),
            self.side.table
        ))
    }

    /// One value of the column.
    pub(super) fn sample(&self) -> Statement {
        let (name, table) = (self.name(), &self.side.table);
        let filter = self.side.filter(&[format!("{name} IS NOT NULL")]);
        let sql = format!("SELECT {name} FROM {table}{filter}");
        Statement::plain(self.side.dialect.limit(&sql, 1))
    }

    /// How many rows have no place on the line: no value in the column, or one that is infinite or no number.
    pub(super) fn outside(&self) -> Statement {
        let mut outside = format!("{} IS NULL", self.name());
        if let Some(finite) = self.finite() {
            outside = format!("({outside} OR NOT {finite})");
        }
        let filter = self.side.filter(&[outside]);
        Statement::plain(format!("SELECT count(*) FROM {}{filter}", self.side.table))
    }

    /// The rows of a range in the order of the column, whose value comes last. `edge`: with one more column, 1 for rows at `upto`.
    pub(super) fn range(&self, from: Begin<'_>, upto: &str, edge: bool) -> Statement {
        let (name, mut values) = (self.name(), Vec::new());
        let edge = if edge {
            let place = self.place(upto, &mut values);
            format!(", CASE WHEN {name} >= {place} THEN 1 ELSE 0 END AS {EDGE}")
        } else {
            String::new()
        };
        let mut conditions = self.begin(from, &mut values);
        conditions.push(format!("{name} <= {}", self.place(upto, &mut values)));
        let sql = format!(
            "SELECT {}, {name} AS {CURSOR}{edge} FROM {}{} ORDER BY {name}",
            self.side.columns.join(", "),
            self.side.table,
            self.side.filter(&conditions)
        );
        Statement { sql, values }
    }

    /// The rows of several spans of whole numbers, both ends included, in the order of the column, whose value comes last.
    pub(super) fn spans(&self, spans: &[(i128, i128)]) -> Statement {
        let (name, mut values) = (self.name(), Vec::new());
        let mut each = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            let from = self.place(&from.to_string(), &mut values);
            let to = self.place(&to.to_string(), &mut values);
            each.push(format!("{name} BETWEEN {from} AND {to}"));
        }
        let within = format!("({})", each.join(" OR "));
        let sql = format!(
            "SELECT {}, {name} AS {CURSOR} FROM {}{} ORDER BY {name}",
            self.side.columns.join(", "),
            self.side.table,
            self.side.filter(&[within])
        );
        Statement { sql, values }
    }
}
