//! What a driver says of a result's columns: their kind, and how their values are fetched.

use super::engine::Engine;
use super::fault::Trouble;
use crate::{Column, Kind};
use odbc_api::buffers::BufferDesc;
use odbc_api::{ColumnDescription, DataType, ResultSetMetadata};

/// The longest text that a column may have to be fetched by blocks. Beyond it drivers begin to tell what they assume:
/// psqlodbc tells 254 and 255 for text whose length it does not know.
const SHORT: usize = 253;
/// Room for the digits of a number, whatever its declared precision.
const DIGITS: usize = 160;

/// How a column's values are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As UTF-16 of at most so many characters; `None` where nobody knows.
    Text(Option<usize>),
    /// As UTF-8, likewise.
    Utf8(Option<usize>),
    /// As a float of so many bits.
    Double,
    Single,
    /// As bytes, at most so many.
    Bytes(Option<usize>),
}

impl Shape {
    /// The buffer of a block; `None` for what has to be fetched cell by cell.
    pub(super) fn buffer(self) -> Option<BufferDesc> {
        match self {
            // a character may take two units
            Shape::Text(length) => length.map(|length| BufferDesc::WText {
                max_str_len: length * 2,
            }),
            Shape::Utf8(length) => length.map(|length| BufferDesc::Text {
                max_str_len: length * 4,
            }),
            Shape::Double => Some(BufferDesc::F64 { nullable: true }),
            Shape::Single => Some(BufferDesc::F32 { nullable: true }),
            Shape::Bytes(length) => length.map(|max_bytes| BufferDesc::Binary { max_bytes }),
        }
    }
}

/// The columns of a result, or of a statement that would have one.
pub(super) fn described(
    result: &mut impl ResultSetMetadata,
    engine: Engine,
) -> Result<Vec<(Column, Shape)>, Trouble> {
    let count = u16::try_from(result.num_result_cols()?).unwrap_or(0);
    let mut columns = Vec::with_capacity(usize::from(count));
    for number in 1..=count {
        let mut told = ColumnDescription::default();
        result.describe_col(number, &mut told)?;
        // drivers count bytes for characters, and leave NULs behind the name; MariaDB's cuts it here, and not there
        let name = match engine {
            Engine::Mysql => result.col_name(number)?,
            _ => String::from_utf16_lossy(&told.name),
        };
        let (kind, shape) = meaning(told.data_type, engine);
        columns.push((
            Column {
                name: name.trim_end_matches('\0').to_owned(),
                kind,
                declared: String::new(),
            },
            shape,
        ));
    }
    Ok(columns)
}

/// What a type means.
pub(super) fn meaning(data_type: DataType, engine: Engine) -> (Kind, Shape) {
    let short = |length: Option<std::num::NonZeroUsize>| {
        length
            .map(std::num::NonZeroUsize::get)
            .filter(|length| *length <= SHORT && engine.keeps_sizes())
    };
    let words = Shape::Text(Some(DIGITS));
    let text = |length| match engine.speaks_utf8() {
        true => Shape::Utf8(length),
        false => Shape::Text(length),
    };
    match data_type {
        DataType::Bit => (Kind::Bool, words),
        DataType::TinyInt | DataType::SmallInt | DataType::Integer | DataType::BigInt => {
            (Kind::Integer, words)
        }
        DataType::Numeric { .. } | DataType::Decimal { .. } => (Kind::Decimal, words),
        DataType::Real => (Kind::Real, Shape::Single),
        // its precision is in bits by the book and in digits by psqlodbc
        DataType::Double | DataType::Float { .. } => (Kind::Real, Shape::Double),
        DataType::Date => (Kind::Date, words),
        DataType::Time { .. } => (Kind::Time, words),
        DataType::Timestamp { .. } => (Kind::Timestamp, words),
        DataType::Char { length } | DataType::WChar { length } => (Kind::Text, text(short(length))),
        DataType::Varchar { length } | DataType::WVarchar { length } => {
            (Kind::Text, text(short(length)))
        }
        DataType::LongVarchar { .. } | DataType::WLongVarchar { .. } => (Kind::Text, text(None)),
        DataType::Binary { length } | DataType::Varbinary { length } => {
            (Kind::Blob, Shape::Bytes(short(length)))
        }
        DataType::LongVarbinary { .. } => (Kind::Blob, Shape::Bytes(None)),
        DataType::Unknown | DataType::Other { .. } => (Kind::Text, text(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn only_known_sizes_are_trusted() {
        let text = |length, engine| {
            let length = NonZeroUsize::new(length);
            meaning(DataType::Varchar { length }, engine)
        };
        assert_eq!(
            text(20, Engine::Postgres),
            (Kind::Text, Shape::Text(Some(20)))
        );
        for (length, engine) in [
            (0, Engine::Other),
            (255, Engine::Postgres),
            (20, Engine::Sqlite),
        ] {
            assert_eq!(text(length, engine).1.buffer(), None);
        }
        assert_eq!(
            meaning(DataType::Double, Engine::Mysql),
            (Kind::Real, Shape::Double)
        );
    }
}
