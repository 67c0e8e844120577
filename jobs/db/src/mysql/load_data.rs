//! LOAD DATA LOCAL: rows sent from memory where the server asks for a file. It is only ever answered with the rows of the
//! statement that runs, whatever name the server asks for, and no file is opened.

use super::dialect::Mysql;
use super::fault::{Trouble, foreign};
use super::target::Target;
use super::wire::{Done, Wire};
use crate::{Dialect, TableName};

/// The name that our statement gives its rows.
const NAME: &str = "rows";

/// The statement; its marks are hex, as a mode of the server changes what a backslash in a string means.
pub(super) fn statement(table: &TableName, targets: &[Target]) -> String {
    let mut places = Vec::new();
    let mut sets = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        let column = Mysql.quote(&target.name);
        if target.is_plain() {
            places.push(column);
        } else {
            let variable = format!("@load_{index}");
            sets.push(format!("{column} = {}", target.converted(&variable)));
            places.push(variable);
        }
    }
    let sets = if sets.is_empty() {
        String::new()
    } else {
        format!(" SET {}", sets.join(", "))
    };
    format!(
        "LOAD DATA LOCAL INFILE '{NAME}' INTO TABLE {} CHARACTER SET utf8mb4 FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C \
         LINES TERMINATED BY 0x0A ({}){sets}",
        Mysql.qualify(table),
        places.join(", ")
    )
}

/// Starts the statement up to where the server asks for the rows.
pub(super) fn begin(wire: &mut Wire, sql: &str) -> Result<(), Trouble> {
    wire.start()?;
    wire.command(3, &[sql.as_bytes()])?;
    let packet = wire.answer()?;
    match wire.body(&packet).split_first() {
        Some((0xfb, name)) if name == NAME.as_bytes() => Ok(()),
        Some((0xfb, _)) => {
            // nothing is sent of what was not offered
            wire.send(&[])?;
            wire.done()?;
            Err(foreign(
                "the server asked for another file than it was offered",
            ))
        }
        _ => Err(foreign("the server did not ask for the rows")),
    }
}

/// Sends lines.
pub(super) fn send(wire: &mut Wire, lines: &[u8]) -> Result<(), Trouble> {
    for piece in lines.chunks(1 << 20) {
        wire.send(piece)?;
    }
    Ok(())
}

/// Ends the rows; what the server made of them.
pub(super) fn end(wire: &mut Wire) -> Result<Done, Trouble> {
    let done = wire.send(&[]).and_then(|()| wire.done());
    wire.watch.rest();
    done
}
