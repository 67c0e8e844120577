//! A run ends: its result, its line of history, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use super::action::Action;
use super::backoff::{delay, lengthen};
use super::entry::{Entry, Reason};
use super::event::RunId;
use super::job::{Job, Next, Run};
use super::outcome::{Exit, LastWords, Outcome, Usage, Why, decide, explain};
use super::spec::Start;
use super::status::Last;
use super::turn::Turn;
use super::waiters::Kind;

/// The end of a run's main process.
struct End {
    outcome: Outcome,
    exit: Exit,
    why: String,
    words: LastWords,
    usage: Usage,
}

impl Turn<'_> {
    /// The main process ended. What is left of its tree is stopped: it may not meet the next run.
    pub(super) fn ended(
        &mut self,
        id: RunId,
        exit: Exit,
        words: LastWords,
        usage: Usage,
        rest: bool,
    ) {
        let Some(name) = self.job_of(id) else {
            // a stray: nobody waits for it, but its slot and descriptors go
            self.order(Action::Release { run: id });
            return;
        };
        let Some(run) = self.run_mut(&name).filter(|run| run.result.is_none()) else {
            return;
        };
        let stop = run.stop.as_ref().map(|stop| stop.why);
        let ours = matches!(run.spec.start, Start::Jobs { .. });
        let outcome = decide(stop, exit, &words);
        self.account_end(
            &name,
            End {
                outcome,
                exit,
                why: explain(outcome, stop, exit, ours),
                words,
                usage,
            },
        );
        if rest {
            self.order_stop(&name, Why::Rest);
        } else {
            self.finish(&name);
        }
    }

    /// The last process of the tree is gone.
    pub(super) fn tree_gone(&mut self, id: RunId) {
        if let Some(name) = self.job_of(id) {
            self.finish(&name);
        }
    }

    /// The run could not begin.
    pub(super) fn start_failed(&mut self, id: RunId, why: String) {
        let Some(name) = self.job_of(id) else { return };
        let end = End {
            outcome: Outcome::Refused,
            exit: Exit::Unknown,
            why,
            words: LastWords::default(),
            usage: Usage::default(),
        };
        self.account_end(&name, end);
        self.finish(&name);
    }

    /// Takes note of a result: history, last result, failures in a row, health.
    fn account_end(&mut self, name: &Arc<str>, end: End) {
        let now = self.now;
        let evidence = &self.state.settings.evidence;
        let Some(job) = self.state.jobs.get(name) else {
            return;
        };
        let Some(run) = &job.run else { return };
        let lasted = now.mono.saturating_sub(run.started_mono);
        let duration_ms = millis(lasted);
        let asked = run.stop.as_ref().is_some_and(|stop| stop.why == Why::Hung);
        let entry = Entry {
            run: run.id,
            job: name.clone(),
            kind: run.spec.kind.clone(),
            reason: run.reason,
            pid: run.pid,
            started: run.started,
            ended: now.wall,
            duration_ms,
            outcome: end.outcome,
            exit: end.exit,
            why: end.why.clone(),
            rows: end.words.rows,
            bytes: end.words.bytes,
            rejected: end.words.rejected,
            peak_memory: end.usage.peak_memory,
            cpu_us: end.usage.cpu_us,
            evidence: (end.words.hung || asked)
                .then(|| evidence.join(format!("{name}-{}.txt", run.id))),
        };
        let id = run.id;
        let streak = streak_after(job, end.outcome, lasted);
        if let Some(job) = self.job_mut(name) {
            job.streak = streak;
            job.last_end = Some(now.mono);
            job.last = Some(Box::new(Last {
                run: id,
                outcome: end.outcome,
                ended: now.wall,
                duration_ms,
                why: end.why.clone(),
            }));
            if let Some(run) = &mut job.run {
                run.result = Some(end.outcome);
                run.steady = None;
            }
        }
        let found = entry.evidence.clone();
        self.order(Action::Record(Box::new(entry)));
        self.remember_end(name, now.wall);
        let text = format!("{} after {}", end.why, in_words(lasted));
        self.judge(name, id, end.outcome, text, found);
    }

    /// The run is over, its tree gone: lets go of it and goes on.
    fn finish(&mut self, name: &Arc<str>) {
        let now = self.now;
        let stuck = self.job(name).is_some_and(|job| job.is_stuck());
        let Some(job) = self.job_mut(name) else {
            return;
        };
        let over = |run: &mut Box<Run>| run.result.is_some();
        let Some(run) = job.run.take_if(over) else {
            return;
        };
        job.since = now.wall;
        if stuck {
            job.note = None;
            self.state.stuck -= 1;
        }
        self.state.runs.remove(&run.id);
        self.order(Action::Release { run: run.id });
        if let Some(pool) = &run.seat {
            self.state.pools.leave(pool);
        }
        let outcome = run.result.unwrap_or(Outcome::Unknown);
        let (id, why) = (run.id, self.last_word(name));
        self.resolve(name, |want| want.kind == Kind::Down, true, "stopped");
        let well = outcome == Outcome::Done;
        self.resolve(name, |want| want.is_for(Kind::End, id), well, &why);
        self.resolve(name, |want| want.is_for(Kind::Up, id), false, &why);
        self.follow(name, outcome);
        if let Some(pool) = &run.seat {
            self.serve(pool);
        }
        if well {
            self.call_successors(name);
        }
    }

    fn last_word(&self, name: &str) -> String {
        let last = self.job(name).and_then(|job| job.last.as_ref());
        last.map_or_else(String::new, |last| {
            let lasted = in_words(Duration::from_millis(last.duration_ms));
            format!("{}: {} after {lasted}", last.outcome, last.why)
        })
    }

    /// What the job does next.
    fn follow(&mut self, name: &Arc<str>, outcome: Outcome) {
        let now = self.now.mono;
        let Some(job) = self.job_mut(name) else {
            return;
        };
        if !job.has_file() {
            self.drop_job(name);
            return;
        }
        let queued = job.queued.take();
        let (active, streak) = (job.is_active(), job.streak);
        if self.state.leaving.is_some() {
            return;
        }
        if let Some(reason) = queued.filter(|r| active || *r == Reason::Trigger) {
            let verdict = self.fall_due(name, reason);
            self.answer_verdict(name, &verdict);
            return;
        }
        let Some(policy) = self.state.jobs.get(name).map(|job| &job.spec.policy) else {
            return;
        };
        if !active {
            return;
        }
        let failed = outcome.is_failure();
        if policy.kept {
            let wait = delay(policy, streak, &mut self.state.chance);
            let reason = if failed { Reason::Retry } else { Reason::Kept };
            let at = now.saturating_add(wait);
            if let Some(job) = self.job_mut(name) {
                job.next = Next::At { at, reason };
            }
        } else if let Some(every) = policy.every {
            let longer = failed.then(|| delay(policy, streak, &mut self.state.chance));
            let wait = every.max(longer.unwrap_or_default());
            let by_backoff = wait > every;
            let reason = if by_backoff {
                Reason::Retry
            } else {
                Reason::Every
            };
            self.put_off(name, now.saturating_add(wait), reason);
        }
    }

    /// Starts the jobs that come after this one.
    pub(super) fn call_successors(&mut self, name: &Arc<str>) {
        let Some(all) = self.state.successors.get(name) else {
            return;
        };
        for successor in all.clone() {
            let Some(job) = self.job(&successor).filter(|job| job.is_active()) else {
                continue;
            };
            debug_assert!(job.spec.policy.after.is_some());
            match self.circle(&successor) {
                None => self.schedule(&successor, Reason::After),
                Some(circle) => {
                    self.skip(&successor, Reason::After, 1, &circle);
                }
            }
        }
    }

    /// The circle of `after` that a job is part of, in words. It would run for ever.
    pub(super) fn circle(&self, name: &str) -> Option<String> {
        let mut way = vec![name];
        let mut at = name;
        while let Some(after) = self.policy(at).and_then(|policy| policy.after.as_deref()) {
            if after == name {
                way.push(name);
                way.reverse();
                return Some(format!("after= goes in a circle: {}", way.join(" → ")));
            }
            if way.contains(&after) {
                return None;
            }
            way.push(after);
            at = after;
        }
        None
    }
}

/// Failures in a row with this end; for a kept job every end counts, since it was to go on.
fn streak_after(job: &Job, outcome: Outcome, lasted: Duration) -> u32 {
    let policy = &job.spec.policy;
    if policy.kept {
        lengthen(policy, job.streak, lasted)
    } else if outcome.is_failure() {
        job.streak.saturating_add(1)
    } else if outcome == Outcome::Done {
        0
    } else {
        job.streak
    }
}

/// Whole milliseconds, as many as fit.
pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time for people: `320 ms`, `4.2 s`, `3 min 20 s`, `5 h 10 min`, `3 d 4 h`.
pub(super) fn in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{} ms", length.as_millis()),
        1..60 => format!("{:.1} s", length.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_words() {
        for (millis, words) in [
            (320, "320 ms"),
            (4_200, "4.2 s"),
            (200_000, "3 min 20 s"),
            (18_600_000, "5 h 10 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
    }
}
