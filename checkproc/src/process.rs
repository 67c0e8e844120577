//! Processes as `/proc` shows them, their identity, and the clocks. Sends signals only to a verified identity.
//!
//! A process is known by pid **and** start time, never by pid alone: pids are used again.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: since boot without suspends, the clock of every deadline.
pub fn monotonic_ns() -> u64 {
    clock_ns(ClockId::Monotonic)
}

/// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC` in nanoseconds: jumps when the machine was suspended.
pub fn suspended_ns() -> u64 {
    clock_ns(ClockId::Boottime).saturating_sub(clock_ns(ClockId::Monotonic))
}

/// Microseconds since 1970; for display, never for ages.
pub fn wall_us() -> u64 {
    clock_ns(ClockId::Realtime) / 1000
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// A duration in whole nanoseconds, at most [`crate::layout::LONGEST`].
pub(crate) fn bounded_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos())
        .unwrap_or(u64::MAX)
        .min(crate::layout::LONGEST)
}

/// The kernel's boot id as two words; (0, 0) where there is none.
pub fn boot_id() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let half = |range| {
        digits
            .get(range)
            .and_then(|part| u64::from_str_radix(part, 16).ok())
            .unwrap_or(0)
    };
    (half(0..16), half(16..32))
}

/// The number by which slots know a home: FNV-1a (64 bits) of its canonical path, never 0.
pub fn home_hash(home: &Path) -> u64 {
    use std::os::unix::ffi::OsStrExt;
    let canonical = home.canonicalize().unwrap_or_else(|_| home.to_path_buf());
    let hash = canonical
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    hash.max(1)
}

/// One line of `/proc/PID/stat`, as far as identity and descent need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcStat {
    /// Process id.
    pub pid: u32,
    /// Name of the command, at most 15 bytes.
    pub comm: String,
    /// One of `R S D T t Z X I`.
    pub state: char,
    /// Parent.
    pub ppid: u32,
    /// Process group.
    pub pgrp: u32,
    /// Session.
    pub session: u32,
    /// Clock ticks from boot to its start: with the pid the identity of a process.
    pub start_time: u64,
}

impl ProcStat {
    /// Reads it from `/proc`. `NotFound` = no such process.
    pub fn read(pid: u32) -> io::Result<ProcStat> {
        let mut text = [0_u8; 1024];
        let length = read_start(Path::new(&format!("/proc/{pid}/stat")), &mut text)?;
        ProcStat::parse(&text[..length]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Parses the line. The name may hold spaces and parentheses, so it ends at the last one.
    pub fn parse(line: &[u8]) -> Option<ProcStat> {
        let line = String::from_utf8_lossy(line);
        let (open, close) = (line.find('(')?, line.rfind(')')?);
        let comm = line.get(open + 1..close)?.to_owned();
        let mut fields = line.get(close + 1..)?.split_ascii_whitespace();
        Some(ProcStat {
            pid: line.get(..open)?.trim().parse().ok()?,
            comm,
            state: fields.next()?.chars().next()?,
            ppid: fields.next()?.parse().ok()?,
            pgrp: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            start_time: fields.nth(15)?.parse().ok()?,
        })
    }

    /// It has ended and only waits for its parent to take note.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads the start of a small `/proc` file into a buffer; one `read` gives all that fits.
fn read_start(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
    let result = File::open(path).and_then(|mut file| file.read(buffer));
    // A process that ends between open and read answers ESRCH.
    result.map_err(|error| match error.raw_os_error() {
        Some(libc::ESRCH) => io::Error::from(io::ErrorKind::NotFound),
        _ => error,
    })
}

/// Start time of a process, or `None` if there is none with this pid.
pub fn start_time(pid: u32) -> Option<u64> {
    ProcStat::read(pid).ok().map(|stat| stat.start_time)
}

/// Is the process with this identity still at work (or stopped, or stuck), that is neither gone nor a zombie?
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    ProcStat::read(pid).is_ok_and(|stat| stat.start_time == start_time && !stat.is_zombie())
}

/// Real user id of a process.
pub fn real_uid(pid: u32) -> Option<u32> {
    let mut text = [0_u8; 2048];
    let length = read_start(Path::new(&format!("/proc/{pid}/status")), &mut text).ok()?;
    let text = String::from_utf8_lossy(&text[..length]);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Our own pid and start time.
pub fn own_identity() -> (u32, u64) {
    let pid = std::process::id();
    (pid, start_time(pid).unwrap_or(0))
}

/// Opens a pidfd and then compares the start time, so that the descriptor surely means this process.
///
/// `None`: it is gone, or its pid is in use by another one.
pub fn open_pidfd(pid: u32, start_time: u64) -> io::Result<Option<OwnedFd>> {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let fd = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(fd) => fd,
        // EINVAL: the number is not that of a process (a thread's, for example).
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match ProcStat::read(pid) {
        Ok(stat) if stat.start_time == start_time => Ok(Some(fd)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a signal to exactly this process. `false`: it is no longer there.
pub fn send_signal(pid: u32, start_time: u64, signal: Signal) -> io::Result<bool> {
    let Some(fd) = open_pidfd(pid, start_time)? else {
        return Ok(false);
    };
    match pidfd_send_signal(&fd, signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line =
            b"77 (a) b (c) S 1 70 71 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 3133440 390\n";
        let stat = ProcStat::parse(line).unwrap();
        assert_eq!(
            (stat.pid, stat.comm.as_str(), stat.state),
            (77, "a) b (c", 'S')
        );
        assert_eq!(
            (stat.ppid, stat.pgrp, stat.session, stat.start_time),
            (1, 70, 71, 98765)
        );
        assert_eq!(ProcStat::parse(b"77 (x"), None);
        assert_eq!(ProcStat::parse(b""), None);
    }

    #[test]
    fn we_are_alive_under_our_own_start_time_only() {
        let (pid, start) = own_identity();
        assert!(is_alive(pid, start));
        assert!(!is_alive(pid, start + 1));
        assert!(open_pidfd(pid, start).unwrap().is_some());
        assert!(open_pidfd(pid, start + 1).unwrap().is_none());
        assert!(open_pidfd(0, 0).unwrap().is_none());
        assert!(open_pidfd(u32::MAX, 0).unwrap().is_none());
        assert!(!send_signal(pid, start + 1, Signal::KILL).unwrap());
        assert_eq!(real_uid(pid), Some(rustix::process::getuid().as_raw()));
    }

    #[test]
    fn clocks_go_forward_and_the_boot_has_an_id() {
        let before = monotonic_ns();
        assert!(monotonic_ns() >= before);
        assert_ne!(boot_id(), (0, 0));
        assert_ne!(home_hash(Path::new("/")), home_hash(Path::new("/proc")));
    }
}
