//! The recorder: a child process that keeps the jobs' pipes, logs and history, so that a slow
//! disk never holds up supervision and a killed supervisor breaks no pipe.

mod child;
mod held;
mod lines;
pub mod link;
pub mod logfile;
pub mod message;
pub mod notify;
mod peer;
mod queue;
mod slots;
mod source;
mod writer;

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use checkproc::Folders;
use jobfile::Home;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::history::{Retention, Store};
use crate::logging::{self, Taker};
use crate::spawn;
use child::{Ears, Recorder};
use logfile::Rotation;
use queue::{Queue, Work};
use writer::{Troubles, Writer};

/// Stack of the writing thread in bytes; only touched pages count.
const STACK: usize = 512 * 1024;

/// Serves as the home's recorder until it is told to leave, or nobody needs it any more.
///
/// # Errors
/// It was not started by a supervisor, or the system refuses a descriptor or a thread.
pub fn run(home: &Home) -> io::Result<()> {
    let Some(listener) = spawn::inherited(message::LISTENER) else {
        return Err(io::Error::other(
            "the recorder is started by the supervisor alone",
        ));
    };
    let queue = Arc::new(Queue::default());
    logging::start(
        &home.root,
        Some(Box::new(OwnLines(Arc::clone(&queue)))),
        false,
    );
    if let Err(error) = raise_limit() {
        log::warn!("raise the limit of open files: {error}");
    }
    for folder in [&home.state, &home.log] {
        if let Err(error) = fs::create_dir_all(folder) {
            log::error!("make {}: {error}", folder.display());
        }
    }
    let (bell, ring) = child::bell()?;
    let troubles = Arc::new(Troubles::new(ring));
    let history = Store::new(
        home.state.join("history.db"),
        home.log.join("evidence"),
        Retention::default(),
    );
    let writer = Writer::new(home.log.clone(), history, Arc::clone(&troubles));
    let ears = Ears {
        listener,
        bell,
        signal: signals()?,
    };
    let folders = Folders {
        logs: Some(home.log.clone()),
        evidence: Some(home.log.join("evidence")),
    };
    let reload = || rotation_of(&home.root);
    drop(queue.push(Work::Rotate(rotation(home))));
    thread::scope(|scope| {
        let named = thread::Builder::new()
            .name("writer".to_owned())
            .stack_size(STACK);
        named.spawn_scoped(scope, || writer.run(&queue))?;
        let served = Recorder::new(ears, &queue, troubles, &reload, folders)
            .and_then(|mut recorder| recorder.run());
        queue.close();
        served
    })
}

/// How the home wants its logs kept.
fn rotation(home: &Home) -> Rotation {
    Rotation {
        size: home.settings.log_size.0,
        keep: home.settings.log_keep,
    }
}

/// The same, read anew; `None` where the settings are wrong by now, which others tell.
fn rotation_of(root: &Path) -> Option<Rotation> {
    Home::open(root).as_ref().map(rotation).ok()
}

/// The recorder's own lines go the way of all others, to `<log>/recorder.log`.
struct OwnLines(Arc<Queue>);

impl Taker for OwnLines {
    fn take(&self, line: Vec<u8>) {
        let work = Work::Lines {
            job: "recorder".to_owned(),
            text: line,
        };
        // where lines pile up, those about it are not what matters
        drop(self.0.push(work));
    }
}

/// SIGTERM makes the result readable. SIGINT and SIGHUP are meant for the supervisor, which may share our terminal.
fn signals() -> io::Result<std::os::fd::OwnedFd> {
    for signal in [SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGTERM, theirs)?;
    Ok(ours.into())
}

/// Thousands of runs have up to three descriptors each.
fn raise_limit() -> nix::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)
}

/// The time before a line of a log, in the form that `jobs` writes, too.
fn stamp() -> String {
    let now = chrono::Local::now();
    now.format("%Y-%m-%d %H:%M:%S%.3f ").to_string()
}
