//! What the job file of a forward says. What of it does not fit together is found in `check`.

use std::time::Duration;

use jobfile::{Interval, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intake::Framing;

/// Takes records in over TCP, keeps them on disk, and delivers them over HTTP.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::kinds) struct Params {
    /// Where senders come in.
    pub(super) listen: Listen,
    /// Where records are kept until they are delivered.
    pub(super) spool: SpoolFolder,
    /// Where records go; each `<deliver>` gets all of them, at its own pace. A change of these takes effect under the running job.
    #[serde(rename = "deliver")]
    pub(super) delivers: Vec<Deliver>,
}

/// Where senders come in.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Listen {
    /// Address and port, `0.0.0.0:7000`.
    pub(super) address: String,
    /// How records are told apart: `line`, or `frame` with the senders' own numbers (see jobs/FORWARD.md).
    #[serde(default)]
    pub(super) framing: Framing,
    /// Lines: whether each sender is told how many of its records are durable, as a number on a line of its own.
    #[serde(default)]
    pub(super) ack: bool,
    /// The longest record; a longer one is refused, and its connection ended.
    #[serde(default = "one_megabyte")]
    pub(super) max_record: Size,
    /// How long a sender may be silent in the middle of a record.
    #[serde(default = "a_minute")]
    pub(super) timeout: Interval,
    /// The most connections at a time.
    #[serde(default = "connections")]
    pub(super) connections: u32,
    /// Frames: the shared key that senders log in with, `${file:forward.key}`.
    pub(super) key: Option<String>,
    /// Senders speak TLS.
    pub(super) tls: Option<Tls>,
}

/// The server's certificate.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file with the certificate, those that prove it after it.
    pub(super) cert: String,
    /// PEM file with the private key.
    pub(super) key: String,
}

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SpoolFolder {
    /// The folder; this job's alone.
    pub(super) dir: String,
    /// A file of records is closed at this size, and removed when all in it is delivered.
    #[serde(default = "segment")]
    pub(super) segment: Size,
    /// The most that the spool may take on the disk, dead letters and quarantine among it; when it is full, senders wait.
    #[serde(default = "quota")]
    pub(super) quota: Size,
    /// `always`: a record is acknowledged when it is on disk. A time such as `200ms`: when it is written; a loss of power
    /// then costs what was acknowledged within that time.
    #[serde(default)]
    pub(super) sync: SyncPolicy,
    /// How long delivered files are kept, for `jobs spool replay`; less when the quota needs it.
    #[serde(default)]
    pub(super) keep: Interval,
}

/// When records are synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(always|[0-9]+(ms|s))$"))]
pub(crate) enum SyncPolicy {
    /// Before each acknowledgement.
    #[default]
    Always,
    /// This long after a write at the latest.
    Every(Duration),
}

impl From<SyncPolicy> for String {
    fn from(policy: SyncPolicy) -> String {
        match policy {
            SyncPolicy::Always => "always".to_owned(),
            SyncPolicy::Every(window) => Interval(window).to_string(),
        }
    }
}

impl TryFrom<String> for SyncPolicy {
    type Error = String;

    fn try_from(text: String) -> Result<SyncPolicy, String> {
        if text == "always" {
            return Ok(SyncPolicy::Always);
        }
        match text.parse() {
            Ok(Interval(window)) if (1..=60_000).contains(&window.as_millis()) => {
                Ok(SyncPolicy::Every(window))
            }
            _ => Err(format!(
                "`{text}` is no `sync`: that is `always`, or a time from 1ms to 60s"
            )),
        }
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Deliver {
    /// The name of its cursor; needed where there are several.
    #[serde(default = "main")]
    pub(super) name: String,
    /// Records are posted here.
    pub(super) url: String,
    /// `strict`: one request at a time, in order. `key`: in order among records of one key. `none`: as they come.
    #[serde(default)]
    pub(super) order: Order,
    /// Order `key`: what of a record is its key. `/a/b`: a JSON pointer; a number: that field of those that blanks
    /// separate; a word: that member of a JSON object, or `word=value` in a text; else a regular expression, whose first group counts.
    pub(super) key: Option<String>,
    /// Requests at a time; left out: 1 with order `strict`, else 4.
    pub(super) workers: Option<u32>,
    /// The most records in a request; left out: 100, with body `record` 1.
    pub(super) batch: Option<u32>,
    /// The most bytes of records in a request; one record may be longer.
    #[serde(default = "one_megabyte")]
    pub(super) bytes: Size,
    /// A request that is not full goes when its first record has waited this long.
    #[serde(default = "age")]
    pub(super) age: Interval,
    /// How long a request may take.
    #[serde(default = "ten_seconds")]
    pub(super) timeout: Interval,
    /// What a request holds: `lines`, one record each; `json`, an array of records; `record`, one record as it is.
    #[serde(default)]
    pub(super) body: Body,
    /// Whether bodies are packed by gzip.
    #[serde(default)]
    pub(super) gzip: bool,
    /// After so many refusals (4xx, but for 408, 425 and 429) of a record it goes to the dead letters; left out: it is tried
    /// again for ever, and those behind it wait.
    pub(super) give_up: Option<u32>,
    /// A PEM file of the authorities that the server's certificate may come from; left out: the system's.
    pub(super) ca: Option<String>,
    /// Further headers of each request.
    #[serde(rename = "header", default)]
    pub(super) headers: Vec<Header>,
}

/// A header of each request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Header {
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

/// In which order records go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// One request at a time, in order.
    #[default]
    Strict,
    /// In order among records of one key.
    Key,
    /// In any order.
    None,
}

/// What a request holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Body {
    /// A record a line.
    #[default]
    Lines,
    /// A JSON array; records that are no JSON become strings in it.
    Json,
    /// One record, as it is.
    Record,
}

fn one_megabyte() -> Size {
    Size(1 << 20)
}
fn a_minute() -> Interval {
    Interval::secs(60)
}
fn connections() -> u32 {
    4096
}
fn segment() -> Size {
    Size(64 << 20)
}
fn quota() -> Size {
    Size(10 << 30)
}
fn main() -> String {
    "main".to_owned()
}
fn age() -> Interval {
    Interval::millis(50)
}
fn ten_seconds() -> Interval {
    Interval::secs(10)
}

impl SpoolFolder {
    /// The size of a segment: small enough that a few fit into the quota.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment.0.min(self.quota.0 / 8)
    }
}

impl Deliver {
    /// Requests at a time.
    pub(super) fn workers(&self) -> u32 {
        let usual = match self.order {
            Order::Strict => 1,
            Order::Key | Order::None => 4,
        };
        self.workers.unwrap_or(usual)
    }

    /// The most records in a request.
    pub(super) fn batch(&self) -> u32 {
        let usual = match self.body {
            Body::Record => 1,
            Body::Lines | Body::Json => 100,
        };
        self.batch.unwrap_or(usual)
    }
}
