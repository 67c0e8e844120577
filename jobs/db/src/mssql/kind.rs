//! What SQL Server's types mean: by the protocol's numbers, and by the dictionary's words.

use crate::Kind;
use tiberius::ColumnType;

/// The kind of a result's column, and the type in SQL Server's words as far as a result tells.
pub(super) fn of_result(of: ColumnType) -> (Kind, &'static str) {
    match of {
        ColumnType::Bit | ColumnType::Bitn => (Kind::Bool, "bit"),
        ColumnType::Int1 => (Kind::Integer, "tinyint"),
        ColumnType::Int2 => (Kind::Integer, "smallint"),
        ColumnType::Int4 => (Kind::Integer, "int"),
        ColumnType::Int8 => (Kind::Integer, "bigint"),
        ColumnType::Intn => (Kind::Integer, ""),
        ColumnType::Money => (Kind::Decimal, "money"),
        ColumnType::Money4 => (Kind::Decimal, "smallmoney"),
        ColumnType::Decimaln | ColumnType::Numericn => (Kind::Decimal, ""),
        ColumnType::Float4 => (Kind::Real, "real"),
        ColumnType::Float8 => (Kind::Real, "float"),
        ColumnType::Floatn => (Kind::Real, ""),
        ColumnType::Guid => (Kind::Text, "uniqueidentifier"),
        ColumnType::Datetime4 => (Kind::Timestamp, "smalldatetime"),
        ColumnType::Datetime => (Kind::Timestamp, "datetime"),
        ColumnType::Datetimen | ColumnType::Datetime2 => (Kind::Timestamp, ""),
        ColumnType::Daten => (Kind::Date, "date"),
        ColumnType::Timen => (Kind::Time, ""),
        ColumnType::DatetimeOffsetn => (Kind::Instant, ""),
        ColumnType::BigVarBin | ColumnType::BigBinary | ColumnType::Udt => (Kind::Blob, ""),
        ColumnType::Image => (Kind::Blob, "image"),
        ColumnType::Xml => (Kind::Text, "xml"),
        ColumnType::Text => (Kind::Text, "text"),
        ColumnType::NText => (Kind::Text, "ntext"),
        ColumnType::BigVarChar | ColumnType::BigChar | ColumnType::NVarchar | ColumnType::NChar => {
            (Kind::Text, "")
        }
        ColumnType::SSVariant => (Kind::Text, "sql_variant"),
        ColumnType::Null => (Kind::Other, ""),
    }
}

/// The kind of a table's column by its type's name.
pub(super) fn kind(word: &str) -> Kind {
    match word {
        "bit" => Kind::Bool,
        "tinyint" | "smallint" | "int" | "bigint" => Kind::Integer,
        "decimal" | "numeric" | "money" | "smallmoney" => Kind::Decimal,
        "float" | "real" => Kind::Real,
        "date" => Kind::Date,
        "time" => Kind::Time,
        "datetime" | "datetime2" | "smalldatetime" => Kind::Timestamp,
        "datetimeoffset" => Kind::Instant,
        "binary" | "varbinary" | "image" | "timestamp" | "rowversion" | "hierarchyid"
        | "geometry" | "geography" => Kind::Blob,
        _ => Kind::Text,
    }
}

/// What `sys.columns` says of a type's size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// In bytes; -1 is without a limit.
    pub(super) bytes: i64,
    pub(super) precision: u64,
    pub(super) scale: u64,
}

/// The whole type: `nvarchar(20)`, `decimal(10,2)`, `datetime2(7)`.
pub(super) fn declared(word: &str, size: Size) -> String {
    let Size {
        bytes,
        precision,
        scale,
    } = size;
    match word {
        "timestamp" => "rowversion".to_owned(),
        "char" | "varchar" | "binary" | "varbinary" | "nchar" | "nvarchar" => {
            match units(word, bytes) {
                Some(units) => format!("{word}({units})"),
                None => format!("{word}(max)"),
            }
        }
        "decimal" | "numeric" => format!("{word}({precision},{scale})"),
        "float" => format!("float({precision})"),
        "time" | "datetime2" | "datetimeoffset" => format!("{word}({scale})"),
        _ => word.to_owned(),
    }
}

/// Greatest length in characters, or digits of a decimal.
pub(super) fn length(word: &str, size: Size) -> Option<u64> {
    match word {
        "char" | "varchar" | "nchar" | "nvarchar" => units(word, size.bytes),
        "uniqueidentifier" => Some(36),
        "decimal" | "numeric" | "money" | "smallmoney" => Some(size.precision),
        _ => None,
    }
}

fn units(word: &str, bytes: i64) -> Option<u64> {
    let bytes = u64::try_from(bytes).ok()?;
    Some(if word.starts_with('n') {
        bytes / 2
    } else {
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_whole() {
        let of = |word, bytes, precision, scale| {
            let size = Size {
                bytes,
                precision,
                scale,
            };
            (declared(word, size), length(word, size))
        };
        assert_eq!(of("nvarchar", 40, 0, 0), ("nvarchar(20)".into(), Some(20)));
        assert_eq!(of("varchar", 40, 0, 0), ("varchar(40)".into(), Some(40)));
        assert_eq!(of("nvarchar", -1, 0, 0), ("nvarchar(max)".into(), None));
        assert_eq!(of("varbinary", -1, 0, 0), ("varbinary(max)".into(), None));
        assert_eq!(of("decimal", 9, 10, 2), ("decimal(10,2)".into(), Some(10)));
        assert_eq!(of("datetime2", 8, 27, 7).0, "datetime2(7)");
        assert_eq!(of("timestamp", 8, 0, 0).0, "rowversion");
        assert_eq!(of("int", 4, 10, 0), ("int".into(), None));
    }

    #[test]
    fn words_and_numbers_mean_the_same() {
        for (number, word) in [
            (ColumnType::Bitn, "bit"),
            (ColumnType::Int8, "bigint"),
            (ColumnType::Money4, "smallmoney"),
            (ColumnType::Numericn, "numeric"),
            (ColumnType::Float4, "real"),
            (ColumnType::Guid, "uniqueidentifier"),
            (ColumnType::Datetimen, "datetime"),
            (ColumnType::Datetime2, "datetime2"),
            (ColumnType::DatetimeOffsetn, "datetimeoffset"),
            (ColumnType::Daten, "date"),
            (ColumnType::Timen, "time"),
            (ColumnType::BigVarBin, "varbinary"),
            (ColumnType::Image, "image"),
            (ColumnType::Xml, "xml"),
            (ColumnType::NVarchar, "nvarchar"),
            (ColumnType::Text, "text"),
        ] {
            assert_eq!(of_result(number).0, kind(word), "{word}");
        }
    }
}
