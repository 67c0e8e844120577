//! The SQL for a database that nothing is known of but its quote: what SQL-92 has. Pure text.
//!
//! It has no word for "leave or replace a row whose key is there": such a key is refused, and who loads deals with it.

use crate::dialect::roomy_scale;
use crate::{Dialect, Kind, Lexis, Load};

/// SQL-92 with the quote that SQLGetInfo tells.
#[derive(Debug)]
pub(super) struct Plain {
    open: &'static str,
    close: &'static str,
}

/// Names in double quotes: the standard.
pub(super) static QUOTED: Plain = Plain {
    open: "\"",
    close: "\"",
};
static TICKED: Plain = Plain {
    open: "`",
    close: "`",
};
static BRACKETED: Plain = Plain {
    open: "[",
    close: "]",
};
static BARE: Plain = Plain {
    open: "",
    close: "",
};

/// The dialect with this quote; `None` where the driver knows no quote.
pub(super) fn with_quote(quote: Option<char>) -> &'static dyn Dialect {
    match quote {
        Some('`') => &TICKED,
        Some('[') => &BRACKETED,
        None | Some(' ') => &BARE,
        Some(_) => &QUOTED,
    }
}

impl Dialect for Plain {
    fn name(&self) -> &'static str {
        "odbc"
    }

    fn tells_missing(&self) -> bool {
        false
    }

    fn quote(&self, identifier: &str) -> String {
        if self.close.is_empty() {
            return identifier.to_owned();
        }
        let doubled = identifier.replace(self.close, &self.close.repeat(2));
        format!("{}{doubled}{}", self.open, self.close)
    }

    fn placeholder(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn cast(&self, expression: &str, kind: Kind) -> String {
        match kind {
            // no standard function makes bytes of hex digits
            Kind::Blob | Kind::Json | Kind::Other => expression.to_owned(),
            Kind::Text => format!("CAST({expression} AS VARCHAR(4000))"),
            _ => format!("CAST({expression} AS {})", self.type_name(kind, None)),
        }
    }

    fn insert(&self, load: &Load<'_>) -> String {
        let quoted: Vec<String> = load.columns.iter().map(|name| self.quote(name)).collect();
        let places = vec!["?"; quoted.len()];
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.qualify(load.table),
            quoted.join(", "),
            places.join(", ")
        )
    }

    fn type_name(&self, kind: Kind, length: Option<u64>) -> String {
        match kind {
            Kind::Bool => "SMALLINT",
            Kind::Integer => "BIGINT",
            Kind::Decimal => "DECIMAL(38,10)",
            Kind::Real => "DOUBLE PRECISION",
            Kind::Date => "DATE",
            Kind::Time => "TIME",
            Kind::Timestamp => "TIMESTAMP",
            Kind::Instant => "TIMESTAMP WITH TIME ZONE",
            Kind::Blob => "BLOB",
            Kind::Text | Kind::Json | Kind::Other => {
                return format!("VARCHAR({})", length.unwrap_or(4000));
            }
        }
        .to_owned()
    }

    fn decimal(&self, digits: u64, scale: u64) -> String {
        let room = roomy_scale(digits, scale);
        let digits = digits.saturating_sub(scale) + room;
        format!("DECIMAL({},{})", digits.clamp(1, 38), room.min(38))
    }

    fn bounds_text(&self) -> bool {
        true
    }

    fn ddl_commits(&self) -> bool {
        true
    }

    fn ends_transaction(&self, words: &[&str]) -> bool {
        // nobody knows; what some databases commit at is taken for what this one commits at
        crate::statement::controls(words)
            || matches!(
                words.first(),
                Some(&("CREATE" | "DROP" | "ALTER" | "TRUNCATE" | "GRANT" | "REVOKE" | "RENAME"))
            )
    }

    fn commits_late(&self) -> bool {
        true
    }

    fn max_params(&self) -> usize {
        1000
    }

    fn lexis(&self) -> Lexis {
        Lexis {
            brackets: self.open == "[",
            ..Lexis::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, TableName};

    #[test]
    fn names_are_quoted_as_the_driver_says() {
        let quoted = |quote| with_quote(quote).quote("a`b]c\"d");
        assert_eq!(quoted(Some('"')), "\"a`b]c\"\"d\"");
        assert_eq!(quoted(Some('`')), "`a``b]c\"d`");
        assert_eq!(quoted(Some('[')), "[a`b]]c\"d]");
        assert_eq!(quoted(None), "a`b]c\"d");
        let (table, columns) = (TableName::parse("s.t"), ["id".to_owned()]);
        let load = Load {
            table: &table,
            columns: &columns,
            mode: Mode::Append,
        };
        assert_eq!(
            QUOTED.insert(&load),
            "INSERT INTO \"s\".\"t\" (\"id\") VALUES (?)"
        );
    }
}
