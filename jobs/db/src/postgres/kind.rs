//! What PostgreSQL's types mean, by their object ids.

use crate::{Column, Kind};

/// The built-in types that are more than text; the ids are fixed, see `pg_type.dat` in PostgreSQL's source.
const TYPES: &[(u32, Kind, &str)] = &[
    (16, Kind::Bool, "boolean"),
    (17, Kind::Blob, "bytea"),
    (20, Kind::Integer, "bigint"),
    (21, Kind::Integer, "smallint"),
    (23, Kind::Integer, "integer"),
    (26, Kind::Integer, "oid"),
    (28, Kind::Integer, "xid"),
    (114, Kind::Json, "json"),
    (700, Kind::Real, "real"),
    (701, Kind::Real, "double precision"),
    (1082, Kind::Date, "date"),
    (1083, Kind::Time, "time without time zone"),
    (1114, Kind::Timestamp, "timestamp without time zone"),
    (1184, Kind::Instant, "timestamp with time zone"),
    (1700, Kind::Decimal, "numeric"),
    (3802, Kind::Json, "jsonb"),
    (5069, Kind::Integer, "xid8"),
    (25, Kind::Text, "text"),
    (1042, Kind::Text, "character"),
    (1043, Kind::Text, "character varying"),
    (2950, Kind::Text, "uuid"),
];

/// What the server tells of a result's column.
pub(super) fn described(column: &tokio_postgres::Column) -> Column {
    let oid = column.type_().oid();
    Column {
        name: column.name().to_owned(),
        kind: kind(oid),
        declared: declared(oid, column.type_modifier()),
    }
}

/// The kind of a type; whatever is not built in travels as text.
pub(super) fn kind(oid: u32) -> Kind {
    TYPES
        .iter()
        .find(|known| known.0 == oid)
        .map_or(Kind::Text, |known| known.1)
}

/// The type's name, with its modifier; empty for what is not built in.
pub(super) fn declared(oid: u32, modifier: i32) -> String {
    let name = TYPES
        .iter()
        .find(|known| known.0 == oid)
        .map_or("", |known| known.2);
    match (oid, modifier) {
        (1042 | 1043, 5..) => format!("{name}({})", modifier - 4),
        (1700, 4..) => format!(
            "{name}({},{})",
            (modifier - 4) >> 16,
            (modifier - 4) & 0x7ff
        ),
        _ => name.to_owned(),
    }
}

/// Greatest length in characters, or digits of a decimal.
pub(super) fn length(oid: u32, modifier: i32) -> Option<u64> {
    match (oid, modifier) {
        (1042 | 1043, 4..) => u64::try_from(modifier - 4).ok(),
        (1700, 4..) => u64::try_from((modifier - 4) >> 16).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_tell_lengths() {
        assert_eq!(declared(1043, 24), "character varying(20)");
        assert_eq!(declared(1700, (10 << 16) + 2 + 4), "numeric(10,2)");
        assert_eq!(
            (declared(1700, -1), declared(99_999, -1)),
            ("numeric".to_owned(), String::new())
        );
        assert_eq!(
            (length(1043, 24), length(25, -1), length(1043, -1)),
            (Some(20), None, None)
        );
        assert_eq!(kind(3802), Kind::Json);
    }
}
