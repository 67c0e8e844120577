//! One look at every process of the machine, to be shared by all who search a tree in it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};

use crate::process::ProcStat;

/// `kthreadd`, the parent of all kernel threads.
pub(crate) const KERNEL: u32 = 2;

/// Environments are read up to this many bytes.
const ENVIRONMENT_LIMIT: u64 = 256 * 1024;

/// A process as the census saw it.
pub struct Process {
    /// Its line of `/proc/PID/stat`.
    pub stat: ProcStat,
    run: OnceCell<Option<u64>>,
}

impl Process {
    /// The run id in its environment as it was at its exec; read on first demand, `None` when there is none or we may
    /// not look. A process that waits in the kernel is not asked: it may hold the lock that the answer needs, and then
    /// we would wait with it.
    pub fn run(&self) -> Option<u64> {
        *self.run.get_or_init(|| match self.stat.state {
            'D' => None,
            _ => run_of(self.stat.pid),
        })
    }
}

/// Every process at one moment, by pid.
pub struct Census {
    processes: HashMap<u32, Process>,
    kin: OnceCell<Kin>,
    runs: OnceCell<HashMap<u64, Vec<u32>>>,
}

/// Who belongs together: made once, on first demand, so that a thousand trees cost little more than one.
#[derive(Default)]
struct Kin {
    children: HashMap<u32, Vec<u32>>,
    sessions: HashMap<u32, Vec<u32>>,
    groups: HashMap<u32, Vec<u32>>,
}

impl Census {
    /// Reads `/proc`: about 10 µs a process. Environments are left for later.
    pub fn take() -> Census {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let pids =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let stats = pids.filter_map(|pid| ProcStat::read(pid).ok());
        let processes = stats.map(|stat| {
            let run = OnceCell::new();
            (stat.pid, Process { stat, run })
        });
        Census {
            processes: processes.collect(),
            kin: OnceCell::new(),
            runs: OnceCell::new(),
        }
    }

    /// Children of a process.
    pub fn children_of(&self, pid: u32) -> &[u32] {
        self.kin().children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// Members of a session.
    pub fn session(&self, leader: u32) -> &[u32] {
        self.kin().sessions.get(&leader).map_or(&[], Vec::as_slice)
    }

    /// Members of a process group.
    pub fn group(&self, leader: u32) -> &[u32] {
        self.kin().groups.get(&leader).map_or(&[], Vec::as_slice)
    }

    /// Processes whose environment carries a run's id. The first question reads the environment of every
    /// process but the kernel's: about 10 µs each.
    pub fn of_run(&self, run: u64) -> &[u32] {
        let runs = self.runs.get_or_init(|| {
            let mut runs: HashMap<u64, Vec<u32>> = HashMap::new();
            let all = self.iter().filter(|process| process.stat.ppid != KERNEL);
            for (run, pid) in all.filter_map(|process| Some((process.run()?, process.stat.pid))) {
                runs.entry(run).or_default().push(pid);
            }
            runs
        });
        runs.get(&run).map_or(&[], Vec::as_slice)
    }

    fn kin(&self) -> &Kin {
        self.kin.get_or_init(|| {
            let mut kin = Kin::default();
            for Process { stat, .. } in self.iter() {
                kin.children.entry(stat.ppid).or_default().push(stat.pid);
                kin.sessions.entry(stat.session).or_default().push(stat.pid);
                kin.groups.entry(stat.pgrp).or_default().push(stat.pid);
            }
            kin
        })
    }

    /// The process with this pid.
    pub fn find(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }
}

/// The run id in a process's environment as it was at its exec (`PROCCTL_RUN`).
pub fn run_of(pid: u32) -> Option<u64> {
    let value = variable(pid, "PROCCTL_RUN")?;
    value.parse().ok()
}

/// A variable in a process's environment as it was at its exec; `None` also when we may not look.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let mut environment = Vec::new();
    File::open(format!("/proc/{pid}/environ"))
        .ok()?
        .take(ENVIRONMENT_LIMIT)
        .read_to_end(&mut environment)
        .ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Children of a process, straight from the kernel's list: cheap, whatever else runs on the machine.
///
/// For a sub-reaper this includes every orphan of its jobs, so "no child but those I know" means that no tree has
/// left anything behind. `NotFound` also when the kernel keeps no such lists (`CONFIG_PROC_CHILDREN`).
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("children"))?;
        found.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn children_and_their_run_ids_are_seen() {
        let mut child = Command::new("sleep")
            .arg("60")
            .env("PROCCTL_RUN", "987654321")
            .spawn()
            .unwrap();
        // name and environment change at exec, one after the other; a list of children may leave one out while others end
        let end = Instant::now() + Duration::from_secs(60);
        let seen = |child: u32| {
            let census = Census::take();
            let seen = census.find(child)?;
            assert_eq!(seen.stat.ppid, std::process::id());
            assert!(census.find(std::process::id())?.run() != Some(987_654_321));
            (seen.run() == Some(987_654_321)).then_some(())
        };
        let listed = |child: u32| {
            let mine = children(std::process::id()).ok()?;
            mine.contains(&child).then_some(())
        };
        while seen(child.id()).and_then(|()| listed(child.id())).is_none() {
            assert!(Instant::now() < end, "not seen within a minute");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
