//! The parameters of `fetch`, as a job file says them.

use jobfile::{Interval, Patterns, Size, Zone};
use schemars::JsonSchema;
use serde::Deserialize;

use super::dates;
use super::links::{Address, fault_of_name};
use crate::job::Invalid;

/// What is new on a server comes into a folder, whole or not at all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// What is fetched; worked on in order.
    #[serde(rename = "get")]
    pub(super) gets: Vec<Get>,
}

/// Something that is fetched.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Get {
    /// The URL, `http:` or `https:`. `{yyyy}`, `{yy}`, `{mm}`, `{dd}`, `{HH}`, `{MM}`, `{SS}`, `{jjj}` (day of the year) stand for the time of the run.
    pub(super) url: String,
    /// The folder; it is made.
    pub(super) to: String,
    /// The file's name, with dates as in the URL. The last part of the URL's path unless given.
    #[serde(default)]
    pub(super) file: Option<String>,
    /// The URL is that of an index page: what its links name on the same server is fetched where the last part of the path
    /// matches one of these patterns, comma-separated.
    #[serde(rename = "match", default)]
    pub(super) pattern: Option<Patterns>,
    /// The zone of the dates. The machine's own unless given.
    #[serde(default)]
    pub(super) zone: Zone,
    /// The dates are those of so long ago.
    #[serde(default)]
    pub(super) ago: Interval,
    /// Further headers of the requests.
    #[serde(rename = "header", default)]
    pub(super) headers: Vec<Header>,
    /// A bearer token; better `${file:PATH}` or `${env:NAME}` than the word itself.
    #[serde(default)]
    pub(super) bearer: Option<String>,
    /// An account, for basic authentication.
    #[serde(default)]
    pub(super) user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub(super) password: Option<String>,
    /// A PEM file of the authorities that the server's certificate may come from. The system's unless given.
    #[serde(default)]
    pub(super) ca: Option<String>,
    /// The most bytes that a file may have, unpacked.
    #[serde(default)]
    pub(super) max_size: Option<Size>,
    /// How long the server may be silent.
    #[serde(default = "half_a_minute")]
    pub(super) timeout: Interval,
    /// How often it is tried again when the server cannot be reached or is busy, 1s, 2s, 4s and so on apart.
    #[serde(default = "three")]
    pub(super) retries: u32,
    /// Whether a URL that is not there (404, 410) is passed over instead of an error: for what is not published every time.
    #[serde(default)]
    pub(super) optional: bool,
}

/// A header of the requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Header {
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

const fn half_a_minute() -> Interval {
    Interval::secs(30)
}
const fn three() -> u32 {
    3
}

impl Params {
    /// Whether the parameters fit together.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.gets.is_empty() {
            return Err(Invalid::new("get", "names nothing to fetch"));
        }
        for (i, get) in self.gets.iter().enumerate() {
            get.check()
                .map_err(|(name, why)| Invalid::new(format!("get[{}].{name}", i + 1), why))?;
        }
        Ok(())
    }
}

impl Get {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let some_day = chrono::NaiveDate::MIN.and_time(chrono::NaiveTime::MIN);
        let url = dates::fill(&self.url, some_day).map_err(|why| ("url", why))?;
        let address = Address::parse(&url).map_err(|why| ("url", why))?;
        if self.to.is_empty() {
            return Err(("to", "names no folder".to_owned()));
        }
        match (&self.file, &self.pattern) {
            (Some(_), Some(_)) => {
                return Err((
                    "file",
                    "every link of an index page has its own name".to_owned(),
                ));
            }
            (Some(file), None) => {
                let name = dates::fill(file, some_day).map_err(|why| ("file", why))?;
                if let Some(why) = fault_of_name(&name) {
                    return Err(("file", format!("`{name}`: {why}")));
                }
            }
            (None, None) if address.name().is_err() => {
                return Err((
                    "file",
                    "is needed: the URL's path ends in no name".to_owned(),
                ));
            }
            (None, _) => {}
        }
        if self.bearer.is_some() && self.user.is_some() {
            return Err((
                "bearer",
                "a token and an account exclude each other".to_owned(),
            ));
        }
        if self.password.is_some() && self.user.is_none() {
            return Err(("password", "whose? `user` is missing".to_owned()));
        }
        if self.timeout.0.is_zero() {
            return Err(("timeout", "no server answers in no time".to_owned()));
        }
        for header in &self.headers {
            let name_ok = !header.name.is_empty()
                && header
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if !name_ok || header.value.contains(['\r', '\n', '\0']) {
                return Err(("header", format!("`{}` cannot be sent", header.name)));
            }
        }
        Ok(())
    }
}
