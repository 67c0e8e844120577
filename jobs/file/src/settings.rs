//! `procctl.xml`: the settings of a home, all of them optional.

use crate::de;
use crate::interval::Interval;
use crate::job::read_bytes;
use crate::notify::Notify;
use crate::parse::parse;
use crate::problem::{Pos, Problem, Problems};
use crate::root::check_name;
use crate::secrets::{Resolver, Secrets};
use crate::size::Size;
use crate::trust::check_trust;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What `<procctl>` may say.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The folder of jobs' state, relative to the home.
    #[serde(default = "state")]
    pub state: String,
    /// The folder of logs, relative to the home.
    #[serde(default = "log")]
    pub log: String,
    /// The folder of sockets and locks, relative to the home.
    #[serde(default = "run")]
    pub run: String,
    /// The longest budget that a single step of a job may declare.
    #[serde(default = "max_step")]
    pub max_step: Interval,
    /// How often the watchdog looks at the heartbeats.
    #[serde(default = "scan_every")]
    pub scan_every: Interval,
    /// A log that grows beyond this is set aside and a new one begun.
    #[serde(default = "log_size")]
    pub log_size: Size,
    /// How many logs set aside are kept of each job.
    #[serde(default = "log_keep")]
    pub log_keep: u32,
    /// Limits on how many runs go on at once.
    #[serde(default, rename = "pool")]
    pub pools: Vec<Pool>,
    /// Alarms.
    #[serde(default)]
    pub notify: Vec<Notify>,
    /// What `${…}` stood for, to be kept out of logs.
    #[serde(skip)]
    pub secrets: Secrets,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            state: state(),
            log: log(),
            run: run(),
            max_step: max_step(),
            scan_every: scan_every(),
            log_size: log_size(),
            log_keep: log_keep(),
            pools: Vec::new(),
            notify: Vec::new(),
            secrets: Secrets::default(),
        }
    }
}

/// At most so many runs of the pool's jobs at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pool {
    /// The name that jobs give as `pool`.
    pub name: String,
    /// How many runs.
    #[schemars(range(min = 1))]
    pub size: u32,
}

fn state() -> String {
    "state".to_string()
}

fn log() -> String {
    "log".to_string()
}

fn run() -> String {
    "run".to_string()
}

fn max_step() -> Interval {
    Interval::secs(3600)
}

fn scan_every() -> Interval {
    Interval::secs(1)
}

fn log_size() -> Size {
    Size(10 << 20)
}

fn log_keep() -> u32 {
    5
}

impl Settings {
    /// Reads a home's `procctl.xml`; a file that is not there means defaults.
    pub fn read(path: &Path, home: &Path) -> Result<Settings, Problems> {
        match path.try_exists() {
            Ok(false) => return Ok(Settings::default()),
            Ok(true) => {}
            Err(e) => return Err(Problem::whole(path, format!("cannot look at it: {e}")).into()),
        }
        check_trust(path)?;
        Settings::from_text(path, &read_bytes(path)?, home)
    }

    /// Reads the content of a settings file; references in it are replaced at once.
    pub fn from_text(path: &Path, text: &[u8], home: &Path) -> Result<Settings, Problems> {
        let mut node = parse(path, text)?;
        if node.name != "procctl" {
            let message = format!("expected <procctl>, found <{}>", node.name);
            return Err(Problem::new(path, node.pos, message).into());
        }
        let mut resolver = Resolver::new(Some(home));
        resolver.resolve_tree(&mut node, false);
        let mut found = resolver.found;
        let settings = match de::read::<Settings>(&node, &[]) {
            Ok(mut settings) => {
                settings.secrets = resolver.secrets;
                settings
            }
            Err(problems) => {
                found.extend(problems);
                return Err(Problems::of(path, found));
            }
        };
        let places = |name: &str| node.children_named(name).map(|n| n.pos).collect::<Vec<_>>();
        settings.check(&places("pool"), &places("notify"), node.pos, &mut found);
        if found.is_empty() {
            Ok(settings)
        } else {
            Err(Problems::of(path, found))
        }
    }

