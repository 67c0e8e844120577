//! Numbers and names of the system calls in which processes hang, for the evidence.

/// System calls in which processes hang: number, name, whether the first argument is a descriptor.
pub(crate) fn slow() -> Vec<(i64, &'static str, bool)> {
    let mut calls = vec![
        (libc::SYS_read, "read", true),
        (libc::SYS_write, "write", true),
        (libc::SYS_readv, "readv", true),
        (libc::SYS_writev, "writev", true),
        (libc::SYS_pread64, "pread64", true),
        (libc::SYS_pwrite64, "pwrite64", true),
        (libc::SYS_openat, "openat", false),
        (libc::SYS_fsync, "fsync", true),
        (libc::SYS_fdatasync, "fdatasync", true),
        (libc::SYS_flock, "flock", true),
        (libc::SYS_fcntl, "fcntl", true),
        (libc::SYS_ioctl, "ioctl", true),
        (libc::SYS_connect, "connect", true),
        (libc::SYS_accept, "accept", true),
        (libc::SYS_accept4, "accept4", true),
        (libc::SYS_recvfrom, "recvfrom", true),
        (libc::SYS_recvmsg, "recvmsg", true),
        (libc::SYS_sendto, "sendto", true),
        (libc::SYS_sendmsg, "sendmsg", true),
        (libc::SYS_futex, "futex", false),
        (libc::SYS_nanosleep, "nanosleep", false),
        (libc::SYS_clock_nanosleep, "clock_nanosleep", false),
        (libc::SYS_ppoll, "ppoll", false),
        (libc::SYS_pselect6, "pselect6", false),
        (libc::SYS_epoll_pwait, "epoll_pwait", true),
        (libc::SYS_wait4, "wait4", false),
        (libc::SYS_waitid, "waitid", false),
        (libc::SYS_renameat2, "renameat2", false),
        (libc::SYS_rt_sigsuspend, "rt_sigsuspend", false),
        (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", false),
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        (libc::SYS_open, "open", false),
        (libc::SYS_poll, "poll", false),
        (libc::SYS_select, "select", false),
        (libc::SYS_epoll_wait, "epoll_wait", true),
        (libc::SYS_pause, "pause", false),
        (libc::SYS_rename, "rename", false),
    ]);
    calls
}
