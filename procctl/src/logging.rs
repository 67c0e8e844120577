//! Where procctl's own lines go: `<log>/procctl.log`, rotated, and standard error in the
//! foreground; the recorder's to `<log>/recorder.log`, since a log file has one writer.
//! `<home>/log4rs.yaml` sets levels, and for the supervisor also appenders, where it names some.

use std::fs;
use std::path::Path;

use log::LevelFilter;
use log4rs::append::Append;
use log4rs::append::console::{ConsoleAppender, Target};
use log4rs::append::rolling_file::RollingFileAppender;
use log4rs::append::rolling_file::policy::compound::CompoundPolicy;
use log4rs::append::rolling_file::policy::compound::roll::fixed_window::FixedWindowRoller;
use log4rs::append::rolling_file::policy::compound::trigger::size::SizeTrigger;
use log4rs::config::{Appender, Config, Deserializers, Logger, Root};
use log4rs::encode::pattern::PatternEncoder;

/// A line: when, how grave, what.
const LINE: &str = "{d(%Y-%m-%d %H:%M:%S%.3f)} {l} {m}{n}";

/// A file that grows beyond this many bytes is set aside.
const LARGEST: u64 = 10 * 1024 * 1024;

/// So many files set aside are kept.
const KEPT: u32 = 5;

/// Which of procctl's own processes logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// The supervisor, with its lines also on standard error: `procctl run`.
    Foreground,
    /// The supervisor, away from any terminal.
    Detached,
    /// The recorder.
    Recorder,
}

/// Sets up logging for the rest of this process. A second call does nothing.
///
/// A log that cannot be written, or a `log4rs.yaml` that cannot be read, must not keep the supervisor from
/// its work: lines then go to standard error, the first of them saying why.
pub fn start(own: Own, home: &Path, log: &Path) {
    let mut troubles = Vec::new();
    let yaml = home.join("log4rs.yaml");
    let given = yaml
        .exists()
        .then(|| log4rs::config::load_config_file(&yaml, Deserializers::default()));
    let given = match given {
        Some(Err(error)) => {
            troubles.push(format!("{} is not used: {error}", yaml.display()));
            None
        }
        Some(Ok(config)) => Some(config),
        None => None,
    };
    let config = match given {
        Some(config) if own != Own::Recorder && !config.root().appenders().is_empty() => {
            Some(config)
        }
        given => default_config(own, log, given.as_ref(), &mut troubles),
    };
    if let Some(config) = config
        && let Err(error) = log4rs::init_config(config)
    {
        troubles.push(format!("logging is set up already: {error}"));
    }
    for trouble in troubles {
        log::error!("{trouble}");
    }
}

fn default_config(
    own: Own,
    log: &Path,
    given: Option<&Config>,
    troubles: &mut Vec<String>,
) -> Option<Config> {
    let mut appenders: Vec<Appender> = Vec::new();
    let name = if own == Own::Recorder {
        "recorder.log"
    } else {
        "procctl.log"
    };
    match file(&log.join(name)) {
        Ok(file) => appenders.push(Appender::builder().build("file", file)),
        Err(error) => troubles.push(format!("write {}: {error}", log.join(name).display())),
    }
    if own == Own::Foreground || appenders.is_empty() {
        let encoder = Box::new(PatternEncoder::new(LINE));
        let console = ConsoleAppender::builder()
            .target(Target::Stderr)
            .encoder(encoder);
        appenders.push(Appender::builder().build("stderr", Box::new(console.build())));
    }
    let names: Vec<String> = appenders
        .iter()
        .map(|appender| appender.name().to_owned())
        .collect();
    let mut config = Config::builder().appenders(appenders);
    let mut level = LevelFilter::Info;
    if let Some(given) = given {
        level = given.root().level();
        let levels = given.loggers().iter();
        config = config
            .loggers(levels.map(|logger| Logger::builder().build(logger.name(), logger.level())));
    }
    config
        .build(Root::builder().appenders(names).build(level))
        .map_err(|error| troubles.push(error.to_string()))
        .ok()
}

fn file(path: &Path) -> Result<Box<dyn Append>, std::io::Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let roller = FixedWindowRoller::builder()
        .base(1)
        .build(&format!("{}.{{}}", path.display()), KEPT)
        .map_err(std::io::Error::other)?;
    let policy = CompoundPolicy::new(Box::new(SizeTrigger::new(LARGEST)), Box::new(roller));
    let appender = RollingFileAppender::builder()
        .encoder(Box::new(PatternEncoder::new(LINE)))
        .build(path, Box::new(policy))?;
    Ok(Box::new(appender))
}
