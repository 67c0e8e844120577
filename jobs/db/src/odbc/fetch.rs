//! Rows from the driver, on its thread: by blocks where every column has a known small size, else cell by cell.

use super::engine::Engine;
use super::fault::{Trouble, is_dead};
use super::long::Pieces;
use super::session::{Owned, Session, leave};
use super::shape::{Shape, described};
use super::value::{settle, write_narrow};
use crate::block::Block;
use crate::{Column, Kind, form};
use odbc_api::buffers::{AnyColumnBufferSlice, ColumnarDynBuffer};
use odbc_api::handles::StatementRef;
use odbc_api::{Cursor, CursorImpl, CursorRow, Nullable};

/// How many rows a block has at most, and how much memory its buffers take.
const ROWS: usize = 1000;
const BYTES: usize = 4 << 20;
/// How much text is gathered cell by cell before it goes on its way.
const READY: usize = 256 << 10;

/// What a result sends, in order: its columns once, then rows, then the end.
#[derive(Debug)]
pub(super) enum Piece {
    Columns(Vec<Column>),
    Rows(Block),
    End,
}

/// Runs a query and hands each piece to `send`, until that tells that nobody wants more.
pub(super) fn run(
    session: &mut Session,
    sql: &str,
    params: &[Owned],
    send: &mut dyn FnMut(Piece) -> bool,
) -> Result<(), Trouble> {
    let engine = session.engine;
    let (mut prepared, bound) = session.prepare(sql, params)?;
    let Some(mut cursor) = prepared.execute(&bound[..])? else {
        send(Piece::Columns(Vec::new()));
        send(Piece::End);
        return Ok(());
    };
    let told = described(&mut cursor, engine);
    let told = told.and_then(|told| session.trust_names(&told).map(|()| told));
    let (columns, shapes): (Vec<Column>, Vec<Shape>) = match told {
        Ok(told) => told.into_iter().unzip(),
        Err(trouble) => {
            leave(cursor);
            return Err(trouble);
        }
    };
    let kinds: Vec<Kind> = columns.iter().map(|column| column.kind).collect();
    if !send(Piece::Columns(columns)) {
        leave(cursor);
        return Ok(());
    }
    let buffers: Option<Vec<_>> = shapes.iter().map(|shape| shape.buffer()).collect();
    match buffers {
        Some(buffers) => {
            let width: usize = buffers.iter().map(|buffer| buffer.bytes_per_row()).sum();
            let rows = (BYTES / width.max(1)).clamp(1, ROWS);
            let buffer = ColumnarDynBuffer::try_from_descs(rows, buffers)?;
            by_blocks(cursor, buffer, engine, &kinds, &shapes, send)
        }
        None => by_cells(cursor, engine, &kinds, &shapes, send),
    }
}

/// All rows of a small result, such as those of the driver's catalog functions.
pub(super) fn collect(
    mut cursor: CursorImpl<StatementRef<'_>>,
    engine: Engine,
) -> Result<Vec<Vec<Option<String>>>, Trouble> {
    let told = match described(&mut cursor, engine) {
        Ok(told) => told,
        Err(trouble) => {
            leave(cursor);
            return Err(trouble);
        }
    };
    let kinds = vec![Kind::Text; told.len()];
    let shapes = vec![Shape::Text(None); told.len()];
    let mut found = Vec::new();
    by_cells(cursor, engine, &kinds, &shapes, &mut |piece| {
        if let Piece::Rows(block) = piece {
            found.extend((0..block.rows()).map(|row| {
                let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
                let cells = block.row(row).into_iter();
                cells.map(|cell| cell.map(text)).collect()
            }));
        }
        true
    })?;
    Ok(found)
}

/// The first cell of a query of ours.
pub(super) fn first(session: &mut Session, sql: &str) -> Result<Option<String>, Trouble> {
    let mut found = None;
    run(session, sql, &[], &mut |piece| {
        if let Piece::Rows(block) = &piece
            && found.is_none()
        {
            let cell = block.cell(0, 0);
            found = cell.map(|text| String::from_utf8_lossy(text).into_owned());
        }
        true
    })?;
    Ok(found)
}

fn by_blocks(
    cursor: CursorImpl<StatementRef<'_>>,
    buffer: ColumnarDynBuffer,
    engine: Engine,
    kinds: &[Kind],
    shapes: &[Shape],
    send: &mut dyn FnMut(Piece) -> bool,
) -> Result<(), Trouble> {
    let mut cursor = cursor.bind_buffer(buffer)?;
    let done = loop {
        match cursor.fetch_with_truncation_check(true) {
            Ok(None) => {
                send(Piece::End);
                break Ok(());
            }
            Ok(Some(batch)) => match gather(batch, kinds, shapes) {
                Ok(block) => {
                    if !send(Piece::Rows(block)) {
                        break Ok(());
                    }
                }
                Err(trouble) => break Err(trouble),
            },
            Err(error) => break Err(Trouble::from(error)),
        }
    };
    if matches!(&done, Err(trouble) if is_dead(engine, trouble)) {
        // closing it would ask the server
        std::mem::forget(cursor);
    } else if let Ok((cursor, _)) = cursor.unbind() {
        leave(cursor);
    }
    done
}

