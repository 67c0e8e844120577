//! Takes evidence on a process that is about to be killed, in a thread of its own and for a second at most: a kernel or a disk that does
//! not answer must not keep a hung process alive. What stands in it is the business of `evidence`.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use crate::evidence;
use crate::row::Row;

/// Evidence that takes longer than this is not waited for.
const TIME: Duration = Duration::from_millis(1000);
const STACK: usize = 512 * 1024;

/// Where logs lie and evidence goes.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Folder that holds `JOB.log`.
    pub logs: Option<PathBuf>,
    /// Folder for evidence; none: it goes to our own log.
    pub evidence: Option<PathBuf>,
}

/// Takes evidence on the process of a slot, late by so many ns (0 = it asked to be treated as hung), and says in a few words where it is.
pub fn record(row: &Row, late_ns: u64, folders: &Folders) -> String {
    let (sender, receiver) = mpsc::channel();
    let (owned_row, owned_folders) = (row.clone(), folders.clone());
    let take = move || {
        // Nobody may be waiting for the answer any more.
        sender.send(write(&owned_row, late_ns, &owned_folders)).ok();
    };
    let builder = std::thread::Builder::new().name("evidence".to_owned());
    match builder.stack_size(STACK).spawn(take) {
        Ok(_) => receiver
            .recv_timeout(TIME)
            .unwrap_or_else(|_| "evidence does not come".to_owned()),
        // No thread to be had, as under a fork bomb.
        Err(_) => write(row, late_ns, folders),
    }
}

fn write(row: &Row, late_ns: u64, folders: &Folders) -> String {
    let name = row.name.replace('/', "_");
    let log = folders
        .logs
        .as_ref()
        .map(|folder| folder.join(format!("{name}.log")));
    let text = evidence::headline(row, late_ns)
        + &evidence::collect(row.pid, row.start_time, log.as_deref());
    let Some(folder) = &folders.evidence else {
        log::warn!("evidence on `{}`:\n{text}", row.name);
        return "evidence above".to_owned();
    };
    let path = evidence::path(folder, row);
    match evidence::write(&path, &text) {
        Ok(()) => format!("evidence in {}", path.display()),
        Err(error) => {
            log::warn!(
                "no evidence file on `{}` ({error}: {}), so here it is:\n{text}",
                row.name,
                source(&error)
            );
            "evidence above".to_owned()
        }
    }
}

fn source(error: &crate::Error) -> String {
    std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default()
}
