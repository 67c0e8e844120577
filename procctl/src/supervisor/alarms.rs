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
        let ways: Vec<Vec<String>> = self
            .home
            .settings
            .notify
            .iter()
            .filter(wanted)
            .flat_map(words)
            .collect();
        for words in ways {
            let order = Order {
                purpose: Purpose::Alarm(format!("{} {}", alarm.job, on.name())),
                words,
                environment: facts(alarm, on),
                input: body.clone(),
                capture: false,
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
            Purpose::Alarm(what) => match (&finished.trouble, finished.status) {
                (Some(why), _) => log::error!("the alarm {what} was not told: {why}"),
                (None, Some(0) | None) => {}
                (None, Some(status)) => {
                    log::error!("the alarm {what} was not told: {}", describe(status));
                }
            },
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

/// The programs that one `<notify>` asks for.
fn words(notify: &Notify) -> Vec<Vec<String>> {
    let command = notify.command.as_ref().and_then(|command| {
        let words = command.parse::<Words>();
        words
            .map(|words| words.plain())
            .map_err(|error| log::error!("<notify command>: {error}"))
            .ok()
    });
    let url = notify.url.as_ref().map(|url| {
        let jobs = program::beside("jobs").display().to_string();
        vec![jobs, "post".to_string(), url.clone()]
    });
    command.into_iter().chain(url).collect()
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
