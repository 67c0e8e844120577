//! The recorder: a child process that keeps the jobs' pipes, logs and history, so that a slow
//! disk never holds up supervision and a killed supervisor breaks no pipe.

mod child;
mod held;
mod lines;
pub mod link;
pub mod logfile;
pub mod message;
mod notify;
mod peer;
mod queue;
mod slots;
mod writer;

/// The time before a line of a log, in the form that `jobs` writes, too.
fn stamp() -> String {
    let now = chrono::Local::now();
    now.format("%Y-%m-%d %H:%M:%S%.3f ").to_string()
}
