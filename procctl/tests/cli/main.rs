//! The command line as people and scripts meet it: what it prints, where, and its exit codes. The
//! supervisor is played by the test where one is needed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alone;
mod home;
mod served;