/// A block's rows in the written form.
fn gather(batch: &ColumnarDynBuffer, kinds: &[Kind], shapes: &[Shape]) -> Result<Block, Trouble> {
    let columns: Vec<AnyColumnBufferSlice<'_>> =
        (0..shapes.len()).map(|index| batch.column(index)).collect();
    let mut block = Block::new(shapes.len());
    for row in 0..batch.num_rows() {
        for (index, column) in columns.iter().enumerate() {
            let missing =
                || Trouble::Damaged(index, "the driver's buffer is of another type".to_owned());
            match shapes[index] {
                Shape::Text(_) => {
                    let cells = column.as_wide_text().ok_or_else(missing)?;
                    add_text(&mut block, kinds[index], cells.get(row), index)?;
                }
                Shape::Utf8(_) => {
                    let cells = column.as_text().ok_or_else(missing)?;
                    add_utf8(&mut block, cells.get(row), index)?;
                }
                Shape::Bytes(_) => {
                    let cells = column.as_binary().ok_or_else(missing)?;
                    add_bytes(&mut block, cells.get(row));
                }
                Shape::Double => {
                    let cells = column.as_nullable_slice::<f64>().ok_or_else(missing)?;
                    add_float(&mut block, cells.get(row).copied());
                }
                Shape::Single => {
                    let cells = column.as_nullable_slice::<f32>().ok_or_else(missing)?;
                    add_float(&mut block, cells.get(row).copied().map(widened));
                }
            }
        }
    }
    Ok(block)
}

fn by_cells(
    mut cursor: CursorImpl<StatementRef<'_>>,
    engine: Engine,
    kinds: &[Kind],
    shapes: &[Shape],
    send: &mut dyn FnMut(Piece) -> bool,
) -> Result<(), Trouble> {
    let mut pieces = Pieces::new();
    let mut block = Block::new(shapes.len());
    let done = loop {
        match cursor.next_row() {
            Ok(None) => {
                if block.rows() == 0 || send(Piece::Rows(block)) {
                    send(Piece::End);
                }
                break Ok(());
            }
            Ok(Some(mut row)) => {
                let read = read_row(&mut row, kinds, shapes, &mut block, &mut pieces);
                if let Err(trouble) = read {
                    break Err(trouble);
                }
            }
            Err(error) => break Err(Trouble::from(error)),
        }
        if block.rows() >= ROWS || block.size() >= READY {
            let full = std::mem::replace(&mut block, Block::new(shapes.len()));
            if !send(Piece::Rows(full)) {
                break Ok(());
            }
        }
    };
    if matches!(&done, Err(trouble) if is_dead(engine, trouble)) {
        std::mem::forget(cursor);
    } else {
        leave(cursor);
    }
    done
}

fn read_row(
    row: &mut CursorRow<'_>,
    kinds: &[Kind],
    shapes: &[Shape],
    block: &mut Block,
    pieces: &mut Pieces,
) -> Result<(), Trouble> {
    for (number, (index, shape)) in (1_u16..).zip(shapes.iter().enumerate()) {
        match shape {
            Shape::Text(_) => {
                let text = pieces.wide(row, number)?;
                add_text(block, kinds[index], text.as_deref(), index)?;
            }
            Shape::Utf8(_) => add_utf8(block, pieces.text(row, number)?.as_deref(), index)?,
            Shape::Bytes(_) => add_bytes(block, pieces.bytes(row, number)?.as_deref()),
            Shape::Double => {
                let mut value = Nullable::<f64>::null();
                row.get_data(number, &mut value)?;
                add_float(block, value.as_opt().copied());
            }
            Shape::Single => {
                let mut value = Nullable::<f32>::null();
                row.get_data(number, &mut value)?;
                add_float(block, value.as_opt().copied().map(widened));
            }
        }
    }
    Ok(())
}

fn add_text(
    block: &mut Block,
    kind: Kind,
    text: Option<&[u16]>,
    index: usize,
) -> Result<(), Trouble> {
    let Some(text) = text else {
        block.add_null();
        return Ok(());
    };
    let mut whole = true;
    block.add(|out| {
        let from = out.len();
        whole = write_narrow(text, out).is_some();
        settle(kind, out, from);
    });
    if whole {
        Ok(())
    } else {
        Err(Trouble::Damaged(
            index,
            "the text is not Unicode".to_owned(),
        ))
    }
}

fn add_utf8(block: &mut Block, text: Option<&[u8]>, index: usize) -> Result<(), Trouble> {
    match text {
        None => block.add_null(),
        Some(text) if std::str::from_utf8(text).is_ok() => {
            block.add(|out| out.extend_from_slice(text));
        }
        Some(_) => return Err(Trouble::Damaged(index, "the text is not UTF-8".to_owned())),
    }
    Ok(())
}

fn add_bytes(block: &mut Block, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => block.add(|out| form::write_hex(out, bytes)),
        None => block.add_null(),
    }
}

fn add_float(block: &mut Block, value: Option<f64>) {
    match value {
        Some(value) => block.add(|out| form::write_float(out, value)),
        None => block.add_null(),
    }
}

/// The double with the shortest digits of the narrow number, not of its wide twin.
fn widened(value: f32) -> f64 {
    format!("{value:e}").parse().unwrap_or(f64::from(value))
}
