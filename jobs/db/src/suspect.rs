//! A guess at which cells a server will refuse, used only once it has refused a chunk: suspects are tried alone and the
//! rest goes at full speed. The server decides; a wrong guess costs time, never a row.

use crate::{Cell, ColumnInfo, Kind, form};

/// The columns of a load, as far as a guess needs them.
#[derive(Debug)]
pub(crate) struct Suspicion {
    columns: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    name: String,
    kind: Kind,
    required: bool,
    /// In characters, for text alone.
    length: Option<usize>,
    /// Greatest size of an integer.
    bound: u64,
}

impl Suspicion {
    pub(crate) fn new(columns: &[&ColumnInfo]) -> Self {
        let target = |column: &&ColumnInfo| Target {
            name: column.name.clone(),
            kind: column.kind,
            required: !column.nullable,
            length: column
                .length
                .and_then(|length| usize::try_from(length).ok()),
            bound: bound(&column.declared),
        };
        Suspicion {
            columns: columns.iter().map(target).collect(),
        }
    }

    /// The first column whose cell looks wrong.
    pub(crate) fn of<'s>(&'s self, row: &[Cell<'_>]) -> Option<&'s str> {
        self.columns
            .iter()
            .zip(row)
            .find(|(target, cell)| target.doubts(**cell))
            .map(|(target, _)| target.name.as_str())
    }
}

impl Target {
    fn doubts(&self, cell: Cell<'_>) -> bool {
        let Some(text) = cell else {
            return self.required;
        };
        match self.kind {
            Kind::Bool if matches!(text, b"t" | b"f" | b"true" | b"false") => false,
            Kind::Bool | Kind::Integer => match form::read_number(text) {
                Some(form::Number::Integer(value)) => value.unsigned_abs() > self.bound,
                _ => true,
            },
            Kind::Decimal => form::read_number(text).is_none(),
            Kind::Real => form::read_float(text).is_none(),
            Kind::Blob => !form::is_hex(text),
            Kind::Date => !is_date(text),
            Kind::Timestamp | Kind::Instant => text.get(..10).is_none_or(|date| !is_date(date)),
            Kind::Time => text.first().is_none_or(|byte| !byte.is_ascii_digit()),
            Kind::Text | Kind::Json | Kind::Other => match std::str::from_utf8(text) {
                Ok(text) => {
                    let long = |most: usize| text.len() > most && text.chars().count() > most;
                    self.length.is_some_and(long) || text.contains('\0')
                }
                Err(_) => true,
            },
        }
    }
}

/// By PostgreSQL's and MySQL's names, where a width or `unsigned` may follow.
fn bound(declared: &str) -> u64 {
    let word = declared.split(['(', ' ']).next().unwrap_or_default();
    let signed = match word {
        "boolean" | "bool" | "bit" => return 1,
        "tinyint" => 1 << 7,
        "smallint" => 1 << 15,
        "mediumint" => 1 << 23,
        "int" | "integer" => 1 << 31,
        _ => return 1 << 63,
    };
    if declared.contains("unsigned") {
        signed * 2 - 1
    } else {
        signed
    }
}

/// Whether it is a day between year 1 and 9999.
fn is_date(text: &[u8]) -> bool {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)?.iter().try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    text.len() == 10
        && text[4] == b'-'
        && text[7] == b'-'
        && year > 0
        && (1..=12).contains(&month)
        && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_what_servers_refuse() {
        let mut id = ColumnInfo::new("id", Kind::Integer);
        id.nullable = false;
        id.declared = "integer".to_owned();
        let mut name = ColumnInfo::new("name", Kind::Text);
        name.length = Some(2);
        let day = ColumnInfo::new("day", Kind::Date);
        let doubted = |declared: &str, text: &str| {
            let mut flag = ColumnInfo::new("flag", Kind::Bool);
            flag.declared = declared.to_owned();
            Suspicion::new(&[&flag])
                .of(&[Some(text.as_bytes())])
                .is_some()
        };
        // MySQL's boolean is a small number
        assert!(!doubted("tinyint(1)", "5") && doubted("tinyint(1)", "200"));
        assert!(!doubted("boolean", "t") && doubted("boolean", "5"));
        let suspicion = Suspicion::new(&[&id, &name, &day]);
        let of = |cells: [Option<&str>; 3]| {
            suspicion
                .of(&cells.map(|cell| cell.map(str::as_bytes)))
                .map(str::to_owned)
        };
        assert_eq!(of([Some("1"), Some("站点"), Some("2024-02-29")]), None);
        assert_eq!(of([None, None, None]).as_deref(), Some("id"));
        assert_eq!(of([Some("2147483649"), None, None]).as_deref(), Some("id"));
        assert_eq!(of([Some("1"), Some("abc"), None]).as_deref(), Some("name"));
        assert_eq!(of([Some("1"), Some("a\0"), None]).as_deref(), Some("name"));
        assert_eq!(
            of([Some("1"), None, Some("2023-02-29")]).as_deref(),
            Some("day")
        );
        assert_eq!(
            of([Some("1"), None, Some("0000-00-00")]).as_deref(),
            Some("day")
        );
    }
}
