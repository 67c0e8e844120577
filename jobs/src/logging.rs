//! Where log lines go, and that no secret goes with them.
//! Under procctl: standard error, whose other end is the recorder, the one writer of `<log>/JOB.log`. By hand: standard
//! error too, and where that leads to /dev/null (started the classic way, detached) a rolling file `<log>/JOB.log`.
//! `<home>/log4rs.yaml`, where there is one, says instead where lines go and at which levels; it is read once, at the start.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::RwLock,
};

use jobfile::Secrets;
use log::{LevelFilter, Log, Metadata, Record};
use log4rs::{
    append::{
        Append,
        console::{ConsoleAppender, Target},
        rolling_file::{
            RollingFileAppender,
            policy::compound::{
                CompoundPolicy, roll::fixed_window::FixedWindowRoller, trigger::size::SizeTrigger,
            },
        },
    },
    config::{Appender, Config, Deserializers, Root},
    encode::pattern::PatternEncoder,
};

use crate::{error::Error, progress};

/// A line of a log file.
const DATED: &str = "{d(%Y-%m-%d %H:%M:%S%.3f)} {l} {m}{n}";
/// A line for a person who watches.
const PLAIN: &str = "{m}{n}";
/// A log file that grows beyond this is rolled.
const ROLL_AT: u64 = 10_000_000;
/// So many rolled files are kept.
const KEEP: u32 = 5;

/// Strings that no line may show.
static SECRETS: RwLock<Vec<Secrets>> = RwLock::new(Vec::new());

/// Where lines go.
#[derive(Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard error, read by a machine that keeps it.
    Recorded,
    /// Standard error, read by whoever called.
    Watched,
    /// A rolling file.
    File(PathBuf),
}

impl Sink {
    /// The right one for this process. `log` is the folder of logs, `recorded` whether procctl started us.
    #[must_use]
    pub fn choose(job: &str, log: &Path, recorded: bool) -> Sink {
        if recorded {
            Sink::Recorded
        } else if stderr_is_null() {
            Sink::File(log.join(format!("{job}.log")))
        } else {
            Sink::Watched
        }
    }

    fn appender(&self) -> Result<Box<dyn Append>, Error> {
        let pattern = if *self == Sink::Watched { PLAIN } else { DATED };
        let encoder = Box::new(PatternEncoder::new(pattern));
        let Sink::File(path) = self else {
            let console = ConsoleAppender::builder()
                .target(Target::Stderr)
                .encoder(encoder);
            return Ok(Box::new(console.build()));
        };
        let failed = |action| Error::io(action, path.clone());
        let archive = format!("{}.{{}}", path.display());
        let roller = FixedWindowRoller::builder()
            .build(&archive, KEEP)
            .map_err(|error| failed("set up rolling of")(std::io::Error::other(error)))?;
        let policy = CompoundPolicy::new(Box::new(SizeTrigger::new(ROLL_AT)), Box::new(roller));
        let file = RollingFileAppender::builder()
            .encoder(encoder)
            .build(path, Box::new(policy))
            .map_err(failed("open"))?;
        Ok(Box::new(file))
    }
}

fn stderr_is_null() -> bool {
    let (Ok(null), Ok(stderr)) = (fs::metadata("/dev/null"), fs::metadata("/dev/fd/2")) else {
        return true;
    };
    stderr.file_type().is_char_device() && stderr.rdev() == null.rdev()
}

/// Sets up logging for the rest of this process. A second call does nothing.
///
/// # Errors
/// When the log file cannot be opened, or `settings` (the home's `log4rs.yaml`, which need not be there) makes no sense.
pub fn install(sink: &Sink, settings: &Path) -> Result<(), Error> {
    let mut loggers = Vec::new();
    if settings.exists() {
        let config = log4rs::config::load_config_file(settings, Deserializers::default())
            .map_err(|error| Error::Invalid(format!("{}: {error:#}", settings.display())))?;
        loggers.push(log4rs::Logger::new(config));
    }
    // A detached job would else lose what the settings send to standard error.
    if loggers.is_empty() || matches!(sink, Sink::File(_)) {
        let appender = Appender::builder().build("sink", sink.appender()?);
        let root = Root::builder().appender("sink").build(LevelFilter::Info);
        // it logs each diagnosis of a driver, which are errors of ours then, or none
        let quiet = log4rs::config::Logger::builder().build("odbc_api", LevelFilter::Off);
        let config = Config::builder()
            .appender(appender)
            .logger(quiet)
            .build(root);
        let config = config.map_err(|error| Error::Internal(format!("set up logging: {error}")))?;
        loggers.push(log4rs::Logger::new(config));
    }
    let most = loggers
        .iter()
        .map(log4rs::Logger::max_log_level)
        .max()
        .unwrap_or(LevelFilter::Off);
    if log::set_boxed_logger(Box::new(Discreet(loggers))).is_ok() {
        log::set_max_level(most);
    }
    Ok(())
}

/// From now on no log line shows these.
pub fn hide(secrets: Secrets) {
    SECRETS
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(secrets);
}

/// The text without secrets.
#[must_use]
pub fn redact(text: &str) -> String {
    let secrets = SECRETS
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    secrets
        .iter()
        .fold(text.to_owned(), |text, secrets| secrets.redact(&text))
}

/// A logger that keeps secrets, and takes the progress line off the screen while it writes.
struct Discreet(Vec<log4rs::Logger>);

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.iter().any(|logger| logger.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = redact(&record.args().to_string());
        progress::suspend(|| {
            for logger in &self.0 {
                logger.log(
                    &Record::builder()
                        .metadata(record.metadata().clone())
                        .module_path(record.module_path())
                        .file(record.file())
                        .line(record.line())
                        .args(format_args!("{text}"))
                        .build(),
                );
            }
        });
    }

    fn flush(&self) {
        self.0.iter().for_each(Log::flush);
    }
}
