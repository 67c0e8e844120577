//! The one room of procctl with `unsafe`: what happens between fork and exec, and the few system
//! calls that no safe wrapper offers. It decides nothing; all that a child needs is prepared
//! by the caller, since after the fork nothing may allocate, lock or unwind.
#![expect(
    unsafe_code,
    reason = "fork, exec and descriptors taken over from an earlier program have no safe form"
)]

use std::ffi::{CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::launch::{Born, Failure, Launch, NOT_EXECUTED, Step};

/// `CLONE_INTO_CGROUP` of `linux/sched.h`: the child is born in the cgroup, which spares the
/// kernel's slow way of moving it there.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Highest signal number on Linux.
const LAST_SIGNAL: c_int = 64;

/// Makes a child that becomes `launch.programs`. Errors are those of making it.
///
/// The child borrows our memory until it executes its program or ends, and we stand still until then:
/// nothing is copied, so a start costs the same however large we are. Signals are blocked meanwhile, so
/// that no disposition of ours runs in the child. Where the kernel refuses this way, it is forked.
pub fn launch(launch: &Launch<'_>) -> io::Result<Born> {
    let child = Child {
        launch,
        arguments: pointers(&launch.arguments),
        environment: pointers(&launch.environment),
    };
    let blocked = block_all();
    let mut born = borrow(&child, launch.cgroup);
    if launch.cgroup.is_some() && born.is_err() {
        born = borrow(&child, None);
    }
    if born
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS))
    {
        born = fork(&child);
    }
    restore(&blocked);
    born
}

/// What the child works with.
struct Child<'a> {
    launch: &'a Launch<'a>,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

/// The null-terminated form that `execve` wants; valid as long as `strings` is.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}

fn block_all() -> libc::sigset_t {
    // SAFETY: both sets are plain memory of this frame, filled by the calls themselves.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, &mut before);
        before
    }
}

fn restore(mask: &libc::sigset_t) {
    // SAFETY: `mask` was filled by the kernel in `block_all`.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

/// Bytes of the child's stack; its calls need a small part of them.
const STACK: usize = 64 * 1024;

/// `clone3` with the child in our memory, on a stack of its own; comes back when it has left both.
fn borrow(child: &Child<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Born> {
    let mut stack = Vec::<u128>::with_capacity(STACK / size_of::<u128>());
    let mut pidfd: RawFd = -1;
    // SAFETY: an all-zero `clone_args` is the kernel's documented default.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    let flags = libc::CLONE_PIDFD | libc::CLONE_VM | libc::CLONE_VFORK;
    how.flags = u64::from(flags.unsigned_abs());
    how.pidfd = ptr::from_mut(&mut pidfd) as u64;
    how.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    how.stack = stack.as_mut_ptr() as u64;
    how.stack_size = STACK as u64;
    if let Some(cgroup) = cgroup {
        how.flags |= CLONE_INTO_CGROUP;
        how.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the stack is aligned, large enough and lives until the call comes back, as do `how` and
    // `child`; `begin` never returns and makes only async-signal-safe calls.
    let result = unsafe { clone_apart(&how, child) };
    let pid = i32::try_from(result).map_err(io::Error::other)?;
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid));
    }
    // SAFETY: the kernel has just opened this descriptor for us and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let in_cgroup = cgroup.is_some();
    Ok(Born {
        pid,
        pidfd,
        in_cgroup,
    })
}

/// The system call itself: the child comes out of it on its own stack, so it may not return into our
/// frames but goes on in [`begin`]. Gives the pid or the negative errno.
///
/// # Safety
/// `how` must name a stack that is aligned to 16 bytes, and ask for `CLONE_VFORK`.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_apart(how: &libc::clone_args, child: &Child<'_>) -> i64 {
    let mut result = libc::SYS_clone3;
    // SAFETY: the kernel keeps every register but rax, rcx and r11; what the child does to memory is
    // known to the compiler, since the block may touch all of it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") result,
            in("rdi") ptr::from_ref(how),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") ptr::from_ref(child),
            in("r13") begin as extern "C" fn(&Child<'_>) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Elsewhere children are forked.
///
/// # Safety
/// None needed.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn clone_apart(_how: &libc::clone_args, _child: &Child<'_>) -> i64 {
    -i64::from(libc::ENOSYS)
}

/// The same by copying, where clone3 is missing or forbidden (old containers).
fn fork(child: &Child<'_>) -> io::Result<Born> {
    // SAFETY: the child makes only async-signal-safe calls and never comes back.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => begin(child),
        pid => pid,
    };
    // nobody but us can reap it, so its number cannot have passed to another process
    let id = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let pidfd = rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty())?;
    Ok(Born {
        pid,
        pidfd,
        in_cgroup: false,
    })
}

