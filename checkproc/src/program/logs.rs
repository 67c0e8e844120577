//! Where the program's own log goes: a rotated file, or stderr.

use std::error::Error;
use std::path::Path;

use log::LevelFilter;
use log4rs::append::Append;
use log4rs::append::console::{ConsoleAppender, Target};
use log4rs::append::rolling_file::RollingFileAppender;
use log4rs::append::rolling_file::policy::compound::CompoundPolicy;
use log4rs::append::rolling_file::policy::compound::roll::fixed_window::FixedWindowRoller;
use log4rs::append::rolling_file::policy::compound::trigger::size::SizeTrigger;
use log4rs::config::{Appender, Config, Root};
use log4rs::encode::pattern::PatternEncoder;

const PATTERN: &str = "{d(%Y-%m-%d %H:%M:%S%.3f)} {l} {m}{n}";
const ROTATE_BYTES: u64 = 10 * 1024 * 1024;
const KEPT_FILES: u32 = 5;

/// Starts logging to a file of at most 10 MiB, with five older ones beside it, or to stderr.
pub(crate) fn start(file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let appender: Box<dyn Append> = match file {
        Some(path) => Box::new(rolling(path)?),
        None => Box::new(
            ConsoleAppender::builder()
                .target(Target::Stderr)
                .encoder(Box::new(PatternEncoder::new(PATTERN)))
                .build(),
        ),
    };
    let config = Config::builder()
        .appender(Appender::builder().build("log", appender))
        .build(Root::builder().appender("log").build(LevelFilter::Info))?;
    log4rs::init_config(config)?;
    Ok(())
}

fn rolling(path: &Path) -> Result<RollingFileAppender, Box<dyn Error>> {
    let older = format!("{}.{{}}", path.display());
    let roller = FixedWindowRoller::builder()
        .base(1)
        .build(&older, KEPT_FILES)?;
    let policy = CompoundPolicy::new(Box::new(SizeTrigger::new(ROTATE_BYTES)), Box::new(roller));
    let appender = RollingFileAppender::builder()
        .encoder(Box::new(PatternEncoder::new(PATTERN)))
        .build(path, Box::new(policy))
        .map_err(|error| format!("open log file {}: {error}", path.display()))?;
    Ok(appender)
}
