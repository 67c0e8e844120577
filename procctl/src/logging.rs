//! procctl's own lines, by log4rs: levels from `<home>/log4rs.yaml`, the form of a line, where it goes.
//! No process of procctl writes a log file from its loop, since a disk may be slow: lines go to whatever
//! the caller gives that takes them without waiting, and to standard error in the foreground.

use std::path::Path;

use log::{LevelFilter, Record};
use log4rs::append::Append;
use log4rs::append::console::{ConsoleAppender, Target};
use log4rs::config::{Appender, Config, Deserializers, Logger, Root};
use log4rs::encode::pattern::PatternEncoder;
use log4rs::encode::{Encode, writer::simple::SimpleWriter};

/// A line: when, how grave, what.
const LINE: &str = "{d(%Y-%m-%d %H:%M:%S%.3f)} {l} {m}{n}";

/// Takes whole lines without ever waiting; what it cannot take is lost.
pub trait Taker: Send + Sync + 'static {
    /// Takes one line with its end.
    fn take(&self, line: Vec<u8>);
}

/// Sets up logging for the rest of this process: to `taker`, and where `aloud` to standard error, too.
/// A second call does nothing.
///
/// A `log4rs.yaml` that cannot be read keeps nobody from work: the first line says why.
pub fn start(home: &Path, taker: Option<Box<dyn Taker>>, aloud: bool) {
    let mut troubles = Vec::new();
    let given = levels(&home.join("log4rs.yaml"), &mut troubles);
    let encoder = || Box::new(PatternEncoder::new(LINE));
    let mut appenders = Vec::new();
    if let Some(taker) = taker {
        let encoder = encoder();
        appenders.push(Appender::builder().build("lines", Box::new(Lines { taker, encoder })));
    }
    if aloud || appenders.is_empty() {
        let console = ConsoleAppender::builder()
            .target(Target::Stderr)
            .encoder(encoder());
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
    match config.build(Root::builder().appenders(names).build(level)) {
        Ok(config) => {
            // a second supervisor in one process (tests) goes on with the first one's log
            let again = log4rs::init_config(config).is_err();
            log::debug!("log set up{}", if again { " before" } else { "" });
        }
        Err(errors) => troubles.push(errors.to_string()),
    }
    for trouble in troubles {
        log::error!("{trouble}");
    }
}

/// Levels are all that is taken from the file: where lines go is not its matter, since a log has one writer.
fn levels(path: &Path, troubles: &mut Vec<String>) -> Option<Config> {
    if !path.exists() {
        return None;
    }
    log4rs::config::load_config_file(path, Deserializers::default())
        .map_err(|error| troubles.push(format!("{} is not used: {error}", path.display())))
        .ok()
}

/// Writes each record down and hands it on.
struct Lines {
    taker: Box<dyn Taker>,
    encoder: Box<PatternEncoder>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}

impl Append for Lines {
    fn append(&self, record: &Record<'_>) -> anyhow::Result<()> {
        let mut line = SimpleWriter(Vec::with_capacity(160));
        self.encoder.encode(&mut line, record)?;
        self.taker.take(line.0);
        Ok(())
    }

    fn flush(&self) {}
}
