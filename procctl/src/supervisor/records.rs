//! The recorder as the supervisor's child: started, heard, replaced when it ends. Its link is
//! `recorder::link`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::Supervisor;
use crate::launch::{Launch, c_string};
use crate::plan::Event;
use crate::program;
use crate::recorder::link::{Kept, Link};
use crate::recorder::message::{Beats, FromRecorder, Notice, Run};
use crate::spawn;
use crate::wait::{Source, since_boot};

/// The name under which our own lines go to the recorder.
const OWN_LOG: &str = "procctl";

/// Whether what a recorder holds is the log of a supervisor, not a run.
pub(super) fn is_own_log(run: &Run) -> bool {
    run.job == OWN_LOG && run.slot.is_none() && run.stamped
}

impl Supervisor {
    /// Starts a recorder and connects to it; tries again later when that fails.
    pub(super) fn start_recorder(&mut self, now: Duration) {
        let started = {
            let Supervisor {
                link,
                starter,
                home,
                ..
            } = self;
            let mut environment = starter.environment.clone();
            environment.set("PROCCTL_HOME", &home.root);
            link.start(now, |listener| {
                let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
                let words = ["procctl", "recorder", "--home"].map(String::from);
                let words = words.into_iter().map(c_string);
                let stderr = std::io::stderr();
                let born = spawn::launch(&Launch {
                    run: 0,
                    programs: vec![c_string(program::own()).ok_or_else(invalid)?],
                    arguments: words
                        .chain([c_string(&home.root)])
                        .collect::<Option<_>>()
                        .ok_or_else(invalid)?,
                    environment: environment.strings().map_err(std::io::Error::other)?,
                    folder: c_string(&home.root).ok_or_else(invalid)?,
                    umask: None,
                    nice: None,
                    limits: Vec::new(),
                    identity: None,
                    input: starter.null.as_fd(),
                    output: starter.null.as_fd(),
                    errors: stderr.as_fd(),
                    third: Some(listener),
                    cgroup: None,
                    failures: starter.failures(),
                })?;
                Ok(born.pid)
            })
        };
        match started {
            Ok(()) => self.watch_link(),
            Err(error) => log::error!("start the recorder: {error}"),
        }
    }

    /// Waits for what the recorder says.
    pub(super) fn watch_link(&mut self) {
        if let Some(socket) = self.link.socket()
            && let Err(error) = self.wait.add(socket, Source::Recorder, false)
        {
            log::error!("wait for the recorder: {error}");
        }
    }

    /// Sends what waits for the recorder, as far as it takes it.
    pub(super) fn serve_link(&mut self) {
        if let Err(error) = self.link.flush() {
            log::error!("the recorder is gone: {error}");
            return self.lose_link();
        }
        if let Some(writing) = self.link.change_of_interest()
            && let Some(socket) = self.link.socket()
            && let Err(error) = self.wait.change(socket, Source::Recorder, writing)
        {
            log::error!("wait for the recorder: {error}");
        }
    }

    /// Hears what the recorder has to say.
    pub(super) fn read_link(&mut self) {
        loop {
            match self.link.receive() {
                Ok(Some((message, descriptors))) => self.hear_recorder(message, descriptors),
                Ok(None) => return,
                Err(error) => {
                    log::error!("the recorder is gone: {error}");
                    return self.lose_link();
                }
            }
        }
    }

    /// The recorder is gone: another one takes its place, at once unless it lived very short.
    pub(super) fn lose_link(&mut self) {
        let Some(socket) = self.link.socket() else {
            return;
        };
        self.wait.remove(socket);
        // the next one tells its own
        self.trouble = None;
        let now = since_boot();
        if self.link.lost(now) <= now {
            self.start_recorder(now);
        }
    }

    fn hear_recorder(&mut self, message: FromRecorder, descriptors: Vec<OwnedFd>) {
        match message {
            FromRecorder::Notified { run, notice } => {
                if let Notice::MainPid(pid) = notice
                    && !self.change_main(run, pid)
                {
                    return;
                }
                self.events.push_back(Event::Noticed { run, notice });
            }
            // an answer that came too late for the adoption: its pipe is worth keeping all the same
            FromRecorder::Kept { run, .. } => {
                if self.runs.find(run.run).is_some() {
                    self.link.recover(run, descriptors);
                }
            }
            FromRecorder::KeptAll => {}
            FromRecorder::Trouble { text } => {
                match &text {
                    Some(text) => log::error!("recorder: {text}"),
                    None => log::info!("recorder: all is well again"),
                }
                self.trouble = text;
            }
        }
    }
}

/// Hands the reading end of our own log to the recorder, under a number that no run has.
/// After an exec in place it is known there: two readers would tear its lines.
pub(super) fn announce_own_log(link: &mut Link, log: &OwnedFd, number: u64) {
    if link.kept().any(|kept| is_own_log(&kept.run)) {
        return;
    }
    let output = match log.try_clone() {
        Ok(output) => output,
        Err(error) => return log::error!("keep our own log: {error}"),
    };
    let kept = Kept {
        run: Run {
            run: number,
            job: OWN_LOG.to_string(),
            pid: std::process::id().cast_signed(),
            start_time: 0,
            slot: None,
            table: 0,
            beats: Beats::None,
            stamped: true,
            attached: Vec::new(),
        },
        output: Some(output),
        notify: None,
    };
    link.announce(kept, None);
}

/// Makes the folders of a home that are ours to make.
pub(super) fn make_folder(path: &Path) -> Result<(), crate::error::Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(crate::error::Error::io("make", path))
}
