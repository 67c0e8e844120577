//! What the screen shows: the list with the chosen line, or all about one job; and what keys make of it. Pure.

use std::cmp::Reverse;
use std::sync::Arc;

use jobfile::Home;

use super::keys::Key;
use super::rates::Rates;
use crate::face::columns::{Align, Cell, Columns, cut};
use crate::face::terminal::{Colour, Terminal};
use crate::face::words;
use crate::plan::status::{Row, Word};
use crate::status::{self, View};

/// Lines above the first job: summary, rates, an empty one, headings.
const HEAD: usize = 4;
/// Lines below the last job.
const FOOT: usize = 2;

/// In which order jobs are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    /// What needs a look first, then what runs, then the others; by name among them.
    #[default]
    Trouble,
    Name,
    /// The busiest first.
    Rate,
}

impl Order {
    fn next(self) -> Order {
        match self {
            Order::Trouble => Order::Name,
            Order::Name => Order::Rate,
            Order::Rate => Order::Trouble,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Order::Trouble => "trouble",
            Order::Name => "name",
            Order::Rate => "rate",
        }
    }

    fn sort(self, rows: &mut [Row], rates: &Rates) {
        match self {
            Order::Trouble => rows.sort_by_key(|row| (rank(row), row.job.clone())),
            Order::Name => rows.sort_by_key(|row| row.job.clone()),
            Order::Rate => rows.sort_by_key(|row| {
                let rate = rates.of(row);
                (Reverse((rate.rows, rate.bytes)), row.job.clone())
            }),
        }
    }
}

/// How far from the top a job stands.
fn rank(row: &Row) -> u8 {
    match row.state {
        Word::Hung | Word::Stuck | Word::Backoff | Word::Broken => 0,
        _ if row.problem.is_some() || row.failures > 0 => 0,
        Word::Starting | Word::Stopping | Word::Running => 1,
        Word::Queued | Word::Waiting | Word::OutsideWindow => 2,
        Word::Stopped | Word::Disabled => 3,
    }
}

/// What is shown now.
#[derive(Debug, Default)]
pub(super) struct Page {
    order: Order,
    /// The chosen job; it keeps being chosen wherever its line goes.
    chosen: Option<Arc<str>>,
    /// The first line of jobs that is shown.
    first: usize,
    /// All about the chosen job is shown.
    open: bool,
}

impl Page {
    /// Puts the jobs into their order, and chooses one if the chosen one has gone.
    pub(super) fn arrange(&mut self, view: &mut View, rates: &Rates) {
        let rows = &mut view.status.jobs;
        self.order.sort(rows, rates);
        let there = rows
            .iter()
            .any(|row| Some(&row.job) == self.chosen.as_ref());
        if !there {
            self.chosen = rows.first().map(|row| row.job.clone());
            self.open = false;
        }
    }

    /// What a key changes; false when it asks for the end.
    pub(super) fn press(&mut self, key: Key, view: &View, terminal: &Terminal) -> bool {
        let count = isize::try_from(view.status.jobs.len()).unwrap_or(isize::MAX);
        let screen = isize::try_from(lines_for_jobs(terminal)).unwrap_or(1);
        match key {
            Key::Quit => return false,
            Key::Back if !self.open => {}
            Key::Back => self.open = false,
            Key::Open => self.open = self.chosen.is_some(),
            Key::Sort => self.order = self.order.next(),
            Key::Move(lines) => self.choose(view, lines),
            Key::Page(screens) => self.choose(view, screens * screen),
            Key::First => self.choose(view, -count),
            Key::Last => self.choose(view, count),
        }
        true
    }

    fn choose(&mut self, view: &View, lines: isize) {
        let rows = &view.status.jobs;
        let to = self.line(view).saturating_add_signed(lines);
        let row = rows.get(to.min(rows.len().saturating_sub(1)));
        self.chosen = row.map(|row| row.job.clone());
    }

    /// The line of the chosen job.
    fn line(&self, view: &View) -> usize {
        let mut rows = view.status.jobs.iter();
        rows.position(|row| Some(&row.job) == self.chosen.as_ref())
            .unwrap_or(0)
    }

    /// The screen's text.
    pub(super) fn render(
        &mut self,
        view: &View,
        rates: &Rates,
        home: &Home,
        terminal: &Terminal,
    ) -> String {
        let chosen = view.status.jobs.get(self.line(view));
        match chosen.filter(|_| self.open) {
            Some(row) => {
                let mut text = status::facts(row, view, home, terminal);
                text.push('\n');
                text.push_str(&terminal.paint(Colour::Faint, "Esc back   ↑↓ other jobs   q quit"));
                text
            }
            None => self.list(view, rates, terminal),
        }
    }

    fn list(&mut self, view: &View, rates: &Rates, terminal: &Terminal) -> String {
        let width = terminal.width.unwrap_or(usize::MAX);
        let mut text = head(view, rates, width, terminal);
        if view.status.jobs.is_empty() {
            text.push_str("no jobs: put job files into the home's jobs folder\n");
        } else {
            let room = lines_for_jobs(terminal);
            let line = self.line(view);
            // the chosen line stays in sight, and no line of the screen is wasted
            self.first = self.first.min(line).max((line + 1).saturating_sub(room));
            self.first = self.first.min(view.status.jobs.len().saturating_sub(room));
            let narrower = Terminal {
                width: terminal.width.map(|width| width.saturating_sub(2).max(1)),
                ..*terminal
            };
            let table = table(view, rates).render(&narrower);
            let mut lines = table.lines();
            text.push_str(&format!("  {}\n", lines.next().unwrap_or_default()));
            for (index, row) in lines.enumerate().skip(self.first).take(room) {
                let mark = if index == line { "> " } else { "  " };
                text.push_str(&terminal.paint(Colour::Strong, mark));
                text.push_str(row);
                text.push('\n');
            }
        }
        let foot = format!(
            "↑↓ choose   Enter details   s order: {}   q quit",
            self.order.name()
        );
        text.push('\n');
        text.push_str(&terminal.paint(Colour::Faint, &cut(&foot, width)));
        text
    }
}

