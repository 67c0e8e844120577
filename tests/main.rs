//! Stories: the built programs, run as users run them, with real processes, signals and files.
//!
//! One module per story; `lab` gives each a private home and heartbeat table. Nothing here calls into the
//! programs' libraries to make something happen; the heartbeat table is at most looked at.

mod archive;
mod attributes;
mod chance;
mod commands;
mod crash;
mod evil_input;
mod exactly_once;
mod extract_parts;
mod faults;
mod fetch;
mod forward;
mod ftp;
mod hang;
mod history;
mod increments;
mod ingest;
mod lab;
mod late_commits;
mod oracle;
mod outside;
mod place;
mod report;
mod round_trip;
mod server_faults;
mod services;
mod small_disk;
mod small_numbers;
mod sync;
mod transfer;
mod writers;
