//! What `jobs check` tells of two tables beyond which column goes where: the table that would be made, and everything that keeps the target from
//! taking the source's rows as they are. Changes nothing.

use db::{ColumnInfo, TableName};

use super::facts::Facts;
use super::make;
use super::mapping::{Mapping, Origin};
use super::params::Table;
use super::pass::Pair;
use crate::error::Error;
use crate::job::Report;
use crate::likeness::{self, Side, mismatches};

/// Tells of the table that a run would make; whether it would make one.
pub(super) fn unmade(table: &Table, pair: &mut Pair, report: &mut Report) -> Result<bool, Error> {
    let Some(drawing) = make::plan(table, pair)? else {
        return Ok(false);
    };
    let to = TableName::parse(table.to());
    let sql = pair.target.dialect().create_table(&to, &drawing.info);
    let sql: Vec<&str> = sql.split_whitespace().collect();
    report.tell(format!(
        "{} -> {to}, which would be made: {}",
        table.from,
        sql.join(" ")
    ));
    for remark in drawing.remarks {
        report.tell(format!("{to}: {remark}"));
    }
    Ok(true)
}

/// Tells which column goes where, and what does not fit.
pub(super) fn tell(table: &Table, facts: &Facts, pair: &Pair, report: &mut Report) {
    let name = format!("{} -> {}", table.from, facts.to);
    report.tell(format!("{name}: {}", ways(&facts.mapping).join(", ")));
    let pairs = pairs(&facts.mapping);
    let source = Side {
        dialect: pair.source.dialect(),
        info: &facts.source,
    };
    let target = Side {
        dialect: pair.target.dialect(),
        info: &facts.target,
    };
    for told in mismatches(&source, &target, &pairs) {
        report.tell(format!("{name}: {told}"));
    }
}

/// Each column of the target with what fills it.
fn ways(mapping: &Mapping) -> Vec<String> {
    let lanes = mapping.lanes.iter().map(|lane| {
        let to = typed(&lane.to);
        match &lane.from {
            Origin::Column(column) => format!("{} -> {to}", typed(column)),
            Origin::Expression(sql) => format!("({sql}) -> {to}"),
        }
    });
    let given = mapping.given.iter().map(|given| match &given.text {
        Some(text) => format!("'{text}' -> {}", typed(&given.to)),
        None => format!("the time of the run -> {}", typed(&given.to)),
    });
    let numbered = mapping.numbered.iter();
    let numbered =
        numbered.map(|one| format!("the next number of {} -> {}", one.sequence, typed(&one.to)));
    lanes.chain(given).chain(numbered).collect()
}

fn typed(column: &ColumnInfo) -> String {
    match column.declared.as_str() {
        "" => column.name.clone(),
        declared => format!("{} {}", column.name, declared.to_lowercase()),
    }
}

fn pairs(mapping: &Mapping) -> Vec<likeness::Pair<'_>> {
    let lanes = mapping.lanes.iter().map(|lane| {
        let from = match &lane.from {
            Origin::Column(column) => Some(column.name.as_str()),
            Origin::Expression(_) => None,
        };
        likeness::Pair {
            from,
            to: &lane.to.name,
        }
    });
    let others = mapping
        .given
        .iter()
        .map(|given| &given.to)
        .chain(mapping.numbered.iter().map(|numbered| &numbered.to));
    lanes
        .chain(others.map(|to| likeness::Pair {
            from: None,
            to: &to.name,
        }))
        .collect()
}
