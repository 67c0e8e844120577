//! Everything about one job, a fact a line.

use jobfile::Home;

use super::{View, list};
use crate::face::terminal::{Colour, Terminal};
use crate::face::words;
use crate::history::History;
use crate::plan::status::Row;

/// Width of the names of facts.
const NAMES: usize = 11;

/// Facts under a heading.
struct Facts<'a> {
    text: String,
    terminal: &'a Terminal,
}

impl Facts<'_> {
    fn add(&mut self, name: &str, value: impl AsRef<str>) {
        self.add_in(Colour::Plain, name, value);
    }

    fn add_in(&mut self, colour: Colour, name: &str, value: impl AsRef<str>) {
        for (index, line) in value.as_ref().lines().enumerate() {
            let name = format!("{:NAMES$}", if index == 0 { name } else { "" });
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            self.text.push_str("  ");
            self.text
                .push_str(&self.terminal.paint(Colour::Faint, &name));
            self.text.push_str(&self.terminal.paint(colour, &line));
            self.text.push('\n');
        }
    }
}

/// Renders one job, each line with its end.
pub(crate) fn render(row: &Row, view: &View, home: &Home, terminal: &Terminal) -> String {
    let now = view.status.at;
    let ago = |then| words::age(words::distance(then, now));
    let heading = match (row.kind.is_empty(), row.schedule.is_empty()) {
        (true, _) => row.job.to_string(),
        (false, true) => format!("{}: {}", row.job, row.kind),
        (false, false) => format!("{}: {}, {}", row.job, row.kind, row.schedule),
    };
    let mut facts = Facts {
        text: format!("{}\n", terminal.paint(Colour::Strong, &heading)),
        terminal,
    };
    let state = match row.since < now {
        true => format!(
            "{} since {} ({})",
            row.state,
            words::instant(row.since),
            ago(row.since)
        ),
        false => row.state.to_string(),
    };
    facts.add_in(list::colour(row), "state", state);
    if let Some(problem) = &row.problem {
        facts.add_in(Colour::Bad, "problem", problem);
    }
    live(&mut facts, row);
    if let Some(last) = &row.last {
        let took = words::span(std::time::Duration::from_millis(last.duration_ms));
        let colour = if last.outcome.is_failure() {
            Colour::Bad
        } else {
            Colour::Plain
        };
        let text = format!("{} {} ago, after {took}", last.outcome, ago(last.ended));
        let why = if last.why.is_empty() {
            String::new()
        } else {
            format!(": {}", last.why)
        };
        facts.add_in(colour, "last run", format!("{text}{why}"));
    }
    if let Some(next) = row.next {
        facts.add(
            "next run",
            format!("{} ({})", words::instant(next), list::until(next, now)),
        );
    }
    if view.absent.is_none() {
        let mut text = format!("{} since the supervisor began", row.starts);
        if row.skipped > 0 {
            text.push_str(&format!(", {} left out", row.skipped));
        }
        if row.failures > 0 {
            text.push_str(&format!(", failures in a row: {}", row.failures));
        }
        facts.add("starts", text);
    }
    if !row.file.as_os_str().is_empty() {
        facts.add("file", row.file.display().to_string());
    }
    facts.add(
        "log",
        home.log
            .join(format!("{}.log", row.job))
            .display()
            .to_string(),
    );
    if let Some((ended, path)) = evidence(home, &row.job) {
        facts.add_in(
            Colour::Notice,
            "last hang",
            format!("{} ago, evidence in {path}", ago(ended)),
        );
    }
    facts.text
}

/// The live run.
fn live(facts: &mut Facts<'_>, row: &Row) {
    let Some(pid) = row.pid else { return };
    facts.add(
        "process",
        row.run
            .map_or(pid.to_string(), |run| format!("{pid}, run {run}")),
    );
    if let Some(guarantee) = &row.guarantee {
        facts.add("tree kill", guarantee);
    }
    let beats = row.beats.unwrap_or_default();
    match row
        .beat_age
        .and_then(|age| std::time::Duration::try_from_secs_f64(age).ok())
    {
        Some(age) => facts.add(
            "last beat",
            format!("{} ago, {} so far", words::age(age), words::count(beats)),
        ),
        None => facts.add_in(Colour::Faint, "last beat", "unwatched"),
    }
    let (rows, bytes) = (row.rows.unwrap_or_default(), row.bytes.unwrap_or_default());
    if rows > 0 || bytes > 0 {
        facts.add(
            "so far",
            format!("{} rows, {} bytes", words::count(rows), words::count(bytes)),
        );
    }
    if let Some(phase) = &row.phase {
        facts.add("doing", phase);
    }
    // what it says is what its slot shows, too, unless it has said something else since
    if let Some(says) = row
        .says
        .as_ref()
        .filter(|says| row.phase.as_ref() != Some(*says))
    {
        facts.add("says", says);
    }
}

/// When the job last hung, and the file that was written then.
fn evidence(home: &Home, job: &str) -> Option<(chrono::DateTime<chrono::Utc>, String)> {
    let history = History::open(&home.state.join("history.db")).ok()??;
    let entry = history.last_evidence(job).ok()??;
    Some((entry.ended, entry.evidence?.display().to_string()))
}
