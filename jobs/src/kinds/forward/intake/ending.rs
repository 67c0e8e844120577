//! How connections end that do not end by themselves: who is silent in the middle of something, who does not go, and all of them
//! when the job stops.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{connection::Stage, framing::Refusal, server::Server};

/// How long a connection that has heard its last word may take to go.
const LINGER: Duration = Duration::from_secs(2);

impl Server {
    /// Sends away who is silent in the middle of something, and whoever does not go by himself. To be called each second.
    ///
    /// # Errors
    /// As [`Server::turn`].
    pub(crate) fn tick(&mut self) -> io::Result<()> {
        let (now, resumed, timeout) = (Instant::now(), self.resumed, self.limits.timeout);
        let mut silent = Vec::new();
        for (id, connection) in &mut self.connections {
            let quiet = now.saturating_duration_since(connection.since.max(resumed));
            let late = match connection.stage {
                Stage::Open => !self.paused && quiet > timeout && connection.owes(&self.desk),
                Stage::Ending(_) => quiet > timeout && connection.talk.is_settled(),
                Stage::Leaving => quiet > LINGER,
                Stage::Over => true,
            };
            if late {
                silent.push(*id);
            }
        }
        for id in silent {
            let open = self.connections.get(&id).map(|c| c.stage == Stage::Open);
            match open {
                Some(true) => self.dismiss(id, Refusal::Silent(timeout))?,
                _ => self.drop(id)?,
            }
        }
        Ok(())
    }

    /// Reads no more; hands on what was gathered, and tells senders what is durable, for so long at most.
    ///
    /// # Errors
    /// As [`Server::turn`].
    pub(crate) fn finish(&mut self, long: Duration) -> io::Result<()> {
        let end = Instant::now() + long;
        while Instant::now() < end {
            self.hand_on();
            let rest = !self.desk.has_records();
            if rest {
                self.handoff.close();
            }
            let mut fds = [PollFd::from_borrowed_fd(
                self.handoff.wake_fd(),
                PollFlags::IN,
            )];
            let limit = Timespec::try_from(Duration::from_millis(10)).unwrap_or_default();
            let _woken = poll(&mut fds, Some(&limit));
            self.settle()?;
            if rest && self.handoff.is_idle() {
                self.settle()?;
                break;
            }
        }
        self.handoff.close();
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.talk.taken = connection.talk.durable;
                if connection.stage == Stage::Open {
                    connection.stage = Stage::Ending(Some(Refusal::Stopping));
                }
            }
            self.write(id)?;
        }
        Ok(())
    }
}
