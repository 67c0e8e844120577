//! What is known of a table and its copy before rows move: asked once, and kept as long as their connections are.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use db::{Connection, TableInfo, TableName};

use super::link::Reached;
use super::mapping::{Mapping, Origin};
use super::params::{Mode, Table};
use super::query::Side;
use crate::context::Context;
use crate::error::Error;
use crate::job::Invalid;
use crate::statement::Statement;

/// What is known of a table and its copy.
pub(super) struct Facts {
    pub(super) to: TableName,
    /// Whether the target's server reaches the source's rows by itself.
    pub(super) linked: bool,
    /// What the source's dictionary says.
    pub(super) source: TableInfo,
    /// What the target's dictionary says.
    pub(super) target: TableInfo,
    pub(super) mapping: Mapping,
    /// The side that rows come from.
    pub(super) reading: Side,
    /// The side that they go into, with its rows that count.
    pub(super) writing: Side,
    /// Whether both sides spell the value of each lane in the same way, so that servers can compare for us.
    pub(super) equal_types: bool,
    /// Mode `capture`: whether what a killed run may have left in the log is gone.
    pub(super) swept: AtomicBool,
    /// Mode `increment`: how far the last pass has come.
    pub(super) upto: Mutex<Option<String>>,
    /// Mode `increment`: when it was last told that keys lie ahead of the clock.
    pub(super) ahead: Mutex<Option<Instant>>,
    /// When it was last told that rows are waited for.
    pub(super) told: Option<Instant>,
    /// When the dictionaries were last looked at.
    learnt: Instant,
}

/// What is known of a table is believed so long; a job that stays up looks again then.
const BELIEVED: Duration = Duration::from_secs(1);

/// A table of the job file with what is known of it.
pub(super) struct Course<'a> {
    pub(super) table: &'a Table,
    pub(super) facts: &'a Facts,
}

impl Facts {
    /// Reads both dictionaries. `linked`: the source's is reached from the target's server. `at` is the table's place in the job file, from 0.
    pub(super) fn learn(
        table: &Table,
        at: usize,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
        linked: bool,
    ) -> Result<Facts, Error> {
        let to = TableName::parse(table.to());
        let from = Reached::find(&table.from, linked, source)?;
        let place = |attribute: &str| format!("table[{}].{attribute}", at + 1);
        let missing = |attribute: &str, side: &str, name: &str| {
            Error::from(Invalid::new(
                place(attribute),
                format!("the {side} has no table {name}"),
            ))
        };
        let (reads, writes) = (source.dialect(), target.dialect());
        let there = from
            .dictionary(source)?
            .ok_or_else(|| missing("from", "source", &table.from))?;
        let here = target
            .dictionary(&to)?
            .ok_or_else(|| missing("to", "target", table.to()))?;
        let mapping = Mapping::new(table, at, &there, &here, writes)?;
        let scope = match mapping.scope(table, &there, reads, writes) {
            Ok(scope) => scope,
            // only the seed of a cursor would be looked for in it
            Err(_) if table.mode == Mode::Increment => None,
            Err(lost) => {
                let why = format!(
                    "it speaks of {lost}, which {to} has no column for: target-where=\"…\" has to say which of its rows are meant"
                );
                return Err(Error::from(Invalid::new(place("where"), why)));
            }
        };
        let same = |from: &Origin, declared: &str| matches!(from, Origin::Column(column) if column.declared == declared);
        let equal_types = reads.name() == writes.name()
            && mapping
                .lanes
                .iter()
                .all(|lane| same(&lane.from, &lane.to.declared));
        Ok(Facts {
            reading: Side::source(from.text(reads), table.condition.as_ref(), &mapping, reads),
            writing: Side::target(&to, scope.as_ref(), &mapping, writes),
            linked,
            source: there,
            target: here,
            swept: AtomicBool::new(false),
            mapping,
            to,
            equal_types,
            upto: Mutex::default(),
            ahead: Mutex::default(),
            told: None,
            learnt: Instant::now(),
        })
    }

    /// Whether both tables are still what they were: a column that is new would be left out in silence.
    pub(super) fn still_true(
        &mut self,
        table: &Table,
        source: &mut dyn Connection,
        target: &mut dyn Connection,
    ) -> Result<bool, Error> {
        if self.learnt.elapsed() < BELIEVED {
            return Ok(true);
        }
        let from = Reached::find(&table.from, self.linked, source)?;
        let there = from.dictionary(source)?;
        let here = target.dictionary(&self.to)?;
        self.learnt = Instant::now();
        Ok(there.as_ref() == Some(&self.source) && here.as_ref() == Some(&self.target))
    }
}

/// The number that a statement yields.
pub(super) fn number(
    cx: &Context,
    db: &mut dyn Connection,
    statement: &Statement,
) -> Result<u64, Error> {
    let row = statement.first_row(cx, db)?;
    let number = row.into_iter().next().flatten();
    Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
}
