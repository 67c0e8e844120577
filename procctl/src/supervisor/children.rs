//! Processes end: whose they were, what they left behind, and what the plan is told of it.

use std::time::Duration;

use checkproc::census::{self, Census};
use checkproc::process::{self, ProcStat};
use checkproc::tree::{Member, Tree};
use checkproc::{Row, Slot};

use super::Supervisor;
use super::runs::{Dying, Live};
use crate::cgroup;
use crate::launch::{Failure, NOT_EXECUTED};
use crate::plan::outcome::{Exit, LastWords, Usage, Word};
use crate::plan::{Event, RunId};
use crate::recorder::message::Beats;
use crate::spawn::{self, Reaped};
use crate::wait::since_boot;

/// A daemon may have handed its work to a child and ended before its `MAINPID` was heard.
const MAIN_PID_PATIENCE: Duration = Duration::from_millis(300);

/// The parent of a process that is not ours may take its time to wait for it.
const FOREIGN_PATIENCE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Waits for every child that has ended, ours by birth or as an orphan.
    pub(super) fn reap(&mut self) {
        let mut ended = Vec::new();
        while let Some(reaped) = spawn::reap() {
            let pid = reaped.pid;
            if let Some(run) = self.runs.of_process(pid) {
                self.runs.forget_process(run);
                ended.push((run, reaped));
            } else if let Some(finished) = self.errands.ended(pid, reaped.status) {
                self.finish_errand(finished);
            } else if self.link.process() == Some(pid) {
                log::error!("the recorder has ended ({})", describe(reaped.status));
                self.lose_link();
            } else if self.watchdog.is(pid) {
                self.watchdog_ended(reaped);
            }
            // else an orphan of some tree: whoever waits for that tree looks at it below
        }
        let mut orphans = None;
        for (run, reaped) in ended {
            if reaped.status == NOT_EXECUTED << 8
                && let Some(failure) = self.starter.take_failure(run)
            {
                self.fail_start(run, failure);
                continue;
            }
            let rest = self.rest_of(run, &mut orphans);
            if self.awaits_main_pid(run, &reaped, &rest) {
                let until = since_boot() + MAIN_PID_PATIENCE;
                let reaped = Some(reaped);
                self.runs.dying.push(Dying { run, reaped, until });
                continue;
            }
            self.tell_end(run, Some(reaped), exit_of(reaped.status), rest);
        }
        self.look_at_rests();
    }

    /// The child could not become its program.
    fn fail_start(&mut self, run: RunId, failure: Failure) {
        let why = self.describe(run, failure);
        if let Some(live) = self.runs.find(run) {
            log::error!("{} could not be started: {why}", live.job);
        }
        self.release(run);
        self.events.push_back(Event::StartFailed { run, why });
    }

    /// Tells the plan, with the last words of the slot and what is left of the tree.
    fn tell_end(&mut self, run: RunId, reaped: Option<Reaped>, exit: Exit, rest: Vec<Member>) {
        let Some(live) = self.runs.find(run) else {
            return;
        };
        if let Some(pidfd) = &live.pidfd {
            self.wait.remove(pidfd);
        }
        let row = live.slot.as_ref().and_then(Slot::row);
        let event = Event::Ended {
            run,
            exit,
            words: last_words(row.as_ref()),
            usage: usage(live, reaped),
            rest: !rest.is_empty(),
        };
        log::info!("{} ended: {}", live.job, describe_exit(exit));
        if !rest.is_empty() {
            self.watch_rest(run, rest);
        }
        self.events.push_back(event);
    }

    /// Processes of a run's tree that live on after its main process. Children that nobody knows are asked for
    /// once a batch: on the death of a parent its children become ours, so a tree with a rest has one among them.
    fn rest_of(&self, run: RunId, orphans: &mut Option<Vec<Orphan>>) -> Vec<Member> {
        let Some(live) = self.runs.find(run) else {
            return Vec::new();
        };
        if let Some(group) = &live.cgroup
            && cgroup::is_empty(group)
        {
            return Vec::new();
        }
        let ours = live.pidfd.is_none();
        if orphans.is_none() {
            *orphans = self.orphans();
        }
        match orphans {
            Some(orphans) if ours && live.cgroup.is_none() => {
                let own = orphans.iter().filter(|orphan| orphan.is_of(live));
                own.map(|orphan| orphan.member).collect()
            }
            _ => {
                let mut tree = Tree::new(live.target());
                tree.look(&Census::take());
                tree.alive()
            }
        }
    }

    /// Our children that are nobody we know. `None` when the kernel does not list children.
    fn orphans(&self) -> Option<Vec<Orphan>> {
        let known = |pid: u32| {
            let pid = pid.cast_signed();
            self.runs.of_process(pid).is_some()
                || self.errands.has(pid)
                || self.link.process() == Some(pid)
                || self.watchdog.is(pid)
        };
        let children = census::children(std::process::id()).ok()?;
        let unknown = children.into_iter().filter(|pid| !known(*pid));
        Some(unknown.filter_map(Orphan::look).collect())
    }

    /// Whether a daemon that has ended well may be about to name another main process.
    fn awaits_main_pid(&self, run: RunId, reaped: &Reaped, rest: &[Member]) -> bool {
        let notifies = self
            .link
            .kept_run(run)
            .is_some_and(|run| run.beats == Beats::Notify);
        notifies && reaped.status == 0 && !rest.is_empty()
    }

    /// A daemon names its main process. True when it is one of the run's own.
    pub(super) fn change_main(&mut self, run: RunId, pid: i32) -> bool {
        let Some(number) = u32::try_from(pid).ok().filter(|pid| *pid > 1) else {
            return false;
        };
        let Ok(stat) = ProcStat::read(number) else {
            return false;
        };
        let Some(live) = self.runs.find(run) else {
            return false;
        };
        if live.pid == pid {
            return true;
        }
        let of_tree = stat.session == live.pid.unsigned_abs()
            || census::run_of(number) == Some(run)
            || checkproc::tree::cgroup_of(number, run).is_some();
        if !of_tree || self.runs.of_process(pid).is_some() {
            log::warn!("{}: MAINPID={pid} is no process of its own", live.job);
            return false;
        }
        if let Some(slot) = &live.slot {
            slot.activate(number, stat.start_time);
        }
        log::info!("{}: its main process is {pid} now", live.job);
        self.runs.change_process(run, pid, stat.start_time);
        self.runs.dying.retain(|dying| dying.run != run);
        self.link.announce_again(run, |run| {
            run.pid = pid;
            run.start_time = stat.start_time;
        });
        // a child of the old one becomes ours when that ends; one of somebody else's never does
        if let Ok(Some(pidfd)) = process::open_pidfd(number, stat.start_time) {
            self.hear_of_end(run, pidfd);
        }
        true
    }

    /// A process that is not our child has ended.
    pub(super) fn foreign_ended(&mut self, pid: u32) {
        let Some(run) = self.runs.of_process(pid.cast_signed()) else {
            return;
        };
        let Some(live) = self.runs.find(run) else {
            return;
        };
        if let Some(pidfd) = &live.pidfd {
            self.wait.remove(pidfd);
        }
        let until = since_boot() + FOREIGN_PATIENCE;
        let reaped = None;
        self.runs.dying.push(Dying { run, reaped, until });
        self.serve_dying(since_boot());
    }

    /// Tells the ends that only wait for another word of a daemon: there will be nobody to hear it.
    pub(super) fn tell_known_ends(&mut self) {
        for dying in &mut self.runs.dying {
            if dying.reaped.is_some() {
                dying.until = Duration::ZERO;
            }
        }
        self.serve_dying(since_boot());
    }

    /// Tells the ends that have waited long enough, or need not wait any more.
    pub(super) fn serve_dying(&mut self, now: Duration) {
        for dying in std::mem::take(&mut self.runs.dying) {
            let Some(live) = self.runs.find(dying.run) else {
                continue;
            };
            let status = match dying.reaped {
                Some(reaped) => Some(reaped.status).filter(|_| dying.until <= now),
                None => foreign_status(live),
            };
            let waited_for = dying.reaped.is_none()
                && ProcStat::read(live.pid.unsigned_abs())
                    .map_or(true, |stat| stat.start_time != live.start_time);
            if status.is_none() && !waited_for && dying.until > now {
                self.runs.dying.push(dying);
                continue;
            }
            // a child of ours after all: it is to be waited for in the usual way
            if self
                .runs
                .find(dying.run)
                .is_some_and(|live| is_child(live) && dying.reaped.is_none())
            {
                continue;
            }
            let rest = self.rest_of(dying.run, &mut None);
            self.runs.forget_process(dying.run);
            let exit = status.map_or(Exit::Unknown, exit_of);
            self.tell_end(dying.run, dying.reaped, exit, rest);
        }
    }
}

