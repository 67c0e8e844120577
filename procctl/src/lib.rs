//! procctl: decides what runs when; starts, stops, restarts and adopts jobs.

pub mod background;
pub mod cgroup;
pub mod check;
pub mod classic;
pub mod cli;
pub mod control;
pub mod errand;
pub mod error;
pub mod face;
pub mod history;
pub mod launch;
pub mod lock;
pub mod logging;
pub mod logs;
pub mod own_log;
pub mod plan;
pub mod program;
pub mod recorder;
pub mod socket;
pub mod spawn;
pub mod status;
pub mod supervisor;
pub mod top;
pub mod wait;
pub mod watch;
