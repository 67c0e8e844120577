//! The whole tree of a run, and signals to all of it. It never signals a number: every process is opened by pidfd and its
//! start time compared before anything is sent.
//!
//! Members are found in layers, each catching what escapes the one before: the cgroup of the run; session, process
//! group and descent; then processes whose environment carries the run's id, however far they have moved away.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde::Serialize;

use crate::census::{Census, KERNEL, Process};
use crate::process;

/// A tree that forks faster than this many passes is reported as not yet gone.
const KILL_PASSES: u32 = 40;
/// Depth to which cgroups inside a run's cgroup are followed.
const CGROUP_DEPTH: u32 = 8;

/// Whose tree is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The first process of the run.
    pub pid: u32,
    /// Its start time.
    pub start_time: u64,
    /// The run's id, as its environment carries it.
    pub run: Option<u64>,
    /// A cgroup v2 folder that holds this run and nothing else.
    pub cgroup: Option<PathBuf>,
}

/// A process of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Member {
    /// Process id.
    pub pid: u32,
    /// Start time: with the pid its identity.
    pub start_time: u64,
}

/// How surely the whole tree can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// The kernel knows every member and kills all at once.
    Cgroup,
    /// Group, session and descent, and orphans that carry the run's id: only a process that leaves its session *and* drops
    /// its environment escapes.
    GroupAndOrphans,
    /// Descent only: an orphan escapes.
    PidOnly,
}

impl std::fmt::Display for Guarantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Guarantee::Cgroup => "cgroup: the kernel knows the whole tree",
            Guarantee::GroupAndOrphans => {
                "process group, session, descent, and orphans that carry the run's id"
            }
            Guarantee::PidOnly => "descent only",
        })
    }
}

/// What became of a signal.
#[derive(Debug, Default)]
pub struct Report {
    /// Processes that got it.
    pub signalled: Vec<Member>,
    /// Processes that did not, and why.
    pub refused: Vec<(Member, io::Error)>,
}

/// A tree that is being watched or taken down. It remembers every member it has seen, so that children of a member that
/// has ended meanwhile still count.
pub struct Tree {
    target: Target,
    known: Vec<Member>,
    /// Members of other users are left alone, unless this is root's.
    only_uid: Option<u32>,
    /// Leaders of other runs, whose environment need not be read.
    besides: HashSet<u32>,
}

impl Tree {
    /// A tree whose members are not looked for yet.
    pub fn new(target: Target) -> Tree {
        Tree {
            target,
            known: Vec::new(),
            only_uid: None,
            besides: HashSet::new(),
        }
    }

    /// Signals only processes whose real user is `uid`; for root's own trees all of them.
    pub fn only_of(mut self, uid: u32) -> Tree {
        self.only_uid = (uid != 0).then_some(uid);
        self
    }

    /// Spares the reading of the environment of these processes: they are known to lead other runs.
    pub fn besides(mut self, leaders: HashSet<u32>) -> Tree {
        self.besides = leaders;
        self
    }

    /// Adds members that are known from elsewhere, such as orphans that were seen to belong to it.
    pub fn remember(&mut self, members: impl IntoIterator<Item = Member>) {
        self.known.extend(members);
    }

    /// Whose tree it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Adds every member that the census shows to those already known.
    ///
    /// Take it while the leader exists, be it as a zombie: once its pid is free, session and group prove nothing any more, and
    /// only descent from known members and the run's id remain.
    pub fn look(&mut self, census: &Census) {
        let mut members: HashSet<Member> = self.known.iter().copied().collect();
        let is = |member: &Member, process: &Process| member_of(process) == *member;
        members.retain(|member| {
            census
                .find(member.pid)
                .is_some_and(|process| is(member, process))
        });
        let target = self.target.pid;
        let led = census
            .find(target)
            .is_some_and(|process| process.stat.start_time == self.target.start_time);
        let held = led
            || census.find(target).is_none()
                && members.iter().any(|member| {
                    census
                        .find(member.pid)
                        .is_some_and(|p| p.stat.session == target)
                });
        let mut pids: HashSet<u32> = members.iter().map(|member| member.pid).collect();
        if led {
            pids.insert(target);
        }
        pids.extend(
            self.target
                .cgroup
                .iter()
                .flat_map(|folder| cgroup_pids(folder, CGROUP_DEPTH)),
        );
        if held {
            pids.extend(census.session(target));
            pids.extend(census.group(target));
        }
        pids.extend(self.carriers(census));
        // Neither init nor we: and their children are no members by that descent.
        let spared = |pid: u32| pid <= 1 || pid == std::process::id();
        pids.retain(|pid| !spared(*pid));
        add_descendants(&mut pids, census);
        self.known = pids
            .iter()
            .filter_map(|pid| census.find(*pid))
            .map(member_of)
            .collect();
        self.known
            .sort_by_key(|member| (member.start_time, member.pid));
    }

