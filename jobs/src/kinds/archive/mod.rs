//! `archive`: cold rows leave a table, to another table, another database, files, or for good.
//!
//! **Guarantee.** A row leaves only after its copy is committed, and only if it is still what was copied and still meets the condition, which is looked at
//! again under lock. Within one database copy and deletion are one transaction. Between two, the row is locked in the source until the target has
//! committed; a run that is killed between the two commits is followed by one that knows its own copies (a row in the target, in their transaction),
//! makes them what the rows are by then, or takes them back where a row is not to leave any more: no row is in both in the end, none is lost.
//! Files are published whole, and named in one commit of the job's state, before the first of their rows leaves. Rows leave by the exact values of a
//! unique key, never by a range. Where a column of the target may round or cut values, copies are read again before their rows leave: one that is
//! not what was copied stays. A row that the target or the source refuses stays, and is told in the log; so does one whose key the target has with other content.
//! They keep nobody else from leaving, but the run ends as one with bad data (exit code 65): they would stay unnoticed for ever.
//! **Where it ends.** A row that is in a file already and that the table then refuses to let go (another one refers to it) stays, and every run writes
//! it once more, until `where` leaves it out. A row that others change after it was written to a file stays, and is written once more with its new content; one that others delete
//! while a killed run's copy waits for the next run stays archived. A key that the database hands out again after its row has left belongs to another row:
//! that one stays as long as the archive has the old one. Rows that refer to a deleted row and are deleted with it (`ON DELETE CASCADE`) are not copied.

mod across;
mod batch;
mod doubts;
mod export;
mod facts;
mod flight;
mod gauge;
mod here;
mod key;
mod pace;
mod params;
mod passage;
mod period;
mod rehearse;
mod slip;
mod stays;
mod target;
mod walk;

use crate::context::Context;
use crate::error::Error;
use crate::job::{Count, Invalid, Job, Report, Tally};
use crate::link::Link;
use across::Across;
use export::Export;
use facts::Facts;
use pace::Pace;
use params::{Action, Params, Table};
use passage::Passage;
use period::Pattern;
use stays::Stays;
use target::Targets;
use walk::Walk;

/// The job.
pub(super) struct Archive {
    params: Params,
}

impl Archive {
    /// One pass over all tables: what became of each. A table that is wrong keeps no other one from its turn; its error ends the pass.
    fn pass(&mut self, cx: &mut Context) -> Result<Vec<(String, Tally)>, Error> {
        export::finish_all(cx)?;
        let mut pace = Pace::begin(cx, &self.params)?;
        let mut db = cx.connect_source(&self.params.database.url)?;
        let (mut tallies, mut failed) = (Vec::new(), None);
        for (at, table) in self.params.tables.iter().enumerate() {
            if pace.is_over(cx)? {
                break;
            }
            match self.table(cx, &mut db, at, &mut pace) {
                Ok(tally) => tallies.push((table.name.clone(), tally)),
                Err(error) if error.is_of_one_table() => {
                    if self.params.tables.len() > 1 {
                        log::error!("{}: {}", table.name, error.chain());
                    }
                    failed.get_or_insert(error);
                    // whatever it was doing is taken back
                    db = cx.connect_source(&self.params.database.url)?;
                }
                Err(error) => return Err(error),
            }
        }
        failed.map_or(Ok(tallies), Err)
    }

    fn table(
        &self,
        cx: &mut Context,
        db: &mut Link,
        at: usize,
        pace: &mut Pace,
    ) -> Result<Tally, Error> {
        let table = &self.params.tables[at];
        let facts = Facts::expect(&mut **db, table, at)?;
        let mut stays = Stays::new(&table.name);
        let done = match table.action {
            Action::Export => Export::new(cx, &facts, table).pass(cx, db, pace, &mut stays),
            Action::Delete => {
                let mut deletion = here::Deletion { facts: &facts };
                batches(cx, db, (table, &facts), &mut deletion, pace, &mut stays)
            }
            Action::Move => {
                let url = self.params.other(table);
                carry(cx, db, (table, &facts), url, pace, &mut stays)
            }
        };
        stays.tell();
        let tally = Tally {
            rejected: stays.refused,
            ..done?
        };
        log::info!("{}: {} left", table.name, Count(tally.written, "row"));
        Ok(tally)
    }
}

