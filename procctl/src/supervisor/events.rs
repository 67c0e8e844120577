//! From a ready descriptor to the room that knows what it means.

use nix::sys::signal::Signal;

use super::Supervisor;
use crate::plan::Event;
use crate::wait::{Ready, Source};

impl Supervisor {
    /// Serves one source.
    pub(super) fn serve(&mut self, ready: Ready) {
        match ready.source {
            Source::Signals => self.heed_signals(),
            Source::SinceBoot => self.events.push_back(Event::Due),
            Source::Calendar => self.events.push_back(match ready.writable {
                true => Event::ClockStepped,
                false => Event::Due,
            }),
            Source::Folder => {
                if let Some(watch) = &mut self.watch {
                    watch.read(crate::wait::since_boot());
                }
            }
            Source::Control => self.admit_clients(),
            Source::Client(id) => self.serve_client(id, ready),
            // room to write is used by the next flush, which comes with every turn
            Source::Recorder => {
                if ready.readable {
                    self.read_link();
                }
            }
            Source::Process(pid) => self.foreign_ended(pid),
        }
    }

    fn heed_signals(&mut self) {
        while let Some(signal) = self.wait.next_signal() {
            match signal {
                Signal::SIGCHLD => {}
                Signal::SIGTERM | Signal::SIGINT => {
                    log::info!("{signal}: all jobs are stopped, then the supervisor ends");
                    self.events.push_back(Event::Terminate);
                }
                Signal::SIGHUP => {
                    log::info!("SIGHUP: settings and job files are read again");
                    self.reload(None);
                }
                other => log::debug!("{other} is ignored"),
            }
        }
        self.reap();
    }
}
