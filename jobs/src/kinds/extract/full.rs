//! One pass over everything: one snapshot, over one connection or several.

use serde::{Deserialize, Serialize};

use super::facts::{self, Facts};
use super::memory;
use super::params::Params;
use super::parts::{Desk, Lot, Parts, Shelf};
use super::query;
use super::split::{self, Way};
use crate::context::Context;
use crate::error::Error;
use crate::job::Tally;
use crate::link::Link;
use crate::state::Changes;

/// The plan of a full extract: its files are named by this time, also when it is repeated after a crash.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    time: String,
}

/// One pass over everything.
pub(super) fn pass(
    cx: &mut Context,
    params: &Params,
    facts: &Facts,
    shelf: &Shelf,
    db: &mut Link,
) -> Result<Tally, Error> {
    let plan = match cx.state()?.get::<Plan>(memory::PLAN)? {
        Some(plan) => plan,
        None => {
            let time = cx.now().format("%Y%m%dT%H%M%S%3fZ").to_string();
            let plan = Plan { time };
            cx.state()?.set(memory::PLAN, &plan)?;
            plan
        }
    };
    let lot = if params.source.parts > 1 {
        match split::way(cx, params, facts, &mut **db)? {
            Way::Divided(along) => split::read(cx, along, facts, shelf, db)?,
            Way::Alone(why) => {
                log::info!("reading over one connection: {why}");
                read(cx, params, shelf, db)?
            }
        }
    } else {
        read(cx, params, shelf, db)?
    };
    let written = lot.name(&*cx.disk(), shelf, &plan.time, true)?;
    memory::publish(cx, shelf, &written, Changes::new())
}

fn read(cx: &Context, params: &Params, shelf: &Shelf, db: &mut Link) -> Result<Lot, Error> {
    let statement = query::full(params, db.dialect())?;
    db.begin_snapshot()?;
    let mut rows = facts::start(cx, &mut **db, &statement)?;
    let mut parts = Parts::new(Desk::of(cx, 0), shelf);
    parts.describe(rows.columns());
    while parts.gather(&mut *rows)? > 0 {
        let (rows, bytes) = parts.pace();
        cx.progress(rows, bytes);
        cx.checkpoint()?;
    }
    drop(rows);
    db.commit()?;
    if parts.rows == 0 {
        parts.none()?;
    }
    let (rows, bytes) = parts.pace();
    cx.progress(rows, bytes);
    parts.finish()
}