/// The child's side. Async-signal-safe calls only; never comes back.
extern "C" fn begin(child: &Child<'_>) -> ! {
    let launch = child.launch;
    let step = match prepare(launch) {
        Ok(()) => {
            execute(launch, &child.arguments, &child.environment);
            Step::Execute
        }
        Err(step) => step,
    };
    // SAFETY: errno is this thread's own; write and _exit are async-signal-safe.
    unsafe {
        let failure = Failure {
            run: launch.run,
            step,
            errno: *libc::__errno_location(),
        };
        let bytes = failure.to_bytes();
        let failures = launch.failures.as_raw_fd();
        libc::write(failures, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(NOT_EXECUTED)
    }
}

/// Leaves everything of the parent's behind; stops at the first step that fails.
fn prepare(launch: &Launch<'_>) -> Result<(), Step> {
    let done = |result: c_long, step: Step| if result < 0 { Err(step) } else { Ok(()) };
    // SAFETY: each call gets plain values or memory that `launch` owns. Identity is changed by
    // raw calls, since the C library's wrappers would look for threads that a fork does not copy.
    unsafe {
        // the raw call reaches the two signals that the C library keeps for itself, too
        let default = [0u64; 4];
        for signal in 1..=LAST_SIGNAL {
            let none = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8);
        }
        done(libc::setsid().into(), Step::Session)?;
        if let Some(nice) = launch.nice {
            done(
                libc::setpriority(libc::PRIO_PROCESS, 0, nice).into(),
                Step::Nice,
            )?;
        }
        for &(resource, soft, hard) in &launch.limits {
            let limit = libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            };
            done(
                libc::setrlimit(resource as libc::__rlimit_resource_t, &limit).into(),
                Step::Limit,
            )?;
        }
        if let Some(identity) = &launch.identity {
            if let Some(groups) = &identity.groups {
                done(
                    libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
                    Step::Groups,
                )?;
            }
            done(
                libc::syscall(libc::SYS_setgid, identity.gid as c_long),
                Step::Group,
            )?;
            done(
                libc::syscall(libc::SYS_setuid, identity.uid as c_long),
                Step::User,
            )?;
        }
        if let Some(umask) = launch.umask {
            libc::umask(umask);
        }
        done(libc::chdir(launch.folder.as_ptr()).into(), Step::Folder)?;
        let standard = [launch.input, launch.output, launch.errors];
        for (target, source) in (0..).zip(standard.into_iter().chain(launch.third)) {
            done(place(source.as_raw_fd(), target), Step::Descriptors)?;
        }
        let first = if launch.third.is_some() { 4 } else { 3 };
        // our own are close-on-exec already; this is for what others opened in this process
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
    Ok(())
}

/// Makes descriptor `target` (0 to 3) a copy of `source` that survives the exec.
fn place(source: RawFd, target: RawFd) -> c_long {
    // SAFETY: both are plain numbers; a wrong one is an error, not a fault.
    let result = unsafe {
        if source == target {
            libc::fcntl(target, libc::F_SETFD, 0)
        } else {
            libc::dup2(source, target)
        }
    };
    result.into()
}

/// Tries the candidates as `execvp` does; on return errno says why none could be executed.
fn execute(launch: &Launch<'_>, arguments: &[*const c_char], environment: &[*const c_char]) {
    // SAFETY: the arrays are null-terminated and point into strings that `launch` owns; errno is ours.
    unsafe {
        let mut reason = libc::ENOENT;
        for program in &launch.programs {
            libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            match *libc::__errno_location() {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => reason = libc::EACCES,
                other => {
                    reason = other;
                    break;
                }
            }
        }
        *libc::__errno_location() = reason;
    }
}

/// Ignores every signal that may be ignored, but SIGCHLD, whose default lets us wait for children.
pub fn ignore_signals() {
    for signal in (1..=LAST_SIGNAL).filter(|signal| *signal != libc::SIGCHLD) {
        // SAFETY: SIG_IGN runs no code of ours; KILL and STOP are refused by the kernel.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Takes over a descriptor that an earlier program left open for us, marking it close-on-exec.
/// `None` where nothing is open. Each number may be taken once, right after the start.
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: fcntl on a closed number is an error; an open one was left for us by whoever executed
    // us and, by the contract above, has no other owner.
    unsafe {
        if libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) < 0 {
            return None;
        }
        Some(OwnedFd::from_raw_fd(number))
    }
}

/// A child that has ended and been waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its process id, free again from now on.
    pub pid: i32,
    /// Its wait status.
    pub status: i32,
    /// Largest resident memory of it and of the descendants it has waited for, in bytes.
    pub peak_memory: u64,
    /// CPU time of the same, user and system, in microseconds.
    pub cpu_us: u64,
}

