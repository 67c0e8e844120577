//! Errands: short programs that the supervisor runs for itself (alarms, the check of job files).
//! They get their input and give their output through memory files, so nothing here ever
//! blocks on a pipe; they are few at a time, and ended when they take too long.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::launch::{self, Launch};
use crate::spawn;

/// Most errands at once.
const MOST_AT_ONCE: usize = 8;

/// Most errands that wait for their turn; further ones are refused.
const MOST_WAITING: usize = 256;

/// Most bytes of output that are read back.
const MOST_OUTPUT: u64 = 4 * 1024 * 1024;

/// What an errand is for; the answer to its end is decided by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The check of job files numbered so.
    Check(u64),
    /// An alarm, described for the log.
    Alarm(String),
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Order {
    /// What for.
    pub purpose: Purpose,
    /// Program and arguments.
    pub words: Vec<String>,
    /// Added to the supervisor's own environment.
    pub environment: Vec<(String, String)>,
    /// Standard input.
    pub input: Vec<u8>,
    /// Whether standard output alone is wanted back, and its errors go where ours go; else both come back.
    pub output_only: bool,
    /// It may take this long.
    pub limit: Duration,
}

/// How an errand ended.
#[derive(Debug)]
pub struct Finished {
    /// What it was for.
    pub purpose: Purpose,
    /// Its wait status; `None` when it could not be started.
    pub status: Option<i32>,
    /// What it printed.
    pub output: Vec<u8>,
    /// Why it could not be started or did not end by itself.
    pub trouble: Option<String>,
}

#[derive(Debug)]
struct Running {
    purpose: Purpose,
    deadline: Duration,
    output: File,
    overdue: bool,
}

/// The errands under way and those that wait.
#[derive(Debug, Default)]
pub struct Errands {
    running: BTreeMap<i32, Running>,
    waiting: VecDeque<Order>,
}

impl Errands {
    /// Takes an order; false when too many wait already.
    pub fn order(&mut self, order: Order) -> bool {
        if self.waiting.len() >= MOST_WAITING {
            return false;
        }
        self.waiting.push_back(order);
        true
    }

    /// Starts what may start; gives back what could not be started.
    ///
    /// `folder` is where they run, `failures` where the child reports, `stderr` its error output.
    pub fn start(
        &mut self,
        now: Duration,
        folder: &Path,
        failures: BorrowedFd<'_>,
        stderr: BorrowedFd<'_>,
    ) -> Vec<Finished> {
        let mut refused = Vec::new();
        while self.running.len() < MOST_AT_ONCE {
            let Some(order) = self.waiting.pop_front() else {
                break;
            };
            match begin(&order, folder, failures, stderr) {
                Ok((pid, output)) => {
                    let running = Running {
                        purpose: order.purpose,
                        deadline: now.saturating_add(order.limit),
                        output,
                        overdue: false,
                    };
                    self.running.insert(pid, running);
                }
                Err(error) => refused.push(Finished {
                    purpose: order.purpose,
                    status: None,
                    output: Vec::new(),
                    trouble: Some(error.to_string()),
                }),
            }
        }
        refused
    }

    /// When the first of them will have taken too long.
    pub fn next_deadline(&self) -> Option<Duration> {
        let alive = self.running.values().filter(|running| !running.overdue);
        alive.map(|running| running.deadline).min()
    }

    /// Ends those that have taken too long; their end comes as any other.
    pub fn expire(&mut self, now: Duration) {
        for (pid, running) in &mut self.running {
            if running.deadline <= now && !running.overdue {
                running.overdue = true;
                kill_group(*pid);
            }
        }
    }

    /// Whether `pid` is an errand of ours.
    pub fn has(&self, pid: i32) -> bool {
        self.running.contains_key(&pid)
    }

    /// Takes the end of process `pid`; `None` when it was no errand.
    pub fn ended(&mut self, pid: i32, status: i32) -> Option<Finished> {
        let running = self.running.remove(&pid)?;
        let output = read_back(running.output);
        let trouble = running.overdue.then(|| "it took too long".to_string());
        Some(Finished {
            purpose: running.purpose,
            status: Some(status),
            output,
            trouble,
        })
    }

    /// Ends all of them: the supervisor goes.
    pub fn abandon(&mut self) {
        self.waiting.clear();
        for pid in self.running.keys() {
            kill_group(*pid);
        }
    }
}

