//! `procctl start`: a supervisor in the background. The command comes back when it is complete, or
//! says why there is none.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use jobfile::Home;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Supervisor;
use crate::background;
use crate::error::Error;
use crate::spawn;

/// What a supervisor says through the pipe when it is complete; anything else is why it is not.
pub(super) const READY: &[u8] = b"ready\n";

/// Starts a supervisor away from the terminal. In the process in the background this comes back when
/// the supervisor has ended.
pub fn start(home: &Home) -> Result<(), Error> {
    if background::is_here() {
        let told = spawn::inherited(background::GIVEN).ok_or(Error::StartedInVain {
            said: "nobody waits for it".to_string(),
        })?;
        return supervise(home, File::from(told));
    }
    let (heard, told) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))?;
    let mut words: Vec<OsString> = ["procctl", "start", "--home"].map(OsString::from).to_vec();
    words.push(home.root.clone().into());
    background::enter(&words, Path::new("/"), Some(told.as_fd()))?;
    drop(told);
    listen(heard)
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
    match Supervisor::boot(home.clone(), false, Some(ready)) {
        Ok(mut supervisor) => {
            // the other copy closes when it has said that all is ready
            drop(told);
            supervisor.supervise()
        }
        Err(error) => {
            // our standard error is gone: whoever started us says it
            let text = error.chain();
            told.write_all(text.as_bytes())
                .map_err(Error::system("tell why there is no supervisor"))
        }
    }
}