    /// Whose environment carries our run's id. Where others are to be spared, only those are asked that could: not
    /// older than the leader, not known to belong to others, no kernel thread.
    fn carriers(&self, census: &Census) -> Vec<u32> {
        let Some(run) = self.target.run else {
            return Vec::new();
        };
        let young = |process: &&Process| process.stat.start_time >= self.target.start_time;
        if self.besides.is_empty() {
            let all = census
                .of_run(run)
                .iter()
                .filter_map(|pid| census.find(*pid));
            return all.filter(young).map(|process| process.stat.pid).collect();
        }
        let all = census.iter().filter(young);
        all.filter(|process| process.stat.ppid != KERNEL)
            .filter(|process| !self.besides.contains(&process.stat.pid))
            .filter(|process| process.run() == Some(run))
            .map(|process| process.stat.pid)
            .collect()
    }

    /// Members as of the last look, oldest first; zombies among them.
    pub fn members(&self) -> &[Member] {
        &self.known
    }

    /// Known members that have not ended yet.
    pub fn alive(&self) -> Vec<Member> {
        self.known
            .iter()
            .copied()
            .filter(|member| process::is_alive(member.pid, member.start_time))
            .collect()
    }

    /// Looks and sends a signal to every member, once. A stopped process that is asked to end is also continued, or it
    /// could not hear it. Other processes are not touched, not even while pids are used again.
    pub fn signal(&mut self, signal: Signal, census: &Census) -> Report {
        self.look(census);
        let mut report = Report::default();
        for member in self.known.clone() {
            let stopped = census
                .find(member.pid)
                .is_some_and(|process| matches!(process.stat.state, 'T' | 't'));
            self.send(member, signal, &mut report);
            if stopped && matches!(signal, Signal::TERM | Signal::INT | Signal::HUP) {
                self.send(member, Signal::CONT, &mut Report::default());
            }
        }
        report
    }

    /// Sends SIGKILL until a look at all processes shows no member that has not got it.
    pub fn kill(&mut self) -> Report {
        let mut report = Report::default();
        let mut done = HashSet::new();
        for _ in 0..KILL_PASSES {
            if let Some(folder) = self
                .target
                .cgroup
                .as_ref()
                .filter(|_| self.only_uid.is_none())
            {
                // Best effort: the members are signalled one by one as well.
                fs::write(folder.join("cgroup.kill"), "1").ok();
            }
            let census = Census::take();
            self.look(&census);
            let ended = |member: &Member| {
                census
                    .find(member.pid)
                    .is_none_or(|process| process.stat.is_zombie())
            };
            let fresh: Vec<Member> = self
                .known
                .iter()
                .copied()
                .filter(|member| !ended(member) && done.insert(*member))
                .collect();
            if fresh.is_empty() {
                break;
            }
            for member in fresh {
                self.send(member, Signal::KILL, &mut report);
            }
        }
        report
    }

    fn send(&self, member: Member, signal: Signal, report: &mut Report) {
        if self.only_uid.is_some() && process::real_uid(member.pid) != self.only_uid {
            let why = io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it belongs to another user",
            );
            report.refused.push((member, why));
            return;
        }
        match process::send_signal(member.pid, member.start_time, signal) {
            Ok(true) => report.signalled.push(member),
            Ok(false) => {}
            Err(error) => report.refused.push((member, error)),
        }
    }
}

fn member_of(process: &Process) -> Member {
    Member {
        pid: process.stat.pid,
        start_time: process.stat.start_time,
    }
}

/// Adds children of members, and theirs; we are no one's descendant here, nor are our children.
fn add_descendants(pids: &mut HashSet<u32>, census: &Census) {
    let own = std::process::id();
    let mut todo: Vec<u32> = pids.iter().copied().collect();
    while let Some(parent) = todo.pop() {
        let children = census.children_of(parent).iter().copied();
        todo.extend(children.filter(|child| *child != own && pids.insert(*child)));
    }
}

/// All pids in a cgroup and those inside it.
fn cgroup_pids(folder: &Path, depth: u32) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if depth > 0 {
        let inner = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let folders = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        pids.extend(folders.flat_map(|entry| cgroup_pids(&entry.path(), depth - 1)));
    }
    pids
}

