//! The XML job file and the home that holds it: trees with places, root attributes, schedules, durations,
//! sizes, secrets, and errors as `file:line:column: message`, all of a file at once.
//!
//! Knows nothing of what kinds do, of heartbeats or of processes.

mod de;
pub mod exec;
mod folder;
pub mod home;
mod interval;
mod job;
mod list;
mod node;
mod notify;
mod parse;
mod path;
mod problem;
mod root;
pub mod schedule;
mod secrets;
pub mod settings;
mod size;
mod trust;
mod windows;
mod written;

pub use exec::{Beat, Exec, Words};
pub use folder::{Loaded, job_files, load_folder};
pub use home::Home;
pub use interval::Interval;
pub use job::{JobFile, SERVICE_KINDS};
pub use list::{List, Patterns};
pub use node::{Attribute, Node};
pub use notify::{Notify, Occasions, On};
pub use parse::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAME, MAX_NODES, MAX_SIZE, parse};
pub use problem::{Pos, Problem, Problems};
pub use root::{Backoff, Heartbeat, Missed, Overlap, Root, Umask, Variables};
pub use schedule::{Cron, Zone};
pub use secrets::Secrets;
pub use settings::{Pool, Settings};
pub use size::Size;
pub use trust::check_trust;
pub use windows::Windows;
