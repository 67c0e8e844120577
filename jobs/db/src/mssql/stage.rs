//! A chunk of rows through the temporary table into the table: sifted there, then brought in one statement; what a rule refuses is split until each
//! bad row stands alone with its own error.

use super::fault::{Trouble, fault, is_of_a_row};
use super::link::Link;
use super::plan::{Plan, STAGE, Way};
use crate::block::Block;
use crate::gathering::Outcome;
use crate::{Cell, Constraint, Error, ErrorKind};
use std::ops::Range;

/// Loads a block.
pub(super) fn load(link: &mut Link, plan: &Plan, block: &Block) -> Result<Outcome, Trouble> {
    let mut outcome = Outcome::default();
    let mut good: Vec<(i64, Vec<Option<Vec<u8>>>)> = Vec::with_capacity(block.rows());
    for place in 0..block.rows() {
        match read(plan, &block.row(place)) {
            Ok(cells) => good.push((number(place), cells)),
            Err(error) => outcome.rejects.push((place, *error)),
        }
    }
    link.say(&format!("TRUNCATE TABLE {STAGE}"))?;
    let rows = good.iter().map(|(number, cells)| {
        let cells: Vec<Cell<'_>> = cells.iter().map(Option::as_deref).collect();
        (*number, cells)
    });
    link.bulk(STAGE, rows)?;
    let misfits = sift(link, plan, &mut outcome)?;
    let mut numbers: Vec<i64> = good.iter().map(|(number, _)| *number).collect();
    numbers.retain(|number| !misfits.contains(number));
    bring(link, plan, block, &numbers, &mut outcome)?;
    outcome.rejects.sort_by_key(|(place, _)| *place);
    Ok(outcome)
}

fn number(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// The row's cells as the server reads them.
fn read(plan: &Plan, cells: &[Cell<'_>]) -> Result<Vec<Option<Vec<u8>>>, Box<Error>> {
    let each = plan.targets.iter().zip(cells).map(|(target, cell)| {
        let Some(text) = cell else { return Ok(None) };
        let refused = |why: &str| {
            let text = String::from_utf8_lossy(text);
            let shown: String = text.chars().take(40).collect();
            let dots = if shown.len() < text.len() { "…" } else { "" };
            let error = Error::new(ErrorKind::Type, &plan.action).at_column(&target.name);
            Box::new(error.because(format!("{shown:?}{dots} is {why}")))
        };
        let text = target.readable(text).map_err(refused)?;
        Ok(Some(text.into_owned()))
    });
    each.collect()
}

/// Takes rows out whose text no column can hold; their numbers.
fn sift(link: &mut Link, plan: &Plan, outcome: &mut Outcome) -> Result<Vec<i64>, Trouble> {
    let Some(sql) = plan.sift() else {
        return Ok(Vec::new());
    };
    let mut numbers = Vec::new();
    for row in link.ask(&sql)? {
        let mut cells = row.into_iter().flatten();
        let mut next = || cells.next().and_then(|text| text.parse::<i64>().ok());
        let (Some(number), place) = (next(), next()) else {
            continue;
        };
        let target = place
            .and_then(|place| usize::try_from(place).ok())
            .and_then(|place| plan.targets.get(place));
        let error = Error::new(ErrorKind::Type, &plan.action);
        let error = match target {
            Some(target) => error.at_column(&target.name),
            None => error,
        };
        let error = error.because("the text is none that the column's type can hold whole");
        outcome
            .rejects
            .push((usize::try_from(number).unwrap_or(0), error));
        numbers.push(number);
    }
    Ok(numbers)
}

/// Brings rows into the table, splitting them for as long as the server refuses.
fn bring(
    link: &mut Link,
    plan: &Plan,
    block: &Block,
    numbers: &[i64],
    outcome: &mut Outcome,
) -> Result<(), Trouble> {
    let mut stack: Vec<&[i64]> = vec![numbers];
    while let Some(numbers) = stack.pop() {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            continue;
        };
        let range: Range<i64> = *first..*last + 1;
        match link.ask(&plan.bring(&range)) {
            Ok(told) => {
                let done = told.into_iter().flatten().flatten().next();
                let done = done
                    .and_then(|count| count.parse::<u64>().ok())
                    .unwrap_or(0);
                let whole = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
                let loaded = if plan.way == Way::Skip {
                    done.min(whole)
                } else {
                    whole
                };
                outcome.rows += loaded;
                outcome.skipped += whole - loaded;
            }
            Err(Trouble::Refused {
                number, message, ..
            }) if is_of_a_row(number) => {
                intact(link, number, &message)?;
                if numbers.len() > 1 {
                    let (before, after) = numbers.split_at(numbers.len() / 2);
                    stack.extend([after, before]);
                    continue;
                }
                let refused = Trouble::Refused {
                    number,
                    severity: 16,
                    message,
                };
                reject(link, plan, block, *first, refused, outcome)?;
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// A trigger that refuses a row ends the whole transaction with it: then nothing can go on.
fn intact(link: &mut Link, number: u32, message: &str) -> Result<(), Trouble> {
    let state = link.ask("SELECT XACT_STATE()")?;
    if state.iter().flatten().flatten().any(|state| state == "1") {
        return Ok(());
    }
    let why = format!("the transaction was ended with a row's error {number}: {message}");
    Err(Trouble::Senseless(why))
}

/// One row that the server refused.
fn reject(
    link: &mut Link,
    plan: &Plan,
    block: &Block,
    number: i64,
    refused: Trouble,
    outcome: &mut Outcome,
) -> Result<(), Trouble> {
    let place = usize::try_from(number).unwrap_or(0);
    let error = fault(&plan.action, ErrorKind::Cancelled, refused);
    let row = block.row(place);
    let column = match error.kind() {
        ErrorKind::Constraint(Constraint::NotNull) => {
            let mut both = plan.targets.iter().zip(&row);
            both.find(|(target, cell)| target.required && cell.is_none())
                .map(|(target, _)| target.name.clone())
        }
        ErrorKind::Constraint(Constraint::Unique) => {
            if plan.way == Way::Skip {
                outcome.skipped += 1;
                return Ok(());
            }
            doubled(link, plan, number)?
        }
        ErrorKind::Type => plan.suspicion.of(&row).map(str::to_owned),
        _ => None,
    };
    let error = match column {
        Some(column) => error.at_column(column),
        None => error,
    };
    outcome.rejects.push((place, error));
    Ok(())
}

/// The key that the table has already, found by asking for each.
fn doubled(link: &mut Link, plan: &Plan, number: i64) -> Result<Option<String>, Trouble> {
    for (name, places) in &plan.keys {
        if plan.way == Way::Upsert(places.clone()) {
            continue;
        }
        let told = link.ask(&plan.there(number, places))?;
        if told.iter().flatten().flatten().any(|count| count != "0") {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}
