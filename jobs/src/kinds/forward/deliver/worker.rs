//! A worker of a deliver: posts a load until the centre has it, over a connection that stays open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ureq::{
    Agent,
    http::Uri,
    tls::{RootCerts, TlsConfig},
};

use super::{
    belt::{Belt, Fate},
    dead,
    figures::Figures,
    load::Load,
    retry::{Backoff, Verdict, verdict, wish},
};
use crate::{
    job::Count,
    kinds::forward::{
        params::{Body, Deliver},
        spool::{Bell, Shelf},
        trouble::Trouble,
        vitals::Vital,
    },
};

/// How long a worker without work sleeps.
const NAP: Duration = Duration::from_millis(500);
/// What may come on top of a request's own limit.
const SLACK: Duration = Duration::from_secs(20);
/// The longest answer that is read to its end, to keep the connection.
const ANSWER: u64 = 64 << 10;
/// Characters of a refusal that are told.
const TOLD: usize = 200;

/// What all workers of a deliver share.
pub(super) struct Shared {
    pub(super) deliver: Deliver,
    /// Whose certificates are believed.
    pub(super) roots: RootCerts,
    pub(super) shelf: Arc<Shelf>,
    pub(super) belt: Belt,
    pub(super) stop: AtomicBool,
    /// Rings when the deliver stops, and when the centre is there again.
    pub(super) resume: Bell,
    pub(super) figures: Arc<Figures>,
    pub(super) trouble: Arc<Trouble>,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// A worker.
pub(super) struct Worker {
    shared: Arc<Shared>,
    vital: Vital,
    agent: Agent,
    /// Host and port, for messages: the rest of a URL may be secret.
    place: String,
}

/// How an attempt ended.
enum Attempt {
    Confirmed,
    /// Try again, after this long at least.
    Later(Option<Duration>, String),
    Refused(String),
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, vital: Vital) -> Worker {
        let timeout = shared.deliver.timeout.0;
        let agent = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .proxy(None)
            .tls_config(
                TlsConfig::builder()
                    .root_certs(shared.roots.clone())
                    .build(),
            )
            .user_agent(concat!("procctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Worker {
            place: place(&shared.deliver.url),
            shared,
            vital,
            agent,
        }
    }

    /// Works until the belt is closed.
    pub(super) fn run(self) {
        loop {
            self.vital.alive_for(NAP + SLACK);
            match self.shared.belt.take(NAP) {
                Some(load) => {
                    let fate = self.see_through(&load);
                    self.shared.belt.end(load, fate);
                    self.shared.shelf.news.ring();
                }
                None if self.shared.belt.is_closed() => return,
                None => {}
            }
        }
    }

    /// Posts a load until it is confirmed, dead, or the deliver stops.
    fn see_through(&self, load: &Load) -> Fate {
        // a trouble of this load's own: others of its deliver may be well meanwhile
        let who = format!("{} at {}", self.shared.deliver.name, load.span().0);
        let fate = self.insist(load, &who);
        self.shared.trouble.over(&who);
        fate
    }

    fn insist(&self, load: &Load, who: &str) -> Fate {
        let (mut backoff, mut refusals, mut seen) = (Backoff::default(), 0, 0);
        let figures = &self.shared.figures;
        while !self.shared.is_stopping() {
            let pause = match self.post(load) {
                Attempt::Confirmed => {
                    figures.confirm(load.len() as u64, load.bytes() as u64);
                    if self.shared.trouble.over(&self.shared.deliver.name) {
                        self.shared.resume.ring();
                    }
                    return Fate::Confirmed { dead: 0 };
                }
                Attempt::Later(wish, why) => {
                    let text = format!("{} does not take records: {why}", self.place);
                    self.shared.trouble.tell(&self.shared.deliver.name, text);
                    backoff.next().max(wish.unwrap_or_default())
                }
                Attempt::Refused(why) => {
                    refusals += 1;
                    if self
                        .shared
                        .deliver
                        .give_up
                        .is_some_and(|tries| refusals >= tries)
                    {
                        return self.give_up(load, &why);
                    }
                    let (first, last) = load.span();
                    let text = format!("{} refuses records {first} to {last}: {why}", self.place);
                    match self.shared.deliver.give_up {
                        None => self.shared.trouble.tell(who, text),
                        // it ends by itself; what stays are the dead letters, a trouble of their own
                        Some(_) if refusals == 1 => log::warn!("{who}: {text}"),
                        Some(_) => {}
                    }
                    backoff.next()
                }
            };
            figures.fail();
            self.vital.alive_for(pause + SLACK);
            self.shared.resume.wait(&mut seen, pause);
        }
        Fate::Dropped
    }

    /// A load that was refused for good: its records one by one, so that only the bad ones go to the dead letters.
    fn give_up(&self, load: &Load, why: &str) -> Fate {
        if load.len() == 1 {
            return self.bury(load, why);
        }
        let mut sum = 0;
        for at in 0..load.len() {
            match self.see_through(&load.single(at)) {
                Fate::Confirmed { dead } => sum += dead,
                Fate::Dropped => return Fate::Dropped,
            }
        }
        Fate::Confirmed { dead: sum }
    }

    fn bury(&self, load: &Load, why: &str) -> Fate {
        let (shared, mut seen) = (&self.shared, 0);
        let name = &shared.deliver.name;
        while !shared.is_stopping() {
            match dead::keep(&shared.shelf, name, load) {
                Ok(()) => {
                    let number = load.span().0;
                    log::error!(
                        "{name}: {} refuses record {number}: {why}; it is among the dead letters",
                        self.place
                    );
                    shared.figures.bury(load.len() as u64);
                    let dead = Count(shared.figures.read().dead, "record");
                    let text = format!("{dead} refused for good by {}", self.place);
                    shared.trouble.tell(&dead::trouble(name), text);
                    shared.trouble.over(name);
                    return Fate::Confirmed {
                        dead: load.len() as u64,
                    };
                }
                Err(error) => {
                    let text = format!("dead letters cannot be kept: {}", error.chain());
                    shared.trouble.tell(name, text);
                }
            }
            self.vital.alive_for(NAP + SLACK);
            shared.resume.wait(&mut seen, NAP);
        }
        Fate::Dropped
    }

    fn post(&self, load: &Load) -> Attempt {
        let deliver = &self.shared.deliver;
        self.vital.alive_for(deliver.timeout.0 + SLACK);
        let body = load.body(deliver.body, deliver.gzip);
        let (first, last) = load.span();
        let kind = match deliver.body {
            Body::Lines => "text/plain; charset=utf-8",
            Body::Json => "application/json",
            Body::Record => "application/octet-stream",
        };
        let mut request = self
            .agent
            .post(&deliver.url)
            .header("spool-id", format!("{:016x}", self.shared.shelf.seal.id()))
            .header("spool-first", first.to_string())
            .header("spool-last", last.to_string())
            .header("spool-records", load.len().to_string());
        if let Some(numbers) = load.numbers() {
            request = request.header("spool-numbers", numbers);
        }
        if deliver.gzip {
            request = request.header("content-encoding", "gzip");
        }
        let own = |name: &str| {
            deliver
                .headers
                .iter()
                .any(|h| h.name.eq_ignore_ascii_case(name))
        };
        if !own("content-type") {
            request = request.header("content-type", kind);
        }
        for header in &deliver.headers {
            request = request.header(&header.name, &header.value);
        }
        match request.send(&body[..]) {
            Ok(response) => self.judge(response),
            Err(error) => Attempt::Later(None, error.to_string()),
        }
    }

    fn judge(&self, mut response: ureq::http::Response<ureq::Body>) -> Attempt {
        let status = response.status().as_u16();
        let wish = response
            .headers()
            .get("retry-after")
            .and_then(|value| wish(value.to_str().ok()?, chrono::Utc::now()));
        let said = response
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_to_vec();
        match verdict(status) {
            // an answer that breaks off after its status has been given all the same
            Verdict::Confirmed => Attempt::Confirmed,
            Verdict::Later => Attempt::Later(wish, format!("HTTP {status}")),
            Verdict::Refused => Attempt::Refused(told(status, &said.unwrap_or_default())),
        }
    }
}

/// A status and what came with it, in a line.
fn told(status: u16, said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.trim().chars().take(TOLD).map(plain).collect();
    match text.is_empty() {
        true => format!("HTTP {status}"),
        false => format!("HTTP {status}: {text}"),
    }
}

/// Host and port of a URL.
pub(crate) fn place(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(|uri| {
        let port = uri
            .port_u16()
            .map_or(String::new(), |port| format!(":{port}"));
        uri.host().map(|host| format!("{host}{port}"))
    });
    host.unwrap_or_else(|| "the centre".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_secrets_and_no_line_ends() {
        assert_eq!(
            place("http://u:p@h.example:8080/TOKEN?x=1"),
            "h.example:8080"
        );
        assert_eq!(told(404, b" not\nhere "), "HTTP 404: not here");
        assert_eq!(told(400, b""), "HTTP 400");
    }
}