fn kill_group(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else {
        return;
    };
    // it is our child and not waited for yet, so the number is its own; the group is there
    // only once it has come as far as that
    let group = kill_process_group(pid, Signal::KILL);
    if let Err(error) = kill_process(pid, Signal::KILL).or(group) {
        log::debug!("end errand {pid:?}: {error}");
    }
}

fn read_back(mut file: File) -> Vec<u8> {
    let mut output = Vec::new();
    let result = file
        .rewind()
        .and_then(|()| file.take(MOST_OUTPUT).read_to_end(&mut output).map(drop));
    if let Err(error) = result {
        log::warn!("read an errand's output: {error}");
    }
    output
}

fn begin(
    order: &Order,
    folder: &Path,
    failures: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> io::Result<(i32, File)> {
    let mut input = File::from(memfd_create("errand-input", MemfdFlags::CLOEXEC)?);
    input.write_all(&order.input)?;
    input.rewind()?;
    let output = File::from(memfd_create("errand-output", MemfdFlags::CLOEXEC)?);
    // two writers at one place must not write over each other
    let flags = rustix::fs::fcntl_getfl(&output)? | rustix::fs::OFlags::APPEND;
    rustix::fs::fcntl_setfl(&output, flags)?;
    let zero = || io::Error::new(io::ErrorKind::InvalidInput, "a zero byte in its words");
    let program = order.words.first().ok_or(io::ErrorKind::InvalidInput)?;
    let path = std::env::var("PATH").ok();
    let programs = launch::candidates(program, path.as_deref(), folder);
    let inherited = std::env::vars_os().map(|(name, value)| {
        let mut line = name;
        line.push("=");
        line.push(value);
        launch::c_string(line)
    });
    let added = order
        .environment
        .iter()
        .map(|(name, value)| launch::c_string(format!("{name}={value}")));
    let born = spawn::launch(&Launch {
        run: 0,
        programs: programs.iter().filter_map(launch::c_string).collect(),
        arguments: order
            .words
            .iter()
            .map(launch::c_string)
            .collect::<Option<_>>()
            .ok_or_else(zero)?,
        // the last of two equal names would lose in most programs: ours go first
        environment: added
            .chain(inherited)
            .collect::<Option<_>>()
            .ok_or_else(zero)?,
        folder: launch::c_string(folder).ok_or_else(zero)?,
        umask: None,
        nice: None,
        limits: Vec::new(),
        identity: None,
        input: input.as_fd(),
        output: output.as_fd(),
        errors: if order.output_only {
            stderr
        } else {
            output.as_fd()
        },
        third: None,
        cgroup: None,
        failures,
    })?;
    Ok((born.pid, output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};

    fn order(script: &str, input: &str) -> Order {
        Order {
            purpose: Purpose::Check(1),
            words: ["sh", "-c", script].map(String::from).to_vec(),
            environment: vec![("PROCCTL_JOB".into(), "a".into())],
            input: input.into(),
            output_only: true,
            limit: Duration::from_secs(60),
        }
    }

    #[test]
    fn input_output_and_code_come_through_and_the_slow_are_ended() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        let mut errands = Errands::default();
        let now = Duration::from_secs(5);
        assert!(errands.order(order("cat; echo $PROCCTL_JOB; exit 3", "hello ")));
        let here = Path::new("/");
        assert!(
            errands
                .start(now, here, null.as_fd(), null.as_fd())
                .is_empty()
        );
        assert_eq!(errands.next_deadline(), Some(Duration::from_secs(65)));
        let pid = *errands.running.keys().next().unwrap();
        let status = waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
        assert_eq!(
            status,
            WaitStatus::Exited(nix::unistd::Pid::from_raw(pid), 3)
        );
        let finished = errands.ended(pid, 3 << 8).unwrap();
        assert_eq!(finished.output, b"hello a\n");
        assert!(finished.trouble.is_none());

        assert!(errands.order(order("exec sleep 1000", "")));
        assert!(
            errands
                .start(now, here, null.as_fd(), null.as_fd())
                .is_empty()
        );
        errands.expire(Duration::from_secs(66));
        assert_eq!(errands.next_deadline(), None);
        let pid = *errands.running.keys().next().unwrap();
        waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
        assert!(errands.ended(pid, 9).unwrap().trouble.is_some());
    }
}
