//! procctl: decides what runs when; starts, stops, restarts and adopts jobs.

pub mod recorder;
pub mod socket;
pub mod spawn;
