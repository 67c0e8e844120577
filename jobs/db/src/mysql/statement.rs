//! Prepared statements: preparing, binding text, closing, and what the server tells of columns.

use super::fault::{Trouble, foreign};
use super::kind::Shape;
use super::lengths::{read_number, read_text, write_number};
use super::wire::{Done, Wire};
use crate::{Cell, Column};

/// A prepared statement on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prepared {
    id: u32,
    pub(super) params: usize,
}

/// Prepares a statement.
pub(super) fn prepare(wire: &mut Wire, sql: &str) -> Result<Prepared, Trouble> {
    wire.command(0x16, &[sql.as_bytes()])?;
    let packet = wire.answer()?;
    let (id, columns, params) = {
        let [0, a, b, c, d, e, f, g, h, ..] = *wire.body(&packet) else {
            return Err(foreign("an answer to PREPARE that is none"));
        };
        (
            u32::from_le_bytes([a, b, c, d]),
            u16::from_le_bytes([e, f]),
            u16::from_le_bytes([g, h]),
        )
    };
    for count in [params, columns] {
        if count > 0 {
            for _ in 0..=count {
                wire.answer()?;
            }
        }
    }
    Ok(Prepared {
        id,
        params: usize::from(params),
    })
}

impl Prepared {
    /// Runs it with its parameters bound as text.
    pub(super) fn execute(self, wire: &mut Wire, params: &[Cell<'_>]) -> Result<(), Trouble> {
        if params.len() != self.params {
            return Err(Trouble::Senseless(format!(
                "{} parameters for {} placeholders",
                params.len(),
                self.params
            )));
        }
        let mut body = Vec::with_capacity(
            32 + params
                .iter()
                .flatten()
                .map(|text| text.len() + 9)
                .sum::<usize>(),
        );
        body.extend_from_slice(&self.id.to_le_bytes());
        body.push(0);
        body.extend_from_slice(&1_u32.to_le_bytes());
        if !params.is_empty() {
            let nulls = body.len();
            body.resize(nulls + params.len().div_ceil(8), 0);
            for (index, _) in params.iter().enumerate().filter(|(_, cell)| cell.is_none()) {
                body[nulls + index / 8] |= 1 << (index % 8);
            }
            body.push(1);
            for _ in params {
                body.extend_from_slice(&[253, 0]);
            }
            for text in params.iter().flatten() {
                write_number(&mut body, text.len());
                body.extend_from_slice(text);
            }
        }
        wire.command(0x17, &[&body])
    }

    /// Forgets it; the server does not answer.
    pub(super) fn close(self, wire: &mut Wire) -> Result<(), Trouble> {
        wire.command(0x19, &[&self.id.to_le_bytes()])
    }
}

/// The columns of a result whose count is in its first packet; `None` if the statement gives no result.
pub(super) fn columns(wire: &mut Wire) -> Result<Result<Vec<(Column, Shape)>, Done>, Trouble> {
    let packet = wire.answer()?;
    if let Some(done) = wire.read_done(&packet) {
        return Ok(Err(done));
    }
    // 0xfb would ask for a file: only a LOAD DATA of ours is ever answered
    let count = read_number(&mut wire.body(&packet))
        .ok_or_else(|| foreign("an answer that is no result"))?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let packet = wire.answer()?;
        columns.push(
            column(wire.body(&packet)).ok_or_else(|| foreign("a torn description of a column"))?,
        );
    }
    wire.answer()?;
    Ok(Ok(columns))
}

fn column(mut body: &[u8]) -> Option<(Column, Shape)> {
    for _ in 0..4 {
        read_text(&mut body)?;
    }
    let name = String::from_utf8_lossy(read_text(&mut body)?).into_owned();
    read_text(&mut body)?;
    read_number(&mut body)?;
    let fixed = body.first_chunk::<10>()?;
    let charset = u16::from_le_bytes([fixed[0], fixed[1]]);
    let length = u32::from_le_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]);
    let flags = u16::from_le_bytes([fixed[7], fixed[8]]);
    let shape = Shape::new(fixed[6], flags, charset, length, fixed[9]);
    Some((
        Column {
            name,
            kind: shape.kind(),
            declared: shape.declared(),
        },
        shape,
    ))
}

/// Takes all that a statement answers, whatever it is; the last end's word.
pub(super) fn drain(wire: &mut Wire) -> Result<Done, Trouble> {
    loop {
        let done = match columns(wire)? {
            Err(done) => done,
            Ok(_) => loop {
                let packet = wire.answer()?;
                if let Some(more) = wire.ends(&packet) {
                    break Done {
                        more,
                        ..Done::default()
                    };
                }
            },
        };
        if !done.more {
            return Ok(done);
        }
    }
}
