//! The built program on real processes: hangs, gaps, the brake, bad tables, reused pids.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod beat;
mod hang;
mod lab;
mod odd;
mod reuse;
