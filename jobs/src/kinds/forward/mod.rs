//! `forward`: reliable forwarding. Records come in over TCP, are kept on disk, and go out over HTTP.
//!
//! **Guarantee.** A record is acknowledged to its sender only when it is on disk (`sync="always"`: one fsync shared by all who wait), and
//! what was acknowledged is delivered at least once to every `<deliver>`, over SIGKILL and loss of power, in the order that was asked for. Every request names
//! the spool's id and its records' numbers, which are never used twice: so a centre can tell doubles. Senders that number their records
//! (`framing="frame"`) and come back under their session's name neither lose nor double any in the spool. A centre that is down, a full quota and a full
//! disk make senders wait; nothing is dropped. Damage costs the records it hits: it is told and put into the quarantine.
//!
//! **Where it ends.** With `sync="200ms"` a loss of power costs what was acknowledged within that time. After a crash, or when an answer is lost,
//! records are delivered again. By lines without `ack` a sender does not know what arrived. Bodies of lines are told apart by newlines, so records
//! with newlines in them want another `body`. A record that the centre refuses goes to the dead letters if `give-up` says so, else it is tried for ever
//! and holds up those behind it; with order `key` only those of the keys that were in its request, until 16,384 records wait for such keys.
//!
//! A trouble that lasts five seconds is an alarm (`<notify on="failed">`), its end another (`recovered`); dead letters are one until their
//! folder is empty.
//!
//! Rooms: `intake` (senders), `spool` (the disk), `deliver` (centres) know nothing of each other; here they are put together.

mod alarms;
mod check;
mod deliver;
mod engines;
mod figures;
mod intake;
pub(crate) mod operate;
mod params;
mod spool;
#[cfg(test)]
mod tests;
mod trouble;
mod vitals;

pub use intake::probe;

