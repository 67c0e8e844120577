//! Names on the server that a broken try has given up: a server that hears late of what it was asked may make such a file when nobody
//! waits for it any more. They are written down, and removed when they are seen.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::crew::Crew;
use super::session::Session;
use crate::context::Context;
use crate::error::Error;
use crate::state::Changes;

/// The state's name for them.
const LITTER: &str = "litter";
/// How long a server may take to hear of what it was asked: far longer than it keeps a connection that was cut.
const LATEST: TimeDelta = TimeDelta::hours(1);
/// The most names that are written down; others are found when their folder is listed for the next file.
const MOST: usize = 1000;

/// A name that was given up.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Name {
    path: String,
    since: DateTime<Utc>,
}

/// Writes names down.
///
/// # Errors
/// When the state cannot be written.
pub(super) fn note(cx: &mut Context, paths: &[String]) -> Result<(), Error> {
    if paths.is_empty() {
        return Ok(());
    }
    let since = cx.now();
    let mut names: Vec<Name> = cx.state()?.get(LITTER)?.unwrap_or_default();
    names.extend(paths.iter().cloned().map(|path| Name { path, since }));
    names.truncate(MOST);
    cx.state()?.set(LITTER, &names)
}

/// Removes those that are there, and forgets them; those that are not may still come, for a while.
///
/// # Errors
/// When the server cannot be reached, at a stop, or when the state cannot be written.
pub(super) fn clear(cx: &mut Context, crew: &Crew<'_>) -> Result<(), Error> {
    let Some(names) = cx.state()?.get::<Vec<Name>>(LITTER)? else {
        return Ok(());
    };
    let mut seen = vec![false; names.len()];
    let look = |cx: &Context, session: &mut Session, name: &Name| {
        if session.size(cx, &name.path)?.is_none() && session.can("SIZE") {
            return Ok(false);
        }
        session.remove(cx, &name.path).map(|()| true)
    };
    crew.each(cx, 1, &names, look, |number, removed| {
        match removed {
            Ok(removed) => seen[number] = removed,
            Err(error) => log::warn!("{}", error.chain()),
        }
        Ok(())
    })?;
    let now = cx.now();
    let left: Vec<Name> = names
        .into_iter()
        .zip(seen)
        .filter(|(name, seen)| !seen && now - name.since < LATEST)
        .map(|(name, _)| name)
        .collect();
    if left.is_empty() {
        cx.state()?.commit(Changes::new().delete(LITTER))
    } else {
        cx.state()?.set(LITTER, &left)
    }
}

/// Removes drafts that nobody goes on with.
///
/// # Errors
/// When the server cannot be reached, or at a stop.
pub(super) fn remove(cx: &Context, crew: &Crew<'_>, stale: &[String]) -> Result<(), Error> {
    let remove = |cx: &Context, session: &mut Session, path: &String| session.remove(cx, path);
    crew.each(cx, 1, stale, remove, |number, removed| {
        match removed {
            Ok(()) => log::info!(
                "removed {} on the server, left by a run that was killed",
                stale[number]
            ),
            Err(error) => log::warn!("{}", error.chain()),
        }
        Ok(())
    })
}
