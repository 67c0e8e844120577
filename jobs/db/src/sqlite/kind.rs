//! What a declared type means. SQLite lets any word be a type and derives an affinity from its letters
//! (<https://www.sqlite.org/datatype3.html>, section 3.1); the kind refines that, so that text is only held to
//! be a number where the word says a number.

use crate::Kind;

/// The kind of a column by its declared type; `Other` if there is none or it says nothing.
pub(crate) fn kind(declared: &str) -> Kind {
    let word = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    if has(&["POINT", "INTERVAL"]) {
        Kind::Other
    } else if has(&["INT", "SERIAL"]) {
        Kind::Integer
    } else if has(&["JSON"]) {
        Kind::Json
    } else if has(&["CHAR", "CLOB", "TEXT", "STRING", "UUID", "ENUM"]) {
        Kind::Text
    } else if has(&["BLOB", "BINARY", "BYTEA"]) {
        Kind::Blob
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Kind::Real
    } else if has(&["BOOL"]) {
        Kind::Bool
    } else if has(&["DECIMAL", "NUM", "MONEY"]) {
        Kind::Decimal
    } else if has(&["TIMESTAMPTZ", "WITH TIME ZONE"]) {
        Kind::Instant
    } else if has(&["TIMESTAMP", "DATETIME"]) {
        Kind::Timestamp
    } else if has(&["DATE"]) {
        Kind::Date
    } else if has(&["TIME"]) {
        Kind::Time
    } else {
        Kind::Other
    }
}

/// The greatest length in characters that the type names: 20 for `VARCHAR(20)`. SQLite itself does not hold to it.
pub(crate) fn length(declared: &str) -> Option<u64> {
    if kind(declared) != Kind::Text {
        return None;
    }
    let (_, rest) = declared.split_once('(')?;
    rest.split_once(')')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_databases_mean_what_they_say() {
        for (declared, expected) in [
            ("INTEGER", Kind::Integer),
            ("unsigned big int", Kind::Integer),
            ("VARCHAR(20)", Kind::Text),
            ("", Kind::Other),
            ("NUMERIC(10,2)", Kind::Decimal),
            ("double precision", Kind::Real),
            ("BLOB", Kind::Blob),
            ("VARBINARY(9)", Kind::Blob),
            ("boolean", Kind::Bool),
            ("DATETIME", Kind::Timestamp),
            ("date", Kind::Date),
            ("time", Kind::Time),
            ("JSON", Kind::Json),
            ("timestamp with time zone", Kind::Instant),
            ("geometry(POINT)", Kind::Other),
            ("ANY", Kind::Other),
        ] {
            assert_eq!(kind(declared), expected, "{declared}");
        }
        assert_eq!(
            (length("VARCHAR( 20 )"), length("INT(4)")),
            (Some(20), None)
        );
    }
}