use std::{
    net::ToSocketAddrs as _,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{
    engines::Engines,
    figures::Told,
    intake::{Handoff, Server, Writer},
    params::Params,
    spool::{Beside, Store},
    trouble::Trouble,
    vitals::Vitals,
};
use crate::{
    context::Context,
    error::Error,
    job::{Invalid, Job, Report, Tally},
    lock::Lock,
};

/// How long the spool may take to open: a segment is read and written.
const OPENING: Duration = Duration::from_secs(1800);
/// How often the loop does what is to be done each second.
const SECOND: Duration = Duration::from_secs(1);
/// How long a stop waits for the disk, and then for centres.
const LAST_WRITES: Duration = Duration::from_millis(500);
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// How long `jobs check` tries to reach a centre.
const REACH: Duration = Duration::from_secs(5);

/// The job.
pub(super) struct Forward {
    params: Params,
}

impl Job for Forward {
    const KIND: &'static str = "forward";
    const ABOUT: &'static str =
        "takes records in over TCP, keeps them on disk, delivers them over HTTP";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/forward.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Forward, Invalid> {
        params.check()?;
        Ok(Forward { params })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let dir = cx.path(&self.params.spool.dir);
        cx.disk().create_dirs(&dir)?;
        let _lock = lock(&dir)?;
        allow_connections();
        cx.phase("opening the spool");
        let step = cx.step("open the spool", OPENING);
        let store = spool::open(&cx.disk(), &dir, self.params.spool.segment_bytes())?;
        drop(step);
        Running::start(cx, &self.params, store)?.run(cx)
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        for (at, deliver) in self.params.delivers.iter().enumerate() {
            if let Err(error) = engines::trusted(cx.home(), deliver) {
                report.problem(format!("deliver[{}].ca", at + 1), error.chain());
            }
            let place = deliver::place(&deliver.url);
            let port = if deliver.url.starts_with("https:") {
                443
            } else {
                80
            };
            match reach(&place, port) {
                Ok(()) => report.note(format_args!("{}: {place} answers", deliver.name)),
                // the job itself would work, and keep its records until then
                Err(error) => report.tell(format_args!(
                    "{}: {place} cannot be reached now: {error}",
                    deliver.name
                )),
            }
        }
        let dir = cx.path(&self.params.spool.dir);
        match spool::look_at(&cx.disk(), &dir) {
            Ok((shelf, _)) => report.note(format_args!(
                "in the spool {} there are {}",
                dir.display(),
                shelf.told()
            )),
            Err(_) => report.note(format_args!("there is no spool in {} yet", dir.display())),
        }
        Ok(())
    }
}

/// The job while it runs.
struct Running {
    server: Server,
    engines: Engines,
    vitals: Arc<Vitals>,
    trouble: Arc<Trouble>,
    told: Told,
}

impl Running {
    fn start(cx: &Context, params: &Params, store: Store) -> Result<Running, Error> {
        let shelf = Arc::clone(store.shelf());
        let (vitals, trouble) = (Vitals::new(), Arc::new(Trouble::default()));
        let internal = |error: std::io::Error| Error::Internal(format!("start: {error}"));
        let handoff = Arc::new(Handoff::new().map_err(internal)?);
        let quota = params.spool.quota.0;
        let server = intake::open(cx, &params.listen, &store, quota, &handoff)?;
        let engines = Engines::start(cx.home(), params, &shelf, &vitals, &trouble)?;
        let writer = Writer {
            store,
            handoff,
            sync: params.spool.sync,
            quota,
            beside: Beside::default(),
            vital: vitals.join("writer", OPENING),
            trouble: Arc::clone(&trouble),
        };
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run())
            .map_err(internal)?;
        log::info!(
            "{}: listens on {}; in {} there are {}",
            cx.job(),
            params.listen.address,
            shelf.dir.display(),
            shelf.told()
        );
        Ok(Running {
            told: Told::new(&shelf, &trouble),
            server,
            engines,
            vitals,
            trouble,
        })
    }

    fn run(mut self, cx: &Context) -> Result<Tally, Error> {
        let failed = |error: std::io::Error| Error::Internal(format!("wait for senders: {error}"));
        let nap = cx.heartbeat().map_or(SECOND, |beat| (beat / 4).min(SECOND));
        let mut looked = Instant::now();
        let outcome = loop {
            match self.vitals.late() {
                None => {
                    cx.beat();
                    self.trouble.over("threads");
                }
                Some(who) => self
                    .trouble
                    .tell("threads", format!("no sign of life from {who}")),
            }
            if let Err(stopped) = cx.checkpoint_unbeaten() {
                break stopped;
            }
            self.server
                .turn(nap, cx.stop().asked_fd())
                .map_err(failed)?;
            if looked.elapsed() >= SECOND {
                looked = Instant::now();
                self.server.tick().map_err(failed)?;
                self.engines.look(cx);
                self.engines.tend()?;
                self.told.tell(cx, &mut self.server, &self.engines);
            }
        };
        self.server.finish(LAST_WRITES).map_err(failed)?;
        self.engines.stop(LAST_ANSWERS);
        self.told.tell(cx, &mut self.server, &self.engines);
        log::info!("{}: {}", cx.job(), self.told.sum());
        Err(outcome)
    }
}

/// Only one process works on a spool.
fn lock(dir: &Path) -> Result<Lock, Error> {
    Lock::take(dir, "spool").map_err(|error| match error {
        Error::TryAgain(_) => Error::TryAgain(format!(
            "the spool in {} is another process's",
            dir.display()
        )),
        other => other,
    })
}

/// As many descriptors as this user may have: each sender takes one.
fn allow_connections() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        log::warn!("only {soft} connections and files: {error}");
    }
}

/// Connects and hangs up.
fn reach(place: &str, port: u16) -> std::io::Result<()> {
    let has_port = place
        .rsplit_once(':')
        .is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    let place = match has_port {
        true => place.to_owned(),
        false => format!("{place}:{port}"),
    };
    let mut last = std::io::Error::other("no such host");
    for address in place.to_socket_addrs()? {
        match std::net::TcpStream::connect_timeout(&address, REACH) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}
