//! `checkproc list`: the slots of the tables that we may read, as text or JSON. Changes nothing.

use std::error::Error;
use std::io::{self, Write};

use checkproc::{Row, SlotState, Table};

use super::logs;

const HEAD: [&str; 10] = [
    "JOB",
    "PID",
    "UID",
    "STATE",
    "HEARTBEAT",
    "LAST BEAT",
    "LEFT",
    "ROWS",
    "BYTES",
    "PHASE",
];

/// Prints all live slots, by name.
pub(crate) fn print(json: bool) -> Result<(), Box<dyn Error>> {
    logs::start(None)?;
    let mut rows: Vec<Row> = Table::existing()?.iter().flat_map(Table::rows).collect();
    rows.sort_by(|a, b| (&a.name, a.pid).cmp(&(&b.name, b.pid)));
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &rows).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let lines: Vec<[String; 10]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(rows.iter().map(describe))
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn describe(row: &Row) -> [String; 10] {
    let state = match (row.state, row.hung, row.outcome) {
        (_, Some(_), _) => "hung",
        (_, _, Some(_)) => "ended",
        (SlotState::Reserved, _, _) => "reserved",
        (SlotState::Active, _, _) => "active",
    };
    let left = row
        .deadline_in
        .map_or("-".to_owned(), |ns| format!("{:.1}s", seconds(ns)));
    let phase = match &row.step {
        Some(step) if row.phase.is_empty() => format!("[{step}]"),
        Some(step) => format!("{} [{step}]", row.phase),
        None => row.phase.clone(),
    };
    [
        row.name.clone(),
        row.pid.to_string(),
        row.uid.to_string(),
        state.to_owned(),
        row.heartbeat
            .map_or("off".to_owned(), |heartbeat| format!("{heartbeat:?}")),
        format!("{:.1}s", row.last_beat_age.as_secs_f64()),
        left,
        row.rows.to_string(),
        row.bytes.to_string(),
        phase,
    ]
}

fn seconds(ns: i64) -> f64 {
    let whole = std::time::Duration::from_nanos(ns.unsigned_abs()).as_secs_f64();
    if ns < 0 { -whole } else { whole }
}
