//! What the runner finds out about the world before a job has its context.

use std::{path::PathBuf, time::Duration};

use checkproc::Pulse;
use jobfile::Home;

use crate::{error::Error, hours::Hours, notice::Notices, origin::Origin, stop::Stop};

/// What the runner knows of the world before there is a context.
pub struct World {
    /// The home folder.
    pub home: Home,
    /// The job's name.
    pub job: String,
    /// The wish to stop.
    pub stop: Stop,
    /// The heartbeat; `None` = nobody watches.
    pub pulse: Option<Pulse>,
    /// How long may pass between two beats; `None` = nobody minds.
    pub heartbeat: Option<Duration>,
    /// How long a stop may take before the job is killed.
    pub stop_grace: Duration,
    /// Whether this is only a look: nothing may be changed.
    pub looking: bool,
    /// The file the job was read from, for kinds that take over changes while they run.
    pub origin: Option<Origin>,
    /// The way to the supervisor; `None` = the job is run by hand.
    pub notices: Option<Notices>,
    /// When it should end by itself.
    pub hours: Hours,
}

impl World {
    /// For `check` and `--dry-run`: nobody watches, nothing is changed.
    ///
    /// # Errors
    /// When signals cannot be taken.
    pub fn to_look_at(home: &Home, job: &str) -> Result<World, Error> {
        let stop =
            Stop::new().map_err(|error| Error::Internal(format!("open a socket: {error}")))?;
        Ok(World {
            home: home.clone(),
            job: job.to_owned(),
            stop,
            pulse: None,
            heartbeat: None,
            stop_grace: Duration::from_secs(10),
            looking: true,
            origin: None,
            notices: None,
            hours: Hours::default(),
        })
    }
}

/// The file of a job's state.
#[must_use]
pub fn state_file(home: &Home, job: &str) -> PathBuf {
    home.state.join(format!("{job}.db"))
}