    fn check(&self, pools: &[Pos], notify: &[Pos], whole: Pos, found: &mut Vec<(Pos, String)>) {
        for (i, (pool, pos)) in self.pools.iter().zip(pools).enumerate() {
            if let Err(message) = check_name(&pool.name) {
                found.push((*pos, format!("<pool>: {message}")));
            }
            if pool.size == 0 {
                found.push((*pos, "<pool>: `size` must be at least 1".to_string()));
            }
            if self.pools[..i].iter().any(|p| p.name == pool.name) {
                found.push((*pos, format!("<pool>: `{}` is given twice", pool.name)));
            }
        }
        for (entry, pos) in self.notify.iter().zip(notify) {
            if entry.command.is_some() == entry.url.is_some() {
                found.push((
                    *pos,
                    "<notify> needs exactly one of `command` and `url`".to_string(),
                ));
            }
            let unsplit = entry.command.as_ref().map(|c| shlex::split(c));
            if unsplit.is_some_and(|words| words.is_none_or(|w| w.is_empty())) {
                found.push((
                    *pos,
                    "<notify>: `command` is empty or has an open quote".to_string(),
                ));
            }
        }
        if self.scan_every < Interval::millis(10) || self.scan_every > Interval::secs(60) {
            found.push((
                whole,
                "attribute `scan-every`: expected 10ms to 60s".to_string(),
            ));
        }
        if self.log_size < Size(64 << 10) {
            found.push((
                whole,
                "attribute `log-size`: expected at least 64K".to_string(),
            ));
        }
        if self.log_keep > 1000 {
            found.push((
                whole,
                "attribute `log-keep`: expected 0 to 1000".to_string(),
            ));
        }
        if self.max_step.0.is_zero() {
            found.push((
                whole,
                "attribute `max-step`: must be longer than 0".to_string(),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::On;

    fn read(text: &str) -> Result<Settings, String> {
        let home = Path::new("/nowhere");
        Settings::from_text(Path::new("procctl.xml"), text.as_bytes(), home)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(read("<procctl/>"), Ok(Settings::default()));
        let s = Settings::read(Path::new("/nowhere/procctl.xml"), Path::new("/nowhere")).unwrap();
        assert_eq!(
            (s.state.as_str(), s.max_step),
            ("state", Interval::secs(3600))
        );
    }

    #[test]
    fn folders_pools_and_alarms_are_read() {
        let s = read(
            r#"<procctl state="/var/lib/procctl" max-step="10m">
                 <log>/var/log/procctl</log>
                 <pool name="db1" size="4"/>
                 <notify on="failed, hung" command="mail -s 'x' root"/>
                 <notify url="https://alarm.example/"/>
               </procctl>"#,
        )
        .unwrap();
        assert_eq!(
            (s.state.as_str(), s.log.as_str()),
            ("/var/lib/procctl", "/var/log/procctl")
        );
        assert_eq!(
            s.pools,
            [Pool {
                name: "db1".into(),
                size: 4
            }]
        );
        assert!(s.notify[0].on.contains(On::Hung) && !s.notify[0].on.contains(On::Missed));
        assert!(s.notify[1].on.contains(On::Recovered));
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let error = read(
            "<procctl stat='x'>\n<pool name='a' size='0'/>\n<pool name='a' size='2'/>\n<notify on='hang'/>\n</procctl>",
        )
        .unwrap_err();
        assert!(
            error.contains(
                "procctl.xml:1:10: unknown attribute `stat` in <procctl>; did you mean `state`?"
            ),
            "{error}"
        );
        assert!(error.contains("did you mean `hung`?"), "{error}");
        let error = read(
            "<procctl>\n<pool name='a' size='0'/>\n<pool name='a' size='2'/>\n<notify/></procctl>",
        )
        .unwrap_err();
        assert_eq!(error.lines().count(), 3, "{error}");
        assert!(read("<jobs/>").unwrap_err().contains("expected <procctl>"));
    }
}
