//! What is written reads back the same, whatever it is; what others wrote badly is told, never a panic.

mod oddities;
mod random;
mod separated;
mod xml;

use std::io::{Cursor, Read};

use super::*;

/// Text in another encoding.
pub(crate) fn encode_for_tests(text: &str, encoding: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = encoding_of(encoding).unwrap().encode(text);
    assert!(!unmappable);
    bytes.into_owned()
}

/// Bytes, packed.
pub(crate) fn pack_for_tests(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new(), compression).unwrap();
    std::io::Write::write_all(&mut packer, bytes).unwrap();
    packer.finish().unwrap()
}

type Table = Vec<Vec<Option<Vec<u8>>>>;

fn write(format: Format, compression: Compression, columns: &[Column], table: &Table) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), format, compression, columns).unwrap();
    for row in table {
        let cells: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
        writer.row(&cells).unwrap();
    }
    writer.finish().unwrap()
}

/// Reads everything; columns that no row brought are NULL in every row.
fn read(bytes: Vec<u8>, format: Format, compression: Compression, columns: &[Column]) -> Table {
    let reading = Reading {
        compression,
        ..Reading::of(format, "")
    };
    let mut rows = reading.open(Box::new(Cursor::new(bytes))).unwrap();
    let (mut record, mut table) = (Record::new(), Table::new());
    loop {
        match rows.read(&mut record).unwrap() {
            Step::End => return table,
            Step::Bad(bad) => panic!("{bad}"),
            Step::Row => {
                let cell = |column: &Column| {
                    let at = rows
                        .columns()
                        .iter()
                        .position(|name| *name == column.name)?;
                    if column.form == Form::Binary {
                        record.spell_hex(at);
                    }
                    record.cell(at).map(<[u8]>::to_vec)
                };
                table.push(columns.iter().map(cell).collect());
            }
        }
    }
}

/// Reads to the end or the first error; tells rows and bad rows.
fn drain(
    bytes: Vec<u8>,
    layout: Layout,
    compression: Compression,
) -> Result<(usize, Vec<BadRow>), BadFile> {
    let reading = Reading {
        compression,
        ..Reading::of(layout, "")
    };
    let mut rows = reading.open(Box::new(Cursor::new(bytes)))?;
    let (mut record, mut good, mut bad) = (Record::new(), 0, Vec::new());
    loop {
        match rows.read(&mut record)? {
            Step::Row => good += 1,
            Step::Bad(row) => bad.push(*row),
            Step::End => return Ok((good, bad)),
        }
    }
}

fn xml(text: &str) -> Result<(usize, Vec<BadRow>), BadFile> {
    drain(
        text.as_bytes().to_vec(),
        Format::Xml.into(),
        Compression::None,
    )
}

fn csv(text: &str) -> Result<(usize, Vec<BadRow>), BadFile> {
    drain(
        text.as_bytes().to_vec(),
        Format::Csv.into(),
        Compression::None,
    )
}
