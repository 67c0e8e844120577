//! The progress line on a terminal: rows, bytes, rate and phase, with a bar where a total is known.
//! It is drawn from the work loop and throttled there; where standard error is no terminal there is none.

use std::{
    cell::{Cell, RefCell},
    io::{self, IsTerminal as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::tally::{Bytes, Count};

/// How often the line is drawn at most.
const REDRAW: Duration = Duration::from_millis(100);

/// The line while it is on the screen, for those who write between its drawings.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a pass expects to get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// So many rows.
    Rows(u64),
    /// So many bytes.
    Bytes(u64),
}

/// The progress line of a job.
pub(crate) struct Meter {
    bar: ProgressBar,
    drawn: Cell<Instant>,
    started: Instant,
    phase: RefCell<String>,
    total: Cell<Option<Total>>,
}

impl Meter {
    /// A meter on standard error, if that is a terminal.
    pub(crate) fn on_terminal(job: &str) -> Option<Meter> {
        if !io::stderr().is_terminal() {
            return None;
        }
        // Nothing is drawn before there is something to tell.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style("{prefix} {spinner} {msg}"));
        bar.set_prefix(job.to_owned());
        Some(Meter {
            bar,
            drawn: Cell::new(Instant::now()),
            started: Instant::now(),
            phase: RefCell::default(),
            total: Cell::new(None),
        })
    }

    /// Draws the line, unless it was drawn a moment ago or there is nothing to show.
    pub(crate) fn show(&self, rows: u64, bytes: u64) {
        let empty = rows == 0 && bytes == 0 && self.phase.borrow().is_empty();
        if !empty && self.drawn.get().elapsed() >= REDRAW {
            self.draw(rows, bytes);
        }
    }

    pub(crate) fn phase(&self, text: &str, rows: u64, bytes: u64) {
        text.clone_into(&mut self.phase.borrow_mut());
        self.show(rows, bytes);
    }

    pub(crate) fn expect(&self, total: Total) {
        let (Total::Rows(length) | Total::Bytes(length)) = total;
        self.bar.set_length(length);
        self.bar
            .set_style(style("{prefix} [{bar:24}] {percent:>3}% {msg}"));
        self.total.set(Some(total));
    }

    /// Takes the line off the screen.
    pub(crate) fn clear(&self) {
        if shown().take().is_some() {
            self.bar.finish_and_clear();
        }
    }

    fn draw(&self, rows: u64, bytes: u64) {
        self.drawn.set(Instant::now());
        shown().get_or_insert_with(|| {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.clone()
        });
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let rate = rows.saturating_mul(1000) / millis.max(1);
        let message = format!(
            "{}, {}, {rate} rows/s {}",
            Count(rows, "row"),
            Bytes(bytes),
            self.phase.borrow()
        );
        self.bar.set_message(message);
        match self.total.get() {
            Some(Total::Rows(_)) => self.bar.set_position(rows),
            Some(Total::Bytes(_)) => self.bar.set_position(bytes),
            None => self.bar.tick(),
        }
    }
}

/// Does something with the screen while the progress line is off it.
pub(crate) fn suspend<T>(write: impl FnOnce() -> T) -> T {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
