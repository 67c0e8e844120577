//! What is read of a log and of the rows that it speaks of: entries in order, then, in the same snapshot, the rows as they are now.
//! SQL of the source; nothing is applied here.

use std::fmt::Write as _;

use db::{Connection, TableName};

use super::Way;
use super::changelog::Log;

/// Entries of a log that were visible at one moment, in the order of their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    /// Their numbers.
    pub(super) seqs: Vec<u64>,
    /// One of them asks for the whole table.
    pub(super) seed: bool,
    /// The number of the last that says that the table was emptied.
    pub(super) emptied: Option<u64>,
}

/// Reads the first `most` entries; belongs into a snapshot.
pub(super) fn entries(source: &mut dyn Connection, log: &Log, most: u64) -> db::Result<Entries> {
    let dialect = source.dialect();
    let sql = format!(
        "SELECT seq, op FROM {} ORDER BY seq",
        dialect.qualify(&log.table)
    );
    let mut rows = source.query(&dialect.limit(&sql, most), &[])?;
    let mut found = Entries::default();
    while let Some(row) = rows.fetch()? {
        let text = row.cell(0).and_then(|text| std::str::from_utf8(text).ok());
        let Some(seq) = text.and_then(|text| text.parse().ok()) else {
            continue;
        };
        found.seqs.push(seq);
        match row.cell(1) {
            Some(b"S") => found.seed = true,
            Some(b"T") => found.emptied = Some(seq),
            _ => {}
        }
    }
    Ok(found)
}

/// The queries of one portion of the log: from its first number to its last, as one snapshot shows them.
pub(super) struct Portion<'a> {
    pub(super) way: &'a Way,
    /// What the target's dictionary says of its table.
    pub(super) info: &'a db::TableInfo,
    pub(super) dialect: &'static dyn db::Dialect,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Portion<'_> {
    /// The keys of the portion, each with the number of its last entry.
    fn keys(&self) -> String {
        let names: Vec<String> = (0..self.way.log.key.len()).map(Log::column).collect();
        let names = names.join(", ");
        let (table, first, last) = (
            self.dialect.qualify(&self.way.log.table),
            self.first,
            self.last,
        );
        let head = Log::column(0);
        format!(
            "(SELECT {names}, MAX(seq) AS procctl_seq FROM {table} WHERE seq BETWEEN {first} AND {last} AND {head} IS NOT NULL GROUP BY {names}) procctl_l"
        )
    }

    /// That a row of the source has the key.
    fn meets(&self) -> String {
        let source = self.dialect.qualify(&self.way.log.source);
        let mut text = String::new();
        for (place, column) in self.way.log.key.iter().enumerate() {
            let and = if place > 0 { " AND " } else { "" };
            let (name, key) = (self.dialect.quote(&column.name), Log::column(place));
            // writing to a string cannot fail
            let _ = write!(text, "{and}{source}.{name} = procctl_l.{key}");
        }
        text
    }

    fn filter(&self) -> String {
        self.way
            .filter
            .as_ref()
            .map(|filter| format!(" AND ({filter}\n)"))
            .unwrap_or_default()
    }

    /// The rows that are there now, in the order of their last change.
    pub(super) fn present(&self) -> String {
        let source = self.dialect.qualify(&self.way.log.source);
        format!(
            "SELECT {} FROM {} JOIN {source} ON {}{} ORDER BY procctl_l.procctl_seq",
            self.way.fields.join(", "),
            self.keys(),
            self.meets(),
            self.filter()
        )
    }

    /// The keys that are not there any more, or not among the rows that the job wants; `all`: every key.
    pub(super) fn gone(&self, all: bool) -> String {
        let names: Vec<String> = (0..self.way.log.key.len())
            .map(|place| format!("procctl_l.{}", Log::column(place)))
            .collect();
        let source = self.dialect.qualify(&self.way.log.source);
        let rest = if all {
            String::new()
        } else {
            format!(
                " WHERE NOT EXISTS (SELECT 1 FROM {source} WHERE {}{})",
                self.meets(),
                self.filter()
            )
        };
        format!(
            "SELECT {} FROM {}{rest} ORDER BY procctl_l.procctl_seq DESC",
            names.join(", "),
            self.keys()
        )
    }
}

/// Deletes entries from the log, by their numbers alone: never by a range, in which others might become visible.
pub(super) fn trim(source: &mut dyn Connection, table: &TableName, seqs: &[u64]) -> db::Result<()> {
    let table = source.dialect().qualify(table);
    for portion in seqs.chunks(1_000) {
        let numbers: Vec<String> = portion.iter().map(u64::to_string).collect();
        // each of these texts is another: none is worth being prepared
        source.batch(&format!(
            "DELETE FROM {table} WHERE seq IN ({})",
            numbers.join(", ")
        ))?;
    }
    Ok(())
}
