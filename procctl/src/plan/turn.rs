//! One call of the plan: the state at hand, the time, and the actions so far.

use std::sync::Arc;

use super::action::{Action, Signal};
use super::calendar::Step;
use super::event::{Event, Now, RunId, Settings};
use super::job::{Job, Run};
use super::memory::Remembered;
use super::outcome::Why;
use super::spec::Policy;
use super::state::State;
use super::waiters::Kind;
use crate::recorder::message::Notice;

/// One call of the plan.
pub(super) struct Turn<'a> {
    pub(super) state: &'a mut State,
    pub(super) now: Now,
    pub(super) actions: Vec<Action>,
    /// Jobs whose due times may have changed.
    touched: Vec<Arc<str>>,
}

impl<'a> Turn<'a> {
    /// Begins a call: looks at the clocks.
    pub(super) fn new(state: &'a mut State, now: Now) -> Turn<'a> {
        let step = state.lived.look(now);
        let mut turn = Turn {
            state,
            now,
            actions: Vec::new(),
            touched: Vec::new(),
        };
        // after a step forward, what was jumped over is due or missed: `run_due` sees it
        if step == Step::Back {
            turn.rewind();
        }
        turn
    }

    /// Takes the event.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Due | Event::ClockStepped => {}
            Event::Configured(settings) => self.configure(settings),
            Event::Loaded(loaded) => self.load(loaded),
            Event::Adopted(adopted) => self.adopt(adopted),
            Event::FoundEnded(found) => self.find_ended(found),
            Event::Booted => self.boot(),
            Event::Started { run, pid } => self.started(run, pid),
            Event::StartFailed { run, why } => self.start_failed(run, why),
            Event::Ended {
                run,
                exit,
                words,
                usage,
                rest,
            } => self.ended(run, exit, words, usage, rest),
            Event::TreeGone { run } => self.tree_gone(run),
            Event::Noticed { run, notice } => self.noticed(run, notice),
            Event::Examined { run, overdue } => self.examined(run, overdue),
            Event::Command { token, request } => self.command(token, request),
            Event::ClientGone { token } => self.state.waiters.forget(token),
            Event::Terminate => self.leave(None),
        }
    }

    /// Looks at a job.
    pub(super) fn job(&self, name: &str) -> Option<&Job> {
        self.state.jobs.get(name)
    }

    /// Takes a job to change it; its due times are looked at again.
    pub(super) fn job_mut(&mut self, name: &Arc<str>) -> Option<&mut Job> {
        let job = self.state.jobs.get_mut(name)?;
        self.touched.push(name.clone());
        Some(job)
    }

    /// Looks at a job's policy.
    pub(super) fn policy(&self, name: &str) -> Option<&Policy> {
        self.job(name).map(|job| &job.spec.policy)
    }

    /// Takes the live run of a job to change it.
    pub(super) fn run_mut(&mut self, name: &Arc<str>) -> Option<&mut Run> {
        self.job_mut(name)?.run.as_deref_mut()
    }

    /// The job of a live run.
    pub(super) fn job_of(&self, run: RunId) -> Option<Arc<str>> {
        self.state.runs.get(&run).cloned()
    }

    /// Brings the index of due times up to date.
    pub(super) fn settle(&mut self) {
        for name in std::mem::take(&mut self.touched) {
            if let Some(job) = self.state.jobs.get_mut(&name) {
                self.state.timers.index(&name, job);
            }
        }
    }

    /// Orders something.
    pub(super) fn order(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Orders a signal.
    pub(super) fn signal(&mut self, run: RunId, signal: Signal) {
        self.order(Action::Signal { run, signal });
    }

    /// Changes what is remembered of a job.
    pub(super) fn remember(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Remembered)) {
        let mut what = self.state.memory.of(name).cloned().unwrap_or_default();
        change(&mut what);
        if let Some(line) = self.state.memory.change(name, what) {
            self.order(Action::Remember { line });
        }
    }

    fn configure(&mut self, settings: Settings) {
        let callable = self.state.pools.configure(&settings.pools);
        self.state.settings = settings;
        for pool in callable {
            self.serve(&pool);
        }
    }

    fn started(&mut self, run: RunId, pid: u32) {
        let Some(name) = self.job_of(run) else { return };
        if let Some(run) = self.run_mut(&name) {
            run.pid = Some(pid);
        }
        let text = format!("running, pid {pid}");
        self.resolve(&name, |want| want.is_for(Kind::Up, run), true, &text);
    }

    fn noticed(&mut self, run: RunId, notice: Notice) {
        let Some(name) = self.job_of(run) else { return };
        match notice {
            Notice::Status(text) => {
                if let Some(run) = self.run_mut(&name) {
                    run.says = Some(text.into());
                }
            }
            Notice::MainPid(pid) => {
                if let (Some(run), Ok(pid)) = (self.run_mut(&name), u32::try_from(pid)) {
                    run.pid = Some(pid);
                }
            }
            Notice::Alarm(text) => self.hear_alarm(&name, run, text),
            Notice::Trigger => self.order_stop(&name, Why::Hung),
            // the recorder has set the slot; a word of readiness changes nothing here
            Notice::Ready | Notice::Stopping | Notice::Heartbeat { .. } => {}
        }
    }
}