/// Waits for one child that has ended, also one that became ours as an orphan; `None` when none
/// has. There is no safe wrapper of `wait4`, the call that tells what a child used.
pub fn reap() -> Option<Reaped> {
    // SAFETY: an all-zero `rusage` is valid, and both out-parameters live on this frame.
    let (pid, status, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let mut status = 0;
        let pid = libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage);
        (pid, status, usage)
    };
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    let time = |time: libc::timeval| number(time.tv_sec) * 1_000_000 + number(time.tv_usec);
    (pid > 0).then(|| Reaped {
        pid,
        status,
        peak_memory: number(usage.ru_maxrss) * 1024,
        cpu_us: time(usage.ru_utime) + time(usage.ru_stime),
    })
}

/// The wait status of a process by its pidfd, also when it was never a child of ours.
///
/// `None` while it lives or its parent has not waited for it, and on kernels before 6.15, which do
/// not tell. The pidfd must have been opened before the process was reaped.
pub fn exit_status(pidfd: impl AsFd) -> Option<i32> {
    /// `PIDFD_INFO_EXIT` of `linux/pidfd.h`.
    const INFO_EXIT: u64 = 1 << 3;
    /// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)` in its first size, 64 bytes.
    const GET_INFO: libc::c_ulong = (3 << 30) | (64 << 16) | (0xFF << 8) | 11;
    /// `struct pidfd_info` as eight words; the mask is the first, the exit code ends the last.
    #[repr(C)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    let mut info = Info {
        mask: INFO_EXIT,
        cgroup: 0,
        ids: [0; 11],
        exit_code: 0,
    };
    // SAFETY: the request's size is that of `Info`, which lives on this frame.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO as _, &raw mut info) };
    (result == 0 && info.mask & INFO_EXIT != 0).then_some(info.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn start(program: &str, arguments: &[&str]) -> (Born, File, File) {
        let null = File::open("/dev/null").unwrap();
        let (out, write) = io::pipe().unwrap();
        let (failures, failed) = io::pipe().unwrap();
        let failed = rustix::io::fcntl_dupfd_cloexec(&failed, 10).unwrap();
        let text = |text: &str| CString::new(text).unwrap();
        let born = launch(&Launch {
            run: 42,
            programs: vec![text("/nonexistent/x"), text(program)],
            arguments: arguments.iter().map(|word| text(word)).collect(),
            environment: vec![text("COLOUR=blue")],
            folder: text("/"),
            umask: Some(0o27),
            nice: None,
            limits: vec![(libc::RLIMIT_NOFILE, 64, 64)],
            identity: None,
            input: null.as_fd(),
            output: write.as_fd(),
            errors: write.as_fd(),
            third: None,
            cgroup: None,
            failures: failed.as_fd(),
        })
        .unwrap();
        (
            born,
            OwnedFd::from(out).into(),
            OwnedFd::from(failures).into(),
        )
    }

    fn reap(born: &Born) -> i32 {
        let pid = rustix::process::Pid::from_raw(born.pid);
        let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
            .unwrap()
            .unwrap();
        status.as_raw()
    }

    #[test]
    fn a_child_gets_what_was_prepared_and_nothing_else() {
        let script = "echo $COLOUR; umask; ulimit -n; ls /proc/self/fd | wc -l; pwd; \
                      grep -E 'Sig(Blk|Ign)' /proc/self/status; exit 7";
        let (born, mut out, mut failures) = start("/bin/sh", &["sh", "-c", script]);
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        let lines: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(lines[..5], ["blue", "0027", "64", "4", "/"], "{text}");
        assert_eq!(lines[6], "0000000000000000", "{text}");
        assert_eq!(lines[8], "0000000000000000", "{text}");
        assert_eq!(reap(&born), 7 << 8);
        let mut none = Vec::new();
        failures.read_to_end(&mut none).unwrap();
        assert!(none.is_empty());
        if let Some(status) = exit_status(&born.pidfd) {
            assert_eq!(status, 7 << 8);
        }
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_told_with_its_reason() {
        for (program, errno) in [
            ("/nonexistent/y", libc::ENOENT),
            ("/etc/passwd", libc::EACCES),
        ] {
            let (born, _out, mut failures) = start(program, &["y"]);
            assert_eq!(reap(&born), NOT_EXECUTED << 8);
            let mut bytes = [0; Failure::SIZE];
            failures.read_exact(&mut bytes).unwrap();
            let failure = Failure::from_bytes(&bytes).unwrap();
            let step = Step::Execute;
            assert_eq!(
                failure,
                Failure {
                    run: 42,
                    step,
                    errno
                }
            );
        }
    }

    #[test]
    fn closed_numbers_are_not_taken_over() {
        assert!(inherited(9999).is_none());
    }
}
