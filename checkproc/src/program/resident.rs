//! The watchdog form: one scan, or a scan each interval until a signal asks for the end.

use std::error::Error;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use checkproc::process::{home_hash, monotonic_ns};
use checkproc::watchdog::{Rules, Watchdog};
use checkproc::{Folders, Ping, Pulse};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::cli::Watch;
use super::logs;

const EVERY: Duration = Duration::from_secs(1);
/// Scans faster than this would only cost.
const FASTEST: Duration = Duration::from_millis(10);
const HANG_GRACE: Duration = Duration::from_secs(2);

/// Runs the watchdog as the command line says.
pub(crate) fn watch(options: &Watch) -> Result<(), Box<dyn Error>> {
    logs::start(options.logfile.as_deref())?;
    let every = options.every.unwrap_or(EVERY).max(FASTEST);
    let single = options.is_single();
    let rules = Rules {
        every: if single { Duration::ZERO } else { every },
        home: options.home.as_deref().map(home_hash),
        folders: folders(options),
    };
    let mut watchdog = Watchdog::new(rules);
    if single {
        watchdog.scan_once();
        return Ok(());
    }
    let home = options.home.as_ref();
    let control = options
        .control
        .clone()
        .or_else(|| home.map(|home| home.join("run/control.sock")));
    stay(&mut watchdog, every, control.map(Ping::new))
}

/// Logs and evidence lie beside our own log file, or in the home.
fn folders(options: &Watch) -> Folders {
    let beside = options.logfile.as_deref().and_then(Path::parent);
    let logs = beside
        .map(Path::to_path_buf)
        .or_else(|| options.home.as_ref().map(|home| home.join("log")));
    Folders {
        evidence: logs.as_ref().map(|folder| folder.join("evidence")),
        logs,
    }
}

fn stay(
    watchdog: &mut Watchdog,
    every: Duration,
    mut ping: Option<Ping>,
) -> Result<(), Box<dyn Error>> {
    let mut signals = signals()?;
    let step = u64::try_from(every.as_nanos())?;
    let mut pulse = None;
    let mut next = monotonic_ns();
    let mut told = false;
    loop {
        let now = monotonic_ns();
        if now >= next {
            beat(&mut pulse, every);
            watchdog.scan();
            ping.iter_mut().for_each(Ping::tend);
            // Keeps the beat of the interval, but does not make up for scans that were missed.
            next = (next + step).max(monotonic_ns());
            if !told {
                told = true;
                log::info!("watching {:?} every {every:?}", watchdog.tables());
            }
        } else {
            watchdog.tend();
        }
        let wake = watchdog.due().map_or(next, |due| due.min(next));
        if asked_to_end(&mut signals, wake.saturating_sub(monotonic_ns()))? {
            log::info!("asked to end");
            return Ok(());
        }
    }
}

/// Beats our own slot: procctl and other watchdogs see by it that we are at work.
fn beat(pulse: &mut Option<Pulse>, every: Duration) {
    match pulse {
        Some(pulse) => pulse.beat(),
        None => {
            let heartbeat = Some((every * 10).max(Duration::from_secs(10)));
            // Our own slot is no condition for watching others: tried again at the next scan.
            match Pulse::attach_or_claim("checkproc", heartbeat, HANG_GRACE) {
                Ok(fresh) => *pulse = Some(fresh),
                Err(error) => log::debug!("no heartbeat slot of our own: {error}"),
            }
        }
    }
}

fn signals() -> Result<UnixStream, Box<dyn Error>> {
    let (reader, writer) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    reader.set_nonblocking(true)?;
    Ok(reader)
}

/// Waits so many nanoseconds or for a signal. `true`: one has come.
fn asked_to_end(signals: &mut UnixStream, wait_ns: u64) -> Result<bool, Box<dyn Error>> {
    let wait = Timespec::try_from(Duration::from_nanos(wait_ns))?;
    match poll(&mut [PollFd::new(&*signals, PollFlags::IN)], Some(&wait)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => Ok(signals.read(&mut [0; 8]).is_ok_and(|read| read > 0)),
        Err(error) => Err(error.into()),
    }
}
