//! Runs one job, described by one XML file, in one process. Kinds of jobs are plug-ins: see [`job::Job`] and [`kinds`].
//! When a job runs is not decided here, nor is a job killed here: that is the work of `procctl` and `checkproc`.

pub mod cli;
mod content;
pub mod context;
pub mod data;
pub mod disk;
mod elements;
pub mod error;
pub mod external;
pub mod home;
pub mod hours;
mod identity;
pub mod input;
pub mod job;
pub mod kinds;
mod latecomers;
pub mod ledger;
pub mod likeness;
pub mod link;
pub mod lock;
pub mod logging;
mod moving;
mod natural;
pub mod notice;
pub mod origin;
mod passes;
pub mod progress;
pub mod publish;
mod rejects;
mod roots;
pub mod runner;
pub mod schema;
pub mod state;
pub mod stop;
pub mod transfer;
pub mod world;
pub mod writers;
