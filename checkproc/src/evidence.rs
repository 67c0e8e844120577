//! What a hung process was doing, written down before it is killed.
//!
//! Everything comes from `/proc`, bounded in size; what may not be read is said to be so. Environment and arguments are left
//! out: passwords live there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::census::Census;
use crate::process::{ProcStat, start_time};
use crate::row::Row;
use crate::sockets;
use crate::system_calls;
use crate::tree::{Target, Tree};

const LOG_LINES: usize = 20;
const LOG_BYTES: u64 = 64 * 1024;
const THREADS: usize = 16;
const FILES: usize = 64;
const PROCESSES: usize = 64;
const STACK_BYTES: usize = 8192;

/// The file that evidence about a run goes to: `FOLDER/JOB-RUN.txt`, with the pid for a run by hand.
pub fn path(folder: &Path, row: &Row) -> PathBuf {
    // The name comes from shared memory: it must not lead out of the folder.
    let good = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '_'
        }
    };
    let name: String = row.name.chars().map(good).collect();
    let run = if row.run == 0 {
        u64::from(row.pid)
    } else {
        row.run
    };
    folder.join(format!("{}-{run}.txt", name.trim_start_matches('.')))
}

/// Writes evidence, making the folder if need be. A symbolic link in its place is not followed.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error| Error::io("write evidence to", path, error);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed)
}

/// Describes a process: state, kernel side, threads, files, its tree, and the end of its log.
pub fn collect(pid: u32, start: u64, log: Option<&Path>) -> String {
    let mut text = String::new();
    if start_time(pid) != Some(start) {
        let _ = writeln!(text, "process {pid} (start time {start}) is gone");
    } else {
        describe_process(&mut text, pid);
        describe_threads(&mut text, pid);
        describe_files(&mut text, pid);
        describe_tree(&mut text, pid, start);
    }
    if let Some(log) = log {
        let _ = writeln!(text, "\nlast {LOG_LINES} lines of {}:", log.display());
        match last_lines(log) {
            Ok(lines) => text.push_str(&lines),
            Err(error) => {
                let _ = writeln!(text, "  not readable: {error}");
            }
        }
    }
    text
}

/// What the slot said, as the head of the evidence.
pub fn headline(row: &Row, overdue_ns: u64) -> String {
    let mut text = String::new();
    let age = row.last_beat_age.as_secs_f64();
    let _ = writeln!(text, "job          {}", row.name);
    let _ = writeln!(
        text,
        "process      {} (start time {}, uid {})",
        row.pid, row.start_time, row.uid
    );
    let _ = writeln!(text, "run          {}", row.run);
    let _ = writeln!(
        text,
        "heartbeat    every {:?}, last beat {age:.1} s ago, {} beats",
        row.heartbeat.unwrap_or_default(),
        row.beats
    );
    let _ = writeln!(
        text,
        "overdue      {:.1} s",
        std::time::Duration::from_nanos(overdue_ns).as_secs_f64()
    );
    let _ = writeln!(text, "progress     {} rows, {} bytes", row.rows, row.bytes);
    let _ = writeln!(text, "phase        {}", row.phase);
    if let Some(step) = &row.step {
        let _ = writeln!(text, "step         {step}");
    }
    text
}

fn proc_file(pid: u32, name: &str) -> String {
    let mut bytes = vec![0; STACK_BYTES];
    let read = File::open(format!("/proc/{pid}/{name}")).and_then(|mut file| file.read(&mut bytes));
    match read {
        Ok(length) => String::from_utf8_lossy(&bytes[..length])
            .trim_end()
            .to_owned(),
        Err(error) => format!("not readable: {error}"),
    }
}

fn describe_process(text: &mut String, pid: u32) {
    let status = proc_file(pid, "status");
    let _ = writeln!(text, "\nstatus:");
    for key in [
        "Name:", "State:", "PPid:", "Uid:", "FDSize:", "VmRSS:", "VmSwap:", "Threads:", "SigPnd:",
        "SigBlk:", "SigIgn:",
    ] {
        if let Some(line) = status.lines().find(|line| line.starts_with(key)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let program = fs::read_link(format!("/proc/{pid}/exe"))
        .map_or_else(|_| "?".to_owned(), |path| path.display().to_string());
    let _ = writeln!(text, "  Program:\t{program}");
    let _ = writeln!(
        text,
        "waits in (wchan):  {}",
        wait_channel(&proc_file(pid, "wchan"))
    );
    let _ = writeln!(
        text,
        "system call:       {}",
        describe_call(pid, &proc_file(pid, "syscall"))
    );
    let _ = writeln!(text, "kernel stack:");
    indent(text, &proc_file(pid, "stack"));
}

fn wait_channel(wchan: &str) -> &str {
    if wchan == "0" || wchan.is_empty() {
        "nothing (it is running, or the kernel hides it)"
    } else {
        wchan
    }
}

fn indent(text: &mut String, lines: &str) {
    lines.lines().for_each(|line| {
        let _ = writeln!(text, "  {line}");
    });
}

fn describe_threads(text: &mut String, pid: u32) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let tids: Vec<u32> = tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    if tids.len() < 2 {
        return;
    }
    let _ = writeln!(text, "\nthreads ({}):", tids.len());
    for tid in tids.iter().take(THREADS) {
        let line = fs::read(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
        if let Some(stat) = ProcStat::parse(&line) {
            let wchan = proc_file(pid, &format!("task/{tid}/wchan"));
            let _ = writeln!(
                text,
                "  {tid} {} state {} in {}",
                stat.comm,
                stat.state,
                wait_channel(&wchan)
            );
        }
    }
}

fn describe_files(text: &mut String, pid: u32) {
    let _ = writeln!(text, "\nopen files:");
    let folder = format!("/proc/{pid}/fd");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = writeln!(text, "  not readable: {error}");
            return;
        }
    };
    let mut numbers: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let peers = sockets::peers(pid);
    for number in numbers.iter().take(FILES) {
        let _ = writeln!(
            text,
            "  {number} -> {}",
            describe_file(pid, *number, &peers)
        );
    }
    if numbers.len() > FILES {
        let _ = writeln!(text, "  and {} more", numbers.len() - FILES);
    }
}