/// A child that came to us by its parent's death.
struct Orphan {
    member: Member,
    session: u32,
    group: u32,
    run: Option<u64>,
}

impl Orphan {
    fn look(pid: u32) -> Option<Orphan> {
        let stat = ProcStat::read(pid).ok().filter(|stat| !stat.is_zombie())?;
        Some(Orphan {
            member: Member {
                pid,
                start_time: stat.start_time,
            },
            session: stat.session,
            group: stat.pgrp,
            run: census::run_of(pid),
        })
    }

    /// A session's or group's number cannot be used again while it has members, so it proves descent.
    fn is_of(&self, live: &Live) -> bool {
        let leader = live.pid.unsigned_abs();
        self.run == Some(live.id) || self.session == leader || self.group == leader
    }
}

fn is_child(live: &Live) -> bool {
    ProcStat::read(live.pid.unsigned_abs())
        .is_ok_and(|stat| stat.start_time == live.start_time && stat.ppid == std::process::id())
}

/// The wait status of a process whose parent is somebody else: from its pidfd once it was waited for,
/// from `/proc` while it was not.
pub(super) fn foreign_status(live: &Live) -> Option<i32> {
    let by_pidfd = live.pidfd.as_ref().and_then(spawn::exit_status);
    by_pidfd.or_else(|| zombie_status(live.pid, live.start_time))
}

