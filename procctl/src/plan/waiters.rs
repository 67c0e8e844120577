//! Clients that wait for what they asked for, and how they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::Action;
use super::event::{RunId, Token};
use super::request::{Answer, JobAnswer};
use super::starting::Verdict;
use super::turn::Turn;

/// All clients that wait.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    open: BTreeMap<Token, Open>,
    wants: BTreeMap<Arc<str>, Vec<Want>>,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Open {
    jobs: Vec<String>,
    answers: Vec<Option<(bool, String)>>,
}

/// What a client wants to see of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A run with a process.
    Up,
    /// No run.
    Down,
    /// The end of a run.
    End,
}

/// One wish of one client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    token: Token,
    place: usize,
    pub(super) kind: Kind,
    /// The run that was there when it was asked, and does not count.
    pub(super) not: Option<RunId>,
}

impl Want {
    /// Whether this kind of wish can be about this run.
    pub(super) fn is_for(&self, kind: Kind, run: RunId) -> bool {
        self.kind == kind && self.not != Some(run)
    }
}

impl Waiters {
    /// The client has gone.
    pub(super) fn forget(&mut self, token: Token) {
        let Some(open) = self.open.remove(&token) else {
            return;
        };
        for job in open.jobs {
            self.drain(&job, |want| want.token == token);
        }
    }

    fn drain(&mut self, job: &str, meant: impl Fn(&Want) -> bool) -> Vec<Want> {
        let Some((name, mut wants)) = self.wants.remove_entry(job) else {
            return Vec::new();
        };
        let drained = wants.extract_if(.., |want| meant(want)).collect();
        if !wants.is_empty() {
            self.wants.insert(name, wants);
        }
        drained
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.wants.is_empty()
    }
}

impl Turn<'_> {
    /// Opens an answer about jobs.
    pub(super) fn open_answer(&mut self, token: Token, jobs: Vec<String>) {
        let answers = vec![None; jobs.len()];
        self.state
            .waiters
            .open
            .insert(token, Open { jobs, answers });
    }

    /// What a client is told about one of its jobs. With the last one the answer goes out.
    pub(super) fn answer_one(&mut self, token: Token, place: usize, ok: bool, text: &str) {
        let Some(open) = self.state.waiters.open.get_mut(&token) else {
            return;
        };
        if let Some(answer) = open.answers.get_mut(place) {
            answer.get_or_insert_with(|| (ok, text.to_string()));
        }
        if open.answers.iter().any(Option::is_none) {
            return;
        }
        let Some(open) = self.state.waiters.open.remove(&token) else {
            return;
        };
        let answers = open
            .jobs
            .into_iter()
            .zip(open.answers.into_iter().flatten());
        let jobs = answers
            .map(|(job, (ok, text))| JobAnswer { job, ok, text })
            .collect();
        let answer = Box::new(Answer::Jobs { jobs });
        self.order(Action::Reply { token, answer });
    }

    /// Lets a client wait.
    pub(super) fn want(
        &mut self,
        name: &Arc<str>,
        token: Token,
        place: usize,
        kind: Kind,
        not: Option<RunId>,
    ) {
        let want = Want {
            token,
            place,
            kind,
            not,
        };
        let wants = &mut self.state.waiters.wants;
        wants.entry(name.clone()).or_default().push(want);
    }

    /// Answers all wishes about a job that are meant.
    pub(super) fn resolve(
        &mut self,
        name: &str,
        meant: impl Fn(&Want) -> bool,
        ok: bool,
        text: &str,
    ) {
        for want in self.state.waiters.drain(name, meant) {
            self.answer_one(want.token, want.place, ok, text);
        }
    }

    /// Answers those who waited for a start that was decided on now.
    pub(super) fn answer_verdict(&mut self, name: &Arc<str>, verdict: &Verdict) {
        let live = self
            .job(name)
            .and_then(|job| job.run.as_ref())
            .map(|run| run.id);
        match verdict {
            Verdict::Started | Verdict::Examining | Verdict::Follows(_) => {}
            Verdict::Passed => self.resolve(name, |w| w.kind != Kind::Down, true, "does a pass"),
            Verdict::Waits(text) => self.resolve(name, |w| w.kind == Kind::Up, true, text),
            // whoever waits for the live run itself still does
            Verdict::Refused(text) => {
                let about_it = |w: &Want| w.kind != Kind::Down && (live.is_none() || w.not == live);
                self.resolve(name, about_it, false, text);
            }
        }
    }

    /// Answers those who waited for starts that are cancelled now.
    pub(super) fn answer_cancelled(&mut self, name: &Arc<str>, why: &str) {
        self.answer_verdict(name, &Verdict::Refused(why.to_string()));
    }

    /// Answers everybody: nothing more will come.
    pub(super) fn refuse_waiting(&mut self, why: &str) {
        let waiters = std::mem::take(&mut self.state.waiters);
        for token in waiters.open.into_keys() {
            let text = why.to_string();
            let answer = Box::new(Answer::Refused { text });
            self.order(Action::Reply { token, answer });
        }
    }
}