/// Moves rows to another table, here or there.
fn carry(
    cx: &Context,
    db: &mut Link,
    of: (&Table, &Facts),
    url: Option<&str>,
    pace: &mut Pace,
    stays: &mut Stays,
) -> Result<Tally, Error> {
    let (table, facts) = of;
    let dated = pattern(table)?.is_some_and(|pattern| pattern.is_dated());
    let targets = Targets::new(facts, table.create || dated);
    let Some(url) = url else {
        return batches(cx, db, of, &mut here::Move { facts, targets }, pace, stays);
    };
    let other = cx.connect(url)?;
    let mut across = Across::new(facts, targets, db, other, cx.job())?;
    let before = across.recover(cx, db)?;
    let mut tally = batches(cx, db, of, &mut across, pace, stays)?;
    across.finish()?;
    tally.read += before;
    tally.written += before;
    Ok(tally)
}

/// Where rows go; `None` where they go nowhere.
fn pattern(table: &Table) -> Result<Option<Pattern>, Error> {
    let parsed = table.to.as_deref().map(Pattern::parse).transpose();
    parsed.map_err(Error::Invalid)
}

/// Lets rows leave batch by batch until there are none, or the pass has to end.
fn batches(
    cx: &Context,
    db: &mut Link,
    (table, facts): (&Table, &Facts),
    passage: &mut dyn Passage,
    pace: &mut Pace,
    stays: &mut Stays,
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    let mut walk = Walk::new(facts, pattern(table)?);
    let doing = format!("archiving {}", facts.name);
    while !pace.is_over(cx)? {
        let turn = walk.next(cx, &mut **db, stays)?;
        if turn.is_empty() {
            break;
        }
        for batch in &turn {
            cx.checkpoint()?;
            let refused = stays.refused;
            let left = passage::pass(cx, db, passage, batch, stays)?;
            let found = batch.keys.len() as u64;
            stays.changed(found.saturating_sub(left + stays.refused - refused));
            tally.read += found;
            tally.written += left;
            pace.rest(cx, table.pause.0, left, &doing)?;
        }
    }
    Ok(tally)
}

impl Job for Archive {
    const KIND: &'static str = "archive";
    const ABOUT: &'static str =
        "takes cold rows out of tables: to other tables, to files, or for good";
    const SAMPLE: &'static str = include_str!("../../../../etc/jobs/archive.xml");
    type Params = Params;

    fn new(params: Params) -> Result<Self, Invalid> {
        params.validate()?;
        Ok(Archive { params })
    }

    fn run(&mut self, cx: &mut Context) -> Result<Tally, Error> {
        let tallies = self.pass(cx)?;
        let stuck: Vec<String> = tallies
            .iter()
            .filter(|(_, tally)| tally.rejected > 0)
            .map(|(name, tally)| format!("{} of {name}", Count(tally.rejected, "row")))
            .collect();
        if stuck.is_empty() {
            let mut all = Tally::default();
            tallies.into_iter().for_each(|(_, tally)| all += tally);
            return Ok(all);
        }
        Err(Error::Data(format!(
            "{} cannot leave and stay, as told above",
            stuck.join(", ")
        )))
    }

    fn check(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        rehearse::check(cx, &self.params, report)
    }

    fn dry_run(&mut self, cx: &mut Context, report: &mut Report) -> Result<(), Error> {
        rehearse::check(cx, &self.params, report)?;
        if report.problems.is_empty() {
            rehearse::dry_run(cx, &self.params, report)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
