//! What the job remembers: of each URL the version that was fetched last, of an interrupted one the part that is there, and what is
//! being published.

use std::collections::HashSet;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::links::Address;
use crate::context::Context;
use crate::error::Error;
use crate::state::Changes;

/// How long a URL is remembered that nobody asks for any more: those with dates in them are many.
const REMEMBERED: TimeDelta = TimeDelta::days(30);
/// How often it is written down that a URL is still asked for.
const REFRESH: TimeDelta = TimeDelta::days(1);
const PLAN: &str = "plan";

/// What a server says of a version: enough to ask for it again only when there is another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Validators {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
}

impl Validators {
    /// The one that proves that a part belongs to the whole: a strong tag, else a time.
    pub(super) fn strong(&self) -> Option<&str> {
        let tag = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        tag.or(self.last_modified.as_deref())
    }
}

/// The version that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(flatten)]
    pub(super) validators: Validators,
    /// BLAKE3 of the bytes, where they came in one piece: servers without validators send the same again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<String>,
    /// When it was asked for last, to the day.
    pub(super) asked: DateTime<Utc>,
}

/// A version of which only a part is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    #[serde(flatten)]
    pub(super) validators: Validators,
    /// Where the part is.
    pub(super) draft: String,
}

/// A file that is complete under its temporary name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) draft: String,
    pub(super) target: String,
}

/// The state's names for one URL and the file that it becomes. What is secret in a URL is hashed.
pub(super) struct Memory {
    known: String,
    part: String,
}

impl Memory {
    pub(super) fn of(address: &Address, to: &str, name: &str) -> Memory {
        let hash = blake3::hash(address.text().as_bytes()).to_hex();
        let what = format!("{} {} > {to}/{name}", address.shown(), &hash[..16]);
        Memory {
            known: format!("got {what}"),
            part: format!("part {what}"),
        }
    }

    /// The version that was fetched last.
    pub(super) fn known(&self, cx: &mut Context) -> Result<Option<Known>, Error> {
        cx.state()?.get(&self.known)
    }

    /// What an interrupted version was.
    pub(super) fn part(&self, cx: &mut Context) -> Result<Option<Part>, Error> {
        cx.state()?.get(&self.part)
    }

    /// Bytes of this version are about to come.
    pub(super) fn begin(&self, cx: &mut Context, part: &Part) -> Result<(), Error> {
        cx.state()?.set(&self.part, part)
    }

    /// A part is good for nothing any more.
    pub(super) fn give_up(&self, cx: &mut Context) -> Result<(), Error> {
        cx.state()?.delete(&self.part)
    }

    /// The version is complete; with the plan that publishes it, if it is to be published.
    pub(super) fn keep(
        &self,
        cx: &mut Context,
        known: &Known,
        plan: Option<&Plan>,
    ) -> Result<(), Error> {
        let mut changes = Changes::new().set(&self.known, known)?.delete(&self.part);
        if let Some(plan) = plan {
            changes = changes.set(PLAN, plan)?;
        }
        cx.state()?.commit(changes)
    }

    /// The same version is still asked for.
    pub(super) fn refresh(&self, cx: &mut Context, known: Known) -> Result<(), Error> {
        let now = cx.now();
        if now - known.asked < REFRESH {
            return Ok(());
        }
        cx.state()?.set(
            &self.known,
            &Known {
                asked: now,
                ..known
            },
        )
    }
}

/// What an earlier run had complete and not published.
pub(super) fn unfinished(cx: &mut Context) -> Result<Option<Plan>, Error> {
    cx.state()?.get(PLAN)
}

/// The plan is carried out.
pub(super) fn settle(cx: &mut Context) -> Result<(), Error> {
    cx.state()?.delete(PLAN)
}

/// Where parts lie that somebody may go on with.
pub(super) fn parts(cx: &mut Context) -> Result<HashSet<PathBuf>, Error> {
    let all = cx.state()?.all()?.into_iter();
    let parts = all.filter(|(name, _)| name.starts_with("part "));
    let parts = parts.filter_map(|(_, value)| serde_json::from_value::<Part>(value).ok());
    Ok(parts.map(|part| PathBuf::from(part.draft)).collect())
}

/// Forgets URLs that nobody asks for any more.
pub(super) fn prune(cx: &mut Context) -> Result<(), Error> {
    let now = cx.now();
    let mut old = Vec::new();
    for (name, value) in cx.state()?.all()? {
        if name.starts_with("got ") {
            let known: Option<Known> = serde_json::from_value(value).ok();
            if known.is_some_and(|known| now - known.asked > REMEMBERED) {
                old.push(name);
            }
        }
    }
    if old.is_empty() {
        return Ok(());
    }
    let changes = old
        .into_iter()
        .fold(Changes::new(), |changes, name| changes.delete(&name));
    cx.state()?.commit(changes)
}