/// The cgroup of a run, by convention one whose name ends in `-RUN`, if this process is in one.
pub fn cgroup_of(pid: u32, run: u64) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let inside = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let path = Path::new(inside);
    let own = path.ancestors().find(|part| {
        part.file_name()
            .is_some_and(|name| name.to_string_lossy().ends_with(&format!("-{run}")))
    })?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts
        .lines()
        .find(|line| line.contains(" - cgroup2 "))?
        .split(' ')
        .nth(4)?;
    let folder = Path::new(mount).join(own);
    folder.join("cgroup.procs").is_file().then_some(folder)
}

/// Members of a tree now.
pub fn members(target: &Target) -> Vec<Member> {
    let mut tree = Tree::new(target.clone());
    tree.look(&Census::take());
    tree.known
}

/// Signals a tree now; SIGKILL is repeated until nothing new shows up.
pub fn signal(target: &Target, signal: Signal) -> Report {
    let mut tree = Tree::new(target.clone());
    if signal == Signal::KILL {
        tree.kill()
    } else {
        tree.signal(signal, &Census::take())
    }
}

/// How surely the whole tree of this target can be found.
pub fn guarantee(target: &Target) -> Guarantee {
    if target
        .cgroup
        .as_ref()
        .is_some_and(|folder| folder.join("cgroup.kill").exists())
    {
        return Guarantee::Cgroup;
    }
    let leads = process::ProcStat::read(target.pid)
        .is_ok_and(|stat| stat.start_time == target.start_time && stat.pgrp == stat.pid);
    if leads && target.run.is_some() {
        Guarantee::GroupAndOrphans
    } else {
        Guarantee::PidOnly
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    fn until(what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < end, "waited in vain until {what}");
            std::thread::yield_now();
        }
    }

    fn spawn(script: &str, run: u64) -> (Child, Target) {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("bash");
        let child = command
            .args(["-c", script])
            .env("PROCCTL_RUN", run.to_string())
            .process_group(0)
            .spawn()
            .unwrap();
        let start_time = process::start_time(child.id()).unwrap();
        let target = Target {
            pid: child.id(),
            start_time,
            run: Some(run),
            cgroup: None,
        };
        (child, target)
    }

    fn run_id(salt: u64) -> u64 {
        process::monotonic_ns() + salt
    }

    #[test]
    fn a_grandchild_in_its_own_session_dies_too() {
        let (mut child, target) = spawn(
            "setsid sleep 301 & setsid setsid sleep 302 & sleep 303 & wait",
            run_id(1),
        );
        until("all are there", || members(&target).len() == 4);
        assert_eq!(guarantee(&target), Guarantee::GroupAndOrphans);
        let all = members(&target);
        let report = signal(&target, Signal::KILL);
        assert_eq!(report.signalled.len(), 4, "{report:?}");
        child.wait().unwrap();
        until("all are gone", || {
            all.iter()
                .all(|member| !process::is_alive(member.pid, member.start_time))
        });
    }

    #[test]
    fn orphans_are_found_by_the_run_after_the_leader_is_gone() {
        let (mut child, target) = spawn("setsid sleep 304 & exit 0", run_id(2));
        child.wait().unwrap();
        until("the orphan is seen", || members(&target).len() == 1);
        signal(&target, Signal::KILL);
        until("it is gone", || {
            Tree::new(target.clone()).alive().is_empty() && members(&target).is_empty()
        });
    }

    #[test]
    fn an_orphan_without_the_run_is_found_when_it_was_seen_before() {
        let (mut child, target) = spawn("env -i setsid sleep 305 & wait", run_id(3));
        let mut tree = Tree::new(target.clone());
        until("both are there", || {
            tree.look(&Census::take());
            tree.members().len() == 2
                && tree.members().iter().all(|m| {
                    process::ProcStat::read(m.pid)
                        .is_ok_and(|s| s.pid == s.session || m.pid == target.pid)
                })
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let report = tree.kill();
        assert_eq!(report.signalled.len(), 1, "{report:?}");
        until("it is gone", || tree.alive().is_empty());
    }

    #[test]
    fn a_stopped_process_hears_sigterm() {
        let (mut child, target) = spawn("kill -STOP $$; exit 3", run_id(4));
        until("it is stopped", || {
            process::ProcStat::read(target.pid).is_ok_and(|stat| stat.state == 'T')
        });
        signal(&target, Signal::TERM);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_foreign_identity_gets_nothing() {
        let (mut child, mut target) = spawn("exec sleep 306", run_id(5));
        target.start_time += 1;
        target.run = None;
        assert!(members(&target).is_empty());
        assert!(signal(&target, Signal::KILL).signalled.is_empty());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn processes_of_other_users_are_left_alone() {
        let (mut child, target) = spawn("exec sleep 307", run_id(6));
        let other = rustix::process::getuid().as_raw() + 4711;
        let report = Tree::new(target).only_of(other).kill();
        assert!(report.signalled.is_empty() && !report.refused.is_empty());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
