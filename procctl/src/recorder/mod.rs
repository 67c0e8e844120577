//! The recorder: a child process that keeps the jobs' pipes, logs and history, so that a slow
//! disk never holds up supervision and a killed supervisor breaks no pipe.

pub mod message;