fn describe_file(pid: u32, number: u32, peers: &HashMap<u64, String>) -> String {
    let Ok(link) = fs::read_link(format!("/proc/{pid}/fd/{number}")) else {
        return "closed meanwhile".to_owned();
    };
    let link = link.display().to_string();
    let inode = link
        .strip_prefix("socket:[")
        .and_then(|rest| rest.strip_suffix(']')?.parse().ok());
    match inode.and_then(|inode: u64| peers.get(&inode)) {
        Some(peer) => format!("{link} {peer}"),
        None => link,
    }
}

/// The tree that would be killed, by session, group and descent.
fn describe_tree(text: &mut String, pid: u32, start_time: u64) {
    let census = Census::take();
    let mut tree = Tree::new(Target {
        pid,
        start_time,
        run: None,
        cgroup: None,
    });
    tree.look(&census);
    let _ = writeln!(text, "\nits processes ({}):", tree.members().len());
    for stat in tree
        .members()
        .iter()
        .take(PROCESSES)
        .filter_map(|member| census.find(member.pid))
        .map(|process| &process.stat)
    {
        let wchan = proc_file(stat.pid, "wchan");
        let _ = writeln!(
            text,
            "  {} {} state {} parent {} in {}",
            stat.pid,
            stat.comm,
            stat.state,
            stat.ppid,
            wait_channel(&wchan)
        );
    }
}

/// Names the system call that a process is in and the file that it works on.
fn describe_call(pid: u32, line: &str) -> String {
    let mut words = line.split_ascii_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse::<i64>().ok()) else {
        return if line.starts_with("running") {
            "none: it is running".to_owned()
        } else {
            line.to_owned()
        };
    };
    let Some((_, name, on_file)) = system_calls::slow()
        .into_iter()
        .find(|(call, _, _)| *call == number)
    else {
        return if number < 0 {
            "none".to_owned()
        } else {
            format!("number {number}")
        };
    };
    let hex = words
        .next()
        .and_then(|word| u32::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    match hex.filter(|_| on_file) {
        Some(fd) => format!(
            "{name} on {fd} -> {}",
            describe_file(pid, fd, &sockets::peers(pid))
        ),
        None => name.to_owned(),
    }
}

/// The last lines of a file, of which only the end is read.
fn last_lines(path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let mut last = String::new();
    indent(
        &mut last,
        &lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"),
    );
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::SlotState;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    fn row(name: &str) -> Row {
        Row {
            uid: 0,
            index: 0,
            generation: 1,
            state: SlotState::Active,
            pid: 7,
            start_time: 1,
            claimer: 1,
            claimer_start: 1,
            name: name.to_owned(),
            home: 0,
            run: 0,
            heartbeat: None,
            hang_grace: Duration::ZERO,
            deadline_in: None,
            last_beat_age: Duration::ZERO,
            beats: 0,
            rows: 0,
            bytes: 0,
            rejected: 0,
            phase: String::new(),
            step: None,
            outcome: None,
            hung: None,
            claimed_wall_us: 0,
        }
    }

    #[test]
    fn a_name_from_shared_memory_stays_in_the_folder() {
        assert_eq!(
            path(Path::new("/e"), &row("../../etc/x")),
            Path::new("/e/_.._etc_x-7.txt")
        );
        assert_eq!(
            path(Path::new("/e"), &row("load")),
            Path::new("/e/load-7.txt")
        );
    }

    #[test]
    fn a_process_that_reads_a_pipe_is_described() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = start_time(child.id()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("job.log");
        fs::write(
            &log,
            (1..=30).map(|n| format!("line {n}\n")).collect::<String>(),
        )
        .unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        let text = loop {
            let text = collect(child.id(), start, Some(&log));
            if text.contains("read on 0 -> pipe:[") {
                break text;
            }
            assert!(Instant::now() < end, "{text}");
        };
        for part in [
            // asleep, as a rule; on a busy machine also about to be
            "State:\t",
            "kernel stack:",
            "open files:",
            "  1 -> /dev/null",
            "its processes (1):",
            "  line 11\n",
            "  line 30\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
        assert!(!text.contains("line 10\n"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(collect(child.id(), start, Some(Path::new("/nowhere"))).contains("is gone"));
    }

    #[test]
    fn evidence_does_not_follow_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (
            folder.path().join("deep/er/a.txt"),
            folder.path().join("link.txt"),
        );
        write(&file, "text").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(write(&link, "other").is_err());
    }
}
