//! Carries out what the plan wants done. Nothing here waits for anything.

use std::path::PathBuf;

use jobfile::Home;

use super::start::Order;
use super::{Ending, Supervisor};
use crate::plan::{Action, Answer, Event, RunId, Signal, Token};
use crate::recorder::message::ToRecorder;

impl Supervisor {
    /// Does one thing.
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Start { run, job, reason } => {
                self.orders.push_back(Order { run, job, reason });
            }
            Action::Signal { run, signal } => {
                self.start_now(run);
                match signal {
                    Signal::Term | Signal::Kill => self.signal_tree(run, signal),
                    Signal::Pass => self.signal_main(run),
                }
            }
            Action::Examine { run } => {
                let overdue = self.is_overdue(run);
                self.events.push_back(Event::Examined { run, overdue });
            }
            Action::Adjust {
                run,
                heartbeat,
                hang_grace,
            } => {
                if let Some(live) = self.runs.find_mut(run) {
                    live.watch.heartbeat = heartbeat;
                    live.watch.hang_grace = hang_grace;
                    if let Some(slot) = &live.slot {
                        slot.set_heartbeat(heartbeat);
                        slot.set_hang_grace(hang_grace);
                    }
                }
            }
            Action::Release { run } => self.release(run),
            Action::Record(entry) => match serde_json::to_value(&*entry) {
                Ok(entry) => self.link.send(&ToRecorder::History { entry }),
                Err(error) => log::error!("write down an entry of the history: {error}"),
            },
            Action::Alarm(alarm) => self.raise(&alarm),
            Action::Remember { line } => {
                if self.memory.append(line) {
                    self.memory.replace(&self.state.memory());
                }
            }
            Action::Reply { token, mut answer } => {
                self.complete(&mut answer);
                self.answer(token, &answer);
            }
            Action::Reread { token, files } if files.is_empty() => self.reload(Some(token)),
            Action::Reread { token, files } => self.reread(Some(token), files),
            Action::Reexec { token } => {
                // the new program knows nothing of orders
                while let Some(order) = self.orders.pop_front() {
                    self.make_start(order);
                }
                self.ending = Some(Ending::Restart(token));
            }
            Action::Exit => self.ending = Some(Ending::Exit),
        }
    }

    /// Starts a run as it was ordered, and tells the plan what came of it.
    pub(super) fn make_start(&mut self, order: Order) {
        let Order { run, job, reason } = order;
        let event = match self.start_run(run, &job) {
            Ok(pid) => {
                log::info!("{} started, pid {pid} ({})", job.name, reason_word(reason));
                Event::Started { run, pid }
            }
            Err(why) => {
                log::error!("{} could not be started: {why}", job.name);
                Event::StartFailed { run, why }
            }
        };
        self.events.push_back(event);
    }

    /// Makes a start that waits for its turn, where something else is wanted of its run already.
    fn start_now(&mut self, run: RunId) {
        if let Some(at) = self.orders.iter().position(|order| order.run == run)
            && let Some(order) = self.orders.remove(at)
        {
            self.make_start(order);
        }
    }

    /// Whether the run's slot is past its deadline, or marked as hung.
    fn is_overdue(&self, run: RunId) -> bool {
        let slot = self.runs.find(run).and_then(|live| live.slot.as_ref());
        let row = slot.and_then(checkproc::Slot::row);
        row.is_some_and(|row| row.hung.is_some() || row.deadline_in.is_some_and(|left| left < 0))
    }

    /// The run is over: nothing of it is kept.
    pub(super) fn release(&mut self, run: RunId) {
        let Some(live) = self.runs.remove(run) else {
            return;
        };
        if let Some(slot) = &live.slot {
            slot.release();
        }
        if let Some(pidfd) = &live.pidfd {
            self.wait.remove(pidfd);
        }
        if let Some(group) = &live.cgroup {
            crate::cgroup::remove(group);
        }
        self.trees.forget(run);
        self.link.ended(run);
    }

    /// Takes new slots where a table was replaced, and tells the recorder, who beats in some of them.
    pub(super) fn renew_slots(&mut self) {
        let mut renewed = Vec::new();
        for live in self.runs.iter_mut() {
            if self.tables.renew(live) {
                let slot = live.slot.as_ref().map(checkproc::Slot::handle);
                renewed.push((live.id, slot));
            }
        }
        if !renewed.is_empty() {
            log::warn!(
                "the heartbeat table was replaced: {} new slots",
                renewed.len()
            );
        }
        for (run, slot) in renewed {
            self.link.announce_again(run, |run| run.slot = slot);
        }
    }

    /// Reads what has changed in the jobs folder, and `files` in any case, and tells the plan when
    /// it is known.
    pub(super) fn reread(&mut self, token: Option<Token>, files: Vec<PathBuf>) {
        let step = self.loader.read(token, files);
        self.take_step(step);
    }

    /// Reads the settings and every job file again.
    pub(super) fn reload(&mut self, token: Option<Token>) {
        match Home::open(&self.home.root) {
            Ok(home) => {
                self.configure(home);
                self.loader.doubt();
                self.link.send(&ToRecorder::Reload);
                self.reread(token, Vec::new());
            }
            Err(problems) => {
                let text =
                    format!("the settings are wrong, everything stays as it was:\n{problems}");
                log::error!("{text}");
                if let Some(token) = token {
                    self.answer(token, &Answer::Refused { text });
                }
            }
        }
    }
}

/// Why a run starts, as the log says it.
fn reason_word(reason: crate::plan::Reason) -> String {
    let word = serde_json::to_value(reason).ok();
    word.and_then(|word| word.as_str().map(String::from))
        .unwrap_or_default()
}
