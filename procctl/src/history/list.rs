//! `procctl history`: past runs as a table, or as JSON lines.

use std::time::Duration;

use crate::face::columns::{Align, Cell, Columns};
use crate::face::terminal::{Colour, Terminal};
use crate::face::words;
use crate::plan::{Entry, Outcome};

/// The entries as a table in their order; the job's column is left out where all are of one job.
pub fn table(entries: &[Entry], one_job: bool, terminal: &Terminal) -> String {
    let all = [
        ("STARTED", Align::Left),
        ("JOB", Align::Elastic),
        ("RESULT", Align::Left),
        ("TOOK", Align::Right),
        ("ROWS", Align::Right),
        ("BYTES", Align::Right),
        ("PEAK", Align::Right),
        ("WHY", Align::Elastic),
    ];
    let headings: Vec<_> = all
        .into_iter()
        .filter(|(name, _)| !one_job || *name != "JOB")
        .collect();
    let mut columns = Columns::new(&headings);
    for entry in entries {
        let mut cells = cells(entry);
        if one_job {
            cells.remove(1);
        }
        columns.row(cells);
    }
    columns.render(terminal)
}

fn cells(entry: &Entry) -> Vec<Cell> {
    let colour = match entry.outcome {
        outcome if outcome.is_failure() => Colour::Bad,
        Outcome::Done => Colour::Good,
        Outcome::Skipped => Colour::Faint,
        _ => Colour::Notice,
    };
    let amount = |amount: Option<u64>, text: fn(u64) -> String| match amount {
        Some(amount) if amount > 0 => Cell::from(text(amount)),
        _ => Cell::new("-", Colour::Faint),
    };
    let evidence = entry.evidence.as_ref();
    let evidence = evidence.map_or(String::new(), |path| {
        format!("; evidence in {}", path.display())
    });
    let rejected = match entry.rejected {
        0 => String::new(),
        rejected => format!("; {} rows rejected", words::count(rejected)),
    };
    vec![
        Cell::from(words::instant(entry.started)),
        Cell::from(&*entry.job),
        Cell::new(entry.outcome.to_string(), colour),
        Cell::from(words::span(Duration::from_millis(entry.duration_ms))),
        amount(Some(entry.rows), words::count),
        amount(Some(entry.bytes), words::bytes),
        amount(entry.peak_memory, words::bytes),
        Cell::from(format!("{}{rejected}{evidence}", entry.why)),
    ]
}

/// One JSON object a line, in the order of the entries.
///
/// # Errors
/// None in practice: an entry is plain data.
pub fn json(entries: &[Entry]) -> serde_json::Result<String> {
    let lines: serde_json::Result<Vec<String>> =
        entries.iter().map(serde_json::to_string).collect();
    Ok(lines?.iter().map(|line| format!("{line}\n")).collect())
}
