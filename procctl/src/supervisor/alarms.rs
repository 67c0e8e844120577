//! Alarms go where `<notify>` says: a command with the facts in its environment and as JSON on its
//! standard input, or a URL by way of `jobs post`. What is worth an alarm is the plan's business.

use std::time::Duration;

use jobfile::{Notify, On, Words};

use super::Supervisor;
use super::children::describe;
use super::load::Step;
use crate::errand::{Finished, Order, Purpose};
use crate::plan::{Alarm, AlarmKind, Event};
use crate::program;

/// How long a command may take to tell somebody.
const PATIENCE: Duration = Duration::from_secs(60);

impl Supervisor {
    /// Tells everyone whom the settings name.
    pub(super) fn raise(&mut self, alarm: &Alarm) {
        let on = occasion(alarm.kind);
        log::warn!("{} {}: {}", alarm.job, on.name(), alarm.text);
        let body = match serde_json::to_vec(alarm) {
            Ok(body) => body,
            Err(error) => return log::error!("write an alarm down: {error}"),
        };
        let wanted = |notify: &&Notify| notify.on.contains(on);
        let ways: Vec<Way> = self
            .home
            .settings
            .notify
            .iter()
            .filter(wanted)
            .flat_map(ways)
            .collect();
        for way in ways {
            let what = format!("{} {} was not told by {}", alarm.job, on.name(), way.by);
            let mut environment = facts(alarm, on);
            environment.extend(way.url.map(|url| ("PROCCTL_POST_URL".to_string(), url)));
            let order = Order {
                purpose: Purpose::Alarm(what),
                words: way.words,
                environment,
                input: body.clone(),
                output_only: false,
                limit: PATIENCE,
            };
            if !self.errands.order(order) {
                log::error!("too many alarms wait: one for {} is left out", alarm.job);
            }
        }
    }

    /// Starts errands that wait.
    pub(super) fn run_errands(&mut self, now: Duration) {
        let stderr = std::io::stderr();
        let folder = &self.home.root;
        let failed = self.errands.start(
            now,
            folder,
            self.starter.failures(),
            std::os::fd::AsFd::as_fd(&stderr),
        );
        for finished in failed {
            self.finish_errand(finished);
        }
    }

    /// An errand has ended.
    pub(super) fn finish_errand(&mut self, finished: Finished) {
        match &finished.purpose {
            Purpose::Check(_) => {
                let step = self.loader.checked(&finished);
                self.take_step(step);
            }
            Purpose::Alarm(what) => {
                let why = match (&finished.trouble, finished.status) {
                    (Some(why), _) => why.clone(),
                    (None, Some(0) | None) => return,
                    (None, Some(status)) => describe(status),
                };
                let said = self
                    .home
                    .settings
                    .secrets
                    .redact(&last_words(&finished.output));
                log::error!("the alarm {what}: {why}{said}");
            }
        }
    }

    /// Goes on with the reading of job files.
    pub(super) fn take_step(&mut self, step: Step) {
        match step {
            Step::Loaded(all) => {
                self.events.extend(all.into_iter().map(Event::Loaded));
                self.finish_boot();
            }
            Step::Check(order) => {
                if !self.errands.order(order) {
                    log::error!("too many errands wait: job files are read later");
                }
            }
            Step::Wait => {}
        }
    }
}

fn occasion(kind: AlarmKind) -> On {
    match kind {
        AlarmKind::Failed => On::Failed,
        AlarmKind::Hung => On::Hung,
        AlarmKind::Missed => On::Missed,
        AlarmKind::Recovered => On::Recovered,
    }
}

/// A way to tell somebody.
struct Way {
    /// Its name in our log: of a command the program alone, since the rest may hold secrets.
    by: String,
    words: Vec<String>,
    /// Where `jobs post` goes: in its environment, since a command line shows in `ps`.
    url: Option<String>,
}

/// The ways that one `<notify>` asks for.
fn ways(notify: &Notify) -> Vec<Way> {
    let command = notify.command.as_ref().and_then(|command| {
        let words = command.parse::<Words>();
        let words = words.map_err(|error| log::error!("<notify command>: {error}"));
        let words = words.ok()?.plain();
        Some(Way {
            by: words.first().cloned().unwrap_or_default(),
            words,
            url: None,
        })
    });
    let url = notify.url.as_ref().map(|url| {
        let jobs = program::beside("jobs").display().to_string();
        Way {
            by: "url".to_string(),
            words: vec![jobs, "post".to_string(), "-".to_string()],
            url: Some(url.clone()),
        }
    });
    command.into_iter().chain(url).collect()
}

/// The last line that an errand printed, to be put behind what became of it.
fn last_words(output: &[u8]) -> String {
    const MOST: usize = 500;
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.map_or_else(String::new, |line| {
        format!(": {}", line.chars().take(MOST).collect::<String>())
    })
}

fn facts(alarm: &Alarm, on: On) -> Vec<(String, String)> {
    let evidence = alarm
        .evidence
        .as_ref()
        .map(|path| path.display().to_string());
    [
        ("PROCCTL_ALARM", on.name().to_string()),
        ("PROCCTL_JOB", alarm.job.to_string()),
        ("PROCCTL_TEXT", alarm.text.clone()),
        ("PROCCTL_EVIDENCE", evidence.unwrap_or_default()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}
