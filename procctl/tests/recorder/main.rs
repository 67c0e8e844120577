//! The recorder as a supervisor meets it: a real process behind its socket, real pipes, slots,
//! notify sockets and pidfds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lives;
mod output;
mod played;
mod signs;
