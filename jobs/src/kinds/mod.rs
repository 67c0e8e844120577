//! The kinds of jobs: a `mod` line and an entry for each, names only, in alphabetic order.
//! A new kind is one file (or folder) here, these two lines, and a sample in `etc/jobs/`.

mod archive;
mod convert;
mod exec;
mod extract;
mod fetch;
mod fileserver;
pub mod forward;
pub mod ftp;
mod ingest;
mod report;
mod sweep;
pub mod sync;
mod tcp;

use crate::job::Kind;

/// Every built-in kind.
pub static KINDS: &[Kind] = &[
    Kind::of::<archive::Archive>(),
    Kind::of::<convert::Convert>(),
    Kind::of::<exec::Exec>(),
    Kind::of::<extract::Extract>(),
    Kind::of::<fetch::Fetch>(),
    Kind::of::<fileserver::Fileserver>(),
    Kind::of::<forward::Forward>(),
    Kind::of::<ftp::Ftp>(),
    Kind::of::<ingest::Ingest>(),
    Kind::of::<report::Report>(),
    Kind::of::<sweep::Sweep>(),
    Kind::of::<sync::Sync>(),
    Kind::of::<tcp::Tcp>(),
];

/// The built-in kind of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests;
