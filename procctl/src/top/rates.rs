//! How fast rows and bytes move, from two looks at the same run. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::event::RunId;
use crate::plan::status::{Row, Status};

/// What moves in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// What a look has seen of a run.
#[derive(Debug, Clone, Copy)]
struct Seen {
    run: Option<RunId>,
    rows: u64,
    bytes: u64,
}

/// The last look, and what it gave together with the one before.
#[derive(Debug, Default)]
pub(super) struct Rates {
    at: Option<DateTime<Utc>>,
    seen: HashMap<Arc<str>, Seen>,
    rates: HashMap<Arc<str>, Rate>,
}

impl Rates {
    /// Takes in a look.
    pub(super) fn look(&mut self, status: &Status) {
        let elapsed = self
            .at
            .map(|before| (status.at - before).num_milliseconds())
            .and_then(|elapsed| u64::try_from(elapsed).ok())
            .filter(|elapsed| *elapsed > 0);
        let before = std::mem::take(&mut self.seen);
        self.rates.clear();
        for row in &status.jobs {
            let now = Seen {
                run: row.run,
                rows: row.rows.unwrap_or(0),
                bytes: row.bytes.unwrap_or(0),
            };
            if let (Some(elapsed), Some(then)) = (elapsed, before.get(&row.job))
                && now.run.is_some()
                && then.run == now.run
            {
                let a_second = |now: u64, then: u64| now.saturating_sub(then) * 1000 / elapsed;
                let rate = Rate {
                    rows: a_second(now.rows, then.rows),
                    bytes: a_second(now.bytes, then.bytes),
                };
                self.rates.insert(row.job.clone(), rate);
            }
            self.seen.insert(row.job.clone(), now);
        }
        self.at = Some(status.at);
    }

    /// How fast a job goes; nothing moves where nothing runs.
    pub(super) fn of(&self, row: &Row) -> Rate {
        self.rates.get(&row.job).copied().unwrap_or_default()
    }

    /// How fast all go together.
    pub(super) fn all(&self) -> Rate {
        self.rates.values().fold(Rate::default(), |sum, rate| Rate {
            rows: sum.rows + rate.rows,
            bytes: sum.bytes + rate.bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::status::Word;
    use chrono::TimeDelta;

    fn status(at: DateTime<Utc>, run: Option<RunId>, rows: u64) -> Status {
        let row = Row {
            run,
            rows: Some(rows),
            bytes: Some(rows * 10),
            ..Row::bare("a", "a.xml".into(), Word::Running, at)
        };
        Status {
            at,
            pid: 1,
            since: at,
            stopping: false,
            trouble: None,
            jobs: vec![row],
        }
    }

    #[test]
    fn two_looks_at_one_run_give_a_rate() {
        let mut rates = Rates::default();
        let begin = DateTime::UNIX_EPOCH;
        let look = |rates: &mut Rates, after: i64, run, rows| {
            let status = status(begin + TimeDelta::milliseconds(after), run, rows);
            rates.look(&status);
            rates.of(&status.jobs[0]).rows
        };
        assert_eq!(look(&mut rates, 0, Some(1), 1_000), 0);
        assert_eq!(look(&mut rates, 500, Some(1), 1_500), 1_000);
        assert_eq!(
            rates.all(),
            Rate {
                rows: 1_000,
                bytes: 10_000
            }
        );
        // another run begins at nought
        assert_eq!(look(&mut rates, 1_500, Some(2), 10), 0);
        assert_eq!(look(&mut rates, 2_500, Some(2), 5), 0);
        assert_eq!(look(&mut rates, 2_500, Some(2), 9), 0);
        assert_eq!(look(&mut rates, 3_500, None, 9), 0);
    }
}
