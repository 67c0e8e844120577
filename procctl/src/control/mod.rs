//! The control socket, `<run>/control.sock`: one JSON object a line each way. A client sends
//! requests and gets an answer to each, in the order in which they are finished; `{"ping":PID}`, by which
//! `checkproc` makes sure that the supervisor is alive, is answered with `{"pong":PID}`.
//!
//! Only the supervisor's own user and root may speak, by the kernel's word on who they are. What
//! requests mean is not known here.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt};

pub mod client;
pub mod server;

/// The socket's place in the home's run folder.
pub fn path(run_folder: &Path) -> PathBuf {
    run_folder.join("control.sock")
}

/// Who is at the other end of a Unix socket, if it may command us: the same user, or root.
///
/// # Errors
/// `PermissionDenied` with the other user's number, or what the kernel said.
pub fn permitted(socket: BorrowedFd<'_>) -> io::Result<Caller> {
    let identity = getsockopt(&socket, sockopt::PeerCredentials)?;
    let caller = Caller {
        pid: identity.pid(),
        uid: identity.uid(),
    };
    let own = nix::unistd::geteuid().as_raw();
    if caller.uid == own || caller.uid == 0 {
        return Ok(caller);
    }
    let text = format!(
        "user {} may not speak to a supervisor of user {own}",
        caller.uid
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// A process at the other end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Its process id; 0 when it lives in another pid namespace.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}