/// Field 52 of `/proc/PID/stat` of a zombie with this identity.
fn zombie_status(pid: i32, start_time: u64) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let stat = ProcStat::parse(text.as_bytes())?;
    if stat.start_time != start_time || !stat.is_zombie() {
        return None;
    }
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(49)?.parse().ok()
}

/// What a wait status says.
pub(super) fn exit_of(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) & 0xff),
        signal => Exit::Signal(signal),
    }
}

/// What a slot says of the end.
pub(super) fn last_words(row: Option<&Row>) -> LastWords {
    let Some(row) = row else {
        return LastWords::default();
    };
    LastWords {
        word: row.outcome.map(|outcome| match outcome {
            checkproc::Outcome::Done => Word::Done,
            checkproc::Outcome::Failed { exit } => Word::Failed { exit: exit.into() },
            checkproc::Outcome::Stopped => Word::Stopped,
        }),
        hung: row.hung.is_some(),
        rows: row.rows,
        bytes: row.bytes,
        rejected: row.rejected,
    }
}

fn usage(live: &Live, reaped: Option<Reaped>) -> Usage {
    let of_group = live.cgroup.as_deref().and_then(cgroup::peak_memory);
    Usage {
        peak_memory: of_group.or(reaped.map(|reaped| reaped.peak_memory)),
        cpu_us: reaped.map(|reaped| reaped.cpu_us),
    }
}

fn describe_exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::Unknown => "nobody knows how".to_string(),
    }
}

/// A wait status in words.
pub(super) fn describe(status: i32) -> String {
    describe_exit(exit_of(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_read() {
        assert_eq!(exit_of(3 << 8), Exit::Code(3));
        assert_eq!(exit_of(9), Exit::Signal(9));
        // a core was dumped
        assert_eq!(exit_of(6 | 0x80), Exit::Signal(6));
    }

    #[test]
    fn a_zombie_tells_its_exit_code() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exit 5"])
            .spawn()
            .unwrap();
        let start = process::start_time(child.id()).unwrap();
        let pid = child.id().cast_signed();
        let end = std::time::Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = zombie_status(pid, start) {
                break status;
            }
            assert!(std::time::Instant::now() < end, "no zombie");
            std::thread::yield_now();
        };
        assert_eq!(exit_of(status), Exit::Code(5));
        assert_eq!(zombie_status(pid, start + 1), None);
        child.wait().unwrap();
    }
}
