//! `procctl start`: a supervisor in the background. The command comes back when it is complete, or
//! says why there is none.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use jobfile::Home;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Supervisor;
use crate::error::Error;
use crate::spawn::{self, Side};

/// What a supervisor says through the pipe when it is complete; anything else is why it is not.
pub(super) const READY: &[u8] = b"ready\n";

/// Starts a supervisor away from the terminal. In the detached process this comes back when the
/// supervisor has ended.
pub fn start(home: &Home) -> Result<(), Error> {
    let (heard, told) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))?;
    match spawn::detach().map_err(Error::system("detach"))? {
        Side::Starter => {
            drop(told);
            listen(heard)
        }
        Side::Detached => {
            drop(heard);
            supervise(home, File::from(told))
        }
    }
}

fn listen(heard: OwnedFd) -> Result<(), Error> {
    let mut said = Vec::new();
    File::from(heard)
        .read_to_end(&mut said)
        .map_err(Error::system("wait for the supervisor"))?;
    if said == READY {
        return Ok(());
    }
    Err(Error::StartedInVain {
        said: String::from_utf8_lossy(&said).trim().to_string(),
    })
}

fn supervise(home: &Home, mut told: File) -> Result<(), Error> {
    let ready = told.try_clone().map_err(Error::system("keep the pipe"))?;
    let booted = leave_terminal().and_then(|()| Supervisor::boot(home.clone(), false, Some(ready)));
    match booted {
        Ok(mut supervisor) => {
            // the other copy closes when it has said that all is ready
            drop(told);
            supervisor.supervise()
        }
        Err(error) => {
            // our standard error is gone: whoever started us says it
            let text = crate::cli::Failure::from(error).chain();
            told.write_all(text.as_bytes())
                .map_err(Error::system("tell why there is no supervisor"))
        }
    }
}

fn leave_terminal() -> Result<(), Error> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(Error::io("open", Path::new("/dev/null")))?;
    nix::unistd::dup2_stdin(&null)
        .and_then(|()| nix::unistd::dup2_stdout(&null))
        .and_then(|()| nix::unistd::dup2_stderr(&null))
        .map_err(Error::system("close the standard descriptors"))?;
    std::env::set_current_dir("/").map_err(Error::io("change to", Path::new("/")))
}
