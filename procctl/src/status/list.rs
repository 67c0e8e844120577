//! The table of all jobs, one line each, under a line about the supervisor.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::View;
use crate::face::columns::{Align, Cell, Columns};
use crate::face::terminal::{Colour, Terminal};
use crate::face::words;
use crate::plan::status::{Last, Row, Status, Word};

/// What is told of each job.
pub(crate) const HEADINGS: [(&str, Align); 10] = [
    ("JOB", Align::Elastic),
    ("STATE", Align::Left),
    ("PID", Align::Right),
    ("SINCE", Align::Right),
    ("BEAT", Align::Right),
    ("ROWS", Align::Right),
    ("BYTES", Align::Right),
    ("LAST", Align::Elastic),
    ("NEXT", Align::Left),
    ("NOTE", Align::Elastic),
];

/// Renders the view, each line with its end.
pub(super) fn render(view: &View, terminal: &Terminal) -> String {
    let status = &view.status;
    let mut text = String::new();
    if view.absent.is_none() {
        text.push_str(&crate::face::columns::cut(
            &summary(status),
            terminal.width.unwrap_or(usize::MAX),
        ));
        text.push('\n');
        if let Some(trouble) = &status.trouble {
            text.push_str(&terminal.paint(Colour::Bad, trouble));
            text.push('\n');
        }
        text.push('\n');
    }
    if status.jobs.is_empty() {
        text.push_str("no jobs: put job files into the home's jobs folder\n");
        return text;
    }
    let mut columns = Columns::new(&HEADINGS);
    for row in &status.jobs {
        columns.row(cells(row, status.at));
    }
    text.push_str(&columns.render(terminal));
    text
}

/// `procctl 4711 for 2h07m, 13 jobs: 5 running, 7 waiting, 1 broken`
pub(crate) fn summary(status: &Status) -> String {
    let mut counts: Vec<(Word, usize)> = Vec::new();
    for row in &status.jobs {
        match counts.iter_mut().find(|(word, _)| *word == row.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((row.state, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let (jobs, age) = (
        status.jobs.len(),
        words::age(words::distance(status.since, status.at)),
    );
    let plural = if jobs == 1 { "" } else { "s" };
    let counts = if counts.is_empty() {
        String::new()
    } else {
        format!(": {}", counts.join(", "))
    };
    let ending = if status.stopping { " (stopping)" } else { "" };
    format!(
        "procctl {} for {age}{ending}, {jobs} job{plural}{counts}",
        status.pid
    )
}

/// A cell for each of the headings.
pub(crate) fn cells(row: &Row, now: DateTime<Utc>) -> Vec<Cell> {
    let or_dash = |text: Option<String>| match text {
        Some(text) => Cell::from(text),
        None => Cell::new("-", Colour::Faint),
    };
    let beat = row
        .beat_age
        .and_then(|age| Duration::try_from_secs_f64(age).ok());
    let moved = |amount: Option<u64>| amount.filter(|amount| *amount > 0);
    vec![
        Cell::from(&*row.job),
        Cell::new(row.state.to_string(), colour(row)),
        or_dash(row.pid.map(|pid| pid.to_string())),
        or_dash((row.since < now).then(|| words::age(words::distance(row.since, now)))),
        or_dash(beat.map(words::age)),
        or_dash(moved(row.rows).map(words::count)),
        or_dash(moved(row.bytes).map(words::bytes)),
        last(row.last.as_ref(), now),
        or_dash(row.next.map(|next| until(next, now))),
        note(row),
    ]
}

/// What a state means at a glance.
pub(super) fn colour(row: &Row) -> Colour {
    match row.state {
        Word::Running if row.problem.is_some() => Colour::Notice,
        Word::Running => Colour::Good,
        Word::Starting | Word::Stopping | Word::Queued | Word::OutsideWindow => Colour::Notice,
        Word::Hung | Word::Stuck | Word::Backoff | Word::Broken => Colour::Bad,
        Word::Waiting => Colour::Plain,
        Word::Stopped | Word::Disabled => Colour::Faint,
    }
}

fn last(last: Option<&Last>, now: DateTime<Utc>) -> Cell {
    let Some(last) = last else {
        return Cell::new("-", Colour::Faint);
    };
    let colour = if last.outcome.is_failure() {
        Colour::Bad
    } else {
        Colour::Plain
    };
    let age = words::age(words::distance(last.ended, now));
    Cell::new(format!("{} {age} ago", last.outcome), colour)
}

/// `in 18s`, or for what is further than a day away its date.
pub(super) fn until(next: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if next <= now {
        return "now".to_owned();
    }
    if next - now > TimeDelta::days(1) {
        let local = next.with_timezone(&chrono::Local);
        return local.format("%m-%d %H:%M").to_string();
    }
    format!("in {}", words::age(words::distance(next, now)))
}

fn note(row: &Row) -> Cell {
    if let Some(problem) = &row.problem {
        let first = problem.lines().next().unwrap_or_default();
        // the folder is every file's
        let folder = row
            .file
            .parent()
            .map(|folder| format!("{}/", folder.display()));
        let short = folder.and_then(|folder| first.strip_prefix(&folder));
        return Cell::new(short.unwrap_or(first), Colour::Bad);
    }
    if let Some(why) = failure(row) {
        return Cell::new(why, Colour::Bad);
    }
    let text = row.says.as_deref().or(row.phase.as_deref());
    Cell::new(text.unwrap_or_default(), Colour::Faint)
}

/// Why the last run failed, as long as no other goes on.
fn failure(row: &Row) -> Option<&str> {
    let last = row.last.as_ref()?;
    let counts = row.run.is_none() && last.outcome.is_failure();
    last.why.lines().next().filter(|_| counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: serde_json::Value) -> Row {
        let time = "2026-01-05T06:00:00Z";
        serde_json::from_value(serde_json::json!({
            "job": "a", "kind": "ingest", "file": "a.xml", "state": "backoff", "run": run, "since": time, "schedule": "every 30s",
            "last": {"run": 7, "result": "failed", "exit": 69, "ended": time, "duration_ms": 5, "why": "a server is not reachable"},
            "starts": 1, "failures": 1, "skipped": 0,
        }))
        .unwrap()
    }

    #[test]
    fn the_last_failure_is_told_until_the_next_run() {
        let waiting = row(serde_json::Value::Null);
        assert_eq!(failure(&waiting), Some("a server is not reachable"));
        assert_eq!(failure(&row(serde_json::json!(7))), None);
    }
}
