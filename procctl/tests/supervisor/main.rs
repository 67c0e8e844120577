//! The supervisor with real processes: whole trees, a death by SIGKILL, a restart in place, and all
//! that a job's process must and must not inherit.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod files;
mod home;
mod lives;
mod process;
mod trees;
