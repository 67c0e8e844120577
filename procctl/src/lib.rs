//! procctl: decides what runs when; starts, stops, restarts and adopts jobs.

pub mod control;
pub mod face;
pub mod history;
pub mod launch;
pub mod lock;
pub mod logs;
pub mod plan;
pub mod recorder;
pub mod socket;
pub mod spawn;
pub mod wait;
