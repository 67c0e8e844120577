//! The spool: records on disk between senders and deliverers, in segment files, with cursors. It knows nothing of
//! networks and threads, and touches the disk only by its face, so that tests can take its power away.

mod bell;
mod beside;
pub(crate) mod cursor;
mod done;
pub(crate) mod quarantine;
mod reader;
mod record;
mod recover;
mod reserve;
mod room;
mod scan;
mod segment;
mod sessions;
mod shelf;
mod store;
#[cfg(test)]
mod tests;
mod torn;

pub(crate) use bell::Bell;
pub(crate) use beside::Beside;
pub(crate) use done::Done;
pub(crate) use reader::{Next, Reader};
pub(crate) use record::{Found, Head, MAX_BODY, Seal};
pub(crate) use recover::{look_at, open};
pub(crate) use scan::{Item, Scan};
pub(crate) use segment::{is_full, put_file, put_records};
pub(crate) use sessions::{MOST as MOST_SESSIONS, News, Session, Sessions, append_one};
pub(crate) use shelf::Shelf;
pub(crate) use store::{Batch, Store};
