//! What the job file of a forward says, and what of it does not fit together.

use std::{collections::BTreeSet, time::Duration};

use jobfile::{Interval, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{deliver::Key, intake::Framing, spool::MAX_BODY};
use crate::job::Invalid;

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
    /// The most that the spool may take on the disk; when it is full, senders wait.
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
                "`{text}` is neither `always` nor a time from 1ms to 60s"
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

impl Params {
    /// What does not fit together.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.listen.check()?;
        self.spool.check()?;
        if self.delivers.is_empty() {
            return Err(Invalid::new("", "forward needs at least one <deliver>"));
        }
        let mut names = BTreeSet::new();
        for (at, deliver) in self.delivers.iter().enumerate() {
            let at = format!("deliver[{}]", at + 1);
            deliver.check(&at)?;
            if !names.insert(&deliver.name) {
                return Err(Invalid::new(
                    format!("{at}.name"),
                    format!(
                        "there are two delivers called `{}`; give each a name",
                        deliver.name
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl Listen {
    fn check(&self) -> Result<(), Invalid> {
        let port = self
            .address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            let text = format!(
                "`{}` is no address and port, such as 0.0.0.0:7000",
                self.address
            );
            return Err(Invalid::new("listen.address", text));
        }
        let max = self.max_record.0;
        if max == 0 || max > MAX_BODY as u64 {
            return Err(Invalid::new(
                "listen.max-record",
                "must be from 1 byte to 64M",
            ));
        }
        if self.framing == Framing::Line && self.key.is_some() {
            return Err(Invalid::new(
                "listen.key",
                "only framing `frame` has a login",
            ));
        }
        if self.framing == Framing::Frame && self.ack {
            return Err(Invalid::new(
                "listen.ack",
                "framing `frame` always acknowledges",
            ));
        }
        if self.key.as_deref().is_some_and(str::is_empty) {
            return Err(Invalid::new("listen.key", "is empty"));
        }
        if self.connections == 0 {
            return Err(Invalid::new("listen.connections", "must be at least 1"));
        }
        if self.timeout.0.is_zero() {
            return Err(Invalid::new("listen.timeout", "must be more than nothing"));
        }
        Ok(())
    }
}

impl SpoolFolder {
    fn check(&self) -> Result<(), Invalid> {
        if self.dir.is_empty() {
            return Err(Invalid::new("spool.dir", "names no folder"));
        }
        if self.segment.0 == 0 || self.segment.0 > 1 << 30 {
            return Err(Invalid::new("spool.segment", "must be from 1 byte to 1G"));
        }
        if self.quota.0 < 64 << 10 {
            return Err(Invalid::new("spool.quota", "must be at least 64K"));
        }
        Ok(())
    }

    /// The size of a segment: small enough that a few fit into the quota.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment.0.min(self.quota.0 / 8)
    }
}

impl Deliver {
    fn check(&self, at: &str) -> Result<(), Invalid> {
        let wrong = |what: &str, why: String| Err(Invalid::new(format!("{at}.{what}"), why));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(plain) {
            return wrong(
                "name",
                "1 to 63 letters, digits, `.`, `_` and `-`".to_owned(),
            );
        }
        if !self.url.starts_with("http://") && !self.url.starts_with("https://") {
            return wrong("url", "must begin with http:// or https://".to_owned());
        }
        if self.url.parse::<ureq::http::Uri>().is_err() {
            return wrong("url", "is no URL".to_owned());
        }
        let workers = self.workers();
        if workers == 0 || workers > 256 {
            return wrong("workers", "must be from 1 to 256".to_owned());
        }
        if self.order == Order::Strict && workers > 1 {
            let text = "order `strict` has one request at a time: workers must be 1, or order `key` or `none`";
            return wrong("workers", text.to_owned());
        }
        match (&self.key, self.order) {
            (None, Order::Key) => return wrong("key", "order `key` needs it".to_owned()),
            (Some(_), Order::Strict | Order::None) => {
                return wrong("key", "only order `key` has one".to_owned());
            }
            _ => {}
        }
        if let Some(Err(why)) = self.key.as_deref().map(str::parse::<Key>) {
            return wrong("key", why);
        }
        if self.batch() == 0 || self.batch() > 100_000 {
            return wrong("batch", "must be from 1 to 100000".to_owned());
        }
        if self.body == Body::Record && self.batch() > 1 {
            return wrong(
                "batch",
                "body `record` holds one record: batch must be 1".to_owned(),
            );
        }
        if self.bytes.0 == 0 {
            return wrong("bytes", "must be at least 1".to_owned());
        }
        if self.timeout.0.is_zero() {
            return wrong("timeout", "must be more than nothing".to_owned());
        }
        if self.give_up == Some(0) {
            return wrong("give-up", "must be at least 1".to_owned());
        }
        for (n, header) in self.headers.iter().enumerate() {
            let name = header.name.parse::<ureq::http::HeaderName>().is_ok();
            let value = header.value.parse::<ureq::http::HeaderValue>().is_ok();
            if !name || !value {
                let what = format!("header[{}]", n + 1);
                return wrong(&what, "is no header of HTTP".to_owned());
            }
        }
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jobfile::JobFile;

    use super::*;

    fn read(listen: &str, spool: &str, deliver: &str) -> Result<Params, String> {
        let text = format!(
            r#"<forward><listen address="0.0.0.0:7000" {listen}/><spool dir="s" {spool}/>{deliver}</forward>"#
        );
        let file = JobFile::from_text(Path::new("a.xml"), text.as_bytes()).unwrap();
        let params: Params = file.params().map_err(|problems| problems.to_string())?;
        params
            .check()
            .map_err(|invalid| format!("{}: {}", invalid.at, invalid.message))?;
        Ok(params)
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let one = r#"<deliver url="http://h/"/>"#;
        read("", "", one).unwrap();
        read("framing='frame' key='x'", "sync='200ms'", one).unwrap();
        for (listen, spool, deliver, place) in [
            ("key='x'", "", one, "listen.key"),
            ("max-record='65M'", "", one, "listen.max-record"),
            ("", "sync='never'", one, "never"),
            ("", "quota='1K'", one, "spool.quota"),
            ("", "", "", "deliver"),
            (
                "",
                "",
                "<deliver url='http://h/'/><deliver url='http://i/'/>",
                "deliver[2].name",
            ),
            ("", "", "<deliver url='ftp://h/'/>", "deliver[1].url"),
            (
                "",
                "",
                "<deliver url='http://h/' workers='2'/>",
                "deliver[1].workers",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' order='key'/>",
                "deliver[1].key",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' order='key' key='('/>",
                "deliver[1].key",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' key='a'/>",
                "deliver[1].key",
            ),
            (
                "",
                "",
                "<deliver url='http://h/' body='record' batch='2'/>",
                "deliver[1].batch",
            ),
            (
                "",
                "",
                "<deliver url='http://h/'><header name='a b' value='c'/></deliver>",
                "header[1]",
            ),
        ] {
            let error = read(listen, spool, deliver).unwrap_err();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn segments_fit_into_the_quota() {
        let one = r#"<deliver url="http://h/"/>"#;
        assert_eq!(
            read("", "quota='1M'", one).unwrap().spool.segment_bytes(),
            128 << 10
        );
        assert_eq!(read("", "", one).unwrap().spool.segment_bytes(), 64 << 20);
    }
}