/// How many jobs the screen has room for.
fn lines_for_jobs(terminal: &Terminal) -> usize {
    terminal.height.saturating_sub(HEAD + FOOT + 1).max(1)
}

/// The lines above the headings: who supervises, or why nobody does; what moves.
fn head(view: &View, rates: &Rates, width: usize, terminal: &Terminal) -> String {
    let first = match &view.absent {
        Some(absent) => absent.to_string(),
        None => status::summary(&view.status),
    };
    let all = rates.all();
    let moved = match &view.status.trouble {
        Some(trouble) => terminal.paint(Colour::Bad, &cut(trouble, width)),
        None => cut(
            &format!(
                "{} rows/s, {}B/s",
                words::count(all.rows),
                words::bytes(all.bytes)
            ),
            width,
        ),
    };
    format!("{}\n{moved}\n\n", cut(&first, width))
}

/// The table of `procctl status`, with what moves in a second.
fn table(view: &View, rates: &Rates) -> Columns {
    let mut headings = status::HEADINGS.to_vec();
    let after = |headings: &[(&str, Align)], name: &str| {
        let mut names = headings.iter();
        names
            .position(|(heading, _)| *heading == name)
            .map_or(0, |at| at + 1)
    };
    let rows_at = after(&headings, "ROWS");
    headings.insert(rows_at, ("/S", Align::Right));
    let bytes_at = after(&headings, "BYTES");
    headings.insert(bytes_at, ("/S", Align::Right));
    let mut columns = Columns::new(&headings);
    for row in &view.status.jobs {
        let rate = rates.of(row);
        let shown = |amount: u64, text: fn(u64) -> String| match amount {
            0 => Cell::new("-", Colour::Faint),
            _ => Cell::from(text(amount)),
        };
        let mut cells = status::cells(row, view.status.at);
        cells.insert(rows_at, shown(rate.rows, words::count));
        cells.insert(bytes_at, shown(rate.bytes, words::bytes));
        columns.row(cells);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::status::Status;
    use chrono::DateTime;

    const SMALL: Terminal = Terminal {
        width: Some(60),
        height: 12,
        colours: false,
    };

    fn view(count: usize) -> View {
        let at = DateTime::UNIX_EPOCH;
        let row = |number: usize| {
            let state = if number == count {
                Word::Broken
            } else {
                Word::Running
            };
            Row::bare(&format!("job{number:03}"), "x.xml".into(), state, at)
        };
        View {
            status: Status {
                at,
                pid: 7,
                since: at,
                stopping: false,
                trouble: None,
                jobs: (1..=count).map(row).collect(),
            },
            absent: None,
            unknown: None,
        }
    }

    fn shown(page: &mut Page, view: &mut View) -> Vec<String> {
        let rates = Rates::default();
        page.arrange(view, &rates);
        let text = page.list(view, &rates, &SMALL);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_chosen_line_stays_in_sight_and_the_screen_is_never_exceeded() {
        let (mut page, mut view) = (Page::default(), view(30));
        let lines = shown(&mut page, &mut view);
        assert!(lines[HEAD].starts_with("> job030"), "{lines:#?}");
        let moves = [1, 1, 5, 40, -3, -40];
        for key in moves
            .map(Key::Move)
            .into_iter()
            .chain([Key::Page(1), Key::Last, Key::First])
        {
            assert!(page.press(key, &view, &SMALL));
            let lines = shown(&mut page, &mut view);
            assert!(lines.len() < SMALL.height, "{key:?}: {lines:#?}");
            assert!(
                lines.iter().all(|line| line.chars().count() <= 60),
                "{lines:#?}"
            );
            let marked = lines.iter().filter(|line| line.starts_with("> ")).count();
            assert_eq!(marked, 1, "{key:?}: {lines:#?}");
        }
        assert!(!page.press(Key::Quit, &view, &SMALL));
    }

    #[test]
    fn trouble_comes_first_and_names_on_request() {
        let (mut page, mut view) = (Page::default(), view(3));
        assert!(shown(&mut page, &mut view)[HEAD].contains("job003"));
        page.press(Key::Sort, &view, &SMALL);
        let lines = shown(&mut page, &mut view);
        assert!(lines[HEAD].contains("job001"), "{lines:#?}");
        // who was chosen is chosen still
        assert!(lines[HEAD + 2].starts_with("> job003"), "{lines:#?}");
    }

    #[test]
    fn a_job_that_goes_takes_its_page_along() {
        let (mut page, mut view) = (Page::default(), view(2));
        shown(&mut page, &mut view);
        page.press(Key::Open, &view, &SMALL);
        assert!(page.open);
        view.status.jobs.retain(|row| &*row.job == "job001");
        shown(&mut page, &mut view);
        assert!(!page.open);
        view.status.jobs.clear();
        assert!(shown(&mut page, &mut view).concat().contains("no jobs"));
        assert!(page.press(Key::Move(1), &view, &SMALL));
    }
}
